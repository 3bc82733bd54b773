"""What the controllers were sent, how it goes out, and the stop that is repeated until it was taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard import Guard
from cosmos_ros.guard.motion.join import begun_at
from cosmos_ros.guard.supervision.robot_watch import RobotWatch
from cosmos_ros.guard.supervision.stop_watch import StopWatch
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.trajectory.executing import ExecutedMotion
from cosmos_ros.types import NANOSECONDS, JointTrajectory

# A motion that was judged while the robot went on may begin so far from there, rad or m.
_LATE_STEP = 1e-6
# A robot that is so far, rad or m, from the end of what it was sent, so long after it, was moved by something else.
_MOVED, _SETTLED_NS = 0.02, NANOSECONDS // 2


class SentMotion:
    """The motion that the controllers execute.

    Args:
        guard: Plans the stops.
        robot: What is measured.
        stamps: Stamps of what goes out, see ``SupervisorSettings.output_stamps``.

    Attributes:
        executed: What the controllers were sent.
        stop: The watch over the last stop.
    """

    def __init__(self, guard: Guard, robot: RobotWatch, stamps: str) -> None:
        self._guard, self._robot = guard, robot
        bounded = any(np.isfinite(joint.jerk) for joint in guard.robot.limits.joints.values())
        self._stamped = bounded if stamps == "auto" else stamps == "time"
        self.executed = ExecutedMotion()
        self.stop = StopWatch(guard.robot.grippers)

    def outgoing(self, trajectory: JointTrajectory | None) -> JointTrajectory | None:
        """Return what goes out for a trajectory: with its stamp, or to begin when it arrives."""
        if trajectory is None or self._stamped:
            return trajectory
        return replace(trajectory, stamp_ns=0)

    def use(self, guard: Guard) -> None:
        """Take another guard of the same robot for the stops."""
        self._guard = guard

    def send(self, trajectory: JointTrajectory) -> None:
        """Note that a judged trajectory goes out."""
        self.executed = self.executed.after(trajectory)
        self.stop.end()

    def refusal(self, now_ns: int) -> str:
        """Return why it is too early to arm: the robot was moved off a motion that has just ended. Empty when not."""
        state = self._robot.measured
        stamp_ns = now_ns if state is None else state.stamp_ns
        if self.stop.active or self.executed.moving(stamp_ns - _SETTLED_NS):
            off = self._robot.tracking(self.executed)
            if off > _MOVED:
                return f"the robot is {off:.3f} rad or m off its last motion; try again once it rests"
        return ""

    def at_rest(self) -> None:
        """Watch a robot that is to stay where it is; forget what it was sent when something else has moved it since."""
        state = self._robot.measured
        rests = state is not None and not self.executed.moving(state.stamp_ns - _SETTLED_NS)
        if rests and self._robot.deviation(self.executed) > _MOVED:
            self.executed = ExecutedMotion()
        self._robot.follow(ExecutedMotion())

    def begun(self, sent: JointTrajectory, now_ns: int, judged_ns: int) -> JointTrajectory | Violation:
        """Return what was judged as it begins when judging has ended, or by how much that is too late.

        Args:
            sent: It begins at ``now_ns``.
            now_ns, judged_ns: When judging began, and ended.
        """
        if judged_ns <= now_ns:
            return sent
        if not self.executed.moving(now_ns):
            return replace(sent, stamp_ns=sent.stamp_ns + judged_ns - now_ns)
        begun = begun_at(sent, judged_ns, shortest=self._guard.settings.checking.minimum_step)
        state = self.executed.at(judged_ns)
        if begun is None or state is None or begun.velocities is None:
            return Violation("stamp", message="all of it had passed when it was judged")
        for k, name in enumerate(begun.joint_names):
            if name in state.joint_names:
                step = abs(float(begun.positions[0, k] - state.positions[state.joint_names.index(name)]))
                if not step <= _LATE_STEP:
                    message = f"judged {(judged_ns - now_ns) / 1e6:.0f} ms too late to begin without a jump"
                    return Violation("stamp", joint=name, value=step, bound=_LATE_STEP, message=message)
        return begun

    def brake(self, context: GuardContext, *, astray: bool = False, again: bool = False) -> JointTrajectory | None:
        """Return a stop, and watch that it is taken; None when nothing moves, or is on its way to rest already.

        Args:
            context: The moment.
            astray: The robot is not where it was sent: the stop begins where it is measured.
            again: Send it also when one is on its way.
        """
        repeated = self.stop.active
        if repeated and not (astray or again):
            return None
        off = self._robot.tracking(self.executed)
        # A stop that was not taken is of no use as a start.
        astray = astray or (repeated and self._robot.measured is not None and self.stop.astray(off))
        if astray:
            stop = self._guard.stop_measured(replace(context, measured=self._robot.where_held()))
        else:
            stop = self._guard.brake(context)
        if stop is None and repeated:
            stop = self._guard.hold(context)  # for a controller that did not hear of the stop yet
        if stop is None:
            return None
        self.executed = self.executed.after(stop)
        self.stop.begin(context.now_ns, 0.0 if astray else off)
        return stop

    def after_jump(self, now_ns: int, jump_ns: int, *, armed: bool) -> JointTrajectory | None:
        """Forget what was sent on a clock that has jumped; return the stop of a motion that was under way.

        Args:
            now_ns: The new clock.
            jump_ns: By how much it jumped.
            armed: Whether anything may go out.
        """
        stop = None
        if armed and self.executed.moving(now_ns - jump_ns):
            # The same motion, seen from the new clock.
            stop = self._guard.brake(GuardContext(now_ns, None, self.executed.shifted(jump_ns)))
        self.executed = ExecutedMotion() if stop is None else ExecutedMotion.of(stop)
        return self.outgoing(stop)
