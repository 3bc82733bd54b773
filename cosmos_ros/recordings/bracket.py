"""What was recorded around a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol, TypeVar


class Stamped(Protocol):
    """Anything with a stamp."""

    @property
    def stamp_ns(self) -> int:
        """Time, ns."""
        ...


State = TypeVar("State", bound=Stamped)


def bracket(states: Iterable[State], stamp_ns: int, gap_ns: int) -> tuple[State, State, float] | None:
    """Return the states before and after a time, and the share of the way between them.

    Args:
        states: In order of their stamps.
        stamp_ns: The time.
        gap_ns: How far the two may be apart.

    Returns:
        The same state twice where one has this very stamp; None outside the states, or across a gap.
    """
    known = list(states)  # in a deque the search would walk
    place = bisect_left(known, stamp_ns, key=lambda state: state.stamp_ns)
    if place < len(known) and known[place].stamp_ns == stamp_ns:
        return known[place], known[place], 0.0
    if not 0 < place < len(known):
        return None
    before, after = known[place - 1], known[place]
    span = after.stamp_ns - before.stamp_ns
    return None if span > gap_ns else (before, after, (stamp_ns - before.stamp_ns) / span)
