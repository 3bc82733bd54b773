"""Run the same path at another speed: slower, or to a stop. Nothing is clipped, so the path keeps its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.position_dependent import upper_bound
from cosmos_ros.guard.motion import Motion
from cosmos_ros.guard.profile import PathLimits, Profile, controllable, fastest
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# Longest grid interval. The cubic through both ends of one stays within micrometres of the path.
GRID_STEP = 0.01
# Speeds and accelerations aim this far inside their bounds; the result is checked against the bounds themselves.
AIM = 0.995


@dataclass(frozen=True)
class Path:
    """A motion's path on a grid, with the limits on its run; made once, run in several ways."""

    limits: PathLimits
    positions: FloatArray
    motion: Motion

    def until(self, count: int) -> Path:
        """Return the path up to grid point ``count - 1``."""
        p = self.limits
        return Path(
            PathLimits(
                p.grid[:count], p.tangent_left[: count - 1], p.tangent_right[: count - 1], p.bend_left[: count - 1],
                p.bend_right[: count - 1], p.acceleration, p.ceiling[:count],
            ),
            self.positions[:count],
            self.motion,
        )  # fmt: skip


def make_path(
    motion: Motion, *, begin: float | None = None, scale: float = 1.0, tool_ceiling: FloatArray | None = None
) -> Path:
    """Lay a motion on a grid.

    Args:
        motion: Cubic or quintic, two knots or more.
        begin: Path parameter to start at; None: the first knot.
        scale: Part of the acceleration bound that may be used.
        tool_ceiling: Not used yet.
    """
    del tool_ceiling
    table = motion.table
    times = motion.times
    first = times[0] if begin is None else max(begin, float(times[0]))
    knots = np.concatenate(([first], times[times > first + 1e-6]))
    counts = np.maximum(2, np.ceil(np.diff(knots) / GRID_STEP).astype(int))
    grid = np.concatenate(
        [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(knots[:-1], knots[1:], counts, strict=True)]
        + [knots[-1:]]
    )
    segment = np.clip(np.searchsorted(times, 0.5 * (grid[:-1] + grid[1:]), side="right") - 1, 0, len(times) - 2)
    # Both ends of an interval are evaluated in its own segment: q'' jumps at the knots of a cubic.
    coefficients = motion.coefficients[segment]
    left, right = grid[:-1] - times[segment], grid[1:] - times[segment]

    def at(order: int, local: FloatArray) -> FloatArray:
        c = coefficients
        for _ in range(order):
            c = c[..., 1:] * np.arange(1, c.shape[-1])
        powers = local[:, None] ** np.arange(c.shape[-1])
        result: FloatArray = np.einsum("njp,np->nj", c, powers)
        return result

    tangent_left, tangent_right = at(1, left), at(1, right)
    speed = np.empty((len(grid), tangent_left.shape[1]))
    speed[:-1], speed[-1] = tangent_left, tangent_right[-1]
    positions = np.empty_like(speed)
    positions[:-1], positions[-1] = at(0, left), at(0, right)[-1]
    limits = PathLimits(
        grid=grid,
        tangent_left=tangent_left,
        tangent_right=tangent_right,
        bend_left=at(2, left),
        bend_right=at(2, right),
        acceleration=table.acceleration * scale * AIM,
        ceiling=np.minimum(1.0, _speed_ceiling(motion, positions, speed)),
    )
    return Path(limits, positions, motion)


def _speed_ceiling(motion: Motion, positions: FloatArray, speed: FloatArray) -> FloatArray:
    """Return the largest squared path speed that the joint velocity bounds allow, ``[N]``."""
    bound = np.broadcast_to(motion.table.velocity, speed.shape).copy()
    for column, law in motion.table.position_dependent:
        q, vmax = positions[:, column], motion.table.velocity[column]
        up = upper_bound(q, law.upper_offset, law.upper_gain, law.upper_position, vmax)
        down = upper_bound(-q, law.lower_offset, law.lower_gain, -law.lower_position, vmax)
        bound[:, column] = np.where(speed[:, column] > 0.0, up, down)
    with np.errstate(all="ignore"):
        # A declared speed within the bound is left alone; only what exceeds it is aimed inside.
        ratio = np.where(np.abs(speed) > bound, AIM * bound / np.abs(speed), np.inf)
    result: FloatArray = ratio.min(axis=1) ** 2
    return result


def run(path: Path, profile: Profile, stamp_ns: int) -> JointTrajectory:
    """Return the cubic trajectory that runs through the path with a speed profile."""
    sigma = np.sqrt(profile.squared_speed)[:, None]
    tangent = np.concatenate((path.limits.tangent_left, path.limits.tangent_right[-1:]))
    times = np.round(profile.times * NANOSECONDS).astype(np.int64)
    return JointTrajectory(path.motion.names, stamp_ns, times, path.positions, tangent * sigma)


def at_rest(path: Path, tolerance: float) -> bool:
    """Whether the path itself stands still at its first point."""
    return bool(np.all(np.abs(path.limits.tangent_left[0]) <= tolerance))


def slow_down(path: Path, stamp_ns: int, *, rest_tolerance: float = 1e-6) -> JointTrajectory | None:
    """Return the fastest legal run of the whole path, from its speed at the start; None when there is none."""
    start = None if at_rest(path, rest_tolerance) else 1.0
    profile = fastest(path.limits, start=start, end=None)
    return None if profile is None else run(path, profile, stamp_ns)


def stop_by(path: Path, stamp_ns: int, limit: float, *, rest_tolerance: float = 1e-6) -> JointTrajectory | None:
    """Return the fastest legal run that comes to rest at the last grid point at or before path parameter ``limit``."""
    count = int(np.searchsorted(path.limits.grid, limit + 1e-9, side="right"))
    if count < 2:
        return None
    part = path.until(count)
    profile = fastest(part.limits, start=None if at_rest(part, rest_tolerance) else 1.0, end=0.0)
    return None if profile is None else run(part, profile, stamp_ns)


def brake(path: Path, stamp_ns: int) -> JointTrajectory | None:
    """Return the shortest legal run to rest along the path from its commanded speed; None when none is possible."""
    low, high = 2, len(path.limits.grid)

    def possible(count: int) -> bool:
        return bool(controllable(path.until(count).limits, end=0.0)[0] >= 1.0 - 1e-9)

    if high < 2 or not possible(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if possible(middle):
            high = middle
        else:
            low = middle + 1
    part = path.until(high)
    profile = fastest(part.limits, start=1.0, end=0.0)
    return None if profile is None else run(part, profile, stamp_ns)
