"""The guard: checks a trajectory, decides on the response, and checks what it answers."""

from __future__ import annotations

import math
from dataclasses import replace
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

import numpy as np

from cosmos_ros.errors import ConfigError
from cosmos_ros.guard.budget import JudgingTimeError, within
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checks.base import GuardedRobot
from cosmos_ros.guard.checks.end import EndVelocitySettings
from cosmos_ros.guard.checks.start import StartSettings
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.motion.join import join
from cosmos_ros.guard.response import stops
from cosmos_ros.guard.response.planner import Planner, duration_of, with_hold
from cosmos_ros.guard.surroundings import surroundings_of
from cosmos_ros.guard.verdict import Response, Verdict, Violation, by_time
from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import NANOSECONDS, JointTrajectory

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

# Steps between two looks at the clock are short against the rest.
_SAFE_SHARE = 0.85


class Guard:
    """Judges whole trajectories. Holds no state between calls besides the robot's limits.

    Args:
        robot: The robot, or its limits where nothing else of it is to be checked.
        settings: Which checks are on, margins, responses.

    Raises:
        GuardError: An enabled check needs something that is not there, e.g. a robot model.
    """

    def __init__(self, robot: GuardedRobot | RobotLimits, settings: GuardSettings | None = None) -> None:
        self.settings = settings or GuardSettings()
        self.checker = Checker(robot, self.settings)
        self.robot = self.checker.robot
        self.planner = Planner(self.checker)

    @classmethod
    def for_embodiment(cls, embodiment: Embodiment, settings: GuardSettings | None = None) -> Guard:
        """Return the guard of an embodiment: its limits, kinematics, surroundings and controllers.

        Args:
            embodiment: A robot with joints.
            settings: Which checks are on, margins, responses; the defaults are those of the guard node.

        Raises:
            ConfigError: The embodiment has no controllers, so there is nothing to guard.
            GuardError: An enabled check needs something that is not there.
        """
        if not embodiment.controllers:
            raise ConfigError(
                f"embodiment {embodiment.name} has no controllers, so there is nothing to guard",
                hint="Choose an embodiment with a robot.",
            )
        robot = GuardedRobot(
            embodiment.limits,
            embodiment.robot,
            surroundings_of(embodiment),
            tuple(joints for _, joints in embodiment.controllers),
            grippers=frozenset(gripper.joint for gripper in embodiment.gripper_joints.values()),
        )
        return cls(robot, settings)

    def judge(self, trajectory: JointTrajectory, context: GuardContext, *, ahead: float = 0.0) -> Verdict:
        """Return what may be sent in place of a trajectory, and why.

        Whatever comes in, what comes out starts on the motion being executed (or the measured state), breaks no
        enabled limit between its points either, and ends at rest.

        Args:
            trajectory: The candidate.
            context: The moment.
            ahead: What is executed goes on for so long first, s: judging may take as long.
        """
        began, worked = perf_counter(), thread_time()
        budget = self.settings.response.judging_budget
        try:
            with (
                np.errstate(all="ignore"),
                within(_SAFE_SHARE * budget),
            ):  # whatever overflows is found out, see Checker.examine
                verdict = self._judge(trajectory, context, ahead)
        except JudgingTimeError:
            found = Violation("judging_time", value=thread_time() - worked, bound=budget, message="not judged in time")
            verdict = Verdict(Response.REJECT, None, (found,))
        sent = None if verdict.trajectory is None else self._with_hold(verdict.trajectory, context)
        elapsed = 1e3 * (perf_counter() - began)
        return replace(verdict, trajectory=sent, stamp_ns=trajectory.stamp_ns, elapsed_ms=elapsed)

    def brake(self, context: GuardContext) -> JointTrajectory | None:
        """Return the quickest legal stop; None when nothing has to be sent for it. See ``Planner.brake``."""
        with np.errstate(all="ignore"):
            stop = self.planner.brake(context)
        return None if stop is None else self._with_hold(stop, context)

    def hold(self, context: GuardContext) -> JointTrajectory | None:
        """Return a standstill where the controllers are commanded to be, else where the robot is measured."""
        state = context.executed.at(context.now_ns)
        if state is None:
            return self.planner.hold_measured(context)
        shortest = self.settings.checking.minimum_step
        return self._with_hold(
            stops.hold(state.joint_names, state.positions, context.now_ns, shortest=shortest), context
        )

    def stop_measured(self, context: GuardContext) -> JointTrajectory | None:
        """Return a stop of a robot that is not where it was sent, from where it is measured.

        None without a joint state.
        """
        with np.errstate(all="ignore"):
            stop = self.planner.straight_stop(context, echoes=True) or self.planner.hold_measured(context)
        return None if stop is None else self._with_hold(stop, context)

    def _with_hold(self, trajectory: JointTrajectory, context: GuardContext) -> JointTrajectory:
        shortest = math.ceil(self.settings.checking.minimum_step * NANOSECONDS)
        return with_hold(trajectory, context.now_ns + round(self.settings.response.hold_time * NANOSECONDS), shortest)

    def _judge(self, trajectory: JointTrajectory, context: GuardContext, ahead: float) -> Verdict:
        terminal = self.checker.terminal(trajectory, context)
        if terminal:
            return Verdict(Response.REJECT, None, by_time(terminal))
        joined = self._join(_settled(trajectory, self.settings), context, ahead)
        if isinstance(joined, list):
            return Verdict(Response.REJECT, None, by_time(joined))
        aligned, note = joined
        notes = (note,) if note else ()
        findings = self.checker.examine(aligned, context, begins=True)
        if not findings.violations:
            return Verdict(Response.ACCEPT, aligned, notes=notes)
        shift = (aligned.stamp_ns - (trajectory.stamp_ns or context.now_ns)) / NANOSECONDS
        violations = _in_terms_of(trajectory, findings.violations, shift)
        if all(v.limit == "end_velocity" for v in violations):
            tailed = self.planner.with_tail(aligned, findings, context)
            if tailed is not None:
                return Verdict(Response.ACCEPT, tailed, notes=(*notes, "braking tail appended"))
        if self.settings.response.allow_slow_down:
            sent = self.planner.slow_down(aligned, findings, context)
            if sent is not None:
                scale = duration_of(sent) / duration_of(aligned)
                return Verdict(Response.SLOW_DOWN, sent, violations, notes=notes, time_scale=scale)
        if self.settings.response.allow_truncate:
            first = max(float(trajectory.times_ns[0]) / NANOSECONDS - shift, 0.0)
            cut = self.planner.truncate(aligned, findings, context, after=first + 1e-6)
            if cut is not None:
                sent, stop = cut
                scale = duration_of(sent) / stop
                return Verdict(
                    Response.TRUNCATE, sent, violations, notes=notes, time_scale=scale, stopped_at=stop + shift
                )
        return Verdict(Response.REJECT, None, violations, notes=notes)

    def _join(
        self, trajectory: JointTrajectory, context: GuardContext, ahead: float
    ) -> tuple[JointTrajectory, str] | list[Violation]:
        table = self.checker.table(trajectory.joint_names)
        start = self.checker.start_state(table, context)
        if start is None:
            return [Violation("stale_state", time=0.0, message="no joint state to begin at")]
        own = self.settings.of(StartSettings)
        joined = join(
            trajectory,
            context,
            start,
            table,
            position_tolerance=own.start_position_tolerance,
            velocity_tolerance=own.start_velocity_tolerance,
            shortest=self.settings.checking.minimum_step,
            ahead=ahead,
            blockable=self.robot.grippers,
        )
        if isinstance(joined, tuple) and (steps := self.checker.spacing(joined[0], context)):
            return steps
        return joined


def _settled(trajectory: JointTrajectory, settings: GuardSettings) -> JointTrajectory:
    """Return the trajectory with an end that is at rest but for rounding truly at rest, as controllers demand."""
    if trajectory.velocities is None or not trajectory.velocities[-1].any():
        return trajectory
    tolerance = settings.of(EndVelocitySettings).end_velocity_tolerance
    if not settings.enabled("end_velocity") or np.abs(trajectory.velocities[-1]).max() > tolerance:
        return trajectory
    velocities = trajectory.velocities.copy()
    velocities[-1] = 0.0
    return replace(trajectory, velocities=velocities)


def _in_terms_of(original: JointTrajectory, violations: tuple[Violation, ...], shift: float) -> tuple[Violation, ...]:
    """Return violations of an aligned trajectory with the original's times and step indices."""
    times = original.times_ns / NANOSECONDS
    moved = []
    for violation in violations:
        if violation.time is None:
            moved.append(violation)
            continue
        time = violation.time + shift
        step = int(np.clip(np.searchsorted(times, time - 1e-9, side="left"), 0, len(times) - 1))
        safe = int(np.searchsorted(times, time + 1e-9, side="right")) - 1
        moved.append(replace(violation, time=time, step=step, last_safe_point=safe))
    return tuple(moved)
