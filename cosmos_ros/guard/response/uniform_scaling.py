"""The smallest uniform time scale that makes a motion legal, as a figure for rest-to-rest motions."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.trajectory.extrema import extrema


def uniform_scale(motion: Motion, settings: GuardSettings) -> float:
    """Return the least s ≥ 1 for which q(t/s) keeps velocity, acceleration and jerk bounds that are checked.

    Speed falls with s, acceleration with s², jerk with s³. Position-dependent bounds are not counted.
    """
    scale = 1.0
    table = motion.table
    if motion.degree == 1:
        return _of_lines(motion, settings)
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
    return scale


def _of_lines(motion: Motion, settings: GuardSettings) -> float:
    """Lines: speeds of the segments, and the changes of speed as the acceleration check counts them."""
    scale = 1.0
    velocity = np.diff(motion.positions, axis=0) / motion.durations[:, None]
    if settings.enabled("velocity"):
        scale = max(scale, float(np.max(np.abs(velocity) / motion.table.velocity, initial=0.0)))
    if settings.enabled("acceleration"):
        step = np.concatenate((motion.durations[:1], motion.times[2:] - motion.times[:-2], motion.durations[-1:]))
        still = np.zeros((1, velocity.shape[1]))
        value = 2.0 * np.diff(np.concatenate((still, velocity, still)), axis=0) / step[:, None]
        value = value if settings.checking.linear_ends else value[1:-1]
        scale = max(scale, float(np.sqrt(np.max(np.abs(value) / motion.table.acceleration, initial=0.0))))
    return scale
