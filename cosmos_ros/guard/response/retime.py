"""Run the same path at another speed: slower, or to a stop. Nothing is clipped, so the path keeps its shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cosmos_ros.guard.budget import check_budget
from cosmos_ros.guard.checks.position_dependent import upper_bound
from cosmos_ros.guard.checks.singularity import Singularity
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.guard.motion.sampler import Points, Samples
from cosmos_ros.guard.response.speed_profile import Lines, PathLimits, Profile, controllable, fastest, make_lines
from cosmos_ros.limits import CartesianLimits
from cosmos_ros.trajectory.extrema import evaluate
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# Longest grid interval, s. The cubic through both ends of one stays within micrometres of the path.
GRID_STEP = 0.01
# Speeds and accelerations aim this far inside their bounds; the result is checked against the bounds themselves.
AIM = 0.98
# Edges of the polygon that stands for a circle of accelerations, from straight ahead to sideways.
_EDGES = np.deg2rad(np.array([11.25, 33.75, 56.25, 78.75]))
# Lengths of a smooth stop, and how many that are not hopeless are tried.
_SMOOTH = 16
_SMOOTH_TRIES = 5
# Spacing of the time averages of a gentle run, s.
_AVERAGE_STEP = 0.001
_APOTHEM = float(np.cos(np.deg2rad(11.25)))


@dataclass(frozen=True)
class Path:
    """A motion's path on a grid, with the limits on its run; made once, run in several ways.

    Attributes:
        limits, lines: What bounds the run.
        positions, tangents: ``float64 [N, J]`` q and q' on the grid.
        motion: Whose path it is.
        step: Longest time between points of a run, s.
        kept: Leading grid intervals that are run as they were commanded.
    """

    limits: PathLimits
    lines: Lines
    positions: FloatArray
    tangents: FloatArray
    motion: Motion
    step: float
    kept: int = 0

    def until(self, count: int) -> Path:
        """Return the path up to grid point ``count - 1``."""
        limits, lines = self.limits.until(count), self.lines.until(count)
        return Path(limits, lines, self.positions[:count], self.tangents[:count], self.motion, self.step, self.kept)

    @property
    def starts_at_rest(self) -> bool:
        """Whether the path itself stands still at its first point."""
        return bool(np.all(np.abs(self.tangents[0]) <= 1e-6))


def make_path(
    motion: Motion,
    settings: GuardSettings,
    *,
    begin: float | None = None,
    keep: float = 0.0,
    scale: float = 1.0,
    tools: tuple[CartesianLimits, ...] = (),
    singularities: tuple[Singularity, ...] = (),
    samples: Samples | None = None,
) -> Path:
    """Lay a motion on a grid.

    Args:
        motion: Cubic or quintic, two knots or more.
        settings: Which bounds are checked.
        begin: Path parameter to start at; None: the first knot.
        keep: Seconds from there on that are run as commanded, if the path moves there.
        scale: Part of the bounds on accelerations that may be used.
        tools: Bounds on the tools' speeds and accelerations.
        singularities: Postures to be slow near.
        samples: Kinematics along the motion, for these.
    """
    check_budget()
    times, least = motion.times, settings.checking.minimum_step
    first = times[0] if begin is None else max(begin, float(times[0]))
    knots = np.concatenate(([first], times[times > first + 1e-6]))
    join = first + keep
    if keep > 0.0 and join < knots[-1] - least and np.abs(knots - join).min() > least:
        knots = np.sort(np.append(knots, join))
    step = max(GRID_STEP, least)
    counts = np.ceil(np.diff(knots) / step).astype(int)
    # Two intervals a segment where there is room: with one, the cubic through its ends would be all there is.
    counts = np.maximum(counts, np.where(np.diff(knots) > 4.0 * least, 2, 1))
    grid = np.concatenate(
        [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(knots[:-1], knots[1:], counts, strict=True)]
        + [knots[-1:]]
    )
    segment = np.clip(np.searchsorted(times, 0.5 * (grid[:-1] + grid[1:]), side="right") - 1, 0, len(times) - 2)
    # Both ends of an interval are evaluated in its own segment: q'' jumps at the knots of a cubic.
    durations = motion.durations[segment]
    left, right = (grid[:-1] - times[segment]) / durations, (grid[1:] - times[segment]) / durations

    def at(order: int, u: FloatArray) -> FloatArray:
        return evaluate(motion.unit(order)[segment], u[:, None, None])[..., 0]

    tangent_left, tangent_right = at(1, left), at(1, right)
    positions = np.concatenate((at(0, left), at(0, right)[-1:]))
    tangents = np.concatenate((tangent_left, tangent_right[-1:]))
    # A cubic and a quintic have velocities; free of rounding: zero is zero.
    tangents[-1] = tangents[-1] if motion.velocities is None else motion.velocities[-1]
    rows = [(tangent_left, tangent_right, at(2, left), at(2, right))]
    bounds = [np.where(settings.enabled("acceleration"), motion.table.acceleration, np.inf)]
    ceiling = np.minimum(1.0, _joint_ceiling(motion, positions, tangents, settings))
    if samples is not None:
        inside = Points(samples, segment, left, np.zeros(len(left)))
        last = Points(samples, segment[-1:], right[-1:], np.zeros(1))
        ends = Points(samples, segment, right, np.zeros(len(right)))
        for singularity in singularities:
            share = np.concatenate((singularity.share(inside), singularity.share(last)))[:, None]
            slow = _ceiling(np.abs(tangents), share * motion.table.velocity).min(axis=1)
            ceiling = np.minimum(ceiling, slow)
        for tool in tools:
            both = np.concatenate((inside.twist(tool.tool_link), last.twist(tool.tool_link)))
            ceiling = np.minimum(ceiling, _tool_ceiling(both, tool, settings))
            more, limits = _tool_rows(inside, ends, tool, settings)
            rows += more
            bounds += limits
    limits_of_path = PathLimits(
        grid=grid,
        tangent_left=np.concatenate([r[0] for r in rows], axis=1),
        tangent_right=np.concatenate([r[1] for r in rows], axis=1),
        bend_left=np.concatenate([r[2] for r in rows], axis=1),
        bend_right=np.concatenate([r[3] for r in rows], axis=1),
        limit=np.concatenate(bounds) * scale * AIM,
        ceiling=ceiling,
    )
    path = Path(limits_of_path, make_lines(limits_of_path), positions, tangents, motion, step)
    if keep == 0.0 or path.starts_at_rest:
        return path
    return replace(path, kept=min(int(np.searchsorted(grid, join - least)), len(grid) - 2))


def _joint_ceiling(motion: Motion, positions: FloatArray, tangents: FloatArray, settings: GuardSettings) -> FloatArray:
    """Return the largest squared path speed that the joint velocity bounds allow, ``[N]``."""
    if not settings.enabled("velocity"):
        return np.full(len(tangents), np.inf)
    bound = np.broadcast_to(motion.table.velocity, tangents.shape).copy()
    for column, law in motion.table.position_dependent:
        q, vmax = positions[:, column], motion.table.velocity[column]
        up = upper_bound(q, law.upper_offset, law.upper_gain, law.upper_position, vmax)
        down = upper_bound(-q, law.lower_offset, law.lower_gain, -law.lower_position, vmax)
        bound[:, column] = np.where(tangents[:, column] > 0.0, up, down)
    lowest: FloatArray = _ceiling(np.abs(tangents), bound).min(axis=1)
    return lowest


def _ceiling(speed: FloatArray, bound: FloatArray | float) -> FloatArray:
    """Return the largest x for speeds along the path; what is within its bound already is left alone."""
    with np.errstate(all="ignore"):
        ratio = np.where(speed > bound, AIM * bound / speed, np.inf)
    result: FloatArray = ratio**2
    return result


def _tool_ceiling(twist: FloatArray, tool: CartesianLimits, settings: GuardSettings) -> FloatArray:
    ceiling = np.full(len(twist), np.inf)
    for name, part, bound in (
        ("cartesian_speed", slice(0, 3), tool.linear_speed),
        ("rotational_speed", slice(3, 6), tool.angular_speed),
    ):
        if settings.enabled(name) and np.isfinite(bound):
            speed = np.linalg.norm(twist[:, part], axis=1)
            ceiling = np.minimum(ceiling, _ceiling(speed, bound))
    return ceiling


def _tool_rows(
    left: Points, right: Points, tool: CartesianLimits, settings: GuardSettings
) -> tuple[list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]], list[FloatArray]]:
    """Return rows for |p̈| ≤ A with p̈ = p''·x + p'·a, the circle of accelerations cut to a polygon inside it.

    Ahead along p' the acceleration is α = (p''·e)·x + |p'|·a, sideways it is β = |p''⊥|·x ≥ 0; each edge is
    ``±α·cos φ + β·sin φ ≤ A·cos 11.25°``.
    """
    rows: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
    bounds: list[FloatArray] = []
    if not settings.enabled("cartesian_acceleration"):
        return rows, bounds
    for part, bound in ((slice(0, 3), tool.linear_acceleration), (slice(3, 6), tool.angular_acceleration)):
        if not np.isfinite(bound):
            continue
        ends = []
        for points in (left, right):
            tangent, bend = points.twist(tool.tool_link)[:, part], points.twist_rate(tool.tool_link)[:, part]
            length = np.linalg.norm(tangent, axis=1)
            ahead = tangent / np.maximum(length, 1e-12)[:, None]
            along = np.einsum("ni,ni->n", bend, ahead)
            sideways = np.linalg.norm(bend - along[:, None] * ahead, axis=1)
            ends.append((length, along, sideways))
        for sign in (1.0, -1.0):
            factor = [sign * np.cos(_EDGES) * length[:, None] for length, _, _ in ends]
            slope = [
                sign * np.cos(_EDGES) * along[:, None] + np.sin(_EDGES) * sideways[:, None]
                for _, along, sideways in ends
            ]
            rows.append((factor[0], factor[1], slope[0], slope[1]))
            bounds.append(np.full(len(_EDGES), bound * _APOTHEM))
    return rows, bounds


def run(path: Path, profile: Profile, stamp_ns: int) -> JointTrajectory:
    """Return the cubic trajectory that runs through the path, with a speed profile from where it need not be kept."""
    grid, kept = path.limits.grid, path.kept
    squared = np.concatenate((np.ones(kept), profile.squared_speed))
    seconds = np.concatenate((grid[:kept] - grid[0], grid[kept] - grid[0] + profile.times))
    times = np.round(seconds * NANOSECONDS).astype(np.int64)
    return JointTrajectory(
        path.motion.names, stamp_ns, times, path.positions, path.tangents * np.sqrt(squared)[:, None]
    )


def _fastest(path: Path, end: float | None) -> Profile | None:
    start = None if path.starts_at_rest else 1.0
    return fastest(path.limits.since(path.kept), path.lines.since(path.kept), start=start, end=end)


def slow_down(path: Path, stamp_ns: int) -> JointTrajectory | None:
    """Return the fastest legal run of the whole path, from its speed at the start; None when there is none."""
    profile = _fastest(path, None)
    return None if profile is None else run(path, profile, stamp_ns)


def uniform(path: Path, stamp_ns: int, scale: float) -> JointTrajectory:
    """Return the whole path ``scale`` times slower, at one scale: the least jerk that it can be run with."""
    grid = path.limits.grid
    squared = np.full(len(grid), 1.0 / scale**2)
    return run(path, Profile(squared, (grid - grid[0]) * scale), stamp_ns)


def ramped(path: Path, stamp_ns: int, pace: float, ramp: float) -> JointTrajectory:
    """Return the path at ``pace`` times its speed, reached smoothly from its own speed over ``ramp`` of path time."""
    grid = path.limits.grid[path.kept :]
    u = np.clip((grid - grid[0]) / ramp, 0.0, 1.0)
    speed = 1.0 - (1.0 - pace) * u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
    seconds = np.concatenate(([0.0], np.cumsum(2.0 * np.diff(grid) / (speed[:-1] + speed[1:]))))
    return run(path, Profile(speed**2, seconds), stamp_ns)


def stop_by(path: Path, stamp_ns: int, limit: float) -> JointTrajectory | None:
    """Return the fastest legal run that comes to rest at the last grid point at or before path parameter ``limit``."""
    count = int(np.searchsorted(path.limits.grid, limit + 1e-9, side="right"))
    if count < path.kept + 2:
        return None
    part = path.until(count)
    profile = _fastest(part, 0.0)
    return None if profile is None else run(part, profile, stamp_ns)


def brake(path: Path, stamp_ns: int, half: float = 0.0) -> JointTrajectory | None:
    """Return the shortest legal run to rest along the path from its commanded speed; None when none is possible.

    With ``half`` it is averaged, see ``gentle``.
    """
    low, high = path.kept + 2, len(path.limits.grid)

    def possible(count: int) -> bool:
        limits, lines = path.limits.until(count).since(path.kept), path.lines.until(count).since(path.kept)
        return bool(controllable(limits, lines, end=0.0)[0] >= 1.0 - 1e-9)

    if high < low or not possible(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if possible(middle):
            high = middle
        else:
            low = middle + 1
    part = path.until(high)
    profile = _fastest(part, 0.0)
    if profile is None:
        return None
    return _averaged(part, profile, stamp_ns, half) if half else run(part, profile, stamp_ns)


def gentle(path: Path, stamp_ns: int, half: float, limit: float | None = None) -> JointTrajectory | None:
    """Return a run whose acceleration does not step: the fastest one with its speed averaged over time, twice.

    Averages stay within the bounds on speed and acceleration but for how the path bends meanwhile, so that the result
    is to be checked. It takes ``half`` longer than the fastest run.

    Args:
        path: Kept for at least ``half``, or starting at rest.
        stamp_ns: When it begins.
        half: Half the width of both averages together, s.
        limit: Path parameter at or before which to rest; None: the path's end, at its own speed.
    """
    count = len(path.limits.grid)
    if limit is not None:
        count = int(np.searchsorted(path.limits.grid, limit + 1e-9, side="right"))
        if count < path.kept + 2:
            return None
        path = path.until(count)
    profile = _fastest(path, None if limit is None else 0.0)
    return None if profile is None else _averaged(path, profile, stamp_ns, half)


def _averaged(path: Path, profile: Profile, stamp_ns: int, half: float) -> JointTrajectory:
    grid, kept = path.limits.grid, path.kept
    times = np.concatenate((grid[:kept] - grid[0], grid[kept] - grid[0] + profile.times))
    speed = np.concatenate((np.ones(kept), np.sqrt(profile.squared_speed)))
    width = max(3, round(half / _AVERAGE_STEP)) | 1
    around = width - 1
    count = int(np.ceil(times[-1] / _AVERAGE_STEP)) + 1
    at = (np.arange(count + 4 * around) - 2 * around) * _AVERAGE_STEP
    # Before the start it is as at the start; after the end as at the end, a stop or the path's own rest.
    kernel = np.full(width, 1.0 / width)
    smooth = np.convolve(np.convolve(np.interp(at, times, speed), kernel, "valid"), kernel, "valid")
    moments = at[around:-around]
    first = int(np.searchsorted(moments, -0.5 * _AVERAGE_STEP))
    smooth, moments = smooth[first:], moments[first:]
    smooth[0] = speed[0]
    way = np.concatenate(([0.0], np.cumsum(0.5 * _AVERAGE_STEP * (smooth[1:] + smooth[:-1]))))
    way *= 1.0 if way[-1] <= 0.0 or speed[-1] > 0.0 else (grid[-1] - grid[0]) / way[-1]
    rising = np.concatenate(([True], np.diff(way) > 1e-12))
    end = float(np.interp(grid[-1] - grid[0], way[rising], moments[rising]))
    seconds = np.linspace(0.0, end, max(2, int(np.ceil(end / path.step)) + 1))
    u = grid[0] + np.interp(seconds, moments, way)
    pace = np.interp(seconds, moments, smooth)
    positions = path.motion.polynomial(u)
    velocities = path.motion.polynomial.derivative()(u) * pace[:, None]
    positions[0], velocities[0] = path.positions[0], path.tangents[0] * speed[0]
    positions[-1], velocities[-1] = path.positions[-1], path.tangents[-1] * speed[-1]
    times = np.round(seconds * NANOSECONDS).astype(np.int64)
    return JointTrajectory(path.motion.names, stamp_ns, times, positions, velocities)


def smooth_stops(path: Path, stamp_ns: int, limit: float | None = None) -> Iterator[JointTrajectory]:
    """Yield stops along the path whose speed falls as ``1 - 3τ² + 2τ³`` of its time, ever longer ones.

    Their jerk falls with the square of the time they take; see ``brake`` for the shortest stop without regard to it.

    Args:
        path: The path.
        stamp_ns: When it begins.
        limit: Path parameter at which to rest, having run up to the stop as commanded; None: as early as possible.
    """
    grid, kept = path.limits.grid, path.kept
    end = len(grid) - 1 if limit is None else int(np.searchsorted(grid, limit + 1e-9, side="right")) - 1
    reaches = np.unique(np.round(np.geomspace(2, max(end - kept, 2), _SMOOTH)).astype(int))
    tried = 0
    for reach in reaches[reaches <= end - kept]:
        first = kept if limit is None else end - int(reach)
        last = first + int(reach)
        way = grid[first : last + 1] - grid[first]
        # It takes 2·way[-1], and decelerates by up to 1.5 times the mean: shorter ones cannot be legal.
        table, speed = path.motion.table, np.abs(path.tangents[first])
        if (0.75 * speed > way[-1] * table.acceleration).any() or (1.5 * speed > way[-1] ** 2 * table.jerk).any():
            continue
        if (tried := tried + 1) > _SMOOTH_TRIES:
            return
        # The way covered by τ is 2·way[-1]·(τ - τ³ + τ⁴/2), which rises from 0 to way[-1]; turned around by halving.
        low, high = np.zeros(len(way)), np.ones(len(way))
        for _ in range(50):
            tau = 0.5 * (low + high)
            short = 2.0 * way[-1] * (tau - tau**3 + 0.5 * tau**4) < way
            low, high = np.where(short, tau, low), np.where(short, high, tau)
        tau = 0.5 * (low + high)
        tau[0], tau[-1] = 0.0, 1.0
        speed = np.concatenate((np.ones(first - kept), 1.0 - 3.0 * tau**2 + 2.0 * tau**3))
        before = grid[kept:first] - grid[kept]
        seconds = np.concatenate((before, grid[first] - grid[kept] + 2.0 * way[-1] * tau))
        yield run(path.until(last + 1), Profile(speed**2, seconds), stamp_ns)
