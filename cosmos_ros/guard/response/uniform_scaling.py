"""The smallest uniform time scale that makes a motion legal, as a figure for rest-to-rest motions."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.acceleration_step import AccelerationStepSettings
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.trajectory.extrema import extrema


def uniform_scale(motion: Motion, settings: GuardSettings) -> float:
    """Return the least s ≥ 1 for which q(t/s) keeps velocity, acceleration and jerk bounds that are checked.

    Speed falls with s, acceleration with s², jerk with s³. Position-dependent bounds are not counted.
    """
    scale = 1.0
    table = motion.table
    for order, name, bound in (
        (1, "velocity", table.velocity),
        (2, "acceleration", table.acceleration),
        (3, "jerk", table.jerk),
    ):
        if not settings.enabled(name) or order > motion.degree:
            continue
        unit = motion.unit(order)
        exact = extrema(unit.reshape(-1, unit.shape[-1]))
        peak = np.maximum(-exact.lower, exact.upper).reshape(unit.shape[:2]).max(axis=0)
        ratio = float(np.max(peak / bound))
        scale = max(scale, ratio ** (1.0 / order))
    if settings.enabled("acceleration_step") and np.isfinite(table.jerk).any():
        unit, still = motion.unit(2), np.zeros((1, len(table.names)))
        step = np.concatenate((unit[..., 0], still)) - np.concatenate((still, unit.sum(axis=-1)))
        bound = table.jerk * settings.of(AccelerationStepSettings).controller_period
        scale = max(scale, float(np.sqrt(np.max(np.abs(step) / bound, initial=0.0))))
    return scale
