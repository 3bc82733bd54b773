"""Finds the checks: every one defined in a file of this folder, and those that other packages name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import lru_cache
from importlib import metadata

from cosmos_ros.errors import GuardError
from cosmos_ros.guard import checks
from cosmos_ros.guard.checks.base import Check, Cure, Limit, Precondition
from cosmos_ros.settings import Setting, declared

ENTRY_POINT_GROUP = "cosmos_ros.guard_limits"


@lru_cache(maxsize=1)
def check_types() -> tuple[type[Check], ...]:
    """Return all checks in the order in which they run.

    Raises:
        GuardError: A check of another package cannot be used, or two share a name. What protects must not be left out
            in silence.
    """
    modules = [
        importlib.import_module(one.name) for one in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}.")
    ]
    found = [
        value
        for module in modules
        for value in vars(module).values()
        if _is_check(value) and value.__module__ == module.__name__
    ]
    found += [_loaded(point) for point in metadata.entry_points(group=ENTRY_POINT_GROUP)]
    names = [check.name for check in found]
    for name in names:
        if names.count(name) > 1:
            raise GuardError(f"two checks are named {name}", hint=f"Rename one; group {ENTRY_POINT_GROUP}.")
    return tuple(sorted(found, key=lambda check: (check.order, check.name)))


def _is_check(value: object) -> bool:
    if not inspect.isclass(value) or not issubclass(value, (Limit, Precondition)) or inspect.isabstract(value):
        return False
    return isinstance(getattr(value, "name", None), str)


def _loaded(point: metadata.EntryPoint) -> type[Check]:
    where = f"entry point {point.name} = {point.value} of group {ENTRY_POINT_GROUP}"
    try:
        value = point.load()
    except Exception as error:
        raise GuardError(f"{where}: {error}", hint="Repair or uninstall the package that brings it.") from error
    if not _is_check(value):
        raise GuardError(f"{where} is not a subclass of Limit or Precondition with a name")
    check: type[Check] = value
    return check


def settings_types() -> tuple[type, ...]:
    """Return the settings dataclasses of all checks, each once."""
    return tuple(dict.fromkeys(check.settings_type for check in check_types()))


def switches() -> tuple[Setting, ...]:
    """Return the switch of each check, as a setting named ``check.NAME``."""
    return tuple(
        Setting(f"check.{check.name}", check.on, (inspect.getdoc(check) or check.name).splitlines()[0], read_only=True)
        for check in check_types()
    )


def check_settings() -> tuple[Setting, ...]:
    """Return the settings of all checks."""
    return declared(*settings_types())


def cures() -> dict[str, Cure]:
    """Return what cures each kind of violation; kinds that are left out have no cure."""
    return {kind: cure for check in check_types() for kind, cure in check.cures().items()}
