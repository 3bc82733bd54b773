"""Finds backends by name, and opens world models: the files of ``backends`` and other packages' entry points."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from cosmos_ros.errors import ConfigError
from cosmos_ros.types import Mode
from cosmos_ros.world_models import backends
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.compatibility import check_embodiment
from cosmos_ros.world_models.protocol import WorldModel

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

ENTRY_POINT_GROUP = "cosmos_ros.world_models"


@lru_cache(maxsize=1)
def _shipped() -> dict[str, ModelBackend[Any]]:
    names = [module.name for module in pkgutil.iter_modules(backends.__path__)]
    found = [importlib.import_module(f"{backends.__name__}.{name}").BACKEND for name in names]
    return {backend.name: backend for backend in sorted(found, key=lambda one: bool(one.packages))}


def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}


def world_model_names() -> tuple[str, ...]:
    """Return every known name: the shipped ones, those that need no package first; then those of entry points."""
    return (*_shipped(), *sorted(set(_entry_points()) - set(_shipped())))


def find_backend(name: str) -> ModelBackend[Any]:
    """Return the declaration of one backend; what it needs is not imported.

    Raises:
        ConfigError: The name is unknown, or its entry point gives no declaration of that name.
    """
    if name in _shipped():
        return _shipped()[name]
    point = _entry_points().get(name)
    if point is None:
        raise ConfigError(
            f"'{name}' is not a known world model",
            where="world_model",
            hint=f"Choose one of {', '.join(world_model_names())}.",
        )
    where = f"world_model {name}"
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the entry point {point.value} cannot be loaded: {error}",
            where=where,
            hint="Install the package that provides it again.",
        ) from error
    if not isinstance(found, ModelBackend) or found.name != name:
        raise ConfigError(
            f"the entry point {point.value} gives {found!r:.80}",
            where=where,
            hint=f"It must give a cosmos_ros.world_models.ModelBackend with the name {name}.",
        )
    return found


def parse_options(name: str, texts: Sequence[str], *, model: str = "", embodiment: str = "") -> dict[str, Any]:
    """Return the options of a backend from texts.

    Args:
        name: Which world model they are for.
        texts: ``option=value``, e.g. ``["offload=model", "frames=false"]``.
        model: Value of the option ``model``; empty leaves it as it is.
        embodiment: Value of the option ``embodiment``, for backends that are made for one robot.

    Raises:
        ConfigError: Not option=value, unknown, given twice, or not of the option's type.
    """
    backend = find_backend(name)
    options = backend.parse_options([*texts, *([f"model={model}"] if model else [])])
    if embodiment and "embodiment" in backend.settings:
        options.setdefault("embodiment", embodiment)
    return options


def create_world_model(name: str, **options: Any) -> WorldModel:
    """Create a world model; nothing is loaded or connected until its ``load()``.

    Args:
        name: One of :func:`world_model_names`.
        options: The backend's own options (``model``, ``revision``, ``timeout``, …).

    Raises:
        ConfigError: Unknown name, missing package, unknown option or a wrong value.
    """
    return find_backend(name).create(options)


@contextmanager
def loaded(model: WorldModel) -> Iterator[WorldModel]:
    """Load a world model for the time of the block; it is closed whatever happens.

    Raises:
        ConfigError, ModelError: As its ``load``.
    """
    try:
        model.load()
        yield model
    finally:
        model.close()


@contextmanager
def open_world_model(
    name: str, embodiment: Embodiment | str | None = None, *, modes: Iterable[Mode] = (Mode.POLICY,), **options: Any
) -> Iterator[WorldModel]:
    """Create a world model, check that it can serve a robot, and load it for the time of the block.

    Args:
        name: One of :func:`world_model_names`.
        embodiment: Which robot it is asked about, or its name or file; None leaves that open.
        modes: What it will be asked for.
        options: The backend's own options (``model``, ``revision``, ``timeout``, …).

    Raises:
        ConfigError: Unknown name, missing package, unknown option or a wrong value.
        CapabilityError: The model cannot serve the embodiment in these modes.
        ModelError: Loading failed.
    """
    from cosmos_ros.embodiment import load_embodiment

    backend = find_backend(name)
    if isinstance(embodiment, str):
        embodiment = load_embodiment(embodiment)
    if embodiment is not None and "embodiment" in backend.settings:
        options.setdefault("embodiment", str(embodiment.path))
    model = backend.create(options)
    if embodiment is not None:
        check_embodiment(model, embodiment, modes)
    with loaded(model):
        yield model
