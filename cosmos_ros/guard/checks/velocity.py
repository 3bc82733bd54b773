"""Joint velocity on the interpolated motion."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.checks.position_dependent import position_dependent
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.settings import DeclaredSettings, setting

# Two crossings closer than this are one: both are found by bisection, s.
_TOGETHER = 1e-7


@dataclass(frozen=True)
class VelocitySettings(DeclaredSettings):
    """How much of the velocity bounds may be used."""

    velocity_scale: float = setting(
        1.0,
        "Part of the robot's velocity bounds that may be used; lowered at any time, raised while disarmed.",
        minimum=0.01,
        maximum=1.0,
    )


class Velocity(Limit):
    """Every joint stays below its velocity bound, constant or depending on position."""

    name = "velocity"
    order = 50
    cure = Cure.SLOWING
    settings_type = VelocitySettings

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: VelocitySettings) -> RobotLimits:
        """See ``Check.tighten``."""
        return scaled(limits, velocity=settings.velocity_scale)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, slack = case.motion, case.checking.slack
        bound = motion.table.velocity
        found = outside(motion, 1, -bound, bound, limit=self.name, slack=slack)
        for column, law in motion.table.position_dependent:
            shrunk = position_dependent(motion, column, law, slack=slack)
            if shrunk is None:
                continue
            same = [v for v in found if v.joint == motion.names[column]]
            if same and not _binds(shrunk, same[0]):
                continue
            found = [v for v in found if v not in same] + [shrunk]
        return found


def _binds(shrunk: Violation, constant: Violation) -> bool:
    """Whether the bound that depends on position is the one that is broken first; at the same time, the lower one."""
    assert shrunk.bound is not None and shrunk.time is not None
    assert constant.bound is not None and constant.time is not None
    if abs(shrunk.time - constant.time) > _TOGETHER:
        return shrunk.time < constant.time
    return abs(shrunk.bound) < abs(constant.bound) - 1e-9
