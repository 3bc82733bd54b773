"""All settings of a guard: of the checks, of every check's own, and of its responses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cosmos_ros.errors import ConfigError
from cosmos_ros.guard.checking_settings import CheckingSettings, ResponseSettings
from cosmos_ros.guard.checks import check_registry
from cosmos_ros.settings import Setting, Value, declared, pick, read_parameters_file, unknown_names

S = TypeVar("S")


class GuardSettings:
    """The settings of a guard, by the names that the guard node's parameters have. Immutable.

    Args:
        checks: Names of the checks that are on; None: those that are on by default.
        values: Settings by name, e.g. ``velocity_scale=0.5``; what is not given keeps its default.

    Attributes:
        checks: Names of the checks that are on.
        checking: What holds for every check.
        response: What the guard may do about a violation.

    Raises:
        ConfigError: A name is not known, or a value is outside its range.
    """

    __slots__ = ("_own", "checking", "checks", "response")

    def __init__(self, checks: Collection[str] | None = None, **values: Value) -> None:
        known = check_registry.check_types()
        names = frozenset(check.name for check in known)
        on = frozenset(check.name for check in known if check.on) if checks is None else frozenset(checks)
        if on - names:
            raise ConfigError(
                f"unknown checks {', '.join(sorted(on - names))}",
                where="guard checks",
                hint="Use " + ", ".join(sorted(names)) + ".",
            )
        for line in unknown_names(values, _valued()):
            raise ConfigError(line, where="guard settings")
        self.checks: frozenset[str] = on
        self.checking = pick(CheckingSettings, values)
        self.response = pick(ResponseSettings, values)
        self._own: dict[type, Any] = {kind: _checked(kind, values) for kind in check_registry.settings_types()}

    def of(self, settings_type: type[S]) -> S:
        """Return the settings that one or several checks own."""
        own: S = self._own[settings_type]
        return own

    def enabled(self, check: str) -> bool:
        """Whether a check is on."""
        return check in self.checks

    @staticmethod
    def declared() -> tuple[Setting, ...]:
        """Return the declarations of all settings, as a node declares its parameters."""
        return (*check_registry.switches(), *_valued())

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> GuardSettings:
        """Return the settings that a node's parameters give; entries that are not the guard's are left aside."""
        switches = {one.name: values.get(one.name, one.default) for one in check_registry.switches()}
        on = [name.partition(".")[2] for name, value in switches.items() if value]
        return cls(on, **{one.name: values[one.name] for one in _valued() if one.name in values})

    @classmethod
    def from_file(cls, path: Path, others: Collection[Setting] = ()) -> GuardSettings:
        """Return the settings of a ROS parameter file of the guard node.

        Args:
            path: The file; ``config/guard.yaml`` is one.
            others: What else the file may set.

        Raises:
            ConfigError: See ``read_parameters_file``.
        """
        return cls.from_mapping(read_parameters_file(path, "guard", (*cls.declared(), *others)))

    def to_mapping(self) -> dict[str, Value]:
        """Return all settings by name; ``from_mapping`` gives the same settings again."""
        values: dict[str, Value] = {
            one.name: one.name.partition(".")[2] in self.checks for one in check_registry.switches()
        }
        for part in (self.checking, self.response, *self._own.values()):
            values |= {one.name: getattr(part, one.name) for one in declared(type(part))}
        return values

    def differences(self) -> dict[str, Value]:
        """Return the settings that differ from their defaults."""
        defaults = {one.name: one.default for one in self.declared()}
        return {name: value for name, value in self.to_mapping().items() if value != defaults[name]}

    def replace(self, **values: Value) -> GuardSettings:
        """Return the settings with some changed."""
        return self.from_mapping({**self.to_mapping(), **values})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GuardSettings) and self.to_mapping() == other.to_mapping()

    def __hash__(self) -> int:
        return hash(tuple(self.to_mapping().items()))

    def __repr__(self) -> str:
        return f"GuardSettings({self.differences()})"


def _valued() -> tuple[Setting, ...]:
    return declared(CheckingSettings, ResponseSettings, *check_registry.settings_types())


def _checked(kind: type[S], values: Mapping[str, Any]) -> S:
    """As ``pick``, and checked also where another package's settings do not check themselves."""
    for one in declared(kind):
        if one.name in values and (problem := one.problem(values[one.name])):
            raise one.refusal(problem, "guard settings")
    return pick(kind, values)
