"""Reading a mapping, as a YAML or JSON file gives it, into a record; every problem names its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

from cosmos_ros.schema.fields import (
    Constraint,
    FieldDeclaration,
    FieldError,
    Record,
    declarations,
    is_literal,
    is_record,
    options,
    split,
)

R = TypeVar("R", bound=Record)
Path = tuple[str | int, ...]

# YAML 1.1 reads a number with an exponent and no point, such as 1e-3, as a string.
_NUMBER_WITHOUT_POINT = re.compile(r"[-+]?\d+[eE][-+]?\d{1,3}")
_NOTHING = object()
# More would say nothing new, and a hostile file could have millions.
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file.

    Attributes:
        path: Keys and list indices that lead to it.
        message: What is wrong, and what is allowed.
        given: The value, where it is short enough to say so.
    """

    path: Path
    message: str
    given: Any = _NOTHING

    def __str__(self) -> str:
        place = ".".join(str(part) for part in self.path)
        shown = f", got {_short(self.given)}" if isinstance(self.given, (str, int, float)) else ""
        return f"{place}: {self.message}{shown}" if place else self.message


class RecordError(ValueError):
    """A mapping does not fit its record; ``problems`` says why, and so does the text, up to five of them."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems[:5]))
        self.problems = tuple(problems)


def read(record: type[R], data: Any) -> R:
    """Return a record made of a mapping.

    Whole numbers become floats where these are declared, lists become tuples; nothing else is converted.

    Raises:
        RecordError: Something is missing, unknown, of another type, out of range, or does not belong together.
    """
    problems: list[Problem] = []
    result = _record(record, data, (), problems)
    if problems:
        raise RecordError(problems)
    return result  # type: ignore[no-any-return]


def _record(record: type[Record], data: Any, path: Path, problems: list[Problem]) -> Any:
    if record.shorthand and not isinstance(data, Mapping):
        data = {record.shorthand: data}
    if not isinstance(data, Mapping):
        problems.append(Problem(path, f"must be a mapping of fields ({_keys(record)})", data))
        return _NOTHING
    fields = {field.key: field for field in declarations(record)}
    before = len(problems)
    for key in data:
        if key not in fields:
            _add(problems, Problem((*path, str(key)), f"unknown field; allowed here: {_keys(record)}"))
    values = {}
    for key, field in fields.items():
        if key in data:
            values[field.name] = _field(field, data[key], (*path, key), problems)
        elif field.required:
            _add(problems, Problem((*path, key), "missing"))
    if len(problems) > before:
        return _NOTHING
    try:
        return record(**values)
    except FieldError as error:
        problems.append(Problem((*path, error.field), str(error)))
    except ValueError as error:
        problems.append(Problem(path, str(error)))
    return _NOTHING


def _field(field: FieldDeclaration, value: Any, path: Path, problems: list[Problem]) -> Any:
    return _value(field.type, field.constraint, value, path, problems)


def _value(hint: Any, constraint: Constraint, value: Any, path: Path, problems: list[Problem]) -> Any:
    """Return the value as its type wants it; adds to ``problems`` when it cannot be that."""
    if len(problems) >= _MOST_PROBLEMS:
        return _NOTHING
    if choices := options(hint):
        return _choice(choices, constraint, value, path, problems)
    if is_record(hint):
        return _record(hint, value, path, problems)
    if is_literal(hint):
        allowed = get_args(hint)
        if any(type(value) is type(one) and value == one for one in allowed):
            return value
        problems.append(Problem(path, f"must be {_either(allowed)}", value))
        return _NOTHING
    origin = get_origin(hint) or hint
    if origin in (list, tuple):
        return _sequence(hint, constraint, value, path, problems)
    if origin is dict:
        return _mapping(hint, constraint, value, path, problems)
    return _scalar(hint, constraint, value, path, problems)


def _choice(choices: tuple[Any, ...], constraint: Constraint, value: Any, path: Path, problems: list[Problem]) -> Any:
    """Read a union: None or something else, or records of which each has a first field of its own."""
    if value is None and type(None) in choices:
        return None
    choices = tuple(choice for choice in choices if choice is not type(None))
    if len(choices) > 1:
        kinds = {declarations(choice)[0].key: choice for choice in choices}
        given = [kind for kind in kinds if isinstance(value, Mapping) and kind in value]
        if not given:
            problems.append(Problem(path, f"needs one of the keys {', '.join(kinds)}"))
            return _NOTHING
        choices = (kinds[given[0]],)
    hint, inner = split(choices[0])
    return _value(hint, constraint.over(inner), value, path, problems)


def _sequence(hint: Any, constraint: Constraint, value: Any, path: Path, problems: list[Problem]) -> Any:
    if not isinstance(value, (list, tuple)):
        problems.append(Problem(path, "must be a list", value))
        return _NOTHING
    kinds = get_args(hint)
    if get_origin(hint) is tuple and kinds[-1] is not Ellipsis:
        constraint = Constraint(min_length=len(kinds), max_length=len(kinds))
    else:
        kinds = (kinds[0],) * len(value)
    problem = constraint.length_problem(len(value), "entries")
    if problem:
        problems.append(Problem(path, problem))
        return _NOTHING
    entries = [
        _value(*split(kind), entry, (*path, index), problems)
        for index, (kind, entry) in enumerate(zip(kinds, value, strict=True))
    ]
    return tuple(entries) if get_origin(hint) is tuple else entries


def _mapping(hint: Any, constraint: Constraint, value: Any, path: Path, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(Problem(path, "must be a mapping", value))
        return _NOTHING
    problem = constraint.length_problem(len(value), "entries")
    if problem:
        problems.append(Problem(path, problem))
        return _NOTHING
    keys, entries = get_args(hint)
    result = {}
    for key, entry in value.items():
        place = (*path, str(key))
        before = len(problems)
        _value(*split(keys), key, place, problems)
        read_entry = _value(*split(entries), entry, place, problems)
        if len(problems) == before:
            result[key] = read_entry
    return result


def _scalar(kind: Any, constraint: Constraint, value: Any, path: Path, problems: list[Problem]) -> Any:
    problem: str | None = None
    if kind is bool:
        problem = None if isinstance(value, bool) else "must be true or false"
    elif kind is str:
        if isinstance(value, str):
            problem = constraint.length_problem(len(value), "characters") or constraint.pattern_problem(value)
        else:
            problem = "must be a text"
    else:
        if isinstance(value, str) and _NUMBER_WITHOUT_POINT.fullmatch(value):
            value = float(value)
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
            problem = "must be a whole number" if kind is int else "must be a number"
        else:
            problem = constraint.number_problem(value)
        if problem is None and kind is float:
            try:
                return float(value)
            except OverflowError:
                problem = "must be a finite number"
    if problem is None:
        return value
    problems.append(Problem(path, problem, value))
    return _NOTHING


def _add(problems: list[Problem], problem: Problem) -> None:
    if len(problems) < _MOST_PROBLEMS:
        problems.append(problem)


def _keys(record: type[Record]) -> str:
    return ", ".join(sorted(field.key for field in declarations(record))) or "none"


def _either(allowed: tuple[Any, ...]) -> str:
    texts = [repr(one) for one in allowed]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a very large number"
    return text if len(text) <= 80 else f"{text[:77]}..."
