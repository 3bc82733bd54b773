"""The checker: one trajectory in, all violations out. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks import freshness, intake
from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.checks.effort import Effort, InverseDynamics
from cosmos_ros.guard.checks.singularity import Singularity
from cosmos_ros.guard.checks.start import commanded_at
from cosmos_ros.guard.context import GuardContext, in_order
from cosmos_ros.guard.guard_settings import CURED_BY_STOPPING, CURED_BY_TIME, GuardConfig
from cosmos_ros.guard.motion.joint_motion import Knot, Motion, make_motion
from cosmos_ros.guard.motion.limit_table import LimitTable, limit_table
from cosmos_ros.guard.robot_checks import joint_checks, model_checks
from cosmos_ros.guard.verdict import Violation, by_time
from cosmos_ros.kinematics import RobotModel
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
        limits: The robot's limits.
        config: Switches, margins, tolerances.
        model: The robot's kinematics; needed for what concerns the tool and the arm's own shape.
        dynamics: What the motion costs in torque; without it effort is not checked.

    Raises:
        GuardError: An enabled check needs a model and there is none.
    """

    def __init__(
        self,
        limits: RobotLimits,
        config: GuardConfig,
        model: RobotModel | None = None,
        dynamics: InverseDynamics | None = None,
    ) -> None:
        self.limits = limits
        self.config = config
        extra, self.sampler = model_checks(limits, config, model)
        if config.enabled("effort") and dynamics is not None:
            extra = (*extra, Effort(dynamics))
        self.checks = tuple(check for check in (*joint_checks(), *extra) if config.enabled(check.name))
        self.singularities = tuple(c for c in self.checks if isinstance(c, Singularity) and c.thresholds.slows)
        self._tables: dict[tuple[str, ...], LimitTable] = {}
        self._named: set[tuple[str, ...]] = set()

    def table(self, names: tuple[str, ...]) -> LimitTable:
        """Return the limits in the order of known, distinct joint names."""
        if names not in self._tables:
            if len(self._tables) > _REMEMBERED:  # someone shuffles names; do not grow without bound
                self._tables.clear()
            self._tables[names] = limit_table(names, self.limits, self.config)
        return self._tables[names]

    def terminal(self, trajectory: JointTrajectory, context: GuardContext) -> list[Violation]:
        """Return the violations that make everything else meaningless; the first kind that occurs."""
        config = self.config
        found = intake.structure(trajectory, config)
        if not found and trajectory.joint_names not in self._named:
            found = intake.names(trajectory.joint_names, self.limits, config.groups)
            if not found and len(self._named) < _REMEMBERED:  # names that were right once stay right
                self._named.add(trajectory.joint_names)
        found = found or intake.lengths(trajectory)
        found = found or intake.finite(trajectory)
        absent = [] if found else freshness.present(trajectory, context)
        found = found or [v for v in absent if v.limit == "nonfinite"]
        found = found or intake.timing(trajectory, config, bounded=config.enabled("time_step"))
        if not found and config.enabled("stale_state"):
            found = freshness.state(context, config)
        if not found and config.enabled("stamp"):
            found = freshness.stamp(trajectory, context, config)
        return found or absent

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
        case = Case(motion, context, self.config, self.sampler)
        if not motion.finite:
            found = [Violation("nonfinite", message="the interpolation overflows")]
            return Findings(tuple(found), motion)
        found = []
        for check in self.checks:
            found += check(case)
        return Findings(by_time(found), motion)

    def legal(self, trajectory: JointTrajectory, context: GuardContext) -> bool:
        """Whether a motion that begins with its first point breaks nothing; stops at the first violation."""
        motion = make_motion(trajectory, self.table(trajectory.joint_names), None)
        case = Case(motion, context, self.config, self.sampler)
        return motion.finite and not any(check(case) for check in self.checks)

    def keeps_limits(self, trajectory: JointTrajectory, context: GuardContext) -> bool:
        """Whether a motion from its own first point breaks no limit of where it is and how fast; see ``legal``.

        How it begins, ends and how sure it is do not count: a stop must be found also where the robot does not follow.
        """
        motion = make_motion(trajectory, self.table(trajectory.joint_names), None)
        case = Case(motion, context, self.config, self.sampler)
        kinds = CURED_BY_TIME | CURED_BY_STOPPING
        return motion.finite and not any(check(case) for check in self.checks if check.name in kinds)

    def keeps_joint_limits(self, trajectory: JointTrajectory, context: GuardContext) -> bool:
        """Whether a motion from its own first point keeps position, velocity, acceleration and jerk bounds."""
        motion = make_motion(trajectory, self.table(trajectory.joint_names), None)
        case = Case(motion, context, self.config, self.sampler)
        kinds = ("position", "velocity", "acceleration", "jerk")
        return not any(check(case) for check in self.checks if check.name in kinds)

    def start_knot(self, trajectory: JointTrajectory, table: LimitTable, context: GuardContext) -> Knot | None:
        """Return where the controller starts from: the executed motion, else the measured state, at now."""
        measured = context.measured
        if measured is None:
            return None
        stamp = trajectory.stamp_ns or context.now_ns
        time = (context.now_ns - stamp) / NANOSECONDS
        commanded = commanded_at(context, trajectory.joint_names, context.now_ns)
        if commanded is not None:
            return Knot(time, *commanded)
        positions, velocities = in_order(measured, trajectory.joint_names)
        if table.continuous.any():
            # The turn nearest to the first point, whatever the encoder counts.
            turns = np.round((trajectory.positions[0] - positions) / (2.0 * np.pi))
            positions = np.where(table.continuous, positions + 2.0 * np.pi * turns, positions)
        return Knot(time, positions, np.zeros_like(positions) if velocities is None else velocities)
