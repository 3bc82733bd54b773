"""How long a judgement may take: an emergency stop that comes meanwhile waits for no longer than that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter

_DEADLINE: ContextVar[float] = ContextVar("guard_deadline", default=math.inf)


class JudgingTimeError(Exception):
    """The judgement has taken longer than it may."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let what runs inside end after so many seconds at most; an outer bound stays in force."""
    token = _DEADLINE.set(min(_DEADLINE.get(), perf_counter() + seconds))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def check_budget() -> None:
    """Call this between steps of bounded length.

    Raises:
        JudgingTimeError: The time is over.
    """
    if perf_counter() > _DEADLINE.get():
        raise JudgingTimeError
