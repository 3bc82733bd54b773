"""SIGTERM and SIGHUP end a verb as Ctrl-C does: what it started is stopped, what it opened is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Ended(KeyboardInterrupt):
    """A signal asked the process to end.

    Attributes:
        number: Which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Raise :class:`Ended` at the first SIGTERM or SIGHUP inside the block; one that was ignored (nohup) stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    ended = False

    def end(number: int, _: FrameType | None) -> None:
        # A closed terminal may send several; the second must not cut the clean-up short.
        nonlocal ended
        if not ended:
            ended = True
            raise Ended(number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
