"""How a recording is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cosmos_ros.errors import ConfigError


@dataclass(frozen=True)
class PlayOptions:
    """How to play.

    Attributes:
        rate: Recorded seconds per second.
        clock: Publish ``/clock`` at least this often, Hz, in recorded time; 0 for no clock.
        loop: Begin again at the end.
        topics: Topics to play; None for all.
        include_commands: Play also what commands a robot and what live nodes publish.
        keep_names: Topics that are played under their recorded names also where the player is in a namespace.
        wait_for: Topics that must have a subscriber before the first message.
        wait_timeout: How long to wait for them, s.
        delay: Pause, s, before the first message, for discovery.
        start_paused: Begin paused; ``~/pause`` (std_srvs/SetBool) goes on.
        start_offset: Part of the recording to skip, s.
    """

    rate: float = 1.0
    clock: float = 0.0
    loop: bool = False
    topics: Sequence[str] | None = None
    include_commands: bool = False
    keep_names: Sequence[str] = ()
    wait_for: Sequence[str] = ()
    wait_timeout: float = 60.0
    delay: float = 0.5
    start_paused: bool = False
    start_offset: float = 0.0

    def __post_init__(self) -> None:
        """Make topic names absolute; check the numbers.

        Raises:
            ConfigError: One is out of its range.
        """
        for name in ("topics", "keep_names", "wait_for"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(f"/{topic.lstrip('/')}" for topic in getattr(self, name)))
        for name, low, high in (
            ("rate", 0.001, 1000.0),
            ("clock", 0.0, 10_000.0),
            ("wait_timeout", 0.0, 86_400.0),
            ("delay", 0.0, 3_600.0),
            ("start_offset", 0.0, 1e9),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{value} is outside [{low:g}, {high:g}]", where=f"play {name}")
