"""What a backend declares about itself, before anything that it needs is imported."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cosmos_ros.errors import ConfigError
from cosmos_ros.named_values import named_values
from cosmos_ros.settings import Setting, declared
from cosmos_ros.world_models.protocol import Capabilities, WorldModel

O = TypeVar("O")  # noqa: E741  # the backend's options


@dataclass(frozen=True)
class NoOptions:
    """For backends without options."""


@dataclass(frozen=True)
class ModelBackend(Generic[O]):
    """The declaration of one backend; a file of ``world_models/backends`` or an entry point holds it as ``BACKEND``.

    Attributes:
        name: As the ``world_model`` parameter has it.
        summary: What it is, in one line.
        options: Frozen dataclass of its options, a subclass of ``cosmos_ros.settings.DeclaredSettings``. An
            option named ``embodiment`` is set to the robot that is asked about.
        capabilities: What it can do with given options. Raises ConfigError when the options do not allow it at all.
        implementation: Makes the world model of its options; or ``module:attribute`` of that, which is imported when
            the first one is made. Nothing is loaded or connected before its ``load``.
        packages: What pip must have installed for it, besides this package's own requirements.
        hardware: What it needs besides, in words.
        examples: Label → options, one column each in the table of what works with which robot.
    """

    name: str
    summary: str
    options: type[O]
    capabilities: Callable[[O], Capabilities]
    implementation: Callable[[O], WorldModel] | str
    packages: tuple[str, ...] = ()
    hardware: str = ""
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Prefix of error messages."""
        return f"world_model {self.name}"

    @property
    def settings(self) -> dict[str, Setting]:
        """Declarations of the options, by name."""
        return {one.name: one for one in declared(self.options)}

    @property
    def install_hint(self) -> str:
        """How to get the packages."""
        quoted = " ".join(f"'{package}'" for package in self.packages)
        return f"Install them: pip install {quoted}." if quoted else "Install the package that provides it again."

    def make_options(self, given: Mapping[str, Any]) -> O:
        """Return the options with the given values; ConfigError names an unknown option or a wrong value."""
        for name in given:
            self._setting(name)
        try:
            return self.options(**given)
        except ConfigError as error:
            raise ConfigError(error.message, where=self.where, hint=error.hint) from None

    def parse_options(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the values of ``option=value`` texts, each converted to the type of the option's default.

        Raises:
            ConfigError: Not option=value, unknown, given twice, or not of the option's type.
        """
        pairs = named_values(texts, where=self.where, form="option=value", may_be_empty=True)
        return {name: self._convert(self._setting(name), value) for name, value in pairs.items()}

    def create(self, given: Mapping[str, Any]) -> WorldModel:
        """Make the world model; nothing is loaded or connected until its ``load``.

        Raises:
            ConfigError: An option is wrong, a package is missing, or what is made is no world model.
        """
        options = self.make_options(given)
        try:
            make = _imported(self.implementation) if isinstance(self.implementation, str) else self.implementation
            model = make(options)
        except ImportError as error:
            needs = f"needs {', '.join(self.packages)}" if self.packages else "cannot be imported"
            raise ConfigError(f"{needs}: {error}", where=self.where, hint=self.install_hint) from error
        if not isinstance(model, WorldModel):
            raise ConfigError("what it makes lacks a part of the WorldModel protocol", where=self.where)
        return model

    def _setting(self, name: str) -> Setting:
        if name not in self.settings:
            raise ConfigError(
                f"option {name} is not known; allowed: {', '.join(self.settings) or 'none'}", where=self.where
            )
        return self.settings[name]

    def _convert(self, setting: Setting, text: str) -> bool | int | float | str:
        kind = type(setting.default)
        try:
            return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError):
            expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
            raise ConfigError(f"option {setting.name} is '{text}', must be {expected}", where=self.where) from None


def _imported(path: str) -> Callable[[Any], WorldModel]:
    module, _, attribute = path.partition(":")
    found: Callable[[Any], WorldModel] = getattr(importlib.import_module(module), attribute)
    return found
