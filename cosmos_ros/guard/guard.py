"""The guard: checks a trajectory, decides on the response, and checks what it answers."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np

from cosmos_ros.guard import retime
from cosmos_ros.guard.align import align
from cosmos_ros.guard.checker import Checker, Findings
from cosmos_ros.guard.checks.start import commanded_at
from cosmos_ros.guard.config import CURED_BY_STOPPING, CURED_BY_TIME, GuardConfig
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.motion import Motion, make_motion
from cosmos_ros.guard.verdict import Response, Verdict, Violation, by_time
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# How often a re-timed motion may be tightened until its own check passes.
_ATTEMPTS = 4


class Guard:
    """Judges whole trajectories. Holds no state between calls besides the robot's limits.

    Args:
        limits: The robot's limits.
        config: Switches, margins, policies.
        model: The robot's kinematics; needed for what concerns the tool and the arm's own shape.

    Raises:
        GuardError: An enabled check needs a model and there is none.
    """

    def __init__(
        self, limits: RobotLimits, config: GuardConfig | None = None, model: RobotModel | None = None
    ) -> None:
        self.config = config or GuardConfig()
        self.limits = limits
        self.checker = Checker(limits, self.config, model)

    def judge(self, trajectory: JointTrajectory, context: GuardContext) -> Verdict:
        """Return what may be sent in place of a trajectory, and why.

        Whatever comes in, what comes out starts on the motion being executed (or the measured state), breaks no
        enabled limit between its points either, and ends at rest.
        """
        began = perf_counter()
        verdict = self._judge(trajectory, context)
        return replace(verdict, stamp_ns=trajectory.stamp_ns, elapsed_ms=1e3 * (perf_counter() - began))

    def _judge(self, trajectory: JointTrajectory, context: GuardContext) -> Verdict:
        terminal = self.checker.terminal(trajectory, context)
        if terminal:
            return Verdict(Response.REJECT, None, by_time(terminal))
        table = self.checker.table(trajectory.joint_names)
        start = self.checker.start_knot(trajectory, table, context)
        aligned, note = align(trajectory, context, start)
        notes = (note,) if note else ()
        findings = self.checker.examine(aligned, context)
        shift = (aligned.stamp_ns - (trajectory.stamp_ns or context.now_ns)) / NANOSECONDS
        violations = _in_terms_of(trajectory, findings.violations, shift)
        if not violations:
            return Verdict(Response.ACCEPT, aligned, notes=notes)
        kinds = {v.limit for v in violations}
        if kinds == {"end_velocity"}:
            tailed = self._with_tail(aligned, findings, context)
            if tailed is not None:
                return Verdict(Response.ACCEPT, tailed, notes=(*notes, "braking tail appended"))
        for response in self._responses(kinds):
            answer = self._respond(response, aligned, findings, context)
            if answer is not None:
                sent, stopped = answer
                return Verdict(
                    response, sent, violations, notes=notes,
                    time_scale=_duration(sent) / max(_duration(aligned), 1e-9),
                    stopped_at=None if stopped is None else stopped + shift,
                )  # fmt: skip
        return Verdict(Response.REJECT, None, violations, notes=notes)

    def _responses(self, kinds: set[str]) -> list[Response]:
        """Return the responses that can cure these kinds of violation, in order of preference."""
        responses = []
        if self.config.allow_slow_down and kinds <= CURED_BY_TIME | {"end_velocity"}:
            responses.append(Response.SLOW_DOWN)
        if self.config.allow_truncate and kinds <= CURED_BY_TIME | CURED_BY_STOPPING | {"end_velocity", "duration"}:
            responses.append(Response.TRUNCATE)
        return responses

    def _respond(
        self, response: Response, aligned: JointTrajectory, findings: Findings, context: GuardContext
    ) -> tuple[JointTrajectory, float | None] | None:
        """Return a trajectory that passes every check and, if truncated, the path time it stops at; or None."""
        motion = findings.motion
        if motion is None or motion.degree == 1 or len(motion.times) < 2 or motion.offset:
            return None
        scale = 1.0
        stops = self._stops(response, motion, findings)
        for stop in stops:
            scale = 1.0
            for _ in range(_ATTEMPTS):
                path = self._path(motion, context, scale=scale)
                if stop is None:
                    sent = retime.slow_down(path, aligned.stamp_ns)
                else:
                    sent = retime.stop_by(path, aligned.stamp_ns, stop)
                if sent is None:
                    break
                if _duration(sent) > self.config.max_time_scale * _duration(aligned):
                    return None
                remaining = self.checker.examine(sent, context).violations
                if not remaining:
                    return sent, stop if response is Response.TRUNCATE else None
                if not {v.limit for v in remaining} <= CURED_BY_TIME:
                    break
                scale *= 0.9
        return None

    def _path(
        self, motion: Motion, context: GuardContext, *, scale: float, begin: float | None = None
    ) -> retime.Path:
        """Lay a motion on a grid with all limits on its run."""
        sampler = self.checker.sampler
        tools = self.limits.cartesian
        samples = None if sampler is None or not tools else sampler.samples(motion, context.measured)
        return retime.make_path(motion, self.config, begin=begin, scale=scale, tools=tools, samples=samples)

    def _stops(self, response: Response, motion: Motion, findings: Findings) -> list[float | None]:
        """Return where along the path to come to rest, best first; None runs it to its end."""
        end = float(motion.times[-1])
        if response is Response.SLOW_DOWN:
            moving = any(v.limit == "end_velocity" for v in findings.violations)
            return [end] if moving else [None]
        fatal = [v for v in findings.violations if v.limit in CURED_BY_STOPPING | {"duration"}]
        if not fatal:
            return []
        last = min(v.last_safe_point for v in fatal)
        return [float(t) for t in motion.times[last::-1]] if last >= 1 else []

    def _with_tail(self, aligned: JointTrajectory, findings: Findings, context: GuardContext) -> JointTrajectory | None:
        """Append a straight, constant deceleration to rest; None when that would break a limit."""
        motion = findings.motion
        if motion is None or aligned.velocities is None:
            return None
        speed = aligned.velocities[-1]
        limit = motion.table.acceleration * self.config.brake_scale
        duration = stopping_time(speed, limit)
        if not 0.0 < duration < self.config.max_duration:
            return None
        still = np.zeros_like(speed)[None]
        tail = replace(
            aligned,
            times_ns=np.append(aligned.times_ns, aligned.times_ns[-1] + int(np.ceil(duration * NANOSECONDS))),
            positions=np.concatenate((aligned.positions, (aligned.positions[-1] + 0.5 * duration * speed)[None])),
            velocities=np.concatenate((aligned.velocities, still)),
            accelerations=None if aligned.accelerations is None else np.concatenate((aligned.accelerations, still)),
        )
        return None if self.checker.examine(tail, context).violations else tail

    def brake(self, context: GuardContext) -> JointTrajectory | None:
        """Return the quickest legal stop from what is being executed, along its path; None when nothing moves.

        Without a trajectory in execution, or when its path allows no stop, the joints decelerate together from the
        measured velocities in a straight line.
        """
        executing = context.executing
        end = context.moving_until_ns()
        if executing is not None and end is not None and context.now_ns < end:
            at = commanded_at(context, executing.joint_names, context.now_ns)
            if at is not None and executing.velocities is not None and not _still(at[1]):
                motion = make_motion(executing, self.checker.table(executing.joint_names), None)
                begin = (context.now_ns - executing.stamp_ns) / NANOSECONDS
                path = self._path(motion, context, scale=self.config.brake_scale, begin=begin)
                stop = retime.brake(path, context.now_ns)
                if stop is not None:
                    return stop
            if at is not None:
                return self._straight_stop(executing.joint_names, at[0], at[1], context)
        measured = context.measured
        if measured is None or measured.velocities is None or _still(measured.velocities, 0.02):
            return None
        known = [i for i, name in enumerate(measured.names) if name in self.limits.joints]
        names = tuple(measured.names[i] for i in known)
        return self._straight_stop(names, measured.positions[known], measured.velocities[known], context)

    def _straight_stop(
        self, names: tuple[str, ...], positions: FloatArray, velocities: FloatArray, context: GuardContext
    ) -> JointTrajectory | None:
        if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
            return None
        table = self.checker.table(names)
        duration = stopping_time(velocities, table.acceleration * self.config.brake_scale)
        duration = max(duration, self.config.minimum_step)
        end = positions + 0.5 * duration * velocities
        return JointTrajectory(
            names,
            context.now_ns,
            np.array([0, int(np.ceil(duration * NANOSECONDS))], dtype=np.int64),
            np.stack((positions, np.clip(end, np.minimum(table.lower, positions), np.maximum(table.upper, positions)))),
            np.stack((velocities, np.zeros_like(velocities))),
        )


def stopping_time(speed: FloatArray, acceleration: FloatArray) -> float:
    """Return the shortest time in which all joints can decelerate together, evenly, to rest.

    Joints without a known acceleration bound are given 1 rad/s² (m/s²).
    """
    bound = np.where(np.isfinite(acceleration), acceleration, 1.0)
    return float(np.max(np.abs(speed) / bound, initial=0.0))


def _still(velocities: FloatArray, tolerance: float = 1e-6) -> bool:
    return bool(np.all(np.abs(velocities) <= tolerance))


def _duration(trajectory: JointTrajectory) -> float:
    return float(trajectory.times_ns[-1] - trajectory.times_ns[0]) / NANOSECONDS


def _in_terms_of(original: JointTrajectory, violations: tuple[Violation, ...], shift: float) -> tuple[Violation, ...]:
    """Return violations of an aligned trajectory with the original's times and step indices."""
    times = original.times_ns / NANOSECONDS
    moved = []
    for v in violations:
        if v.time is None:
            moved.append(v)
            continue
        time = v.time + shift
        step = int(np.clip(np.searchsorted(times, time + 1e-9, side="left"), 0, len(times) - 1))
        safe = min(int(np.searchsorted(times, time + 1e-9, side="right")) - 1, len(times) - 1)
        moved.append(replace(v, time=time, step=step, last_safe_point=max(safe, -1)))
    return tuple(moved)
