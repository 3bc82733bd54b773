"""Joint velocity on the interpolated motion."""

from __future__ import annotations

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.checks.position_dependent import position_dependent
from cosmos_ros.guard.verdict import Violation


class Velocity:
    """Every joint stays below its velocity bound, constant or depending on position."""

    name = "velocity"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, config = case.motion, case.config
        bound = motion.table.velocity
        found = outside(motion, 1, -bound, bound, limit=self.name, slack=config.slack)
        for column, law in motion.table.position_dependent:
            shrunk = position_dependent(motion, column, law, scale=config.velocity_scale, slack=config.slack)
            if shrunk is None:
                continue
            same = [v for v in found if v.joint == motion.names[column]]
            if same and (same[0].time or 0.0) <= (shrunk.time or 0.0):
                continue
            found = [v for v in found if v not in same] + [shrunk]
        return found
