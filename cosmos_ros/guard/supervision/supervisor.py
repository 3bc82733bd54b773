"""The guard's state machine: armed or not, e-stop, latch, liveness, clock jumps, who else commands the robot.

No ROS here. The node feeds it what arrives and publishes what it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cosmos_ros.guard.checks.freshness import StateSettings
from cosmos_ros.guard.checks.start import StartSettings
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard import Guard
from cosmos_ros.guard.supervision.camera_ages import Cameras
from cosmos_ros.guard.supervision.clock_watch import ClockWatch
from cosmos_ros.guard.supervision.other_publishers import OtherPublishers
from cosmos_ros.guard.supervision.robot_watch import RobotWatch
from cosmos_ros.guard.supervision.sent_motion import SentMotion
from cosmos_ros.guard.supervision.signs_of_life import SignsOfLife
from cosmos_ros.guard.supervision.supervisor_states import Counters, Output, State, SupervisorSettings
from cosmos_ros.guard.supervision.verdict_context import VerdictContext
from cosmos_ros.guard.verdict import Response, Verdict, Violation
from cosmos_ros.observation.measured_state import JointStateSettings
from cosmos_ros.trajectory.executing import ExecutedMotion
from cosmos_ros.trajectory.following import FollowingSettings
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory

# Farther from its command than this, rad or m, a robot that does not follow is stopped where it is measured.
_APART = 0.02


class Supervisor:
    """One guard over one robot."""

    def __init__(
        self,
        guard: Guard,
        settings: SupervisorSettings | None = None,
        clock: Callable[[], int] | None = None,
        cameras: tuple[str, ...] = (),
        *,
        steady: Callable[[], int] | None = None,
        following: FollowingSettings | None = None,
        joint_states: JointStateSettings | None = None,
    ) -> None:
        """Watch over a guard.

        Args:
            guard: Judges trajectories.
            settings: Policies.
            clock: The node's clock, ns; asked again after a judgement took its time. None: judging takes none.
            cameras: Names of the cameras that ``on_camera`` may name.
            steady: A clock that never jumps, ns; None: jumps forwards are not noticed.
            following, joint_states: How the robot has to follow, and which joint states are believed.
        """
        self.guard = guard
        self._clock = clock
        self.settings = settings or SupervisorSettings()
        self.state = State.DISARMED
        self.reason = "not armed yet"
        self.counters = Counters()
        self.last_verdict: Verdict | None = None
        self._robot = RobotWatch(
            guard.robot,
            max_state_age=guard.settings.of(StateSettings).max_state_age,
            tracking_tolerance=guard.settings.of(StartSettings).tracking_tolerance,
            following=following,
            joint_states=joint_states,
        )
        self._sent = SentMotion(guard, self._robot, self.settings.output_stamps)
        self._source_stamp: int | None = None
        self._clock_watch = ClockWatch(steady)
        self._others = OtherPublishers()
        self._signs = SignsOfLife(cameras)
        self._e_stop = False
        self._latched_by_others = False

    @property
    def executed(self) -> ExecutedMotion:
        """What the controllers were sent."""
        return self._sent.executed

    @property
    def cameras(self) -> Cameras:
        """The newest stamps of the cameras."""
        return self._signs.cameras

    @property
    def measured(self) -> JointState | None:
        """The newest believed joint state."""
        return self._robot.measured

    def context(self, now_ns: int, uncertainty: float | None = None) -> GuardContext:
        """Return the context of a judgement at this moment."""
        return GuardContext(now_ns, self.measured, self._sent.executed, uncertainty)

    def verdict_context(self, now_ns: int, uncertainty: float | None = None) -> VerdictContext:
        """Return what the verdict on a candidate of this moment will rest on."""
        return VerdictContext(
            now_ns,
            measured=self.measured,
            sent_stamps_ns=tuple(command.trajectory.stamp_ns for command in self._sent.executed.commands),
            following=self._robot.unsure,
            source_stamp_ns=self._source_stamp,
            uncertainty=uncertainty,
            camera_stamps_ns=self._signs.cameras.stamps,
        )

    def use(self, guard: Guard) -> None:
        """Take another guard of the same robot; what is executed goes on, and what comes next is judged by it."""
        self.guard = guard
        self._sent.use(guard)

    def resume(self, context: VerdictContext, sent: Sequence[JointTrajectory]) -> None:
        """Take up a recorded moment: ``on_candidate`` then gives the verdict of that moment.

        Args:
            context: The moment.
            sent: The trajectories that its ``sent_stamps_ns`` mean.
        """
        self._robot.measured, self._source_stamp = context.measured, context.source_stamp_ns
        self._robot.unsure = context.following
        self._sent.executed = ExecutedMotion.of(*sent)
        self._signs = SignsOfLife(tuple(context.camera_stamps_ns))
        for name, stamp in context.camera_stamps_ns.items():
            self.cameras.heard(name, stamp)

    def moving(self, now_ns: int) -> bool:
        """Whether a sent trajectory is still being executed."""
        return self._sent.executed.moving(now_ns)

    def on_joint_state(self, state: JointState, now_ns: int) -> Output:
        """Take a joint state; see ``MeasuredState`` for what is believed. The last good one stays, and grows old."""
        output = self._advance(now_ns)
        if not self._robot.take(state, now_ns) or self.measured is None:
            return output
        self._sent.stop.update(self.measured, self._sent.executed.moving(self.measured.stamp_ns))
        if self.state is not State.ARMED and not self._sent.stop.active:
            self._sent.at_rest()
            return output
        return self._latch_if(self._robot.follow(self._sent.executed), now_ns) or output

    def on_controller_state(self, names: Sequence[str], positions: FloatArray, stamp_ns: int, now_ns: int) -> Output:
        """Take where a controller says that joints are on its motion, ``[J]`` rad or m, with the stamp of that."""
        output = self._advance(now_ns)
        if self.state is not State.ARMED or self._sent.stop.active:
            return output
        return self._latch_if(self._robot.reference(names, positions, stamp_ns, self._sent.executed), now_ns) or output

    def on_speed_scaling(self, fraction: float, now_ns: int) -> Output:
        """Take the speed scaling that a controller publishes, 1 for full speed."""
        output = self._advance(now_ns)
        return self._latch_if(self._robot.speed_scaling(fraction, now_ns), now_ns) or output

    def _latch_if(self, reason: str, now_ns: int, *, follows: bool = False) -> Output | None:
        """Brake and latch, when there is a reason; None without one. A robot that follows stops on its path."""
        if not reason or self.state is not State.ARMED:
            return None
        # Little apart, the stop goes on from the command: it may be the arm that holds back, not the controller.
        astray = not follows and self._robot.deviation(self._sent.executed) > _APART
        stop = self._brake(now_ns, astray=astray)
        self._enter(State.LATCHED, reason)
        return Output(send=stop, event=f"{reason}: braking")

    def on_bad_joint_state(self, why: str, now_ns: int) -> Output:
        """Note that a joint state came that cannot be used; the last good one stays and grows old."""
        self._robot.drop(why)
        return self._advance(now_ns)

    def on_e_stop(self, pressed: bool, now_ns: int) -> Output:
        """Take the e-stop: brake at once, and stay until it is released and the guard is reset."""
        output = self._advance(now_ns)
        self._e_stop = pressed
        self._signs.e_stop(now_ns)
        if pressed and self.state is not State.E_STOP:
            stop = self._brake(now_ns) if self.state is State.ARMED else None
            self._enter(State.E_STOP, "e-stop pressed")
            return Output(send=stop, event="e-stop pressed" + ("" if stop is None else ": braking"))
        if not pressed and self.state is State.E_STOP:
            self.reason = "e-stop released; reset the guard, then arm it"
            return Output(event=self.reason)
        return output

    def on_heartbeat(self, now_ns: int) -> Output:
        """Take a heartbeat of who answers for the armed robot."""
        output = self._advance(now_ns)
        self._signs.heartbeat(now_ns)
        return output

    def on_graph(
        self,
        others: Mapping[str, Sequence[str]],
        listeners: Mapping[str, int],
        now_ns: int,
        unheard: Sequence[str] = (),
    ) -> Output:
        """Take who else publishes to the controllers' topics, how many listen on each, and who cannot be heard."""
        output = self._advance(now_ns)
        self._others.look(others, listeners, unheard)
        publishing = self._others.publishing
        if latched := self._latch_if(publishing, now_ns, follows=True):
            self._latched_by_others = True
            return latched
        if publishing and self.state is State.LATCHED and self._latched_by_others:
            self.reason = publishing  # a node just discovered may get its name, or company, only now
        return output

    def on_controller_event(self, text: str, now_ns: int) -> Output:
        """Take that a controller does not execute what it was sent: brake, and stay until the guard is reset."""
        output = self._advance(now_ns)
        return self._latch_if(text, now_ns) or Output(send=output.send, event=text)

    def on_camera(self, name: str, stamp_ns: int, now_ns: int) -> Output:
        """Take the stamp of a camera's newest image."""
        output = self._advance(now_ns)
        self.cameras.heard(name, stamp_ns)
        return output

    def on_candidate(
        self,
        trajectory: JointTrajectory | Sequence[Violation],
        now_ns: int,
        *,
        stamp_ns: int = 0,
        uncertainty: float | None = None,
    ) -> Output:
        """Judge a candidate; a message that is no trajectory at all comes as its violations."""
        jump = self._advance(now_ns)
        if jump.event:
            return jump
        self._signs.candidate(now_ns)
        if not isinstance(trajectory, JointTrajectory):
            verdict = Verdict(Response.REJECT, None, tuple(trajectory), stamp_ns=stamp_ns)
        elif (stale := self.cameras.stale(now_ns, self.settings.max_camera_age)) is not None:
            verdict = Verdict(Response.REJECT, None, (stale,), stamp_ns=trajectory.stamp_ns)
        elif (
            trajectory.stamp_ns and self._source_stamp is not None
            and self.moving(now_ns) and trajectory.stamp_ns < self._source_stamp
        ):  # fmt: skip
            age = (self._source_stamp - trajectory.stamp_ns) / NANOSECONDS
            old = Violation("stamp", value=age, bound=0.0, message="older than the trajectory being executed")
            # Late, not wrong: nothing to brake for.
            return self._record(Verdict(Response.REJECT, None, (old,), stamp_ns=trajectory.stamp_ns))
        else:
            verdict = self._judge(trajectory, now_ns, uncertainty)
        # Judging takes its time, and what is sent must begin where the robot is by then.
        judged_ns = max(now_ns, self._clock()) if self._clock is not None else now_ns
        if verdict.trajectory is not None and self._robot.unsure and self.state is State.ARMED:
            # Where the controllers are is not known yet: nothing to brake for, and nothing to start from.
            found = (Violation("following", message=self._robot.unsure), *verdict.violations)
            return self._record(replace(verdict, response=Response.REJECT, trajectory=None, violations=found))
        if verdict.trajectory is not None:
            begun = self._sent.begun(verdict.trajectory, now_ns, judged_ns)
            if isinstance(begun, Violation) and isinstance(trajectory, JointTrajectory):
                # Once more, with time to judge it in which what is executed goes on.
                again = self._judge(trajectory, now_ns, uncertainty, ahead=True)
                judged_ns = max(judged_ns, self._clock()) if self._clock is not None else judged_ns
                if again.trajectory is not None:
                    verdict, begun = again, self._sent.begun(again.trajectory, now_ns, judged_ns)
            if isinstance(begun, Violation):
                # Late, not wrong: nothing to brake for.
                found = (begun, *verdict.violations)
                return self._record(replace(verdict, response=Response.REJECT, trajectory=None, violations=found))
            verdict = replace(verdict, trajectory=begun)
        now_ns = judged_ns
        output = self._record(verdict)
        if verdict.trajectory is not None:
            self.counters.consecutive_rejects = 0
            if self.state is not State.ARMED:
                return replace(output, would_send=self._sent.outgoing(verdict.trajectory))
            self._sent.send(verdict.trajectory)
            self._source_stamp = stamp_ns or (trajectory.stamp_ns if isinstance(trajectory, JointTrajectory) else 0)
            return replace(output, send=self._sent.outgoing(verdict.trajectory))
        self.counters.consecutive_rejects += 1
        stop = None
        event = ""
        if self.state is State.ARMED:
            if self.settings.brake_on_reject:
                stop = self._brake(now_ns)
            if self.settings.latch_after and self.counters.consecutive_rejects >= self.settings.latch_after:
                stop = stop or self._brake(now_ns)
                event = f"latched after {self.counters.consecutive_rejects} rejections in a row: {verdict.summary}"
                self._enter(State.LATCHED, event)
        return replace(output, send=stop, event=event)

    def _judge(
        self, trajectory: JointTrajectory, now_ns: int, uncertainty: float | None, *, ahead: bool = False
    ) -> Verdict:
        lead = self.guard.settings.response.reaction_time if ahead else 0.0
        try:
            return self.guard.judge(trajectory, self.context(now_ns, uncertainty), ahead=lead)
        except Exception as error:  # a fault of the guard's own must never let a trajectory, or the arm, go on
            fault = Violation("internal", message=f"{type(error).__name__}: {error}")
            return Verdict(Response.REJECT, None, (fault,), stamp_ns=trajectory.stamp_ns)

    def tick(self, now_ns: int) -> Output:
        """Watch liveness; call often (20 Hz or more)."""
        output = self._advance(now_ns)
        if output.event:
            return output
        if latched := self._latch_if(self._signs.missing_beat(now_ns, self.settings), now_ns, follows=True):
            return latched
        if self._sent.stop.due(now_ns):
            return Output(send=self._brake(now_ns, again=True))
        if self.state is not State.ARMED or not self.moving(now_ns) or self._sent.stop.active:
            return output
        reason = (
            self._robot.stale(now_ns)
            or self._signs.blind(now_ns, self.settings)
            or self._signs.silent(now_ns, self.settings)
        )
        return Output(send=self._brake(now_ns), event=f"{reason}: braking") if reason else output

    def arm(self, now_ns: int) -> tuple[bool, str]:
        """Arm, or say why not."""
        self._advance(now_ns)
        refusal = self.refusal(now_ns)
        if refusal:
            return False, f"not armed: {refusal}"
        if self.state is not State.ARMED:
            self.counters.consecutive_rejects = 0
            self._robot.begin()
            self._sent.stop.end()
            self._enter(State.ARMED, "armed")
        return True, "armed"

    def refusal(self, now_ns: int) -> str:
        """Return why arming would be refused now, or an empty string."""
        if self.settings.dry_run:
            return "dry run: this guard was started never to be armed"
        if self._e_stop:
            return "the e-stop is pressed"
        if self.state is State.E_STOP or self.state is State.LATCHED:
            return f"latched ({self.reason}); reset first"
        around = self._others.refusal(require_controllers=self.settings.require_controllers)
        if around:
            return around
        return (
            self._signs.missing_beat(now_ns, self.settings)
            or self._sent.refusal(now_ns)
            or self._robot.refusal(now_ns)
            or self._signs.blind(now_ns, self.settings)
        )

    def joint_state_problem(self, now_ns: int) -> str:
        """Return what is wrong with the joint states, without numbers; an empty string when nothing is."""
        return self._robot.problem(now_ns)

    def disarm(self, now_ns: int) -> Output:
        """Stop letting anything through; brake what moves."""
        self._advance(now_ns)
        if self.state is not State.ARMED:
            return Output()
        stop = self._brake(now_ns)
        self._enter(State.DISARMED, "disarmed on request")
        return Output(send=stop, event="disarmed")

    def reset(self, now_ns: int) -> tuple[bool, str]:
        """Leave the latch; the guard is disarmed afterwards."""
        self._advance(now_ns)
        if self._e_stop:
            return False, "not reset: the e-stop is still pressed"
        if self.state is State.ARMED:
            return True, "nothing to reset: armed"
        self.counters.consecutive_rejects = 0
        self._enter(State.DISARMED, "reset; not armed yet")
        return True, "reset; arm it to let trajectories through"

    def _advance(self, now_ns: int) -> Output:
        """Note the time; when it ran backwards everything stamped is void and the robot is brought to rest."""
        jump_ns = self._clock_watch.jump(now_ns, int(self.settings.clock_jump * NANOSECONDS))
        if not jump_ns:
            return Output()
        stop = self._sent.after_jump(now_ns, jump_ns, armed=self.state is State.ARMED)
        self._robot.forget()
        self._signs.forget()
        self._source_stamp = None
        event = f"the clock jumped {'back' if jump_ns < 0 else 'ahead'} by {abs(jump_ns) / NANOSECONDS:.2f} s"
        if self.state is State.ARMED:
            self._enter(State.DISARMED, f"{event}; arm again")
        return Output(send=stop, event=event)

    def _brake(self, now_ns: int, *, astray: bool = False, again: bool = False) -> JointTrajectory | None:
        """Return what goes out to bring the robot to rest; see ``SentMotion.brake``."""
        repeated = self._sent.stop.active
        stop = self._sent.brake(self.context(now_ns), astray=astray, again=again)
        if stop is not None:
            self._source_stamp = None
            self.counters.brakes += not repeated
        return self._sent.outgoing(stop)

    def _record(self, verdict: Verdict) -> Output:
        self.counters.responses[verdict.response.value] += 1
        self.last_verdict = verdict
        return Output(verdict=verdict)

    def _enter(self, state: State, reason: str) -> None:
        self.state, self.reason = state, reason
        self._latched_by_others = False
