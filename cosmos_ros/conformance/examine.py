"""Answer one worked case of either kind and compare with what it expects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_ros.conformance.case_format import kind_of, real
from cosmos_ros.conformance.chunk_cases import chunk_disagreements, judge_chunk
from cosmos_ros.conformance.trajectory_cases import Answer, judge_trajectory
from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.guard.verdict import Violation, json_number


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
        text += f" -- {'; '.join(self.differences)}" if self.differences else ""
        # Names come from the file: nothing in them may act on the terminal or fail to be printed.
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data."""
        first = self.answer.violations[0].to_dict() if self.answer.violations else None
        if first is not None and self.answer.step is not None:
            first["step"] = self.answer.step
        details = {
            k: v.tolist() if isinstance(v, np.ndarray) else json_number(v) for k, v in self.answer.details.items()
        }
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
    """Answer a case; one that is not of the format is not judged, differs, and says why."""
    name = str(case.get("id", "?"))
    try:
        expected = case["expected"]
        if expected["verdict"] not in ("accept", "reject"):
            raise InputError(f"{expected['verdict']!r:.60} is neither accept nor reject", where="expected.verdict")
        chunk = kind_of(case) == "chunk"
        answer = judge_chunk(case, shared) if chunk else judge_trajectory(case, shared)
        differences = disagreements(expected, answer)
        if chunk:
            differences += chunk_disagreements(expected, answer)
    except (CosmosRosError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Only missing fields and the wrong kinds of values get here without a text of their own.
        text = str(error) if isinstance(error, CosmosRosError) else f"{type(error).__name__}: {error}"
        problem = f"not a case of this format: {text}"
        return Result(name, Answer((), problem=problem), (problem,))
    return Result(name, answer, tuple(differences))


def disagreements(expected: Mapping[str, Any], answer: Answer) -> list[str]:
    """Return how an answer differs from what a case expects; none means that they agree.

    Verdict and first violation must match: limit, joint, time within the case's tolerance, value and bound to 1e-4.
    Where several violations share a time any of them is right. A null expects nothing.
    """
    if expected["verdict"] != answer.verdict:
        return [f"verdict {answer.verdict}, expected {expected['verdict']}"]
    if not answer.violations:
        return []
    found = []
    first = answer.violations[0]
    candidates = _expected_first(expected)
    if candidates and not any(not _differs(c, first, answer, expected) for c in candidates):
        found += _differs(candidates[0], first, answer, expected)
    safe = expected.get("last_safe_point_index")
    mine = answer.details.get("last_safe_point_index")
    if safe is not None and mine is not None and safe != mine:
        found.append(f"last safe point {mine}, expected {safe}")
    scale = expected.get("min_uniform_time_scale")
    own = answer.details.get("min_uniform_time_scale")
    if scale is not None and (own is None or not math.isclose(scale, own, rel_tol=1e-4)):
        found.append(f"uniform time scale {own}, expected {scale}")
    return found


def _expected_first(expected: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the violations that may be named as the first: it, and all that share its time within its tolerance."""
    first = expected.get("first")
    if first is None:
        return [expected] if expected.get("limit") else []
    time, within = first.get("time"), _time_tolerance(expected)
    same = [
        v
        for v in expected.get("all_violations") or ()
        if v != first
        and (v.get("time") == time or (None not in (v.get("time"), time) and abs(v["time"] - time) <= within))
    ]
    return [first, *same]


def _time_tolerance(expected: Mapping[str, Any]) -> float:
    return real(expected.get("time_tolerance_s", 1e-3)) + 1e-6


def _differs(wanted: Mapping[str, Any], got: Violation, answer: Answer, expected: Mapping[str, Any]) -> list[str]:
    """Return the fields in which a violation differs from an expected one."""
    found = []
    if wanted.get("limit") is not None and wanted["limit"] != got.limit:
        found.append(f"limit {got.limit}, expected {wanted['limit']}")
    if wanted.get("joint") is not None and wanted["joint"] != got.joint:
        found.append(f"joint {got.joint}, expected {wanted['joint']}")
    if wanted.get("step") is not None and wanted["step"] != answer.step:
        found.append(f"step {answer.step}, expected {wanted['step']}")
    tolerance = _time_tolerance(expected)
    if wanted.get("time") is not None and (got.time is None or abs(got.time - float(wanted["time"])) > tolerance):
        found.append(f"time {got.time}, expected {wanted['time']}")
    values = [got.value, *answer.alternatives.get(got.limit, ())]
    for name, own in (("value", values), ("bound", [got.bound])):
        if wanted.get(name) is not None and not any(
            v is not None and math.isclose(v, float(wanted[name]), rel_tol=1e-4, abs_tol=2e-4) for v in own
        ):
            found.append(f"{name} {own[0]}, expected {wanted[name]}")
    return found
