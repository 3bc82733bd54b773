"""ROS parameters of declared settings: typed, described, bounded, and refused with the allowed range when wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cosmos_ros.errors import ConfigError
from cosmos_ros.settings import Setting, unknown_names


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
    specs: Sequence[Setting],
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
        descriptor = ParameterDescriptor(description=spec.help, read_only=spec.read_only)
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
            raise spec.refusal(str(error), f"{where}, parameter") from error
        problem = spec.problem(value)
        if problem:
            raise spec.refusal(problem, f"{where}, parameter")
        values[spec.name] = value
    if check and (problem := check(values)):
        raise ConfigError(problem, where=where)
    for line in _misspelt(node, specs):
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


def _misspelt(node: Any, specs: Sequence[Setting]) -> list[str]:
    """Return a line for each given parameter that no node will ever read; rcl drops them without a word."""
    overrides = getattr(node, "_parameter_overrides", {})  # rclpy has no public name for what was given
    strange = [name for name in overrides if not node.has_parameter(name) and not name.startswith("qos_overrides.")]
    return [f"parameter {line}; it is ignored" for line in unknown_names(strange, specs)]
