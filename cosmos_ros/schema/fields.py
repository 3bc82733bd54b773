"""Declaring the fields of a record: types by annotations, constraints and descriptions by ``declare``."""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

_KEY = "cosmos_ros.field"


@dataclass(frozen=True)
class Constraint:
    """What a value must fulfil beyond its type; for ``Annotated`` and by the keywords of ``declare``.

    Attributes:
        ge, gt, le, lt: Bounds of a number. Every number must be finite.
        min_length, max_length: Bounds of the length of a string, list or mapping.
        pattern: Regular expression that a string must match as a whole.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    def over(self, inner: Constraint) -> Constraint:
        """Return both together; where both say something, this one holds."""
        given = {name: bound for name, bound in vars(self).items() if bound is not None}
        return dataclasses.replace(inner, **given)

    def number_problem(self, value: float) -> str | None:
        """Return why a number is refused, or None."""
        number: float | int = value
        if isinstance(number, float) and not math.isfinite(number):
            return "must be a finite number"
        if self.gt is not None and not value > self.gt:
            return f"must be greater than {self.gt:g}"
        if self.ge is not None and not value >= self.ge:
            return f"must be greater than or equal to {self.ge:g}"
        if self.lt is not None and not value < self.lt:
            return f"must be less than {self.lt:g}"
        if self.le is not None and not value <= self.le:
            return f"must be less than or equal to {self.le:g}"
        return None

    def length_problem(self, length: int, items: str) -> str | None:
        """Return why a number of characters or entries is refused, or None."""
        if self.min_length is not None and length < self.min_length:
            return f"must have at least {self.min_length} {items}, has {length}"
        if self.max_length is not None and length > self.max_length:
            return f"must have at most {self.max_length} {items}, has {length}"
        return None

    def pattern_problem(self, value: str) -> str | None:
        """Return why a string is refused, or None."""
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            return f"must match {self.pattern}"
        return None


class FieldError(ValueError):
    """Raised by a record's ``check`` when one of its fields is wrong, rather than several together."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class _Declaration:
    description: str
    key: str | None
    constraint: Constraint


def declare(
    default: Any = dataclasses.MISSING,
    *,
    default_factory: Callable[[], Any] | None = None,
    description: str = "",
    key: str | None = None,
    **constraint: Any,
) -> Any:
    """Declare a field of a record.

    Args:
        default: Value where the file leaves it out; without one the field is required.
        default_factory: Makes the default, where it is mutable.
        description: For the schema and the documentation, with the unit.
        key: Its name in the file, where that cannot be an attribute's.
        **constraint: See ``Constraint``.
    """
    metadata = {_KEY: _Declaration(description, key, Constraint(**constraint))}
    if default_factory is not None:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Record:
    """Base of the dataclasses that files are read into; make these ``@dataclass(frozen=True, kw_only=True)``."""

    shorthand: ClassVar[str] = ""
    """Field that a bare value stands for where a file gives one instead of the mapping; none when empty."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Check the fields against each other.

        Raises:
            ValueError: They do not belong together; a ``FieldError`` where one of them is to blame.
        """


@dataclass(frozen=True)
class FieldDeclaration:
    """One field of a record, as declared.

    Attributes:
        name: Attribute.
        key: Name in the file.
        type: Annotation without ``Annotated``.
        constraint: Of the value itself, or of every value that is not None where None is allowed.
        description: What it means.
        required: The file must give it.
        default: Its default; for a factory, what this makes.
    """

    name: str
    key: str
    type: Any
    constraint: Constraint
    description: str
    required: bool
    default: Any


def declarations(record: type[Record]) -> tuple[FieldDeclaration, ...]:
    """Return the fields of a record, in their order."""
    return _declarations(record)  # type: ignore[arg-type] # mypy takes the class's hash for its instances'


@cache
def _declarations(record: type[Record]) -> tuple[FieldDeclaration, ...]:
    hints = get_type_hints(record, include_extras=True)
    found = []
    for field in dataclasses.fields(record):
        declaration = field.metadata.get(_KEY, _Declaration("", None, Constraint()))
        hint, constraint = split(hints[field.name])
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found.append(
            FieldDeclaration(
                name=field.name,
                key=declaration.key or field.name,
                type=hint,
                constraint=declaration.constraint.over(constraint),
                description=declaration.description,
                required=default is dataclasses.MISSING,
                default=default,
            )
        )
    return tuple(found)


def split(hint: Any) -> tuple[Any, Constraint]:
    """Return an annotation without its constraints, and these."""
    constraint = Constraint()
    while get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        for extra in extras:
            constraint = constraint.over(extra) if isinstance(extra, Constraint) else constraint
    return hint, constraint


def options(hint: Any) -> tuple[Any, ...]:
    """Return what a union is of, or nothing when it is no union."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()


def is_record(hint: Any) -> bool:
    """Return whether a type is a record."""
    return isinstance(hint, type) and issubclass(hint, Record)


def is_literal(hint: Any) -> bool:
    """Return whether a type is a choice of values."""
    return get_origin(hint) is Literal


def plain(value: Any) -> Any:
    """Return a record, or what it holds, as mappings, lists, numbers, strings and None, for JSON or YAML."""
    if isinstance(value, Record):
        return {field.key: plain(getattr(value, field.name)) for field in declarations(type(value))}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
