"""How old the cameras' newest images are, by the stamps of what is published beside them."""

from __future__ import annotations

from cosmos_ros.guard.verdict import Violation
from cosmos_ros.types import NANOSECONDS


class Cameras:
    """The newest stamp of each camera. One that was never heard is not watched: many publish no camera_info.

    Args:
        names: The cameras, as messages call them.
    """

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._stamps: dict[str, int | None] = dict.fromkeys(names)

    def heard(self, name: str, stamp_ns: int) -> None:
        """Take a camera's stamp; an older one than known, of a message that was overtaken, changes nothing."""
        known = self._stamps.get(name)
        if known is None or stamp_ns > known:
            self._stamps[name] = stamp_ns

    @property
    def stamps(self) -> dict[str, int]:
        """The newest stamp of each camera that was heard."""
        return {name: stamp for name, stamp in self._stamps.items() if stamp is not None}

    def forget(self) -> None:
        """Void all stamps: the clock jumped."""
        self._stamps = dict.fromkeys(self._stamps)

    def unheard(self) -> tuple[str, ...]:
        """Return the cameras that are not watched."""
        return tuple(name for name, stamp in self._stamps.items() if stamp is None)

    def stale(self, now_ns: int, max_age: float) -> Violation | None:
        """Return the oldest camera as a violation; None when all that were heard are fresh.

        Args:
            now_ns: Time on the node's clock.
            max_age: Seconds; 0 watches none.
        """
        heard = self.stamps
        if not heard or not max_age:
            return None
        name = min(heard, key=lambda n: heard[n])
        age = (now_ns - heard[name]) / NANOSECONDS
        if age <= max_age:
            return None
        return Violation("stale_camera", time=0.0, value=age, bound=max_age, message=f"camera {name} too old")
