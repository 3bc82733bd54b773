"""From messages to a Rerun recording: the same for the live node and for a recording. Needs no ROS."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import CosmosRosError
from cosmos_ros.guard.surroundings import Surroundings
from cosmos_ros.messages import check_compressed, decode_compressed, decode_image, ns_from_stamp
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory, UInt8Array
from cosmos_ros.viewing import rerun_layout as layout
from cosmos_ros.viewing.frame_playback import Playback
from cosmos_ros.viewing.marker_shapes import marker_shapes
from cosmos_ros.viewing.motion_trace import MotionTrace
from cosmos_ros.viewing.motion_trace_reader import MotionReader
from cosmos_ros.viewing.rerun_writer import RerunLog

_VERDICT_LEVELS = {"accept": "INFO", "slow_down": "WARN", "truncate": "WARN", "reject": "ERROR"}
_STATUS_LEVELS = {0: "INFO", 1: "WARN"}
# Actual images kept for the moment that a predicted frame is due.
_IMAGES = 8


class Feed:
    """Shows messages as they come. Used by one thread.

    Args:
        embodiment: Of the robot.
        views: Views that have a camera.
        log: Gets everything.
        report: Called with a concern and what is wrong with it in one line, empty when nothing is.
    """

    def __init__(
        self, embodiment: Embodiment, views: Collection[str], log: RerunLog, report: Callable[[str, str], None]
    ) -> None:
        self._embodiment = embodiment
        self._log = log
        self._report = report
        self._images: dict[str, deque[tuple[int, Any, bool]]] = {view: deque(maxlen=_IMAGES) for view in views}
        self._playback: Playback[tuple[Any, bool]] = Playback()
        self._statuses: dict[str, tuple[int, str]] = {}

    def image(self, view: str, message: Any, compressed: bool) -> None:
        """Show a camera's image."""
        with _reported(self._report, f"image {view}"):
            stamp = ns_from_stamp(message.header.stamp, where=view)
            images = self._images[view]
            if images and stamp < images[-1][0]:
                images.clear()
                self._playback.clear()
            images.append((stamp, message, compressed))
            self._show(layout.camera(view), stamp, message, compressed)

    def predicted(self, message: Any) -> None:
        """Keep a predicted frame (CompressedImage) for its moment."""
        with _reported(self._report, "rollout"):
            self._playback.add(ns_from_stamp(message.header.stamp, where="rollout/image"), (message, True))

    def contact_sheet(self, message: Any) -> None:
        """Show a contact sheet (CompressedImage)."""
        with _reported(self._report, "rollout"):
            self._show(layout.SHEET, ns_from_stamp(message.header.stamp, where="contact_sheet"), message, True)

    def markers(self, entity: str, message: Any) -> None:
        """Show a MarkerArray under this name."""
        with _reported(self._report, entity):
            if message.markers:
                stamp = ns_from_stamp(message.markers[-1].header.stamp, where=entity)
                self._log.markers(entity, stamp, marker_shapes(message))

    def diagnostics(self, message: Any) -> None:
        """Show what has changed in a DiagnosticArray."""
        with _reported(self._report, "events"):
            stamp = ns_from_stamp(message.header.stamp, where="/diagnostics")
            for status in message.status:
                # rclpy's byte is bytes, rosbags' a number.
                level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
                state = (level, str(status.message))
                if self._statuses.get(status.name) != state:
                    self._statuses[status.name] = state
                    text = f"{status.name}: {status.message}"
                    self._log.event("diagnostics", stamp, text, _STATUS_LEVELS.get(level, "ERROR"))

    def play(self) -> None:
        """Show the frame that was predicted for now beside what the cameras saw then."""
        newest = [images[-1][0] for images in self._images.values() if images]
        if not newest or len(newest) < len(self._images):
            return
        due = self._playback.due(min(newest))
        if due is None:
            return
        stamp, (message, compressed) = due
        with _reported(self._report, "rollout"):
            self._show(layout.PREDICTED, stamp, message, compressed)
            self._log.image(layout.ACTUAL, stamp, self._canvas_at(stamp))

    def _canvas_at(self, stamp_ns: int) -> UInt8Array:
        images: dict[str, UInt8Array] = {}
        for view, received in self._images.items():
            _, message, compressed = min(received, key=lambda entry: abs(entry[0] - stamp_ns))
            images[view] = (decode_compressed if compressed else decode_image)(message, topic=view)
        first = next(iter(images.values()))
        for view in self._embodiment.views:
            # A view without a camera is black for the model too.
            images.setdefault(view, first * 0)
        return self._embodiment.compose(images)

    def _show(self, entity: str, stamp: int, message: Any, compressed: bool) -> None:
        if not compressed:
            self._log.image(entity, stamp, decode_image(message, topic=entity))
            return
        image_format, payload = check_compressed(message, topic=entity)
        if not self._log.encoded_image(entity, stamp, payload.tobytes(), image_format):
            self._log.image(entity, stamp, decode_compressed(message, topic=entity))


class MotionFeed(MotionReader):
    """Shows the robot, what it is commanded, and what the guard says."""

    def __init__(self, trace: MotionTrace, log: RerunLog) -> None:
        super().__init__(trace)
        self._log = log
        self._commands: dict[tuple[str, ...], JointTrajectory] = {}
        self._surroundings: Surroundings | None = None

    def on_joint_state(self, state: JointState) -> None:
        """Show posture, recent path and commanded positions."""
        stamp = state.stamp_ns
        self._log.joints(stamp, self.trace.positions)
        self._log.recent_path(stamp, self.trace.recent_path())
        for trajectory in self._commands.values():
            end = trajectory.stamp_ns + int(trajectory.times_ns[-1])
            if trajectory.stamp_ns <= stamp <= end:
                motion = motion_at(trajectory, stamp)
                self._log.commanded(stamp, dict(zip(motion.joint_names, map(float, motion.positions), strict=True)))

    def on_guarded(self, trajectory: JointTrajectory) -> None:
        """Keep what is commanded."""
        if len(trajectory.times_ns) > 1 and trajectory.stamp_ns:
            self._commands[trajectory.joint_names] = trajectory

    def on_verdict(self, verdict: dict[str, Any]) -> None:
        """Show the verdict, its paths, and the robot where the candidate ends."""
        paths = self.trace.verdict_paths()
        published = verdict.get("published_ns")
        stamp = published if isinstance(published, int) else paths.stamp_ns
        self._log.guard(stamp, paths)
        if self._surroundings != self.trace.surroundings:
            self._surroundings = self.trace.surroundings
            self._log.surroundings(stamp, self._surroundings)
        state = "armed" if verdict.get("armed") else "disarmed"
        level = _VERDICT_LEVELS.get(paths.response, "INFO")
        self._log.event("guard", stamp, f"{paths.summary} ({state})", level)
        candidate = self.trace.newest_candidate
        if candidate is not None and len(candidate.times_ns):
            end_s = float(candidate.times_ns[-1]) / NANOSECONDS
            self._log.ghost(stamp, self.trace.posture_at(candidate, end_s))


@contextlib.contextmanager
def _reported(report: Callable[[str, str], None], concern: str) -> Iterator[None]:
    """Report what could not be shown, and go on."""
    try:
        yield
    except CosmosRosError as error:
        report(concern, f"not shown: {error}")
    else:
        report(concern, "")
