"""Finds world models by name: the shipped ones here, others by entry point."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from cosmos_ros.errors import ConfigError
from cosmos_ros.named_values import named_values
from cosmos_ros.world_models.protocol import WorldModel

ENTRY_POINT_GROUP = "cosmos_ros.world_models"

# Name → (module:attribute, the extra that installs what it needs).
_SHIPPED: dict[str, tuple[str, str]] = {
    "persistence": ("cosmos_ros.world_models.persistence:Persistence", ""),
    "flow": ("cosmos_ros.world_models.flow:Flow", ""),
    "expert": ("cosmos_ros.sim.expert:Expert", "sim"),
    "cosmos3": ("cosmos_ros.world_models.cosmos3.model:Cosmos3", "cosmos3"),
    "vllm_omni": ("cosmos_ros.world_models.remote.vllm_omni:VllmOmni", "network"),
    "nim": ("cosmos_ros.world_models.remote.nim:Nim", "network"),
    "openpi": ("cosmos_ros.world_models.remote.openpi:OpenPi", "network"),
}


def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}


def world_model_names() -> tuple[str, ...]:
    """Return every known name: the shipped ones first, then those of installed entry points."""
    return (*_SHIPPED, *sorted(set(_entry_points()) - set(_SHIPPED)))


def world_model_class(name: str) -> Callable[..., WorldModel]:
    """Import one backend and return its class (or factory).

    Raises:
        ConfigError: The name is unknown, or what the backend needs is not installed.
    """
    if name in _SHIPPED:
        path, extra = _SHIPPED[name]
        module, _, attribute = path.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            hint = f"Install it: pip install 'cosmos_ros[{extra}]'." if extra else "Install the package again."
            raise ConfigError(f"cannot be imported: {error}", where=f"world_model {name}", hint=hint) from error
    else:
        point = _entry_points().get(name)
        if point is None:
            raise ConfigError(
                f"'{name}' is not a known world model",
                where="world_model",
                hint=f"Choose one of {', '.join(world_model_names())}.",
            )
        try:
            found = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"the entry point {point.value} cannot be loaded: {error}",
                where=f"world_model {name}",
                hint="Install the package that provides it again.",
            ) from error
    factory: Callable[..., WorldModel] = found
    return factory


def parse_options(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return constructor options of ``key=value`` texts, each converted to the type of the option's default.

    Args:
        name: Which world model they are for.
        texts: E.g. ``["offload=model", "frames=false"]``.

    Raises:
        ConfigError: Not key=value, unknown, given twice, or not of the option's type.
    """
    where = f"world_model {name}"
    parameters = inspect.signature(world_model_class(name)).parameters
    options: dict[str, Any] = {}
    for key, value in named_values(texts, where=where, form="option=value", may_be_empty=True).items():
        if key not in parameters:
            raise ConfigError(f"option {key} is not known; allowed: {sorted(parameters) or 'none'}", where=where)
        options[key] = _converted(where, key, value, parameters[key].default)
    return options


def _converted(where: str, key: str, value: str, default: Any) -> Any:
    kind: type = str if default is inspect.Parameter.empty or default is None else type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        return kind(value) if kind in (int, float) else value
    except (KeyError, ValueError):
        name = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"option {key} is '{value}', must be {name}", where=where) from None


def create_world_model(name: str, **options: Any) -> WorldModel:
    """Create a world model; nothing is loaded or connected until its ``load()``.

    Args:
        name: One of :func:`world_model_names`.
        options: The backend's own keyword settings (``model``, ``revision``, ``url``, …).

    Raises:
        ConfigError: Unknown name, missing dependency, unknown option or a wrong value.
    """
    factory = world_model_class(name)
    parameters = inspect.signature(factory).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        unknown = sorted(set(options) - set(parameters))
        if unknown:
            raise ConfigError(
                f"options {unknown} are not known; allowed: {sorted(parameters) or 'none'}",
                where=f"world_model {name}",
            )
        missing = sorted(k for k, p in parameters.items() if p.default is p.empty and k not in options)
        if missing:
            raise ConfigError(f"options {missing} are needed", where=f"world_model {name}")
    model = factory(**options)
    if not isinstance(model, WorldModel):
        raise ConfigError("what it returns lacks a part of the WorldModel protocol", where=f"world_model {name}")
    return model
