"""The checker: one trajectory in, all violations out. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.guard.budget import check_budget
from cosmos_ros.guard.checks import check_registry, freshness, intake
from cosmos_ros.guard.checks.base import Case, Check, Cure, GuardedRobot, Limit, Precondition
from cosmos_ros.guard.checks.singularity import Singularity
from cosmos_ros.guard.checks.start import StartSettings
from cosmos_ros.guard.checks.time_step import TimeStep
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.motion.joint_motion import Knot, Motion, make_motion
from cosmos_ros.guard.motion.limit_table import LimitTable, limit_table
from cosmos_ros.guard.motion.sampler import Sampler
from cosmos_ros.guard.motion.start_state import StartState, start_state
from cosmos_ros.guard.verdict import Violation, by_time
from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import NANOSECONDS, JointTrajectory

# Orders of joint names that are kept in mind.
_REMEMBERED = 64


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        violations: Sorted by time.
        motion: The motion as it would run; None when a terminal check failed.
    """

    violations: tuple[Violation, ...]
    motion: Motion | None


class Checker:
    """Holds a robot's limits and runs the enabled checks.

    Args:
        robot: The robot, or its limits where nothing else of it is to be checked.
        settings: Which checks are on, and their settings.

    Attributes:
        limits: The robot's limits with shares and margins taken off.
        checks: The limits that are on and have something to check on this robot.

    Raises:
        GuardError: An enabled check needs something that is not there, e.g. a robot model.
    """

    def __init__(self, robot: GuardedRobot | RobotLimits, settings: GuardSettings) -> None:
        robot = GuardedRobot(robot) if isinstance(robot, RobotLimits) else robot
        self.robot = robot
        self.settings = settings
        self.checking = settings.checking
        kinds = check_registry.check_types()
        owned: dict[type[Check], Any] = {kind: settings.of(kind.settings_type) for kind in kinds}
        self.limits = robot.limits
        for kind, own in owned.items():
            self.limits = kind.tighten(self.limits, own)
        robot = replace(robot, limits=self.limits)
        made: list[Check] = []
        for kind, own in owned.items():
            checks = kind.for_robot(robot, own) if settings.enabled(kind.name) else ()
            if checks and kind.uses_kinematics:
                robot.model_for(kind.name)
            made += checks
        self.preconditions = tuple(check for check in made if isinstance(check, Precondition))
        self.checks = tuple(check for check in made if isinstance(check, Limit))
        self.singularities = tuple(c for c in self.checks if isinstance(c, Singularity) and c.thresholds.slows)
        self.sampler = self._sampler(robot)
        self.cures = check_registry.cures()
        self._controllers = robot.controllers
        self._tables: dict[tuple[str, ...], LimitTable] = {}
        self._named: set[tuple[str, ...]] = set()

    def _sampler(self, robot: GuardedRobot) -> Sampler | None:
        users = [check.name for check in self.checks if check.uses_kinematics]
        if not users:
            return None
        shapes = robot.surroundings.capsules if "self_collision" in users else ()
        return Sampler(robot.model_for(users[0]), [*robot.tools, *robot.links], robot.links, shapes)

    def cured_by(self, *cures: Cure) -> frozenset[str]:
        """Return the kinds of violation that one of these cures."""
        return frozenset(kind for kind, cure in self.cures.items() if cure in cures)

    def table(self, names: tuple[str, ...]) -> LimitTable:
        """Return the limits in the order of known, distinct joint names."""
        if names not in self._tables:
            if len(self._tables) > _REMEMBERED:  # someone shuffles names; do not grow without bound
                self._tables.clear()
            self._tables[names] = limit_table(names, self.limits)
        return self._tables[names]

    def terminal(self, trajectory: JointTrajectory, context: GuardContext) -> list[Violation]:
        """Return the violations that make everything else meaningless; the first kind that occurs."""
        found = intake.structure(trajectory, self.checking.max_points)
        if not found and trajectory.joint_names not in self._named:
            found = intake.names(trajectory.joint_names, self.limits, self._controllers)
            if not found and len(self._named) < _REMEMBERED:  # names that were right once stay right
                self._named.add(trajectory.joint_names)
        found = found or intake.lengths(trajectory)
        found = found or intake.finite(trajectory)
        absent = [] if found else freshness.present(trajectory, context)
        found = found or [v for v in absent if v.limit == "nonfinite"]
        found = found or intake.increasing(trajectory)
        for check in self.preconditions:
            found = found or check.refuse(trajectory, context, self.checking)
        return found or absent

    def spacing(self, trajectory: JointTrajectory, context: GuardContext) -> list[Violation]:
        """Return what is wrong with the times between points: what is sent keeps the rules for what is received."""
        found = intake.increasing(trajectory)
        for check in self.preconditions:
            if not found and isinstance(check, TimeStep):
                found = check.refuse(trajectory, context, self.checking)
        return found

    def check(self, trajectory: JointTrajectory, context: GuardContext) -> Findings:
        """Check one trajectory as the controller would run it from the given state."""
        terminal = self.terminal(trajectory, context)
        if terminal:
            return Findings(by_time(terminal), None)
        with np.errstate(all="ignore"):
            return self.examine(trajectory, context)

    def examine(self, trajectory: JointTrajectory, context: GuardContext, *, begins: bool = False) -> Findings:
        """Check a trajectory that is known to pass the terminal checks.

        Args:
            trajectory: The trajectory.
            context: The moment.
            begins: Its first point is where the motion begins; the controller bridges nothing before it.
        """
        table = self.table(trajectory.joint_names)
        start = None if begins else self.start_knot(trajectory, table, context)
        motion = make_motion(trajectory, table, start)
        case = Case(motion, context, self.checking, self.sampler)
        if not motion.finite:
            found = [Violation("nonfinite", message="the interpolation overflows")]
            return Findings(tuple(found), motion)
        found = []
        for check in self.checks:
            check_budget()
            found += check(case)
        return Findings(by_time(found), motion)

    def legal(self, trajectory: JointTrajectory, context: GuardContext) -> bool:
        """Whether a motion that begins with its first point breaks nothing; stops at the first violation."""
        motion = make_motion(trajectory, self.table(trajectory.joint_names), None)
        case = Case(motion, context, self.checking, self.sampler)
        return motion.finite and not any(check(case) for check in self.checks)

    def keeps_limits(self, trajectory: JointTrajectory, context: GuardContext) -> bool:
        """Whether a motion from its own first point breaks no limit of where it is and how fast; see ``legal``.

        How it begins, ends and how sure it is do not count: a stop must be found also where the robot does not follow.
        """
        motion = make_motion(trajectory, self.table(trajectory.joint_names), None)
        case = Case(motion, context, self.checking, self.sampler)
        cured = (Cure.SLOWING, Cure.STOPPING)
        return motion.finite and not any(check(case) for check in self.checks if check.cure in cured)

    def keeps_joint_limits(self, trajectory: JointTrajectory, context: GuardContext) -> bool:
        """Whether a motion from its own first point keeps position, velocity, acceleration and jerk bounds."""
        motion = make_motion(trajectory, self.table(trajectory.joint_names), None)
        case = Case(motion, context, self.checking, self.sampler)
        kinds = ("position", "velocity", "acceleration", "jerk")
        return not any(check(case) for check in self.checks if check.name in kinds)

    def start_state(self, table: LimitTable, context: GuardContext) -> StartState | None:
        """Return the true state at now: what is commanded, else what is measured; None without a joint state."""
        tolerance = self.settings.of(StartSettings).tracking_tolerance
        return start_state(context, table, blockable=self.robot.grippers, tolerance=tolerance)

    def start_knot(self, trajectory: JointTrajectory, table: LimitTable, context: GuardContext) -> Knot | None:
        """Return the true state at now as a knot in front of a trajectory that is not joined to it."""
        start = self.start_state(table, context)
        if start is None:
            return None
        time = (context.now_ns - (trajectory.stamp_ns or context.now_ns)) / NANOSECONDS
        # The turn nearest to the first point, whatever the encoder counts.
        turns = np.round((trajectory.positions[0] - start.positions) / (2.0 * np.pi))
        positions = np.where(table.continuous, start.positions + 2.0 * np.pi * turns, start.positions)
        return Knot(time, positions, start.velocities)
