"""Answer one worked case of either kind and compare with what it expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.guard.cases import Answer, disagreements, judge_trajectory
from cosmos_ros.guard.chunk_cases import chunk_disagreements, judge_chunk


@dataclass(frozen=True)
class Result:
    """One case, what the checker says, and how that differs from what was expected."""

    name: str
    answer: Answer
    differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether the answer is the expected one."""
        return not self.differences

    def line(self) -> str:
        """Return one line for people."""
        text = f"{'agrees ' if self.agrees else 'DIFFERS'}  {self.name}: {self.answer.verdict}"
        if self.answer.violations:
            first = self.answer.violations[0]
            text += f", first {first}"
            if self.answer.step is not None:
                text += f" step {self.answer.step}"
        return text + (f" -- {'; '.join(self.differences)}" if self.differences else "")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data."""
        first = self.answer.violations[0].to_dict() if self.answer.violations else None
        if first is not None and self.answer.step is not None:
            first["step"] = self.answer.step
        details = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.answer.details.items()}
        return {
            "id": self.name,
            "verdict": self.answer.verdict,
            "first": first,
            "violations": [v.to_dict() for v in self.answer.violations],
            **details,
            "agrees": self.agrees,
            "differences": list(self.differences),
        }


def examine(case: Mapping[str, Any], shared: Mapping[str, Any]) -> Result:
    """Answer a case; one that is not of the format differs, and says why."""
    name = str(case.get("id", "?"))
    try:
        chunk = case.get("kind") == "chunk"
        answer = judge_chunk(case, shared) if chunk else judge_trajectory(case, shared)
        expected = case["expected"]
        differences = disagreements(expected, answer)
        if chunk:
            differences += chunk_disagreements(expected, answer)
    except (CosmosRosError, KeyError, TypeError, ValueError, IndexError) as error:
        return Result(name, Answer(()), (f"not a case of this format: {type(error).__name__}: {error}",))
    return Result(name, answer, tuple(differences))
