"""The planner of the response: what may be sent in place of a trajectory that breaks a limit.

Whatever it proposes is checked like any other trajectory before it is given out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cosmos_ros.guard.budget import JudgingTimeError, check_budget, within
from cosmos_ros.guard.checker import Checker, Findings
from cosmos_ros.guard.checks.base import Cure
from cosmos_ros.guard.checks.end import DurationSettings
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.motion.joint_motion import Motion, make_motion
from cosmos_ros.guard.motion.limit_table import LimitTable
from cosmos_ros.guard.response import retime, stops
from cosmos_ros.guard.response.uniform_scaling import uniform_scale
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# How often a re-timed motion is tightened until its own check passes.
_ATTEMPTS = 4
_TIGHTER = 0.93
# Kinds of violation of a path that is run too fast everywhere, or at its ends.
_BENT = frozenset(("jerk", "acceleration_step"))
# Half widths of the averages that make a run gentle, s.
_GENTLE = (0.03, 0.06, 0.12)
# All of the acceleration bound, but for the rounding of the grid.
_ALL = 0.9999
# Measured speeds below this are noise, not motion, rad/s or m/s.
_STILL = 0.02
# How long after a trajectory's end a robot may still be on its way to the last point.
_SETTLING_NS = 500_000_000


class Planner:
    """Proposes slower, shorter and braking motions for one robot.

    Args:
        checker: Decides on every proposal.
    """

    def __init__(self, checker: Checker) -> None:
        self.checker = checker
        self.settings = checker.settings
        self.response = checker.settings.response
        self._minimum_step = checker.checking.minimum_step

    def slow_down(self, aligned: JointTrajectory, findings: Findings, context: GuardContext) -> JointTrajectory | None:
        """Return the same path at a legal speed, ending at rest; None when there is none."""
        motion = findings.motion
        kinds = {v.limit for v in findings.violations}
        if motion is None or not kinds <= self.checker.cured_by(Cure.SLOWING, Cure.RESTING):
            return None
        if not _plannable(motion):
            return None
        stop = float(motion.times[-1]) if "end_velocity" in kinds else None
        return self._first_legal(
            self._runs(motion, aligned.stamp_ns, context, stop, bent=bool(kinds & _BENT)), aligned, context
        )

    def truncate(
        self, aligned: JointTrajectory, findings: Findings, context: GuardContext, *, after: float
    ) -> tuple[JointTrajectory, float] | None:
        """Return a legal run to rest at the last possible point before what stopping cures, and its path time.

        Points up to path time ``after`` are not worth stopping at: nothing of the trajectory has been run by then.
        """
        motion = findings.motion
        kinds = {v.limit for v in findings.violations}
        curable = self.checker.cured_by(Cure.SLOWING, Cure.RESTING, Cure.STOPPING, Cure.SHORTENING)
        beyond = self.checker.cured_by(Cure.STOPPING, Cure.SHORTENING)
        fatal = [v for v in findings.violations if v.limit in beyond]
        if motion is None or not _plannable(motion) or not kinds <= curable or not fatal:
            return None
        last = min(v.last_safe_point for v in fatal)
        laid: dict[tuple[float, float], retime.Path] = {}
        for point in _points_to_try(last):
            stop = float(motion.times[point])
            if stop <= after:
                break
            sent = self._first_legal(self._runs(motion, aligned.stamp_ns, context, stop, laid), aligned, context)
            if sent is not None:
                return sent, stop
        return None

    def _first_legal(
        self, proposals: Iterator[JointTrajectory], aligned: JointTrajectory, context: GuardContext
    ) -> JointTrajectory | None:
        """Return the first proposal that passes every check and is not slower than allowed."""
        longest = self.response.max_time_scale * duration_of(aligned)
        for proposal in proposals:
            check_budget()
            if duration_of(proposal) > longest:
                continue
            if self.checker.legal(proposal, context):
                return proposal
        return None

    def _runs(
        self,
        motion: Motion,
        stamp_ns: int,
        context: GuardContext,
        stop: float | None,
        laid: dict[tuple[float, float], retime.Path] | None = None,
        *,
        bent: bool = False,
    ) -> Iterator[JointTrajectory]:
        """Yield runs through the path, the fastest first, then ones with less jerk.

        ``laid`` keeps the paths from one stop to the next: where to stop changes the run, not the path, and laying
        it costs more than the rest.
        """
        laid = {} if laid is None else laid
        keep = self.response.reaction_time
        if self._jerk_bounded(motion.table):
            tries = [(half, half + keep) for half in _GENTLE]
        else:
            tries = [(0.0, keep), (0.0, 0.0)]
        path = laid.get((1.0, 0.0)) or self.path(motion, context, scale=1.0)
        laid[1.0, 0.0] = path
        if bent and stop is None and path.starts_at_rest:
            yield from self._uniform_runs(motion, path, stamp_ns)  # the path itself is too bent for its speed
        for half, keep in tries:
            scale = 1.0
            for _ in range(2 if half else _ATTEMPTS):
                if (scale, keep) not in laid:
                    laid[scale, keep] = self.path(motion, context, scale=scale, keep=keep)
                path = laid[scale, keep]
                if half:
                    fastest = retime.gentle(path, stamp_ns, half, stop)
                elif stop is None:
                    fastest = retime.slow_down(path, stamp_ns)
                else:
                    fastest = retime.stop_by(path, stamp_ns, stop)
                if fastest is None:
                    break
                yield fastest
                scale *= _TIGHTER
            if not path.kept and not half:
                break
        if stop is not None:
            return
        if path.starts_at_rest:
            yield from self._uniform_runs(motion, path, stamp_ns)
            return
        for pace in (0.9, 0.75, 0.6, 0.45):
            for ramp in (0.1, 0.3):
                yield retime.ramped(path, stamp_ns, pace, ramp)

    def _uniform_runs(self, motion: Motion, path: retime.Path, stamp_ns: int) -> Iterator[JointTrajectory]:
        """Yield runs at one scale, from what the bounds on joints and speeds ask for on."""
        need = max(uniform_scale(motion, self.settings), 1.0 / np.sqrt(max(float(path.limits.ceiling.min()), 1e-12)))
        for more in (1.001, 1.02, 1.1, 1.3, 1.7, 2.5):
            if need * more <= self.response.max_time_scale:
                yield retime.uniform(path, stamp_ns, need * more)

    def _jerk_bounded(self, table: LimitTable) -> bool:
        return self.settings.enabled("acceleration_step") and bool(np.isfinite(table.jerk).any())

    def with_tail(self, aligned: JointTrajectory, findings: Findings, context: GuardContext) -> JointTrajectory | None:
        """Append a straight, even deceleration to rest; None when that would break a limit."""
        motion = findings.motion
        if motion is None or aligned.velocities is None or aligned.accelerations is not None:
            return None  # a quintic cannot end its acceleration at once; it stops on its path instead
        speed = aligned.velocities[-1]
        least = self._minimum_step
        for scale in (self.response.brake_scale, 0.5, 0.25):
            times, positions, velocities = stops.stop_ahead(
                motion.table, aligned.positions[-1], speed, scale=scale, shortest=least
            )
            if not 0.0 < times[-1] < self.settings.of(DurationSettings).max_duration:
                return None
            later = np.ceil(times[1:] * NANOSECONDS).astype(np.int64)
            tail = replace(
                aligned,
                times_ns=np.concatenate((aligned.times_ns, aligned.times_ns[-1] + later)),
                positions=np.concatenate((aligned.positions, positions[1:])),
                velocities=np.concatenate((aligned.velocities, velocities[1:])),
            )
            if self.checker.legal(tail, context):
                return tail
            if not self._jerk_bounded(motion.table):
                break
        return None

    def brake(self, context: GuardContext) -> JointTrajectory | None:
        """Return the quickest legal stop from what is being executed, along its path, of every joint that moves.

        What stands still now, and would move later, is held. None when nothing moves or will. Where nothing was sent,
        the joints decelerate together, evenly, from the measured velocities.
        """
        executed, now = context.executed, context.now_ns
        if not executed.moving(now):
            return self.straight_stop(context)
        state = executed.at(now)
        assert state is not None
        if _still(state.velocities, 1e-6):
            return stops.hold(state.joint_names, state.positions, now, shortest=self._minimum_step)
        table = self.checker.table(state.joint_names)
        rest = stops.remaining(executed, now, shortest=self._minimum_step)
        motion = make_motion(rest, table, None)
        second: JointTrajectory | None = None
        try:
            with within(self.response.judging_budget):
                for stop in self._stops_along(motion, context):
                    if second is None and self.checker.keeps_joint_limits(stop, context):
                        second = stop
                    if self.checker.keeps_limits(stop, context):
                        return stop
        except JudgingTimeError:
            pass  # the robot must stop now: the best that was found
        if second is not None:
            return second
        # Off the path only where no stop on it keeps the joints' own limits.
        return self._even_stop(table, state.positions, state.velocities, now)

    def _stops_along(self, motion: Motion, context: GuardContext) -> Iterator[JointTrajectory]:
        """Yield stops along a motion that begins now, the quickest first."""
        now = context.now_ns
        for half in _GENTLE if self._jerk_bounded(motion.table) else ():
            path = self.path(
                motion, context, scale=self.response.brake_scale, begin=0.0, keep=half + self.response.reaction_time
            )
            stop = retime.brake(path, now, half)
            if stop is not None:
                yield stop
        # With all of the bound the executed run itself is admissible, so that some stop always is.
        for keep in (self.response.reaction_time, 0.0):
            for scale in (self.response.brake_scale, 1.0, _ALL / retime.AIM):
                stop = retime.brake(self.path(motion, context, scale=scale, begin=0.0, keep=keep), now)
                if stop is not None:
                    yield stop
        yield from retime.smooth_stops(self.path(motion, context, scale=1.0, begin=0.0), now)
        yield motion.trajectory  # it ends at rest

    def straight_stop(self, context: GuardContext, *, echoes: bool = False) -> JointTrajectory | None:
        """Return the stop of an arm that is moved by something else, from what is measured; None when it stands.

        Args:
            context: The moment.
            echoes: Also shortly after the end of a motion that was sent, whose speed may be measured late.
        """
        measured, end = context.measured, context.executed.rest_ns
        if measured is None or measured.velocities is None:
            return None
        if not echoes and end is not None and measured.stamp_ns < end + _SETTLING_NS:
            return None  # its speed is what was sent, seen late: by now the controller holds the last point
        known = [i for i, name in enumerate(measured.names) if name in self.checker.limits.joints]
        positions, speed = measured.positions[known], np.nan_to_num(measured.velocities[known], nan=0.0)
        if not np.isfinite(positions).all() or not np.isfinite(speed).all() or _still(speed, _STILL):
            return None
        table = self.checker.table(tuple(measured.names[i] for i in known))
        return self._even_stop(table, positions, speed, context.now_ns)

    def _even_stop(self, table: LimitTable, positions: FloatArray, speed: FloatArray, now_ns: int) -> JointTrajectory:
        fastest = np.array([self.checker.robot.limits.joints[name].velocity for name in table.names])
        return stops.even_stop(
            table,
            positions,
            speed,
            now_ns,
            fastest=fastest,
            scale=self.response.brake_scale,
            shortest=self._minimum_step,
        )

    def hold_measured(self, context: GuardContext) -> JointTrajectory | None:
        """Return a standstill where the robot is measured; None without a joint state."""
        measured = context.measured
        if measured is None:
            return None
        known = [i for i, name in enumerate(measured.names) if name in self.checker.limits.joints]
        names = tuple(measured.names[i] for i in known)
        return stops.hold(names, measured.positions[known], context.now_ns, shortest=self._minimum_step)

    def path(
        self, motion: Motion, context: GuardContext, *, scale: float, begin: float | None = None, keep: float = 0.0
    ) -> retime.Path:
        """Lay a motion on a grid with all limits on its run."""
        sampler, tools = self.checker.sampler, self.checker.limits.cartesian
        # A stop is slower anyway, and must exist.
        near = self.checker.singularities if begin is None else ()
        samples = None if sampler is None or not (tools or near) else sampler.samples(motion, context.measured)
        return retime.make_path(
            motion, self.settings, begin=begin, keep=keep, scale=scale, tools=tools, singularities=near, samples=samples
        )


def _points_to_try(last: int) -> list[int]:
    """Return the last four points, then ever earlier ones, down to the first.

    Not all of them: a judgement must end soon, for joint states and the emergency stop wait while it lasts.
    """
    back = (0, 1, 2, 3, 6, 12, 24, 48, 96)
    return sorted({*(last - step for step in back if step < last), 1}, reverse=True) if last > 0 else []


def with_hold(trajectory: JointTrajectory, until_ns: int, shortest_ns: int) -> JointTrajectory:
    """Return the trajectory with its last point held until an absolute time, and for no less than a shortest segment.

    Unchanged when it lasts that long.

    A quintic that ends in acceleration is left alone: it would be carried on.
    """
    end_ns = trajectory.stamp_ns + int(trajectory.times_ns[-1])
    ends_moving = trajectory.velocities is not None and bool(trajectory.velocities[-1].any())
    if trajectory.accelerations is not None:
        ends_moving = ends_moving or bool(trajectory.accelerations[-1].any())
    if end_ns >= until_ns or ends_moving:
        return trajectory

    until_ns = max(until_ns, end_ns + shortest_ns)

    def repeated(field: FloatArray | None) -> FloatArray | None:
        return None if field is None else np.concatenate((field, field[-1:]))

    return JointTrajectory(
        trajectory.joint_names,
        trajectory.stamp_ns,
        np.append(trajectory.times_ns, until_ns - trajectory.stamp_ns),
        np.concatenate((trajectory.positions, trajectory.positions[-1:])),
        repeated(trajectory.velocities),
        repeated(trajectory.accelerations),
    )


def duration_of(trajectory: JointTrajectory) -> float:
    """Return seconds from the first to the last point."""
    return float(trajectory.times_ns[-1] - trajectory.times_ns[0]) / NANOSECONDS


def _plannable(motion: Motion) -> bool:
    return len(motion.times) > 1 and not motion.offset


def _still(velocities: FloatArray, tolerance: float) -> bool:
    return bool(np.all(np.abs(velocities) <= tolerance))
