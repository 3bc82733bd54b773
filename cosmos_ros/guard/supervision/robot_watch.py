"""What is measured of the robot, and whether it follows what it was sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosmos_ros.guard.checks.base import GuardedRobot
from cosmos_ros.observation.measured_state import JointStateSettings, MeasuredState
from cosmos_ros.trajectory.executing import ExecutedMotion, wrapped
from cosmos_ros.trajectory.following import FollowingMonitor, FollowingSettings, FollowingState
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState

# Offsets from the command of a robot that has been at rest for so long are sag, up to a size, rad or m.
_SETTLED_NS = NANOSECONDS // 2
_MOST_SAG = 0.12


class RobotWatch:
    """The newest believed joint state, and the monitor of following.

    Args:
        robot: The robot.
        max_state_age: Oldest joint state that anything may rest on, s.
        tracking_tolerance: Largest distance from the commanded path, rad or m.
        following, joint_states: Their settings.

    Attributes:
        measured: The newest whole joint state; None when there is none.
        bad_state: Why the newest message was dropped; empty when it was not.
        unsure: Why it is not known where the controllers are; empty when it is.
    """

    def __init__(
        self,
        robot: GuardedRobot,
        *,
        max_state_age: float,
        tracking_tolerance: float,
        following: FollowingSettings | None = None,
        joint_states: JointStateSettings | None = None,
    ) -> None:
        joints = robot.limits.joints
        self._robot, self._max_state_age = robot, max_state_age
        needed = tuple(name for name in robot.limits.required_joints if name not in robot.grippers)
        self._states = MeasuredState(joints, needed or None, joint_states)
        self._monitor = FollowingMonitor(
            robot.controllers or (tuple(joints),),
            continuous=[name for name, joint in joints.items() if joint.continuous],
            blockable=robot.grippers,
            tracking_tolerance=tracking_tolerance,
            settings=following,
        )
        self._seen: set[str] = set()
        self._sag: dict[str, float] = {}
        self.measured: JointState | None = None
        self.bad_state = ""
        self.unsure = ""

    def take(self, state: JointState, now_ns: int) -> bool:
        """Take a joint state; return whether there is a newer whole state now. What is refused leaves the last one."""
        known = [k for k, name in enumerate(state.names) if name in self._robot.limits.joints]
        fields = [state.positions] if state.velocities is None else [state.positions, state.velocities]
        if len(known) < len(state.names) and all(len(field) == len(state.names) for field in fields):
            if not known:
                return False  # another robot's
            names = tuple(state.names[k] for k in known)
            velocities = None if state.velocities is None else state.velocities[known]
            state = JointState(state.stamp_ns, names, state.positions[known], velocities)
        if problem := self._states.accept(state, now_ns):
            self.drop(problem)
            return False
        self.bad_state = ""
        self._seen.update(state.names)
        self.measured = self._states.newest()
        return self.measured is not None

    def drop(self, why: str) -> None:
        """Note that a message came that cannot be used."""
        self.bad_state = f"joint state dropped: {why}"

    def follow(self, executed: ExecutedMotion) -> str:
        """Return why the robot does not follow what it was sent; empty when it does, or when that is not known."""
        assert self.measured is not None
        found = self._monitor.update(self.measured, executed)
        self._note_sag(executed)
        self.unsure = found.reason if found.state is FollowingState.UNSURE else ""
        return found.reason if found.state is FollowingState.LOST else ""

    def reference(self, names: Sequence[str], positions: FloatArray, stamp_ns: int, executed: ExecutedMotion) -> str:
        """As ``follow``, from where a controller says that its motion is."""
        if not np.isfinite(positions).all():
            return ""
        found = self._monitor.update_reference(names, positions, stamp_ns, executed)
        self.unsure = found.reason if found.state is FollowingState.UNSURE else ""
        return found.reason if found.state is FollowingState.LOST else ""

    def speed_scaling(self, fraction: float, now_ns: int) -> str:
        """As ``follow``, from the speed scaling that a controller publishes."""
        found = self._monitor.update_speed_scaling(fraction, now_ns)
        return found.reason if found.state is FollowingState.LOST else ""

    def tracking(self, executed: ExecutedMotion) -> float:
        """Return the largest distance of a joint from the path that it was commanded along, rad or m."""
        if self.measured is None:
            return 0.0
        joints = self._robot.limits.joints
        wraps = [name for name in self.measured.names if name in joints and joints[name].continuous]
        return executed.tracking(self.measured, continuous=wraps, blockable=self._robot.grippers).worst()[1]

    def where_held(self) -> JointState | None:
        """Return where a controller has to hold the robot to keep it where it is measured: off that by its sag."""
        state = self.measured
        if state is None or not self._sag:
            return state
        sag = np.array([self._sag.get(name, 0.0) for name in state.names])
        return JointState(state.stamp_ns, state.names, state.positions + sag, state.velocities)

    def deviation(self, executed: ExecutedMotion) -> float:
        """Return the largest distance of a joint from where it is commanded to be, beside its sag, rad or m."""
        state = self.where_held()
        commanded = None if state is None else executed.at(state.stamp_ns)
        if state is None or commanded is None:
            return 0.0
        joints, worst = self._robot.limits.joints, 0.0
        for name, position in zip(commanded.joint_names, commanded.positions, strict=True):
            if name in state.names and name not in self._robot.grippers:
                off = wrapped(np.array(position - state.position_of(name)), joints[name].continuous)
                worst = max(worst, abs(float(off)))
        return worst

    def _note_sag(self, executed: ExecutedMotion) -> None:
        """Note how far the robot rests off its command, once it has been at rest."""
        state = self.measured
        if state is None or not executed or executed.moving(state.stamp_ns - _SETTLED_NS):
            return
        commanded = executed.at(state.stamp_ns)
        assert commanded is not None
        watched = [n for n in commanded.joint_names if n in state.names and n not in self._robot.grippers]
        joints = self._robot.limits.joints
        off = {
            name: commanded.positions[commanded.joint_names.index(name)] - state.position_of(name) for name in watched
        }
        off = {name: float(wrapped(np.array(value), joints[name].continuous)) for name, value in off.items()}
        self._sag = off if all(abs(value) <= _MOST_SAG for value in off.values()) else {}

    def begin(self) -> None:
        """Begin to watch anew: the guard was armed."""
        self._monitor.reset()
        self.unsure = ""

    def forget(self) -> None:
        """Void everything stamped: the clock jumped."""
        self._states.forget()
        self._sag = {}
        self.measured = None
        self.begin()

    def age(self, now_ns: int) -> float | None:
        """Return seconds since the joint state's stamp; None without one."""
        return None if self.measured is None else (now_ns - self.measured.stamp_ns) / NANOSECONDS

    def refusal(self, now_ns: int) -> str:
        """Return why arming would be refused on account of the robot; empty when nothing is against it."""
        if problem := self.bad_state or self._states.conflict(now_ns):
            return problem
        wanted = dict.fromkeys((*self._robot.limits.required_joints, *(n for c in self._robot.controllers for n in c)))
        missing = [name for name in wanted if name not in self._seen]
        if missing and self._seen:
            return f"joints {', '.join(missing)} are not in the joint states"
        return self.stale(now_ns) or self._monitor.why_not_arm(now_ns)

    def stale(self, now_ns: int) -> str:
        """Return how old the newest joint state is, where that is too old; empty when it is not."""
        age = self.age(now_ns)
        if age is None:
            return "no joint state yet"
        return f"the joint state is {age:.2f} s old" if age > self._max_state_age else ""

    def problem(self, now_ns: int) -> str:
        """Return what is wrong with the joint states, without numbers; empty when nothing is."""
        if problem := self.bad_state or self._states.conflict(now_ns):
            return problem
        age = self.age(now_ns)
        if age is None:
            return "none yet"
        return "stale" if age > self._max_state_age else ""
