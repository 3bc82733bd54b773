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

    Every bound on an acceleration is a row ``|bend·x + tangent·a| ≤ limit``; for a joint these are q'', q' and the
    bound on q̈.

    Attributes:
        grid: ``float64 [N]`` path parameter (seconds of the commanded timing), strictly increasing.
        tangent_left, tangent_right: ``float64 [N-1, R]`` at both ends of each interval.
        bend_left, bend_right: ``float64 [N-1, R]`` at both ends of each interval, taken inside it.
        limit: ``float64 [R]``, infinite for none.
        ceiling: ``float64 [N]`` largest x from every bound on a speed, at most 1.
    """

    grid: FloatArray
    tangent_left: FloatArray
    tangent_right: FloatArray
    bend_left: FloatArray
    bend_right: FloatArray
    limit: FloatArray
    ceiling: FloatArray

    def until(self, count: int) -> PathLimits:
        """Return the first ``count`` grid points."""
        n = count - 1
        return PathLimits(
            self.grid[:count], self.tangent_left[:n], self.tangent_right[:n], self.bend_left[:n], self.bend_right[:n],
            self.limit, self.ceiling[:count],
        )  # fmt: skip

    def since(self, index: int) -> PathLimits:
        """Return the grid points from ``index`` on."""
        return PathLimits(
            self.grid[index:],
            self.tangent_left[index:],
            self.tangent_right[index:],
            self.bend_left[index:],
            self.bend_right[index:],
            self.limit,
            self.ceiling[index:],
        )


@dataclass(frozen=True)
class Lines:
    """Bounds on a in every interval as lines in x: ``slope·x - reach ≤ a ≤ slope·x + reach``, ``[N-1, K]``.

    ``ceiling [N-1]`` is where upper and lower lines have met.
    """

    slope: FloatArray
    reach: FloatArray
    ceiling: FloatArray

    def until(self, count: int) -> Lines:
        """Return the lines of the first ``count`` grid points."""
        return Lines(self.slope[: count - 1], self.reach[: count - 1], self.ceiling[: count - 1])

    def since(self, index: int) -> Lines:
        """Return the lines of the grid points from ``index`` on."""
        return Lines(self.slope[index:], self.reach[index:], self.ceiling[index:])


def make_lines(path: PathLimits) -> Lines:
    """Collect the rows at both ends of every interval."""
    usable = np.isfinite(path.limit)
    step = np.diff(path.grid)[:, None]
    left, right = path.tangent_left[:, usable], path.tangent_right[:, usable]
    bend_left, bend_right = path.bend_left[:, usable], path.bend_right[:, usable]
    # At the right end x is x + 2·a·Δu, which adds 2·bend·Δu to the factor of a.
    factor = np.concatenate((left, right + 2.0 * bend_right * step), axis=1)
    bend = np.concatenate((bend_left, bend_right), axis=1)
    limit = np.concatenate((path.limit[usable], path.limit[usable]))
    # A row that a hardly enters bounds x alone; its line would be vertical.
    flat = np.abs(factor) < 1e-9
    with np.errstate(all="ignore"):
        alone = np.where(flat & (np.abs(bend) > _TINY), limit / np.abs(bend), np.inf)
        slope = np.where(flat, 0.0, -bend / factor)
        reach = np.where(flat, 1e30, limit / np.abs(factor))
    ceiling = alone.min(axis=1, initial=np.inf)
    # Where one row's upper and another's lower line meet, x ends.
    for k in range(slope.shape[1]):
        closing = slope - slope[:, k : k + 1]
        with np.errstate(all="ignore"):
            meeting = np.where(closing > _TINY, (reach + reach[:, k : k + 1]) / closing, np.inf)
        ceiling = np.minimum(ceiling, meeting.min(axis=1))
    return Lines(slope, reach, ceiling)


@dataclass(frozen=True)
class Profile:
    """The run through a path.

    Attributes:
        squared_speed: ``float64 [N]`` x at the grid points.
        times: ``float64 [N]`` seconds from the start of the path at the grid points.
    """

    squared_speed: FloatArray
    times: FloatArray


def controllable(path: PathLimits, lines: Lines, *, end: float) -> FloatArray:
    """Return the largest x at each grid point from which the end can be reached at ``x ≤ end``, ``float64 [N]``.

    Every smaller x is controllable too, since standing still always is.
    """
    width = 2.0 * np.diff(path.grid)
    ceiling = np.minimum(path.ceiling[:-1], lines.ceiling)
    result = np.empty(len(path.grid))
    result[-1] = min(path.ceiling[-1], end)
    # The next x = x + 2·a·Δu may not fall below zero: a ≥ -x / 2Δu against every upper line …
    inverse = 1.0 / width[:, None]
    with np.errstate(all="ignore"):
        closing = -inverse - lines.slope
        meeting = np.where(closing > _TINY, lines.reach / closing, np.inf)
        ceiling = np.minimum(ceiling, meeting.min(axis=1, initial=np.inf))
        # … nor exceed the next controllable one: a ≤ (next - x) / 2Δu against every lower line.
        closing = lines.slope + inverse
        gain = np.where(closing > _TINY, 1.0 / closing, np.inf)
    for i in range(len(width) - 1, -1, -1):
        room = ((result[i + 1] / width[i] + lines.reach[i]) * gain[i]).min(initial=np.inf)
        result[i] = max(min(ceiling[i], room), 0.0)
    return result


def fastest(path: PathLimits, lines: Lines, *, start: float | None, end: float | None) -> Profile | None:
    """Return the fastest admissible run, or None when there is none.

    Args:
        path: The path.
        lines: Its rows, from ``make_lines``.
        start: x at the first grid point; None: free, as where the path itself is at rest there.
        end: Largest x at the last grid point; None: free.
    """
    reachable = controllable(path, lines, end=np.inf if end is None else end)
    if start is not None and reachable[0] < start - 1e-9:
        return None
    width = 2.0 * np.diff(path.grid)
    x = np.empty(len(path.grid))
    x[0] = reachable[0] if start is None else min(start, reachable[0])
    for i in range(len(width)):
        centre = lines.slope[i] * x[i]
        highest = float((centre + lines.reach[i]).min(initial=np.inf))
        step = min(highest * width[i], reachable[i + 1] - x[i])
        x[i + 1] = min(max(x[i] + step, 0.0), reachable[i + 1])
    pace = np.sqrt(x[:-1]) + np.sqrt(x[1:])
    if not (pace > 1e-6).all():
        return None
    return Profile(x, np.concatenate(([0.0], np.cumsum(width / pace))))
