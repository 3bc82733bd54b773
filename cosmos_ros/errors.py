"""Typed errors. Each names what was wrong, where it stood, and what to do about it."""

from __future__ import annotations


class CosmosRosError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: One sentence: what is wrong and with which value.
        where: File, field, joint, step or topic it was found at.
        hint: What the user should do, as an imperative.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        text = f"{where}: {message}" if where else message
        if hint:
            text += f" {hint}" if text.endswith((".", "!", "?", ":")) else f". {hint}"
        super().__init__(text)


class ConfigError(CosmosRosError):
    """A file, parameter or combination of them is wrong; found before anything moves."""


class InputError(CosmosRosError):
    """A message, recording or array from outside is malformed."""


class OutputError(CosmosRosError):
    """A file or folder cannot be written."""


class StaleInputError(InputError):
    """An input is older than its gate, or the clock was reset under it."""


class ModelError(CosmosRosError):
    """The world model failed, refused, or answered with something that is not a rollout."""


class CapabilityError(ConfigError):
    """A world model was asked for a mode, domain or size that it did not declare."""


class DecodeError(CosmosRosError):
    """A rollout's actions cannot be turned into poses or joints."""


class KinematicsError(CosmosRosError):
    """A robot model is inconsistent, or a pose cannot be reached within the gate."""


class GuardError(CosmosRosError):
    """The guard cannot be built or asked as requested. Violations are data, not errors."""
