"""Bounded buffers of stamped inputs. One thread writes; others read without locks."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass
class Item:
    """One stamped input, as it came.

    Attributes:
        stamp_ns: Header stamp.
        received_ns: Node clock at arrival.
        payload: Message, array or record; decoded only when an observation is built.
        decoded: What decoding gave, kept so that an image used twice is decoded once. Touched by one thread only.
        decoding: Set by the writer where a pool has begun to decode.
    """

    stamp_ns: int
    received_ns: int
    payload: Any
    decoded: Any = field(default=None, repr=False)
    decoding: Future[Any] | None = field(default=None, repr=False)


class Arrival(Enum):
    """What became of an appended item."""

    NEWEST = "newest"
    LATE = "late"
    DUPLICATE = "duplicate"


class Ring:
    """Items in the order of their stamps, bounded in number and in age.

    The writer only appends to and pops from a deque, or replaces it whole; a reader takes a tuple of it. Neither
    ever waits for the other.

    Args:
        capacity: Most items kept.
        history_ns: Items this much older than the newest are dropped.
    """

    def __init__(self, capacity: int, history_ns: int) -> None:
        self._capacity = capacity
        self._history_ns = history_ns
        self._items: deque[Item] = deque()

    def append(self, item: Item) -> Arrival:
        """Insert by stamp. A second item with the same stamp is refused."""
        items = self._items
        if not items or item.stamp_ns > items[-1].stamp_ns:
            items.append(item)
            oldest = item.stamp_ns - self._history_ns
            while len(items) > self._capacity or items[0].stamp_ns < oldest:
                items.popleft()
            return Arrival.NEWEST
        if any(other.stamp_ns == item.stamp_ns for other in items):
            return Arrival.DUPLICATE
        self._items = deque(sorted([*items, item], key=_stamp)[-self._capacity :])
        return Arrival.LATE

    def items(self) -> tuple[Item, ...]:
        """A consistent copy, oldest first."""
        while True:
            try:
                return tuple(self._items)
            except RuntimeError:  # mutated during iteration; only possible without a GIL
                continue

    @property
    def newest(self) -> Item | None:
        """The item with the highest stamp."""
        try:
            return self._items[-1]
        except IndexError:
            return None


def as_of(items: tuple[Item, ...], stamp_ns: int, tolerance_ns: int) -> Item | None:
    """The newest item with ``stamp_ns − tolerance_ns ≤ stamp ≤ stamp_ns``, or None."""
    index = bisect_right(items, stamp_ns, key=_stamp) - 1
    if index < 0 or items[index].stamp_ns < stamp_ns - tolerance_ns:
        return None
    return items[index]


def _stamp(item: Item) -> int:
    return item.stamp_ns
