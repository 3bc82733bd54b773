"""Joint acceleration on the interpolated motion."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation


class Acceleration:
    """Every joint stays below its acceleration bound.

    Lines have no acceleration between knots; there the change of velocity at an interior knot is spread over the
    neighbouring half segments: ``2 (v⁺ - v⁻) / (t₊ - t₋)``.
    """

    name = "acceleration"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, slack = case.motion, case.config.slack
        bound = motion.table.acceleration
        if motion.degree > 1:
            return outside(motion, 2, -bound, bound, limit=self.name, slack=slack)
        if len(motion.times) < 3:
            return []
        with np.errstate(all="ignore"):
            velocity = np.diff(motion.positions, axis=0) / motion.durations[:, None]
            value = 2.0 * np.diff(velocity, axis=0) / (motion.times[2:] - motion.times[:-2])[:, None]
        broken = ~(np.abs(value) <= bound + slack)
        found = []
        for joint in np.flatnonzero(broken.any(axis=0)):
            knot = int(np.argmax(broken[:, joint]))
            side = np.sign(value[knot, joint]) or 1.0
            worst = value[:, joint][np.argmax(side * value[:, joint])]
            found.append(
                Violation(
                    limit=self.name,
                    joint=motion.names[joint],
                    step=knot + 1 - motion.offset,
                    time=float(motion.times[knot + 1]),
                    value=float(worst),
                    bound=float(np.copysign(bound[joint], side)),
                    last_safe_point=knot + 1 - motion.offset,
                )
            )
        return found
