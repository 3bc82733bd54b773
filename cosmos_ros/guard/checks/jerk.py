"""Joint jerk on the interpolated motion."""

from __future__ import annotations

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation


class Jerk:
    """Every joint stays below its jerk bound inside segments; lines have none there."""

    name = "jerk"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion = case.motion
        if motion.degree < 3:
            return []
        bound = motion.table.jerk
        return outside(motion, 3, -bound, bound, limit=self.name, slack=case.config.slack)
