"""What every check is given and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from cosmos_ros.errors import GuardError
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard_settings import GuardConfig
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.guard.motion.sampler import Sampler, Samples
from cosmos_ros.guard.verdict import Violation


@dataclass(frozen=True)
class Case:
    """One motion under judgement and what is known beside it."""

    motion: Motion
    context: GuardContext
    config: GuardConfig
    sampler: Sampler | None = None

    @cached_property
    def _samples(self) -> Samples:
        if self.sampler is None:
            raise GuardError("this check needs a robot model", hint="Give the guard one, or switch the check off.")
        return self.sampler.samples(self.motion, self.context.measured)

    def kinematics(self) -> Samples:
        """Return the kinematics along the motion, shared by all checks.

        Raises:
            GuardError: There is no robot model.
        """
        return self._samples


class Check(Protocol):
    """A limit."""

    name: str

    def __call__(self, case: Case) -> list[Violation]:
        """Return this limit's violations, at most one a joint."""
        ...
