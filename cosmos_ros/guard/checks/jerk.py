"""Joint jerk on the interpolated motion."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.settings import DeclaredSettings, setting


@dataclass(frozen=True)
class JerkSettings(DeclaredSettings):
    """How much of the jerk bounds may be used."""

    jerk_scale: float = setting(
        1.0, "Part of the robot's jerk bounds that may be used.", minimum=0.01, maximum=1.0, read_only=True
    )


class Jerk(Limit):
    """Every joint stays below its jerk bound inside segments; lines have none there."""

    name = "jerk"
    order = 70
    cure = Cure.SLOWING
    settings_type = JerkSettings

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: JerkSettings) -> RobotLimits:
        """See ``Check.tighten``."""
        return scaled(limits, jerk=settings.jerk_scale)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion = case.motion
        if motion.degree < 3:
            return []
        bound = motion.table.jerk
        return outside(motion, 3, -bound, bound, limit=self.name, slack=case.checking.slack)
