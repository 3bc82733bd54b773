"""Settings, each declared once: in the frozen dataclass that uses it, as ``name: type = setting(default, ...)``.

ROS parameters with their descriptors, ``config/*.yaml``, the tables of the documentation and the options of the command
line are made from these declarations.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from cosmos_ros.errors import ConfigError

Value = bool | int | float | str
S = TypeVar("S")

_KEY = "cosmos_ros.setting"
_MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Setting:
    """The declaration of one setting.

    Attributes:
        name: Name; dots make groups.
        default: Default value; its type is the setting's type.
        description: What it does; one or more sentences, without the unit.
        minimum, maximum: Inclusive bounds of a number.
        choices: Allowed strings; empty for any.
        unit: SI unit of a number, e.g. ``s`` or ``rad or m``; empty for none.
        read_only: A node takes it at start-up only.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    read_only: bool = False

    @property
    def help(self) -> str:
        """The description with the unit."""
        return f"{self.description.rstrip('.')}, {self.unit}." if self.unit else self.description

    @property
    def range(self) -> str:
        """The allowed values in words; empty when any value of the type will do."""
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is None and self.maximum is None:
            return ""
        if self.maximum is None or self.minimum is None:
            return (
                f"from {_number(self.minimum)}" if self.minimum is not None else f"up to {_number(self.maximum or 0)}"
            )
        return f"{_number(self.minimum)} to {_number(self.maximum)}"

    def problem(self, value: Any) -> str | None:
        """Return why a value is refused, or None."""
        if isinstance(self.default, bool) or isinstance(value, bool):
            return None if type(value) is type(self.default) else f"must be a {type(self.default).__name__}"
        if isinstance(self.default, str):
            if not isinstance(value, str):
                return "must be a string"
            if self.choices and value not in self.choices:
                return f"'{value}' is not one of {', '.join(self.choices)}"
            return None
        if isinstance(self.default, int) and not isinstance(value, int):
            return "must be a whole number"
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return "must be a finite number"
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return None if low <= value <= high else f"{value} is outside {low} to {high}"

    def refusal(self, problem: str, where: str) -> ConfigError:
        """Return the error for a refused value, with what is allowed."""
        allowed = f"allowed: {self.range}; " if self.range else ""
        return ConfigError(
            f"{self.name}: {problem} ({allowed}type {type(self.default).__name__}, default {self.default!r})",
            where=where,
        )


def setting(
    default: Value,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    unit: str = "",
    read_only: bool = False,
) -> Any:
    """Declare a field of a settings dataclass; see ``Setting`` for the arguments."""
    declaration = Setting("", default, description, minimum, maximum, tuple(choices), unit, read_only)
    return dataclasses.field(default=default, metadata={_KEY: declaration})


def declared(*settings_types: type) -> tuple[Setting, ...]:
    """Return the settings that dataclasses declare, in their order."""
    return tuple(
        dataclasses.replace(field.metadata[_KEY], name=field.name)
        for settings_type in settings_types
        for field in dataclasses.fields(settings_type)
        if _KEY in field.metadata
    )


@dataclass(frozen=True)
class DeclaredSettings:
    """Base of settings dataclasses: checks every declared field when one is made.

    Raises:
        ConfigError: A value is of the wrong type or outside its range; names the field and the range.
    """

    def __post_init__(self) -> None:
        for one in declared(type(self)):
            problem = one.problem(getattr(self, one.name))
            if problem:
                raise one.refusal(problem, type(self).__name__)


def pick(settings_type: type[S], values: Mapping[str, Any]) -> S:
    """Return a settings dataclass made of those values that it declares; what is not given keeps its default."""
    return settings_type(**{one.name: values[one.name] for one in declared(settings_type) if one.name in values})


def unknown_names(given: Iterable[str], known: Iterable[Setting]) -> list[str]:
    """Return one line for each given name that is not declared, with the nearest that is."""
    names = [one.name for one in known]
    lines = []
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            lines.append(f"{name} is not known" + (f"; meant {near[0]}?" if near else ""))
    return lines


def parameter_sections(path: Path, node: str) -> list[tuple[str, Any]]:
    """Return (key, parameters) of those entries of a ROS parameter file that hold for a node.

    Args:
        path: YAML file as ``ros2 run … --params-file`` takes it.
        node: Name of the node.

    Raises:
        ConfigError: The file cannot be read.
    """
    where = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise ConfigError(f"larger than {_MAX_FILE_BYTES} bytes", where=where, hint="Give a parameter file.")
        document = yaml.safe_load(data.decode("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"cannot be read: {error}", where=where, hint="Give a ROS parameter file.") from error
    entries = document.items() if isinstance(document, dict) else ()
    return [
        (str(key), entry.get("ros__parameters"))
        for key, entry in entries
        if isinstance(entry, dict) and (key == "/**" or str(key).rsplit("/", 1)[-1] == node)
    ]


def read_parameters_file(path: Path, node: str, known: Sequence[Setting]) -> dict[str, Value]:
    """Return the values that a ROS parameter file gives a node, by dotted names.

    Entries for ``/**``, ``/**/NODE``, ``NODE`` and ``/…/NODE`` count, later ones over earlier ones, as rcl reads them.

    Args:
        path: YAML file as ``ros2 run … --params-file`` takes it.
        node: Name of the node.
        known: What the node declares.

    Raises:
        ConfigError: The file cannot be read, holds nothing for the node, or a name or value is not one of the node's.
    """
    where = str(path)
    sections = parameter_sections(path, node)
    values: dict[str, Value] = {}
    names = {*(one.name for one in known), "use_sim_time"}
    for key, section in sections:
        flat = _flat(section) if isinstance(section, dict) else {}
        # What is for every node may be for others.
        values |= {name: value for name, value in flat.items() if name in names or key != "/**"}
    if not values:
        raise ConfigError(
            f"no parameters for node {node}", where=where, hint=f"Write them under '/**/{node}: ros__parameters:'."
        )
    values.pop("use_sim_time", None)
    by_name = {one.name: one for one in known}
    for line in unknown_names(values, known):
        raise ConfigError(line, where=where)
    for name, value in values.items():
        problem = by_name[name].problem(value)
        if problem:
            raise by_name[name].refusal(problem, where)
    return values


def _flat(section: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def parameters_yaml(node: str, settings: Sequence[Setting]) -> str:
    """Return the text of a ROS parameter file with every setting at its default, described in comments."""
    lines = [
        f"# Parameters of the node {node}, with their defaults. Generated; see CONTRIBUTING.md.",
        f"/**/{node}:",
        "  ros__parameters:",
    ]
    group = ""
    for one in settings:
        before, _, last = one.name.rpartition(".")
        if before != group:
            group = before
            lines += [f"    {before}:"] if before else []
        indent = "      " if before else "    "
        allowed = f" ({one.range})" if one.range else ""
        lines += textwrap.wrap(one.help + allowed, 118, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        lines.append(f"{indent}{last}: {_yaml_value(one.default)}")
    return "\n".join(lines) + "\n"


def parameters_table(settings: Sequence[Setting]) -> str:
    """Return a Markdown table of settings."""
    lines = ["| name | default | range | while running | description |", "|---|---|---|---|---|"]
    for one in settings:
        when = "no" if one.read_only else "yes"
        lines.append(f"| `{one.name}` | `{_yaml_value(one.default)}` | {one.range} | {when} | {_markdown(one.help)} |")
    return "\n".join(lines) + "\n"


def _markdown(text: str) -> str:
    """Return a text in which Markdown sees no HTML and no column."""
    return text.replace("<", "&lt;").replace("|", "&#124;")


def _yaml_value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    """Return a number as YAML 1.1 reads it back with its type: a float always has a point and no bare exponent."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.12f}".rstrip("0") if 0.0 < abs(value) < 1e-3 else repr(value)
