"""Who else publishes to the controllers' topics, and who listens there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class OtherPublishers:
    """The other ends of the controllers' topics, as the ROS graph shows them."""

    def __init__(self) -> None:
        self._others: dict[str, tuple[str, ...]] = {}
        self._listeners: dict[str, int] = {}
        self._unheard: tuple[str, ...] = ()

    def look(
        self, others: Mapping[str, Sequence[str]], listeners: Mapping[str, int], unheard: Sequence[str] = ()
    ) -> None:
        """Take the other publishers and the count of subscribers by topic, and who cannot be heard, a line each."""
        self._unheard = tuple(unheard)
        self._others = {topic: tuple(names) for topic, names in others.items() if names}
        self._listeners = dict(listeners)

    @property
    def publishing(self) -> str:
        """Who else commands the robot, in one line; empty when nobody does."""
        return "; ".join(f"{', '.join(names)} also publishes on {topic}" for topic, names in self._others.items())

    def refusal(self, *, require_controllers: bool) -> str:
        """Return why arming would be refused on account of them, or an empty string."""
        if problems := "; ".join(filter(None, (*self._unheard, self.publishing))):
            return problems
        silent = sorted(topic for topic, count in self._listeners.items() if not count)
        if silent and require_controllers:
            return f"no controller listens on {', '.join(silent)}"
        return "" if self._listeners else "the controllers' topics have not been looked at yet"
