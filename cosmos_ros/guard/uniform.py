"""The smallest uniform time scale that makes a motion legal, as a figure for rest-to-rest motions."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.config import GuardConfig
from cosmos_ros.guard.motion import Motion
from cosmos_ros.trajectory.extrema import extrema


def uniform_scale(motion: Motion, config: GuardConfig) -> float:
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
        if not config.enabled(name) or order > motion.degree:
            continue
        unit = motion.unit(order)
        exact = extrema(unit.reshape(-1, unit.shape[-1]))
        peak = np.maximum(-exact.lower, exact.upper).reshape(unit.shape[:2]).max(axis=0)
        ratio = float(np.max(peak / bound))
        scale = max(scale, ratio ** (1.0 / order))
    return scale
