"""A limit of one's own: no joint may use more than a share of its speed while a person is near.

It is a subclass of ``Limit`` with its own settings, and it says that slowing down cures it. A package makes it known
by an entry point; the guard node then has the parameters ``check.person_speed`` and ``person_speed_share``:

    [project.entry-points."cosmos_ros.guard_limits"]
    person_speed = "my_package.person_speed:PersonSpeed"

Here the entry point is given by hand. Prints the guard's verdicts with nobody near, and with somebody near.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

import numpy as np

import cosmos_ros as cr
from cosmos_ros.guard import Violation
from cosmos_ros.guard.checks import check_registry
from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.settings import check_values, setting


@dataclass(frozen=True)
class PersonSpeedSettings:
    """How fast the arm may be beside a person."""

    person_near: bool = setting(False, "Somebody is within reach of the robot.", read_only=True)
    person_speed_share: float = setting(
        0.25, "Part of each joint's speed bound that may be used then.", minimum=0.05, maximum=1.0, read_only=True
    )

    def __post_init__(self) -> None:
        check_values(self)

    @property
    def share(self) -> float:
        """The part that may be used now."""
        return self.person_speed_share if self.person_near else 1.0


class PersonSpeed(Limit):
    """Beside a person every joint uses only a part of its speed."""

    name = "person_speed"
    cure = Cure.SLOWING
    settings_type = PersonSpeedSettings

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: PersonSpeedSettings) -> RobotLimits:
        """Plan with the smaller bounds, so that what is slowed down passes the check."""
        return scaled(limits, velocity=settings.share)

    def __call__(self, case: Case) -> list[Violation]:
        """Judge the motion between its points: the extrema of the polynomials that the controller runs."""
        bound = case.motion.table.velocity
        return outside(case.motion, 1, -bound, bound, limit=self.name, slack=case.checking.slack)


def install() -> None:
    """Do by hand what installing a package with the entry point does."""
    found = metadata.entry_points
    point = metadata.EntryPoint("person_speed", f"{__name__}:PersonSpeed", check_registry.ENTRY_POINT_GROUP)
    metadata.entry_points = lambda **asked: (
        (*found(**asked), point) if asked.get("group") == point.group else found(**asked)
    )
    check_registry.check_types.cache_clear()


def main() -> None:
    """Judge the same motion with nobody near and with somebody near."""
    install()
    franka = cr.load_embodiment("franka")
    joints = franka.controllers[0][1]
    times = np.linspace(0.0, 2.0, 21)
    positions = np.tile([franka.home[name] for name in joints], (len(times), 1))
    positions[:, 0] += 0.5 * (1.0 - np.cos(np.pi * times / 2.0))
    velocities = np.gradient(positions, times, axis=0)
    velocities[[0, -1]] = 0.0
    for near in (False, True):
        guard = cr.Guard.for_embodiment(franka, cr.GuardSettings(person_near=near))
        trajectory = cr.JointTrajectory.from_seconds(joints, times, positions, velocities)
        verdict = guard.judge(trajectory, cr.GuardContext.now(franka.home))
        print(f"{'somebody' if near else 'nobody'} near: {verdict.summary}")


if __name__ == "__main__":
    main()
