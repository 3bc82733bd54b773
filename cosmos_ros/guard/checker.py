"""The checker: one trajectory in, all violations out. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cosmos_ros.guard.checks import freshness, intake
from cosmos_ros.guard.checks.acceleration import Acceleration
from cosmos_ros.guard.checks.base import Case, Check
from cosmos_ros.guard.checks.end import Duration, EndVelocity
from cosmos_ros.guard.checks.jerk import Jerk
from cosmos_ros.guard.checks.mimic import Mimic
from cosmos_ros.guard.checks.position import Position
from cosmos_ros.guard.checks.start import StartDiscontinuity, commanded_at
from cosmos_ros.guard.checks.velocity import Velocity
from cosmos_ros.guard.config import GuardConfig
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.motion import Knot, Motion, make_motion
from cosmos_ros.guard.table import LimitTable, limit_table
from cosmos_ros.guard.verdict import Violation, by_time
from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import NANOSECONDS, JointTrajectory


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        violations: Sorted by time.
        motion: The motion as it would run; None when a terminal check failed.
    """

    violations: tuple[Violation, ...]
    motion: Motion | None


@dataclass
class Checker:
    """Holds a robot's limits and runs the enabled checks.

    Not safe to share between threads: robot models keep scratch memory.
    """

    limits: RobotLimits
    config: GuardConfig
    extra: tuple[Check, ...] = ()
    _tables: dict[tuple[str, ...], LimitTable] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        every: tuple[Check, ...] = (
            StartDiscontinuity(), Duration(), Position(), Velocity(), Acceleration(), Jerk(), Mimic(), EndVelocity(),
            *self.extra,
        )  # fmt: skip
        self.checks = tuple(check for check in every if self.config.enabled(check.name))

    def table(self, names: tuple[str, ...]) -> LimitTable:
        """Return the limits in the order of known, distinct joint names."""
        if names not in self._tables:
            if len(self._tables) > 64:  # someone shuffles names; do not grow without bound
                self._tables.clear()
            self._tables[names] = limit_table(names, self.limits, self.config)
        return self._tables[names]

    def terminal(self, trajectory: JointTrajectory, context: GuardContext) -> list[Violation]:
        """Return the violations that make everything else meaningless; the first kind that occurs."""
        config = self.config
        found = intake.structure(trajectory, config)
        found = found or intake.names(trajectory.joint_names, self.limits, config.groups)
        found = found or intake.lengths(trajectory)
        found = found or intake.finite(trajectory)
        found = found or [v for v in freshness.present(trajectory, context) if v.limit == "nonfinite"]
        found = found or intake.timing(trajectory, config, bounded=config.enabled("stamp"))
        if not found and config.enabled("stale_state"):
            found = freshness.state(trajectory, context, config)
        if not found and config.enabled("stamp"):
            found = freshness.stamp(trajectory, context, config)
        return found or freshness.present(trajectory, context)

    def check(self, trajectory: JointTrajectory, context: GuardContext) -> Findings:
        """Check one trajectory as the controller would run it from the given state."""
        terminal = self.terminal(trajectory, context)
        if terminal:
            return Findings(by_time(terminal), None)
        table = self.table(trajectory.joint_names)
        motion = make_motion(trajectory, table, self.start_knot(trajectory, table, context))
        case = Case(motion, context, self.config)
        found: list[Violation] = []
        for check in self.checks:
            found += check(case)
        return Findings(by_time(found), motion)

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
        order = [measured.names.index(name) for name in trajectory.joint_names]
        positions = measured.positions[order]
        # Continuous joints: the turn nearest to the first point, whatever the encoder counts.
        turns = np.round((trajectory.positions[0] - positions) / (2.0 * np.pi))
        positions = np.where(table.continuous, positions + 2.0 * np.pi * turns, positions)
        velocities = np.zeros_like(positions) if measured.velocities is None else measured.velocities[order]
        return Knot(time, positions, velocities)
