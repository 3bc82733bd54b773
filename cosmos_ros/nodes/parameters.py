"""Typed, described and bounded node parameters: one list a node, refused with the allowed range when wrong."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cosmos_ros.errors import ConfigError

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One node parameter.

    Attributes:
        name: Name; dots make groups.
        default: Default value; its type is the parameter's type.
        description: What it does, with its unit; shown by ``ros2 param describe``.
        minimum, maximum: Inclusive bounds of a number.
        choices: Allowed strings.
        read_only: It can only be set at start-up.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    def problem(self, value: Any) -> str | None:
        """Return why the value is refused, or None."""
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


class Parameters(Mapping[str, Any]):
    """The current values of a node's parameters, by name. Changes arrive through ``on_change``.

    Keep it under any name but ``_parameters``: that attribute is rclpy's own.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def declare(
    node: Any,
    specs: Sequence[Parameter],
    on_change: Callable[[str, Any], None] | None = None,
    check: Callable[[Mapping[str, Any]], str | None] | None = None,
) -> Parameters:
    """Declare parameters on an rclpy node and keep their values current.

    Args:
        node: The rclpy (lifecycle) node.
        specs: What to declare.
        on_change: Called with name and value after a change was accepted.
        check: Called with all values as they would be; returns why the combination is refused, or None.

    Raises:
        ConfigError: A value given at start-up (command line or YAML) is refused; names the node and the range.
    """
    from rcl_interfaces.msg import (  # ROS is only needed once a node exists
        FloatingPointRange,
        IntegerRange,
        ParameterDescriptor,
        SetParametersResult,
    )

    by_name = {spec.name: spec for spec in specs}
    where = f"node {node.get_fully_qualified_name()}"
    values: dict[str, Any] = {}
    for spec in specs:
        descriptor = ParameterDescriptor(description=spec.description, read_only=spec.read_only)
        if spec.choices:
            descriptor.additional_constraints = "one of: " + ", ".join(spec.choices)
        if spec.minimum is not None or spec.maximum is not None:
            if isinstance(spec.default, float):
                low = -math.inf if spec.minimum is None else float(spec.minimum)
                high = math.inf if spec.maximum is None else float(spec.maximum)
                descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
            else:
                low_int = -(2**63) if spec.minimum is None else int(spec.minimum)
                high_int = 2**63 - 1 if spec.maximum is None else int(spec.maximum)
                descriptor.integer_range = [IntegerRange(from_value=low_int, to_value=high_int)]
        try:
            value = node.declare_parameter(spec.name, spec.default, descriptor).value
        except Exception as error:  # rclpy raises several unrelated types for a wrong override
            raise _refused(spec, where, str(error)) from error
        problem = spec.problem(value)
        if problem:
            raise _refused(spec, where, problem)
        values[spec.name] = value
    if check and (problem := check(values)):
        raise ConfigError(problem, where=where)
    for line in _misspelt(node, set(by_name)):
        node.get_logger().warning(line)

    def on_set(changes: Sequence[Any]) -> Any:
        proposed = dict(values)
        for change in changes:
            if change.name not in by_name:
                continue
            problem = by_name[change.name].problem(change.value)
            if problem:
                return SetParametersResult(successful=False, reason=f"{change.name} {problem}")
            proposed[change.name] = change.value
        if check and (problem := check(proposed)):
            return SetParametersResult(successful=False, reason=problem)
        return SetParametersResult(successful=True)

    def after_set(changes: Sequence[Any]) -> None:
        for change in changes:
            if change.name in by_name:
                values[change.name] = change.value
                if on_change:
                    on_change(change.name, change.value)

    node.add_on_set_parameters_callback(on_set)
    node.add_post_set_parameters_callback(after_set)
    return Parameters(values)


def _misspelt(node: Any, known: set[str]) -> list[str]:
    """Return a line for each given parameter that no node will ever read; rcl drops them without a word."""
    lines = []
    for name in getattr(node, "_parameter_overrides", {}):  # rclpy has no public name for what was given
        if name not in known and not node.has_parameter(name) and not name.startswith("qos_overrides."):
            near = difflib.get_close_matches(name, known, n=1)
            lines.append(f"parameter {name} is not known and is ignored" + (f"; meant {near[0]}?" if near else ""))
    return lines


def _refused(spec: Parameter, where: str, problem: str) -> ConfigError:
    bounds = []
    if spec.minimum is not None or spec.maximum is not None:
        bounds.append(f"allowed: {spec.minimum} to {spec.maximum}")
    if spec.choices:
        bounds.append("allowed: " + ", ".join(spec.choices))
    bounds.append(f"type {type(spec.default).__name__}, default {spec.default!r}")
    return ConfigError(f"parameter {spec.name}: {problem} ({'; '.join(bounds)})", where=where)
