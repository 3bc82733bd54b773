"""The sampler's arithmetic as one matrix, found by running diffusers' own scheduler on unit vectors.

A multistep solver of a probability-flow equation is linear in the noise it starts from and in the velocities that the
model answers. Each sample is therefore a weighted sum of those, and the weights depend on the schedule alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import ConfigError
from cosmos_ros.world_models.cosmos3.checkpoint import WHERE

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Schedule:
    """The weights of a whole run of S steps.

    Attributes:
        timesteps: ``int64 [S]`` what the model is told at each step.
        sigmas: ``float64 [S]`` noise level at each step.
        samples: ``float64 [S, S + 1]`` row i makes the sample after step i out of the noise (column 0) and of the
            velocities of steps 0 to S - 1.
        clean: ``float64 [S, S + 1]`` row i makes the clean estimate at step i, ``x - sigma v``.
    """

    timesteps: torch.Tensor
    sigmas: torch.Tensor
    samples: torch.Tensor
    clean: torch.Tensor


def make_schedule(scheduler: Any, steps: int, *, native: bool = False) -> Schedule:
    """Return the weights of a scheduler's run.

    Args:
        scheduler: diffusers scheduler with flow prediction; it is not changed.
        steps: Denoising steps.
        native: The pipeline's ``use_native_flow_schedule``.

    Raises:
        ConfigError: The scheduler is not linear (thresholding), or predicts something else than a velocity.
    """
    import torch

    config = scheduler.config
    if config.get("thresholding") or config.get("prediction_type") != "flow_prediction":
        raise ConfigError(
            f"the engine needs flow prediction without thresholding; the scheduler has "
            f"{config.get('prediction_type')}, thresholding {bool(config.get('thresholding'))}",
            where=WHERE,
            hint="Set engine to off.",
        )
    scheduler = copy.deepcopy(scheduler)
    if native:
        last = 1.0 - 1.0 / config["num_train_timesteps"]
        scheduler.set_timesteps(steps, device="cpu", sigmas=np.linspace(last, 0.0, steps + 1)[:-1])
    else:
        scheduler.set_timesteps(steps, device="cpu")
    if len(scheduler.timesteps) != steps:
        raise ConfigError(
            f"the scheduler makes {len(scheduler.timesteps)} calls of {steps} steps", where=WHERE, hint="engine: off."
        )
    unit = torch.eye(steps + 1, dtype=torch.float64)
    sample, samples, clean = unit[0], [], []
    for step, timestep in enumerate(scheduler.timesteps):
        clean.append(sample - scheduler.sigmas[step].double() * unit[step + 1])
        sample = scheduler.step(unit[step + 1][None, None], timestep, sample[None, None], return_dict=False)[0][0, 0]
        samples.append(sample)
    return Schedule(
        scheduler.timesteps.clone(), scheduler.sigmas[:steps].double(), torch.stack(samples), torch.stack(clean)
    )
