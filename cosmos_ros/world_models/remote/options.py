"""What the options of all server backends have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cosmos_ros.errors import ConfigError


@dataclass(frozen=True)
class ServerOptions:
    """Options of a backend behind a server.

    Attributes:
        model: Address of the server, e.g. ``http://localhost:8000``.
        timeout: Deadline of one prediction with all its requests, s.
        connect_timeout: Longest wait for a connection, s.
        max_answer_bytes: Largest answer.
        ca_file: PEM file of certificates to trust instead of the system's.
    """

    model: str = ""
    timeout: float = 120.0
    connect_timeout: float = 5.0
    max_answer_bytes: int = 256 << 20
    ca_file: str = ""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < float("inf"):
                raise ConfigError(f"{entry.name} is {value}, must be positive", where="world_model")

    @property
    def silence_timeout(self) -> float:
        """Longest silence while an answer is read, s; one that comes when all is computed is silent until then."""
        return self.timeout
