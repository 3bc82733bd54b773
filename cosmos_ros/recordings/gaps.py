"""Finds where the streams of a recording hold nothing, so that what was never there is counted too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cosmos_ros.types import NANOSECONDS


@dataclass
class _Run:
    """One stream between two clock resets."""

    first_ns: int
    last_ns: int


@dataclass
class _Found:
    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0


class Gaps:
    """Counts the pauses of streams, by header stamps; also those before a stream begins and after it ends.

    Args:
        limit_ns: A longer time without a message is a gap.
    """

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._epoch = 0
        self._runs: dict[str, _Run] = {}
        self._found: dict[str, _Found] = {}

    def note(self, stream: str, stamp_ns: int, epoch: int) -> None:
        """Note one usable message; a new epoch says that the clock went back before it."""
        if epoch != self._epoch:
            self.close()
            self._epoch = epoch
        run = self._runs.setdefault(stream, _Run(stamp_ns, stamp_ns))
        self._count(stream, stamp_ns - run.last_ns)
        run.last_ns = max(run.last_ns, stamp_ns)

    def close(self) -> None:
        """End a run: what began late or ended early is counted."""
        if self._runs:
            first = min(run.first_ns for run in self._runs.values())
            last = max(run.last_ns for run in self._runs.values())
            for stream, run in self._runs.items():
                self._count(stream, run.first_ns - first)
                self._count(stream, last - run.last_ns)
        self._runs.clear()

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return stream → ``count``, ``total_s`` and ``longest_s`` of its gaps; without streams that have none."""
        return {
            stream: {
                "count": found.count,
                "total_s": round(found.total_ns / NANOSECONDS, 6),
                "longest_s": round(found.longest_ns / NANOSECONDS, 6),
            }
            for stream, found in sorted(self._found.items())
        }

    def _count(self, stream: str, span_ns: int) -> None:
        if span_ns > self._limit_ns:
            found = self._found.setdefault(stream, _Found())
            found.count += 1
            found.total_ns += span_ns
            found.longest_ns = max(found.longest_ns, span_ns)
