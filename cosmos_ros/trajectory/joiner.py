"""From a prediction's trajectory, late by the model's latency, to one that the robot can go over to now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.limits import JointLimit
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.executing import ExecutedMotion, Tracking, wrapped
from cosmos_ros.trajectory.extrema import hull
from cosmos_ros.trajectory.piecewise import unit_hermite
from cosmos_ros.trajectory.splice import MINIMUM_SEGMENT_NS, MotionState, splice
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory

# A standing arm trembles by less than this: rad (or m), and per second.
_AT_START = 0.01
_AT_REST = 0.02
# The delay to expect is this quantile of so many last ones.
_DELAYS, _DELAY_QUANTILE = 20, 0.9


@dataclass(frozen=True)
class JoinSettings(DeclaredSettings):
    """How a new trajectory takes over from the motion being executed."""

    join_lead: float = setting(
        0.05, "How far in the future a trajectory joins the executed motion: the way to the controller takes time",
        unit="s", minimum=0.0, maximum=1.0,
    )  # fmt: skip
    blend_time: float = setting(
        0.3, "Shortest time in which a new trajectory takes over from the old", unit="s", minimum=0.02, maximum=5.0
    )
    blend_acceleration: float = setting(
        0.4, "Share of the acceleration and jerk limits that taking over may use.", minimum=0.01, maximum=1.0
    )
    tracking_tolerance: float = setting(
        0.1, "Join the commanded motion while the arm is this close to it", unit="rad or m", minimum=0.0, maximum=3.0
    )
    shift_from_rest: bool = setting(
        True,
        "While the arm rests where it was observed, no time has passed for the plan: it starts from its first step. A "
        "model whose answer takes longer than its chunk lasts can only work so.",
    )
    committed_rows: bool = setting(
        False,
        "Tell a world model that can continue them the rows that are executed before its answer takes over (real-time "
        "chunking).",
    )

    @property
    def lead_ns(self) -> int:
        """``join_lead`` in nanoseconds."""
        return round(self.join_lead * NANOSECONDS)

    @property
    def blend_ns(self) -> int:
        """``blend_time`` in nanoseconds."""
        return round(self.blend_time * NANOSECONDS)


@dataclass(frozen=True)
class Joined:
    """A joined trajectory, or why there is none; ``record`` is JSON-serialisable and says what it took."""

    trajectory: JointTrajectory | None
    record: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """Why there is no trajectory; empty when there is one."""
        return str(self.record.get("held", ""))


class Joiner:
    """Knows what the controllers execute, and joins trajectories to it.

    Attributes:
        executed: What the controllers were sent; replaced whole by ``sent`` and ``forget``.
    """

    def __init__(self, limits: Mapping[str, JointLimit], gripper_speeds: Mapping[str, float]) -> None:
        """Take what is known about the joints.

        Args:
            limits: Joint → limits, of every joint of the trajectories.
            gripper_speeds: Joint → largest speed, rad/s or m/s, of joints that an object may block.
        """
        self.executed = ExecutedMotion()
        self._delays: tuple[float, ...] = ()
        self._undecided_until_ns = 0
        self._limits = limits
        self._gripper_speeds = dict(gripper_speeds)
        self._continuous = frozenset(name for name, limit in limits.items() if limit.continuous)

    def sent(self, trajectory: JointTrajectory, received_ns: int) -> None:
        """Note what a controller was sent; one with stamp 0 begins when it is received."""
        if not set(trajectory.joint_names) <= self._gripper_speeds.keys():
            self._undecided_until_ns = 0
        stamp = trajectory.stamp_ns or received_ns
        self.executed = self.executed.after(replace(trajectory, stamp_ns=stamp))

    def forget(self) -> None:
        """Forget what was sent and how late plans came, e.g. when the clock was reset."""
        self.executed = ExecutedMotion()
        self._delays = ()
        self._undecided_until_ns = 0

    def undecided(self, now_ns: int) -> bool:
        """Whether the last joined trajectory may still be sent, so that what will be executed is not known yet.

        That is until the arm is sent something, at the longest until the join.
        """
        return bool(self.executed) and now_ns < self._undecided_until_ns

    @property
    def expected_delay(self) -> float | None:
        """Seconds from an observation until its plan takes over, as most of the last plans; None before the first."""
        return float(np.quantile(self._delays, _DELAY_QUANTILE)) if self._delays else None

    def ahead(self, observed: JointState, times_ns: list[int], settings: JoinSettings) -> FloatArray | None:
        """Return how a plan from an observation would say what is being executed, for ``join`` to change nothing.

        ``join`` moves a plan by the difference between what was commanded at its observation and what was observed. So
        the arm's joints begin where they were observed, and go on from there by as much as they are commanded to.
        Gripper joints, which ``join`` does not move, are where they are commanded to be. Joints that were never
        commanded stay.

        Args:
            observed: The observation's joints, at its stamp.
            times_ns: Absolute times, N; the last is when the plan would take over.
            settings: See class.

        Returns:
            ``float64 [N, J]`` positions of the observed joints; None while no joint of the arm is commanded to move,
            the robot is not on the commanded path, or ``join`` would begin the plan anew because the arm rests.
        """
        executed = self.executed
        names = [name for name in executed.joint_names if name in observed.names]
        arm = np.array([name not in self._gripper_speeds for name in names], dtype=bool)
        if not arm.any() or self._tracking(executed, observed, settings.tracking_tolerance) is None:
            return None
        order = [executed.joint_names.index(name) for name in names]
        positions, velocities, _ = (values[:, order] for values in executed.sample([observed.stamp_ns, *times_ns]))
        continuous = np.array([name in self._continuous for name in names])
        moved = wrapped(positions - positions[0], continuous)
        if not np.any(moved[:, arm]) and not np.any(velocities[:, arm]):
            return None
        if settings.shift_from_rest and _rests(moved[:, arm], velocities[:, arm]):
            return None
        result = np.repeat(observed.positions[None].astype(np.float64), len(times_ns), axis=0)
        columns = np.array([observed.names.index(name) for name in names])
        result[:, columns[arm]] += moved[1:, arm]
        result[:, columns[~arm]] = positions[1:, ~arm]
        return result

    def join(
        self, trajectory: JointTrajectory, now_ns: int, measured: JointState | None, settings: JoinSettings
    ) -> Joined:
        """Drop the steps that have passed and join the rest to the executed motion.

        A robot that lags behind its command, or sags below it, is observed where it was not commanded to be. While it
        is on the commanded path, the plan is moved by that difference: what is planned to go on from where the robot
        was seen goes on from what was commanded then.

        Args:
            trajectory: Plan that begins where the robot was observed, at the observation's stamp; its gripper columns
                may be what the model wants of them, whatever they can do.
            now_ns: Absolute time.
            measured: Newest joint state, or None.
            settings: See class.
        """
        if measured is None:
            return Joined(None, {"held": "there is no joint state to join"})
        trajectory, lag = self._anchored(trajectory, settings.tracking_tolerance)
        join_ns = _not_before_a_point(trajectory, now_ns + settings.lead_ns)
        self._delays = (*self._delays[1 - _DELAYS :], max(0.0, (join_ns - trajectory.stamp_ns) / NANOSECONDS))
        current, followed = self.executed.start_of_next(
            join_ns,
            measured,
            settings.tracking_tolerance,
            continuous=self._continuous,
            blockable=self._gripper_speeds,
        )
        shifted = settings.shift_from_rest and self._rests_at_start(trajectory, current, measured)
        # With these, and what was being executed, a recording of the inputs gives the same join again.
        known = {
            "now_ns": now_ns,
            "measured_stamp_ns": measured.stamp_ns,
            "executing_stamps_ns": sorted({command.trajectory.stamp_ns for command in self.executed.current}),
            "follows": followed and bool(self.executed),
            "lag": lag,
            "shifted": shifted,
        }
        if shifted:
            trajectory = replace(trajectory, stamp_ns=join_ns)
        limits = [self._limits[name] for name in trajectory.joint_names]
        share = settings.blend_acceleration
        result = splice(
            trajectory,
            current,
            join_ns,
            settings.blend_ns,
            share * np.array([limit.acceleration for limit in limits]),
            share * np.array([limit.jerk for limit in limits]),
            self._gripper_speeds,
        )
        if result is None:
            late = (join_ns - trajectory.stamp_ns) / NANOSECONDS
            reason = f"the prediction came {late:.2f} s after its observation, past its last step"
            return Joined(None, {**known, "held": reason})
        self._undecided_until_ns = join_ns
        return Joined(
            result.trajectory,
            {**known, "stamp_ns": join_ns, "dropped_steps": result.dropped_steps, "error": result.join_error},
        )

    def _arm(self, trajectory: JointTrajectory) -> list[int]:
        return [k for k, name in enumerate(trajectory.joint_names) if name not in self._gripper_speeds]

    def _anchored(self, trajectory: JointTrajectory, tolerance: float) -> tuple[JointTrajectory, float | None]:
        """Return the plan moved to what was commanded at its observation, and the lag in seconds.

        As it is, and None, while nothing is commanded or the robot was not on the commanded path.
        """
        commanded = self.executed.at(trajectory.stamp_ns)
        observed = JointState(trajectory.stamp_ns, trajectory.joint_names, trajectory.positions[0])
        tracking = self._tracking(self.executed, observed, tolerance)
        if commanded is None or tracking is None:
            return trajectory, None
        positions = trajectory.positions.copy()
        steps = np.diff(trajectory.times_ns) / NANOSECONDS
        reach = hull(unit_hermite(steps, positions, trajectory.velocities, None))
        low, high = reach.lower.min(axis=0), reach.upper.max(axis=0)
        for k in self._arm(trajectory):
            name = trajectory.joint_names[k]
            if name in commanded.joint_names:
                offset = float(commanded.positions[commanded.joint_names.index(name)] - positions[0, k])
                limit = self._limits[name]
                if not limit.continuous:  # a bound that the plan keeps, it keeps
                    offset = min(max(offset, min(limit.lower - low[k], 0.0)), max(limit.upper - high[k], 0.0))
                positions[:, k] += offset
        return replace(trajectory, positions=positions), tracking.lag

    def _tracking(self, executed: ExecutedMotion, observed: JointState, tolerance: float) -> Tracking | None:
        """Return how the robot was on the commanded path; None when it was not, or there is none."""
        if not executed:
            return None
        tracking = executed.tracking(observed, continuous=self._continuous, blockable=self._gripper_speeds)
        return tracking if tracking.worst()[1] <= tolerance else None

    def _rests_at_start(self, trajectory: JointTrajectory, current: MotionState, measured: JointState) -> bool:
        """Whether the arm (grippers aside) stands still, by command and measurement, where the plan begins."""
        arm = self._arm(trajectory)
        names = [trajectory.joint_names[k] for k in arm]
        order = [current.joint_names.index(name) for name in names]
        seen = np.zeros(0)
        if measured.velocities is not None:
            seen = np.nan_to_num(measured.velocities[[measured.names.index(name) for name in names]], nan=0.0)
        apart = current.positions[order] - trajectory.positions[0, arm]
        return _rests(apart, current.velocities[order]) and _rests(np.zeros(0), seen)


def _rests(apart: FloatArray, velocities: FloatArray) -> bool:
    """Whether joints, so far from where they began, stand still there but for trembling."""
    near = np.max(np.abs(apart), initial=0.0) < _AT_START
    return bool(near and np.max(np.abs(velocities), initial=0.0) < _AT_REST)


def _not_before_a_point(trajectory: JointTrajectory, join_ns: int) -> int:
    """Return when to join: at the point that would otherwise follow too soon, for without it the motion is another."""
    ahead = trajectory.stamp_ns + trajectory.times_ns - join_ns
    soon = ahead[(ahead > 0) & (ahead < MINIMUM_SEGMENT_NS)]
    return join_ns + int(soon[-1]) if soon.size else join_ns
