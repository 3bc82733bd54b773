"""What has to be heard again and again while the robot moves: cameras, the predictor, and heartbeats if asked for."""

from __future__ import annotations

from cosmos_ros.guard.supervision.camera_ages import Cameras
from cosmos_ros.guard.supervision.supervisor_states import SupervisorSettings
from cosmos_ros.types import NANOSECONDS


class SignsOfLife:
    """When each was heard last.

    Args:
        cameras: Names of the cameras.

    Attributes:
        cameras: Their newest stamps.
    """

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self.cameras = Cameras(cameras)
        self._candidate_ns: int | None = None
        self._e_stop_ns: int | None = None
        self._heartbeat_ns: int | None = None

    def candidate(self, now_ns: int) -> None:
        """Note that the predictor proposed something."""
        self._candidate_ns = now_ns

    def e_stop(self, now_ns: int) -> None:
        """Note a message on the e-stop's topic, whatever it says."""
        self._e_stop_ns = now_ns

    def heartbeat(self, now_ns: int) -> None:
        """Note a heartbeat of who answers for the armed robot."""
        self._heartbeat_ns = now_ns

    def forget(self) -> None:
        """Void everything stamped: the clock jumped."""
        self.cameras.forget()
        self._candidate_ns = self._e_stop_ns = self._heartbeat_ns = None

    def missing_beat(self, now_ns: int, settings: SupervisorSettings) -> str:
        """Return which heartbeat is missing; empty when none is, or none is asked for."""
        for what, heard, timeout in (
            ("the e-stop's topic", self._e_stop_ns, settings.e_stop_timeout),
            ("the heartbeat", self._heartbeat_ns, settings.heartbeat_timeout),
        ):
            if not timeout:
                continue
            if heard is None:
                return f"{what} was not heard yet"
            silence = (now_ns - heard) / NANOSECONDS
            if not silence <= timeout:
                return f"{what} is silent for {silence:.2f} s"
        return ""

    def blind(self, now_ns: int, settings: SupervisorSettings) -> str:
        """Return which camera is too old; empty when none is."""
        stale = self.cameras.stale(now_ns, settings.max_camera_age)
        return "" if stale is None else f"{stale.message}: {stale.value:.2f} s"

    def silent(self, now_ns: int, settings: SupervisorSettings) -> str:
        """Return for how long the predictor has been silent; empty when it has not."""
        if self._candidate_ns is None:
            return ""
        silence = (now_ns - self._candidate_ns) / NANOSECONDS
        return f"predictor silent for {silence:.2f} s" if silence > settings.silence_timeout else ""
