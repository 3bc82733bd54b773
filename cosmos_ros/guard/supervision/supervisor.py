"""The guard's state machine: armed or not, e-stop, latch, liveness, clock jumps, who else commands the robot.

No ROS here. The node feeds it what arrives and publishes what it answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from cosmos_ros.guard.checks.freshness import StateSettings
from cosmos_ros.guard.checks.start import StartSettings, commanded_at
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard import Guard
from cosmos_ros.guard.supervision.camera_ages import Cameras
from cosmos_ros.guard.supervision.other_publishers import OtherPublishers
from cosmos_ros.guard.supervision.supervisor_states import Counters, Output, State, SupervisorSettings
from cosmos_ros.guard.supervision.verdict_context import VerdictContext
from cosmos_ros.guard.verdict import Response, Verdict, Violation
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory


class Supervisor:
    """One guard over one robot."""

    def __init__(
        self,
        guard: Guard,
        settings: SupervisorSettings | None = None,
        clock: Callable[[], int] | None = None,
        cameras: tuple[str, ...] = (),
    ) -> None:
        """Watch over a guard.

        Args:
            guard: Judges trajectories.
            settings: Policies.
            clock: The node's clock, ns; asked again after a judgement took its time. None: judging takes none.
            cameras: Names of the cameras that ``on_camera`` may name.
        """
        self.guard = guard
        self._max_state_age = guard.settings.of(StateSettings).max_state_age
        self._tracking_tolerance = guard.settings.of(StartSettings).tracking_tolerance
        self._clock = clock
        self.settings = settings or SupervisorSettings()
        self.state = State.DISARMED
        self.reason = "not armed yet"
        self.counters = Counters()
        self.last_verdict: Verdict | None = None
        self.bad_state = ""
        self._measured: JointState | None = None
        self._executing: JointTrajectory | None = None
        self._stopping: JointTrajectory | None = None
        self._source_stamp: int | None = None
        self._last_candidate_ns: int | None = None
        self._now: int | None = None
        self._others = OtherPublishers()
        self.cameras = Cameras(cameras)
        self._e_stop = False
        self._latched_by_others = False

    @property
    def executing(self) -> JointTrajectory | None:
        """The trajectory sent last, while the controller may still be running it."""
        return self._executing

    @property
    def measured(self) -> JointState | None:
        """The newest finite joint state."""
        return self._measured

    def context(self, now_ns: int, uncertainty: float | None = None) -> GuardContext:
        """Return the context of a judgement at this moment."""
        return GuardContext(now_ns, self._measured, self._executing, uncertainty)

    def verdict_context(self, now_ns: int, uncertainty: float | None = None) -> VerdictContext:
        """Return what the verdict on a candidate of this moment will rest on."""
        return VerdictContext(
            now_ns,
            measured=self._measured,
            executing_stamp_ns=None if self._executing is None else self._executing.stamp_ns,
            source_stamp_ns=self._source_stamp,
            uncertainty=uncertainty,
            camera_stamps_ns=self.cameras.stamps,
        )

    def resume(self, context: VerdictContext, executing: JointTrajectory | None) -> None:
        """Take up a recorded moment: ``on_candidate`` then gives the verdict of that moment.

        Args:
            context: The moment.
            executing: The trajectory that its ``executing_stamp_ns`` means.
        """
        self._measured, self._executing, self._source_stamp = context.measured, executing, context.source_stamp_ns
        self.cameras = Cameras(tuple(context.camera_stamps_ns))
        for name, stamp in context.camera_stamps_ns.items():
            self.cameras.heard(name, stamp)

    def moving(self, now_ns: int) -> bool:
        """Whether a sent trajectory is still being executed."""
        end = self.context(now_ns).moving_until_ns()
        return end is not None and now_ns < end

    def on_joint_state(self, state: JointState, now_ns: int) -> Output:
        """Take a joint state; one that is not finite is dropped, and the last good one grows stale."""
        output = self._advance(now_ns)
        values = [state.positions] if state.velocities is None else [state.positions, state.velocities]
        if any(len(v) != len(state.names) for v in values):
            return self.on_bad_joint_state("names, positions and velocities differ in length", now_ns)
        bad = [n for i, n in enumerate(state.names) if not all(np.isfinite(v[i]) for v in values)]
        if bad:
            return self.on_bad_joint_state(f"not finite: {', '.join(bad)}", now_ns)
        if self._measured is not None and state.stamp_ns < self._measured.stamp_ns:
            return output  # an older message that was overtaken
        self.bad_state = ""
        self._measured = state
        return output

    def on_bad_joint_state(self, why: str, now_ns: int) -> Output:
        """Note that a joint state came that cannot be used; the last good one stays and grows old."""
        self.bad_state = f"joint state dropped: {why}"
        return self._advance(now_ns)

    def on_e_stop(self, pressed: bool, now_ns: int) -> Output:
        """Take the e-stop: brake at once, and stay until it is released and the guard is reset."""
        output = self._advance(now_ns)
        self._e_stop = pressed
        if pressed and self.state is not State.E_STOP:
            stop = self._brake(now_ns) if self.state is State.ARMED else None
            self._enter(State.E_STOP, "e-stop pressed")
            return Output(send=stop, event="e-stop pressed: braking")
        if not pressed and self.state is State.E_STOP:
            self.reason = "e-stop released; reset the guard, then arm it"
            return Output(event=self.reason)
        return output

    def on_graph(self, others: Mapping[str, Sequence[str]], listeners: Mapping[str, int], now_ns: int) -> Output:
        """Take who else publishes to the controllers' topics, and how many listen on each."""
        output = self._advance(now_ns)
        self._others.look(others, listeners)
        publishing = self._others.publishing
        if publishing and self.state is State.ARMED:
            stop = self._brake(now_ns)
            self._enter(State.LATCHED, publishing)
            self._latched_by_others = True
            return Output(send=stop, event=f"{publishing}: braking")
        if publishing and self.state is State.LATCHED and self._latched_by_others:
            self.reason = publishing  # a node just discovered may get its name, or company, only now
        return output

    def on_controller_event(self, text: str, now_ns: int) -> Output:
        """Take that a controller does not execute what it was sent: brake, and stay until the guard is reset."""
        output = self._advance(now_ns)
        if self.state is not State.ARMED:
            return Output(send=output.send, event=text)
        stop = self._brake(now_ns)
        self._enter(State.LATCHED, text)
        return Output(send=stop, event=f"{text}: braking")

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
        self._last_candidate_ns = now_ns
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
            late = self._late(trajectory)
            if verdict.trajectory is not None and late is not None:
                found = (late, *verdict.violations)
                # Late, not wrong: nothing to brake for.
                return self._record(replace(verdict, response=Response.REJECT, trajectory=None, violations=found))
        # Judging may take long on a busy machine, and a stop must begin where the robot is by then.
        now_ns = max(now_ns, self._clock()) if self._clock is not None else now_ns
        output = self._record(verdict)
        if verdict.trajectory is not None:
            self.counters.consecutive_rejects = 0
            if self.state is not State.ARMED:
                return replace(output, would_send=verdict.trajectory)
            self._executing = verdict.trajectory
            self._source_stamp = stamp_ns or (trajectory.stamp_ns if isinstance(trajectory, JointTrajectory) else 0)
            return replace(output, send=verdict.trajectory)
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

    def _judge(self, trajectory: JointTrajectory, now_ns: int, uncertainty: float | None) -> Verdict:
        try:
            return self.guard.judge(trajectory, self.context(now_ns, uncertainty))
        except Exception as error:  # a fault of the guard's own must never let a trajectory, or the arm, go on
            fault = Violation("internal", message=f"{type(error).__name__}: {error}")
            return Verdict(Response.REJECT, None, (fault,), stamp_ns=trajectory.stamp_ns)

    def _late(self, trajectory: JointTrajectory) -> Violation | None:
        """Return by how much judging ended too late for a trajectory to begin without a jump; None when in time."""
        if self._clock is None or not trajectory.stamp_ns:
            return None
        bound = self.settings.max_judging_delay
        delay = (self._clock() - trajectory.stamp_ns) / NANOSECONDS
        message = "judged too late to begin without a jump"
        return Violation("stamp", value=delay, bound=bound, message=message) if delay > bound else None

    def tick(self, now_ns: int) -> Output:
        """Watch liveness; call often (20 Hz or more)."""
        output = self._advance(now_ns)
        if output.event or self.state is not State.ARMED or not self.moving(now_ns):
            return output
        reason = self._lost(now_ns)
        if not reason or self._braking():
            return output
        stop = self._brake(now_ns)
        if "follow" in reason:
            self._enter(State.LATCHED, reason)
        return Output(send=stop, event=f"{reason}: braking")

    def _lost(self, now_ns: int) -> str:
        """Return why the motion being executed cannot be watched any more, or an empty string."""
        context = self.context(now_ns)
        measured, executing, age = self._measured, self._executing, context.state_age
        if measured is None or executing is None or age is None:
            return "no joint state"
        if age > self._max_state_age:
            return f"joint state is {age:.2f} s old"
        if blind := self._blind(now_ns):
            return blind
        if self._last_candidate_ns is not None:
            silence = (now_ns - self._last_candidate_ns) / NANOSECONDS
            if silence > self.settings.silence_timeout:
                return f"predictor silent for {silence:.2f} s"
        expected = commanded_at(context, executing.joint_names, measured.stamp_ns)
        if expected is not None and measured.stamp_ns >= executing.stamp_ns:
            for name, q in zip(executing.joint_names, expected[0], strict=True):
                if name in measured.names:
                    error = abs(measured.position_of(name) - float(q))
                    if not error <= self._tracking_tolerance:
                        return f"{name} does not follow: {error:.3f} from where it was sent"
        return ""

    def _blind(self, now_ns: int) -> str:
        stale = self.cameras.stale(now_ns, self.settings.max_camera_age)
        return "" if stale is None else f"{stale.message}: {stale.value:.2f} s"

    def arm(self, now_ns: int) -> tuple[bool, str]:
        """Arm, or say why not."""
        self._advance(now_ns)
        refusal = self.refusal(now_ns)
        if refusal:
            return False, f"not armed: {refusal}"
        if self.state is not State.ARMED:
            self.counters.consecutive_rejects = 0
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
        if self.bad_state:
            return self.bad_state
        age = self.context(now_ns).state_age
        if age is None:
            return "no joint state yet"
        if age > self._max_state_age:
            return f"the joint state is {age:.2f} s old"
        if age < -self.settings.clock_jump:
            return f"the joint state is stamped {-age:.2f} s in the future"
        missing = [
            n for n in self.guard.robot.limits.required_joints if self._measured and n not in self._measured.names
        ]
        if missing:
            return f"joints {', '.join(missing)} are not in the joint state"
        return self._blind(now_ns)

    def refusal_kind(self, now_ns: int) -> str:
        """Return the refusal without its numbers, so that a status changes only with the reason."""
        return re.sub(r"-?\d+\.\d+", "…", self.refusal(now_ns))

    def joint_state_problem(self, now_ns: int) -> str:
        """Return what is wrong with the joint states, without numbers; an empty string when nothing is."""
        if self.bad_state:
            return self.bad_state
        age = self.context(now_ns).state_age
        if age is None:
            return "none yet"
        return "stale" if age > self._max_state_age else ""

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
        before, self._now = self._now, now_ns
        if before is None or now_ns >= before - int(self.settings.clock_jump * NANOSECONDS):
            return Output()
        stop = None
        if self.state is State.ARMED and self._executing is not None and self.moving(before):
            # The same motion, seen from the new clock.
            shifted = replace(self._executing, stamp_ns=self._executing.stamp_ns + now_ns - before)
            stop = self.guard.brake(GuardContext(now_ns, None, shifted))
        self._measured = None
        self.cameras.forget()
        self._executing = stop
        self._source_stamp = None
        self._last_candidate_ns = None
        event = f"the clock jumped back by {(before - now_ns) / NANOSECONDS:.2f} s"
        if self.state is State.ARMED:
            self._enter(State.DISARMED, f"{event}; arm again")
        return Output(send=stop, event=event)

    def _brake(self, now_ns: int) -> JointTrajectory | None:
        if self._braking() and self.moving(now_ns):
            return None  # on its way to rest already
        stop = self.guard.brake(self.context(now_ns))
        if stop is not None:
            self._executing = stop
            self._source_stamp = None
            self._stopping = stop
            self.counters.brakes += 1
        return stop

    def _braking(self) -> bool:
        return self._stopping is not None and self._stopping is self._executing

    def _record(self, verdict: Verdict) -> Output:
        self.counters.responses[verdict.response.value] += 1
        self.last_verdict = verdict
        return Output(verdict=verdict)

    def _enter(self, state: State, reason: str) -> None:
        self.state, self.reason = state, reason
        self._latched_by_others = False
