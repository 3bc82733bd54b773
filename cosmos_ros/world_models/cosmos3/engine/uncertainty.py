"""How sure a denoised chunk is of its rows, from what denoising computed anyway."""

from __future__ import annotations

import torch

from cosmos_ros.types import FloatArray
from cosmos_ros.world_models.cosmos3.engine.schedule import Schedule

_LATE = 3  # the last third of the steps


def row_uncertainty(history: torch.Tensor, schedule: Schedule, *, given: int = 0) -> FloatArray:
    """Return ``float64 [T]`` in normalised units: how far a row's estimates moved while it was denoised.

    Two mean squares over a row's channels are added and the root is taken. The first is the variance of the clean
    estimates ``x - sigma v`` of the last third of the steps. The second is the straightness of the path (Liu et al.,
    "Flow Straight and Fast", 2022): the mean over the noise levels of ``|v - (noise - result)|^2``, zero for a path
    without curvature.

    Args:
        history: ``float32 [S + 1, T, D]``: the noise, then the velocity of each of S steps.
        schedule: The sampler's weights.
        given: First rows that were given, not denoised; theirs is zero.
    """
    steps = len(schedule.sigmas)
    flat = history.double().flatten(1)
    late = schedule.clean[-max(2, steps // _LATE) :].to(flat) @ flat
    variance = late.var(dim=0, correction=0)
    result = schedule.samples[-1].to(flat) @ flat
    ends = torch.cat((schedule.sigmas, schedule.sigmas.new_zeros(1)))
    weights = (ends[:-1] - ends[1:]).to(flat)[:, None] / float(schedule.sigmas[0])
    curvature = (weights * (flat[1:] - (flat[0] - result)).square()).sum(0)
    rows = (variance + curvature).view(history.shape[1:]).mean(1).sqrt()
    rows[:given] = 0
    found: FloatArray = rows.cpu().numpy()
    return found
