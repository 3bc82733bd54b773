"""How far along the path that it was commanded a robot is measured, over the last seconds.

Everything is measured along the path: its length up to a time, in rad or m over all joints together. So a pure lag,
which only shifts times, is told from a controller that runs slowed, which does not keep up, with no speed to divide by.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cosmos_ros.trajectory.executing import wrapped
from cosmos_ros.types import FloatArray

# Spacing of the commanded path, and what is kept of it, s.
PATH_STEP = 0.01
_KEPT = 2.5
# Twice as much as encoders' noise; nearer places on the path are as good as one another.
_EQUAL = 2e-4
# A measurement this far off the path has been displaced (sag, a pull), not delayed.
_OFF_PATH = 0.002
_DISPLACED = 0.005
_JUMP = 0.05
# Motion beyond encoders' noise, rad or m.
MOVED = 1e-3


class PathProgress:
    """The commanded path of some joints, and the places on it where they were measured.

    An offset between measurement and path at rest, and every offset that is not along the path, is taken for sag and
    does not count. Times are seconds since any fixed moment.

    Args:
        continuous: ``bool [J]``: joints that wrap.
        times: ``[N]`` of the path so far, increasing; the last is that of the measurement.
        path: ``[N, J]`` commanded positions, rad or m.
        measured: ``[J]``, at the last time.
    """

    def __init__(
        self, continuous: npt.NDArray[np.bool_], times: FloatArray, path: FloatArray, measured: FloatArray
    ) -> None:
        self._continuous = continuous
        self._times = times
        self._path = path
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        self._lengths: FloatArray = np.concatenate(([0.0], np.cumsum(steps)))
        self._measured = measured
        self.offset: FloatArray = wrapped(measured - path[0], continuous)
        self.at: FloatArray = times[:1].copy()
        self.places: FloatArray = times[:1].copy()
        self.take(np.zeros(0), np.zeros((0, path.shape[1])), float(times[-1]), measured)

    def take(self, times: FloatArray, path: FloatArray, time: float, measured: FloatArray) -> None:
        """Go on with the path ``[n]``, ``[n, J]`` up to a time, and place the measurement ``[J]`` of then on it."""
        if len(times):
            steps = np.linalg.norm(np.diff(np.vstack((self._path[-1:], path)), axis=0), axis=1)
            self._lengths = np.concatenate((self._lengths, self._lengths[-1] + np.cumsum(steps)))
            self._times, self._path = np.concatenate((self._times, times)), np.concatenate((self._path, path))
        moved = float(np.linalg.norm(wrapped(measured - self._measured, self._continuous)))
        place = self._place(time, measured, moved)
        self._measured = measured
        self.at, self.places = np.append(self.at, time), np.append(self.places, place)
        old = int(np.searchsorted(self._times, min(time - _KEPT, float(self.places[0]))))
        if old > 50:
            self._times, self._path, self._lengths = self._times[old:], self._path[old:], self._lengths[old:]
        first = int(np.searchsorted(self.at, time - 1.5))
        if first > 50:
            self.at, self.places = self.at[first:], self.places[first:]

    def length_at(self, times: FloatArray | float) -> FloatArray:
        """Return the length of the path up to times, rad or m."""
        return np.asarray(np.interp(times, self._times, self._lengths), dtype=np.float64)

    def commanded(self, time: float) -> FloatArray:
        """Return the commanded positions ``[J]`` at a time."""
        return np.array([np.interp(time, self._times, column) for column in self._path.T])

    @property
    def lag(self) -> float:
        """Seconds since the joints were commanded to be where they are measured."""
        return float(self.at[-1] - self.places[-1])

    @property
    def behind(self) -> FloatArray:
        """Distance ``[J]`` of the measurement from the newest command, without the offset."""
        return wrapped(self._measured - self.offset - self._path[-1], self._continuous)

    @property
    def error(self) -> FloatArray:
        """Distance ``[J]`` of the measurement from its place on the path, with the offset."""
        return np.abs(wrapped(self._measured - self.commanded(float(self.places[-1])), self._continuous))

    @property
    def resting(self) -> float:
        """Seconds for which the command has stood still."""
        still = np.flatnonzero(self._lengths < self._lengths[-1] - _EQUAL)
        return float(self._times[-1] - (self._times[still[-1] + 1] if still.size else self._times[0]))

    def left(self, seconds: float) -> tuple[float, float]:
        """Return how much of the path was ahead some time ago, and how much of that still is, rad or m."""
        then = int(np.searchsorted(self.at, self.at[-1] - seconds))
        ahead = self._lengths[-1] - self.length_at(self.places[[then, -1]])
        return float(ahead[0]), float(ahead[1])

    def accept_rest(self) -> None:
        """Take the distance from the command, which stands still as the joints do, for sag."""
        self.offset = self.offset + self.behind
        self.places[-1] = self.at[-1]

    def stalled(self) -> float:
        """Return for how many seconds a robot with the lag that it had would have moved on, and this one did not."""
        lengths = self.length_at(self.places)
        before = np.flatnonzero(lengths < lengths[-1] - MOVED)
        first = int(before[-1]) + 1 if before.size else 0
        left = int(np.searchsorted(self._lengths, lengths[first] + MOVED))
        if left >= len(self._times):
            return 0.0
        had = float(self.at[first] - self.places[first])
        return max(0.0, float(self.at[-1]) - had - float(self._times[left]))

    def shortfall(self, length: float, shortest: float, longest: float) -> tuple[float, float]:
        """Return how much less was moved, at most, than with the present lag throughout, and how much was moved.

        Args:
            length: Look back over so much motion, rad or m,
            shortest, longest: but no less and no more than so many seconds.
        """
        now = float(self.at[-1])
        lengths = self.length_at(self.places)
        near = (self.at >= now - longest) & ((lengths > lengths[-1] - length) | (self.at >= now - shortest))
        first = int(np.argmax(near))
        ahead = lengths[first:] - self.length_at(self.at[first:] - self.lag)
        return float(ahead.max()), float(lengths[-1] - lengths[first])

    def rates(self, length: float, shortest: float, longest: float) -> tuple[float, float] | None:
        """Return the motion of the two halves of a window as fractions of the commanded one.

        Args:
            length: The window holds so much commanded motion, rad or m.
            shortest, longest: Its least and its greatest length, s.

        Returns:
            None when there is no such window, or one of its halves holds no motion.
        """
        now = float(self.at[-1])
        lengths = self.length_at(self.places)
        due = self.length_at(self.places + (now - self.at)) - lengths  # from then until now, at the lag of then
        usable = np.flatnonzero((self.at <= now - shortest) & (self.at >= now - longest) & (due >= length))
        if not usable.size:
            return None
        first = int(usable[-1])
        middle = int(np.searchsorted(self.at, 0.5 * (self.at[first] + now)))
        rates = []
        for a, b in ((first, middle), (middle, len(self.at) - 1)):
            ends = self.places[a] + np.array([0.0, self.at[b] - self.at[a]])
            expected = float(np.diff(self.length_at(ends))[0])
            moved = float(lengths[b] - lengths[a])
            if moved < MOVED or expected < 0.2 * length:
                return None
            rates.append(moved / expected)
        return rates[0], rates[1]

    def _place(self, time: float, measured: FloatArray, moved: float) -> float:
        """Return the time of the place on the path where a measurement is, and adapt the offset to what is off it."""
        last = float(self.places[-1])
        expected = last + time - float(self.at[-1])
        first = max(0, int(np.searchsorted(self._times, float(self.places.max()) - 2.0 * PATH_STEP)) - 1)
        path, times = self._path[first:], self._times[first:]
        if len(times) < 2:
            return time
        pieces = path[1:] - path[:-1]
        difference = wrapped(measured - self.offset - path[:-1], self._continuous)
        squares = np.einsum("nj,nj->n", pieces, pieces)
        along = np.einsum("nj,nj->n", difference, pieces)
        spans = np.diff(times)
        still = squares <= 0.0
        share = np.where(still, (expected - times[:-1]) / spans, along / np.where(still, 1.0, squares))
        share = np.clip(share, 0.0, 1.0)
        off = difference - share[:, None] * pieces
        distances = np.linalg.norm(off, axis=1)
        places = times[:-1] + share * spans
        # One that hardly moved is not beyond a detour of the path, though the path comes by here again.
        lengths = self.length_at(places)
        reachable = lengths <= self.length_at(last) + _JUMP + 1.5 * moved
        nearest = np.min(distances, where=reachable, initial=np.inf)
        if nearest > max(_DISPLACED, 2.0 * distances.min()):
            reachable[:] = True
            nearest = distances.min()
        near = np.flatnonzero(reachable & (distances <= nearest + _EQUAL))
        best = int(near[np.argmin(np.abs(places[near] - expected))])
        aside = off[best]
        if not still[best] and distances[best] <= _DISPLACED:  # before a turn that it does not reach it is no sag
            aside = aside - pieces[best] * (pieces[best] @ aside) / squares[best]
        gain = 0.5 if distances[best] > _OFF_PATH else 0.1
        self.offset = self.offset + gain * aside
        place = float(places[best])
        if float(self._lengths[-1] - lengths[best]) <= _EQUAL:
            return time  # at rest at the end of the path there is no lag
        return place
