"""A limit of one's own: no joint may use more than a share of its speed while a person is near.

It is a subclass of ``Limit`` with its own settings, and it says that slowing down cures it. A package makes it known
by an entry point; the guard node then has the parameters ``check.person_speed`` and ``person_speed_share``:

    [project.entry-points."cosmos_ros.guard_limits"]
    person_speed = "my_package.person_speed:PersonSpeed"

Here a folder stands for the installed package. Prints the guard's verdicts with nobody near, and with somebody near.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cosmos_ros as cr
from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.settings import DeclaredSettings, setting


@dataclass(frozen=True)
class PersonSpeedSettings(DeclaredSettings):
    """How fast the arm may be beside a person."""

    person_near: bool = setting(False, "Somebody is within reach of the robot.", read_only=True)
    person_speed_share: float = setting(
        0.25, "Part of each joint's speed bound that may be used then.", minimum=0.05, maximum=1.0, read_only=True
    )

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

    def __call__(self, case: Case) -> list[cr.Violation]:
        """Judge the motion between its points: the extrema of the polynomials that the controller runs."""
        bound = case.motion.table.velocity
        return outside(case.motion, 1, -bound, bound, limit=self.name, slack=case.checking.slack)


def install(folder: str) -> None:
    """Leave in a folder what pip leaves of a package with the entry point, and let Python look there."""
    info = Path(folder) / "person_speed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: person-speed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cosmos_ros.guard_limits]\nperson_speed = {__name__}:PersonSpeed\n")
    sys.path.insert(0, folder)


def main() -> None:
    """Judge the same motion with nobody near and with somebody near."""
    franka = cr.load_embodiment("franka")
    joints = franka.joint_names
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
    with tempfile.TemporaryDirectory() as site_packages:
        install(site_packages)
        main()
