"""What every check is given and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cosmos_ros.guard.config import GuardConfig
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.motion import Motion
from cosmos_ros.guard.verdict import Violation


@dataclass(frozen=True)
class Case:
    """One motion under judgement and what is known beside it."""

    motion: Motion
    context: GuardContext
    config: GuardConfig


class Check(Protocol):
    """A limit."""

    name: str

    def __call__(self, case: Case) -> list[Violation]:
        """Return this limit's violations, at most one a joint."""
        ...
