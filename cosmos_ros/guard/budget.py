"""How long a judgement may take: an emergency stop that comes meanwhile waits for no longer than that.

Counted is the thread's own time, so that a busy machine changes no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time

_DEADLINE: ContextVar[float] = ContextVar("guard_deadline", default=math.inf)


class JudgingTimeError(Exception):
    """The judgement has taken longer than it may."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let what runs inside end after so many seconds at most; an outer bound stays in force."""
    token = _DEADLINE.set(min(_DEADLINE.get(), thread_time() + seconds))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def check_budget() -> None:
    """Call this between steps of bounded length.

    Raises:
        JudgingTimeError: The time is over.
    """
    if thread_time() > _DEADLINE.get():
        raise JudgingTimeError
