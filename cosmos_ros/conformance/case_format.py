"""Worked cases in a JSON file: trajectories and chunks with limits, start states and expected verdicts, as they stand.

The format is that of ``limit_cases.json``; its ``semantics`` say what a checker has to answer. What is not of the
format is an error with its place, never a number that happens to come out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.guard.checks.intake import RawPoint, RawTrajectory
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState

FORMAT_VERSION = 1
MAX_FILE_BYTES = 256 * 2**20
KINDS = ("trajectory", "chunk")
INTERPOLATIONS = ("linear", "cubic", "quintic")

_NOW = 1_000 * NANOSECONDS
# Ages are held against fractions of a second; beyond this a number is a mistake, s.
_MAX_AGE = 1e9
_NAMED = {"nan": math.nan, "infinity": math.inf, "inf": math.inf}


@dataclass(frozen=True)
class CaseFile:
    """A file of cases with the constants they share."""

    path: Path
    cases: tuple[Mapping[str, Any], ...]
    shared: Mapping[str, Any]


def load_cases(path: str | Path) -> CaseFile:
    """Read a file of cases; one without a version counts as of the known one.

    Raises:
        InputError: The file is missing, too large, nested too deeply, or not of this format or version.
    """
    path = Path(path)
    hint = "Give a JSON file of cases."
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise InputError("is not a regular file", where=str(path), hint=hint)
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{size} bytes are more than {MAX_FILE_BYTES}", where=str(path))
        data = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise InputError("cannot be read: nested too deeply", where=str(path), hint=hint) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), hint=hint) from error
    cases = data.get("cases") if isinstance(data, dict) else None
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise InputError("there is no list of cases", where=str(path), hint="Give a file with a 'cases' list.")
    version = data.get("format_version", FORMAT_VERSION)
    if isinstance(version, bool) or version != FORMAT_VERSION:
        raise InputError(
            f"format_version is {version!r}", where=str(path), hint=f"Version {FORMAT_VERSION} is understood."
        )
    return CaseFile(path, tuple(cases), {k: v for k, v in data.items() if k != "cases"})


def real(value: Any, where: str = "") -> float:
    """Return a JSON number that must be there: null is not a number, the strings NaN and Infinity are what they say.

    Raises:
        InputError: Neither a number nor one of these strings.
    """
    if value is None:
        return math.nan
    if isinstance(value, str) and value.lstrip("+-").lower() in _NAMED:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{value!r:.60} is not a number", where=where or "case")
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of a double
        return math.inf if value > 0 else -math.inf


def number(value: Any, where: str = "") -> float:
    """Return a JSON number that bounds something; null is no bound."""
    return math.inf if value is None else real(value, where)


def row(values: Any, where: str) -> list[float]:
    """Return a list of numbers; null is an empty one.

    Raises:
        InputError: Not a list of numbers.
    """
    if values is None:
        return []
    if not isinstance(values, list):
        raise InputError(f"{values!r:.60} is not a list of numbers", where=where)
    return [real(value, where) for value in values]


def texts(values: Any, where: str) -> tuple[str, ...]:
    """Return a list of names; null is an empty one.

    Raises:
        InputError: Not a list of strings.
    """
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{values!r:.60} is not a list of names", where=where)
    return tuple(values)


def kind_of(case: Mapping[str, Any]) -> str:
    """Return the kind of a case; a trajectory when it does not say.

    Raises:
        InputError: A kind that is not known.
    """
    kind = case.get("kind", "trajectory")
    if kind not in KINDS:
        raise InputError(f"{kind!r:.60} is none of {', '.join(KINDS)}", where="kind")
    return str(kind)


def interpolation_of_case(case: Mapping[str, Any]) -> str | None:
    """Return how the controller is set to interpolate; None: by the fields that are present.

    Raises:
        InputError: An interpolation that is not known.
    """
    interpolation = case.get("interpolation")
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        raise InputError(f"{interpolation!r:.60} is none of {', '.join(INTERPOLATIONS)}", where="interpolation")
    return interpolation


def read_trajectory(case: Mapping[str, Any]) -> RawTrajectory:
    """Return the trajectory of a case as it stands.

    Raises:
        InputError: Not of the format.
    """
    given = case["trajectory"]
    points = given.get("points") or []
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise InputError("not a list of points", where="trajectory.points")
    return RawTrajectory(
        texts(given.get("joint_names"), "trajectory.joint_names"),
        _NOW,
        tuple(
            RawPoint(
                real(point.get("time_from_start"), f"point {k} time_from_start"),
                row(point.get("positions"), f"point {k} positions"),
                row(point.get("velocities"), f"point {k} velocities"),
                row(point.get("accelerations"), f"point {k} accelerations"),
            )
            for k, point in enumerate(points)
        ),
    )


def read_context(case: Mapping[str, Any]) -> GuardContext:
    """Return the state of a case as the guard's context.

    Raises:
        InputError: Not of the format.
    """
    state = case.get("start_state")
    if state is None:
        return GuardContext(_NOW)
    names = texts(state["joint_names"], "start_state.joint_names")
    positions = _column(state["positions"], len(names), "start_state.positions")
    velocities = _column(state["velocities"], len(names), "start_state.velocities") if state.get("velocities") else None
    age = 0.0 if state.get("age_s") is None else real(state["age_s"], "start_state.age_s")
    if not abs(age) <= _MAX_AGE:
        raise InputError(f"{age} is no age in seconds", where="start_state.age_s")
    return GuardContext(_NOW, JointState(_NOW - round(age * NANOSECONDS), names, positions, velocities))


def _column(values: Any, count: int, where: str) -> FloatArray:
    column = row(values, where)
    if len(column) != count:
        raise InputError(f"{len(column)} values for {count} joints", where=where)
    return np.array(column, dtype=np.float64)
