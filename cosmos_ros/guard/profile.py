"""Time-optimal speed along a fixed path: how fast to run through it, never faster than it was commanded.

The path is q(u); its run is described by the squared path speed x = u̇² and the path acceleration a = ü, which is
constant between neighbouring grid points, so that x changes by 2·a·Δu there. With q̇ = q'·u̇ and q̈ = q''·x + q'·a all
limits are linear in (x, a): reachability analysis in the form of Pham & Pham (TOPP-RA, 2018), here with the extra bound
x ≤ 1. A backward pass finds the largest controllable x at every grid point, a forward pass takes the largest step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.types import FloatArray

_TINY = 1e-12


@dataclass(frozen=True)
class PathLimits:
    """A path on a grid with what bounds its run.

    Attributes:
        grid: ``float64 [N]`` path parameter (seconds of the commanded timing), strictly increasing.
        tangent_left, tangent_right: ``float64 [N-1, J]`` q' at both ends of each interval.
        bend_left, bend_right: ``float64 [N-1, J]`` q'' at both ends of each interval, taken inside it.
        acceleration: ``float64 [J]`` bounds on q̈.
        ceiling: ``float64 [N]`` largest x from every bound on a speed, at most 1.
    """

    grid: FloatArray
    tangent_left: FloatArray
    tangent_right: FloatArray
    bend_left: FloatArray
    bend_right: FloatArray
    acceleration: FloatArray
    ceiling: FloatArray


@dataclass(frozen=True)
class _Lines:
    """Bounds on a of every interval as lines in x: ``low + low_slope·x ≤ a ≤ high + high_slope·x``, ``[N-1, K]``."""

    high: FloatArray
    high_slope: FloatArray
    low: FloatArray
    low_slope: FloatArray
    ceiling: FloatArray


def _lines(path: PathLimits) -> _Lines:
    """Collect the constraints |q''·x + q'·a| ≤ A at both ends of every interval."""
    step = np.diff(path.grid)[:, None]
    count = len(step)
    bound = np.broadcast_to(path.acceleration, path.tangent_left.shape)
    # At the right end x is x + 2·a·Δu, which adds 2·q''·Δu to the factor of a.
    factor = np.concatenate((path.tangent_left, path.tangent_right + 2.0 * path.bend_right * step), axis=1)
    slope = np.concatenate((path.bend_left, path.bend_right), axis=1)
    limit = np.concatenate((bound, bound), axis=1)
    usable = np.isfinite(limit)
    limit = np.where(usable, limit, 1e30)
    # A joint that hardly moves bounds x alone; its line in a would be vertical.
    flat = np.abs(factor) < 1e-9
    ceiling = np.where(flat & (np.abs(slope) > _TINY), limit / np.maximum(np.abs(slope), _TINY), np.inf).min(axis=1)
    safe = np.where(flat, 1.0, factor)
    centre = -slope / safe
    reach = limit / np.abs(safe)
    wide = np.full_like(reach, 1e30)
    high, low = np.where(flat, wide, reach), np.where(flat, -wide, -reach)
    centre = np.where(flat, 0.0, centre)
    # Where a joint's upper and another's lower line cross, x ends.
    gap = high[:, :, None] - low[:, None, :]
    closing = centre[:, None, :] - centre[:, :, None]
    with np.errstate(all="ignore"):
        crossing = np.where(closing > _TINY, gap / closing, np.inf)
    ceiling = np.minimum(ceiling, crossing.reshape(count, -1).min(axis=1))
    return _Lines(high, centre, low, centre, ceiling)


@dataclass(frozen=True)
class Profile:
    """The run through a path.

    Attributes:
        squared_speed: ``float64 [N]`` x at the grid points.
        times: ``float64 [N]`` seconds from the start of the path at the grid points.
    """

    squared_speed: FloatArray
    times: FloatArray


def controllable(path: PathLimits, *, end: float) -> FloatArray:
    """Return the largest x at each grid point from which the end can be reached at ``x ≤ end``, ``float64 [N]``.

    Every smaller x is controllable too, since standing still always is.
    """
    lines = _lines(path)
    step = np.diff(path.grid)
    result = np.empty(len(path.grid))
    result[-1] = min(path.ceiling[-1], end)
    for i in range(len(step) - 1, -1, -1):
        best = min(path.ceiling[i], lines.ceiling[i])
        # The next x = x + 2·a·Δu may not exceed the next controllable one: a ≤ (next - x) / 2Δu …
        reach, slope = result[i + 1] / (2.0 * step[i]), -1.0 / (2.0 * step[i])
        closing = lines.low_slope[i] - slope
        gap = reach - lines.low[i]
        hit = closing > _TINY
        if hit.any():
            best = min(best, float((gap[hit] / closing[hit]).min()))
        # … and not fall below zero: a ≥ -x / 2Δu against every upper line.
        closing = slope - lines.high_slope[i]
        hit = closing > _TINY
        if hit.any():
            best = min(best, float((lines.high[i][hit] / closing[hit]).min()))
        result[i] = max(best, 0.0)
    return result


def fastest(path: PathLimits, *, start: float | None, end: float | None) -> Profile | None:
    """Return the fastest admissible run, or None when there is none.

    Args:
        path: The path.
        start: x at the first grid point; None: free, as where the path itself is at rest there.
        end: Largest x at the last grid point; None: free.
    """
    lines = _lines(path)
    reachable = controllable(path, end=np.inf if end is None else end)
    if start is not None and reachable[0] < start - 1e-9:
        return None
    step = np.diff(path.grid)
    x = np.empty(len(path.grid))
    x[0] = reachable[0] if start is None else min(start, max(reachable[0], 0.0))
    for i in range(len(step)):
        highest = float((lines.high[i] + lines.high_slope[i] * x[i]).min())
        lowest = float((lines.low[i] + lines.low_slope[i] * x[i]).max())
        a = min(highest, (reachable[i + 1] - x[i]) / (2.0 * step[i]))
        a = max(a, min(lowest, highest))
        x[i + 1] = min(max(x[i] + 2.0 * a * step[i], 0.0), max(reachable[i + 1], 0.0))
    pace = np.sqrt(x[:-1]) + np.sqrt(x[1:])
    if not (pace > 1e-6).all():
        return None
    times = np.concatenate(([0.0], np.cumsum(2.0 * step / pace)))
    return Profile(x, times)
