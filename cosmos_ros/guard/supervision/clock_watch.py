"""Jumps of the node's clock, backwards and, against a clock that never jumps, forwards."""

from __future__ import annotations

from collections.abc import Callable


class ClockWatch:
    """Compares a clock with itself and with a steady one.

    Args:
        steady: Nanoseconds that never jump; None: jumps forwards are not noticed.
    """

    def __init__(self, steady: Callable[[], int] | None = None) -> None:
        self._steady = steady
        self._before: tuple[int, int] | None = None

    def jump(self, now_ns: int, tolerance_ns: int) -> int:
        """Return by how much the clock has jumped since it was last looked at, ns; 0 within the tolerance.

        Args:
            now_ns: The clock.
            tolerance_ns: What is no jump.
        """
        before, self._before = self._before, (now_ns, 0 if self._steady is None else self._steady())
        if before is None:
            return 0
        moved = now_ns - before[0]
        if self._steady is not None:
            moved -= self._before[1] - before[1]
        elif moved > 0:
            return 0
        return moved if abs(moved) > tolerance_ns else 0
