"""Bring a candidate to the true state: what is checked, and sent, begins where the controllers are now.

A JointTrajectoryController bridges from its own state to a first point in the future, and cuts in where the first
point lies in the past. Both are made explicit: the result's first point is the true state at now, with its velocity.
Position-only candidates become cubics here, so that nothing after this knows of lines.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from cosmos_ros.guard.context import GuardContext, in_order
from cosmos_ros.guard.motion.limit_table import LimitTable
from cosmos_ros.guard.motion.start_state import StartState, seconds, state_at
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.trajectory.executing import wrapped
from cosmos_ros.trajectory.knots import monotone_velocities, within_limits
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array, JointTrajectory

# Differences at the start below this are rounding, rad (m) and rad/s (m/s).
_SAME = 1e-7
_SAME_SPEED = 1e-6
# Share of the bounds that the difference at the start may use to decay, and how long that may take, s.
_DECAY_SHARE = 0.3
_DECAY_STEP_NS = 20_000_000
_SHORTEST_DECAY, _LONGEST_DECAY = 0.15, 1.0
# No joint is there; splines through such numbers overflow.
_ABSURD = 1e100


@dataclass(frozen=True)
class _Rows:
    """Knots: absolute times ``int64 [N]``, positions, velocities and accelerations ``[N, J]``."""

    times: Int64Array
    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray

    def then(self, other: _Rows) -> _Rows:
        return _Rows(
            np.concatenate((self.times, other.times)),
            np.concatenate((self.positions, other.positions)),
            np.concatenate((self.velocities, other.velocities)),
            np.concatenate((self.accelerations, other.accelerations)),
        )


class _Candidate:
    """A candidate as a function of absolute time; before its first point and after its last it stands still."""

    def __init__(self, trajectory: JointTrajectory, stamp_ns: int) -> None:
        self.lines = trajectory.velocities is None
        self.quintic = trajectory.accelerations is not None
        self.times = stamp_ns + trajectory.times_ns
        self.positions = np.array(trajectory.positions, dtype=np.float64)
        self._derivatives = (trajectory.velocities, trajectory.accelerations)
        self._curves = []
        if len(self.times) > 1:
            curve = piecewise(trajectory)
            self._curves = [curve, curve.derivative(), curve.derivative(2)]
        self._stamp_ns = stamp_ns

    def turn(self, turns: FloatArray) -> None:
        """Move it by whole turns ``[J]``."""
        self.positions = self.positions + 2.0 * np.pi * turns
        self._turns = 2.0 * np.pi * turns

    _turns: FloatArray | float = 0.0

    def at(self, times: Int64Array) -> _Rows:
        """Return its rows at absolute times."""
        last = len(self.times) - 1
        index = np.where(times < self.times[0], 0, last)
        rows = _Rows(times, self.positions[index], *(np.zeros((len(times), self.positions.shape[1])) for _ in "va"))
        inside = (times >= self.times[0]) & (times <= self.times[last])
        if self._curves and inside.any():
            at = (times[inside] - self._stamp_ns) / NANOSECONDS
            rows.positions[inside] = self._curves[0](at) + self._turns
            rows.velocities[inside] = self._curves[1](at)
            rows.accelerations[inside] = self._curves[2](at)
        # At its own points exactly what was given.
        index = np.minimum(np.searchsorted(self.times, times), last)
        own = self.times[index] == times
        rows.positions[own] = self.positions[index[own]]
        for into, given in zip((rows.velocities, rows.accelerations), self._derivatives, strict=True):
            if given is not None:
                into[own] = given[index[own]]
        return rows


def join(
    trajectory: JointTrajectory,
    context: GuardContext,
    start: StartState,
    table: LimitTable,
    *,
    position_tolerance: float,
    velocity_tolerance: float,
    shortest: float,
    ahead: float,
    blockable: Collection[str] = (),
) -> tuple[JointTrajectory, str] | list[Violation]:
    """Return the candidate as it runs from now on and what was done to it, or why it does not begin where the robot is.

    Args:
        trajectory: Passed all terminal checks.
        context: The moment.
        start: The true state at now.
        table: Limits in the trajectory's order.
        position_tolerance, velocity_tolerance: Largest difference from the true state that is led in.
        shortest: Shortest time between points, s.
        ahead: How long what is executed goes on first, s.
        blockable: Joints that go in steps between bounds (grippers): between points they must not overshoot.
    """
    now = context.now_ns
    least = max(round(shortest * NANOSECONDS), 1)
    candidate = _Candidate(trajectory, trajectory.stamp_ns or now)
    begin = int(candidate.times[0])
    lead, note = _Rows(np.zeros(0, np.int64), *(np.zeros((0, len(start.names))) for _ in "qva")), ""
    here = _Rows(np.array([now]), start.positions[None], start.velocities[None], start.accelerations[None])
    bridged = begin >= now + least and trajectory.times_ns[0] > 0
    if begin >= now + least:
        note = f"moves to the first point in {(begin - now) / 1e6:.0f} ms" if bridged else ""
        if not bridged:
            lead = _executed(start, context, begin, least)
            here = _Rows(np.array([begin]), *state_at(start, context, [begin]))
            what = "continues the executed motion" if context.moving else "waits"
            note = f"{what} for {(begin - now) / 1e6:.0f} ms first"
    elif begin < now - least:
        note = f"starts {(now - begin) / 1e6:.0f} ms ago, cut to now"
    at = int(here.times[0])
    later = candidate.times[candidate.times >= at + least]
    there = candidate.at(np.array([max(at, begin)]))
    if table.continuous.any():
        candidate.turn(np.where(table.continuous, np.round((here.positions - there.positions)[0] / (2.0 * np.pi)), 0.0))
        there = candidate.at(there.times)
    # Lines have the speed that leads to their next point.
    steered = 0.0 if candidate.lines and later.size else 1.0
    difference, rate = (here.positions - there.positions)[0], steered * (here.velocities - there.velocities)[0]
    if not bridged:
        off = difference
        if context.measured is not None and not context.moving:
            # One that begins where the robot is measured, sagging off its command, is led in as well.
            seen = wrapped(there.positions[0] - in_order(context.measured, start.names)[0], table.continuous)
            off = np.where(np.abs(seen) < np.abs(off), seen, off)
        found = _jumps(off, rate, trajectory, start, table, position_tolerance, velocity_tolerance)
        if found:
            return found
        if np.abs(difference).max() > 1e-3:
            note = (note + "; " if note else "") + f"led in over {np.abs(difference).max():.4f}"
    on = min(now + round(ahead * NANOSECONDS), begin - least if bridged else now + NANOSECONDS)
    if context.moving and on > at + least:
        # What is executed goes on until this is judged and the controller has heard of it.
        onwards = _Rows(np.array([on]), *state_at(start, context, [on]))
        there = candidate.at(onwards.times)
        apart = (onwards.positions - there.positions)[0], steered * (onwards.velocities - there.velocities)[0]
        if bridged or candidate.lines or not (np.abs(apart[0]) <= _SAME).all():
            lead, here, at = _executed(start, context, on, least), onwards, on
            later = candidate.times[candidate.times >= at + least]
            difference, rate = apart
    grippers = np.array([name in blockable for name in start.names])
    if candidate.lines and not (np.abs(candidate.positions) < _ABSURD).all():
        return [Violation("nonfinite", message="the interpolation overflows")]
    if candidate.lines and later.size:
        rest = candidate.at(later)
        rows = here.then(_Rows(later, rest.positions, *_slopes(here, later, rest.positions, table, grippers)))
    elif bridged or ((np.abs(difference) <= _SAME).all() and (np.abs(rate) <= _SAME_SPEED).all()):
        rows = here.then(candidate.at(later)) if later.size else here.then(_hold(here, at + least))
    else:
        bend = (here.accelerations - there.accelerations)[0]
        rows = here.then(_decayed(candidate, at, later, difference, rate, bend, table, least))
    rows = lead.then(rows)
    return JointTrajectory(
        trajectory.joint_names,
        now,
        rows.times - now,
        rows.positions,
        rows.velocities,
        rows.accelerations if candidate.quintic else None,
    ), note


def begun_at(trajectory: JointTrajectory, time_ns: int, *, shortest: float) -> JointTrajectory | None:
    """Return what is left of a stamped cubic or quintic trajectory from a time on; None when nothing is.

    A piece of a cubic is a cubic, so that it is exactly the same motion.
    """
    least = max(round(shortest * NANOSECONDS), 1)
    candidate = _Candidate(trajectory, trajectory.stamp_ns)
    later = candidate.times[candidate.times >= time_ns + least]
    if not later.size:
        return None
    rows = candidate.at(np.concatenate(([time_ns], later)))
    accelerations = rows.accelerations if candidate.quintic else None
    return JointTrajectory(
        trajectory.joint_names, time_ns, rows.times - time_ns, rows.positions, rows.velocities, accelerations
    )


def _jumps(
    difference: FloatArray,
    rate: FloatArray,
    trajectory: JointTrajectory,
    start: StartState,
    table: LimitTable,
    position_tolerance: float,
    velocity_tolerance: float,
) -> list[Violation]:
    found = []
    for joint in range(len(difference)):
        for value, bound, kind in (
            (abs(difference[joint]), position_tolerance, "position"),
            (abs(rate[joint]), velocity_tolerance, "velocity"),
        ):
            if not value <= bound + 1e-6:
                what = "what is commanded" if start.commanded[joint] else "the measured state"
                found.append(
                    Violation(
                        "start_discontinuity",
                        joint=table.names[joint],
                        step=0,
                        time=float(trajectory.times_ns[0]) / NANOSECONDS,
                        value=float(value),
                        bound=bound,
                        message=f"{kind} jumps from {what}",
                    )
                )
                break
    return found


def _executed(start: StartState, context: GuardContext, until: int, least: int) -> _Rows:
    """Return the executed motion from now to shortly before a time."""
    times = context.executed.cubic_knots(context.now_ns, until, least) if start.commanded.any() else [context.now_ns]
    rows = _Rows(np.array(times), *state_at(start, context, times))
    rows.velocities[0] = start.velocities
    return rows


def _hold(here: _Rows, until: int) -> _Rows:
    """Return a point at rest at the same place."""
    still = np.zeros_like(here.positions)
    return _Rows(np.array([until]), here.positions, still, still)


def _slopes(
    here: _Rows, later: Int64Array, positions: FloatArray, table: LimitTable, grippers: np.ndarray
) -> tuple[FloatArray, FloatArray]:
    """Return velocities and accelerations at the later points of a position-only candidate, which ends at rest.

    Arms get the twice continuously differentiable spline, bent where it would pass a position bound that the points
    keep; joints that go in steps get monotone slopes.
    """
    times = seconds(np.concatenate((here.times, later)) - here.times[0])
    knots = np.concatenate((here.positions, positions))
    still = np.zeros(knots.shape[1])
    spline = CubicSpline(times, knots, bc_type=((1, here.velocities[0]), (1, still)))
    velocities = within_limits(times, knots, spline(times, 1), table.lower, table.upper)
    if grippers.any():
        velocities[:, grippers] = monotone_velocities(times, knots[:, grippers])
    velocities[-1] = 0.0
    return velocities[1:], np.zeros_like(velocities[1:])


def _decayed(
    candidate: _Candidate,
    at: int,
    later: Int64Array,
    difference: FloatArray,
    rate: FloatArray,
    bend: FloatArray,
    table: LimitTable,
    least: int,
) -> _Rows:
    """Return the candidate with its difference at the start decaying smoothly within the bounds' share."""
    length = decay_time(difference, rate, bend, table)
    end = at + round(length * NANOSECONDS)
    extra = np.arange(at + _DECAY_STEP_NS, end, _DECAY_STEP_NS, dtype=np.int64)
    extra = np.append(extra, end)
    if later.size:
        extra = extra[np.abs(extra[:, None] - later[None]).min(axis=1) >= max(least, _DECAY_STEP_NS // 4)]
    times = np.unique(np.concatenate((later, extra)))
    rows = candidate.at(times)
    decay = quintic_decay(seconds(times - at), length, difference, rate, bend)
    return _Rows(times, *(own + more for own, more in zip(
        (rows.positions, rows.velocities, rows.accelerations), decay, strict=True
    )))  # fmt: skip


def quintic_decay(
    time: FloatArray, length: float, value: FloatArray, rate: FloatArray, bend: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the quintic from (value, rate, bend) to rest at zero in ``length`` s, and two derivatives, ``[M, J]``."""
    s = np.clip(time / length, 0.0, 1.0)[:, None]
    r, b = rate * length, bend * length**2
    c3 = -10.0 * value - 6.0 * r - 1.5 * b
    c4 = 15.0 * value + 8.0 * r + 1.5 * b
    c5 = -6.0 * value - 3.0 * r - 0.5 * b
    inside = s < 1.0 - 1e-6  # whole nanoseconds round the end
    position = value + r * s + 0.5 * b * s**2 + c3 * s**3 + c4 * s**4 + c5 * s**5
    speed = (r + b * s + 3.0 * c3 * s**2 + 4.0 * c4 * s**3 + 5.0 * c5 * s**4) / length
    change = (b + 6.0 * c3 * s + 12.0 * c4 * s**2 + 20.0 * c5 * s**3) / length**2
    return np.where(inside, position, 0.0), np.where(inside, speed, 0.0), np.where(inside, change, 0.0)


def decay_time(value: FloatArray, rate: FloatArray, bend: FloatArray, table: LimitTable) -> float:
    """Return the shortest time of a decay that stays within a share of velocity, acceleration and jerk bounds, s."""
    at = np.linspace(0.0, 1.0, 25)
    length = _SHORTEST_DECAY
    while length < _LONGEST_DECAY:
        _, speed, change = quintic_decay(at * length, length, value, rate, bend)
        jerk = np.abs(np.diff(change, axis=0)).max(axis=0) / (length / 24.0)
        if (
            (np.abs(speed).max(axis=0) <= np.abs(rate) + _DECAY_SHARE * table.velocity).all()
            and (np.abs(change).max(axis=0) <= np.abs(bend) + _DECAY_SHARE * table.acceleration).all()
            and (jerk <= _DECAY_SHARE * table.jerk).all()
        ):
            return length
        length *= 1.25
    return _LONGEST_DECAY
