"""Ctrl-C, SIGTERM and SIGHUP end the command without a traceback and with status 128 plus the signal's number.

While a verb runs, an exception does it: what was started is stopped, what was opened is closed. Before, see __main__.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Until a signal whose exception was lost is sent again: by then whoever lost it has returned.
_AGAIN_S = 0.01


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
    """Raise :class:`Ended` inside the block: at each Ctrl-C, and at the first SIGTERM or SIGHUP."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = dropping = False

    def end(number: int, _: FrameType | None) -> None:
        nonlocal ended
        if dropping:  # it would be lost as well; one comes again
            return
        # A closed terminal may send several; the second must not cut the clean-up short. Somebody in a hurry may.
        if number == signal.SIGINT or not ended:
            ended = ended or number != signal.SIGINT
            raise Ended(number)

    def lost(unraisable: Any) -> None:
        # Python drops what is raised in a destructor or a weak reference's callback, which every import runs.
        nonlocal ended, dropping
        if not isinstance(unraisable.exc_value, Ended):
            unraisable_before(unraisable)
            return
        dropping, ended = True, False
        threading.Thread(target=send_again, args=(unraisable.exc_value.number,), daemon=True).start()
        dropping = False

    def send_again(number: int) -> None:
        time.sleep(_AGAIN_S)
        while dropping:
            time.sleep(_AGAIN_S)
        if main_thread is not None:
            signal.pthread_kill(main_thread, number)

    main_thread = threading.main_thread().ident
    unraisable_before = sys.unraisablehook
    before = {number: signal.signal(number, end) for number in _not_ignored()}
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = unraisable_before
        for number, handler in before.items():
            signal.signal(number, handler)


def _not_ignored() -> list[signal.Signals]:
    return [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
