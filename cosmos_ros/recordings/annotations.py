"""Predictions, verdicts and paths as recorded topics, beside what a recording holds."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmos_ros.recordings.annotation_log import AnnotationLog, ChunkKey, log_path, truncate_log
from cosmos_ros.recordings.message_types import MessageFactory, default_typestore
from cosmos_ros.types import FloatArray, JointTrajectory

# As the live nodes name them, so that the shipped layouts show them.
CANDIDATE = "/predictor/action_trajectory"
GUARDED = "/guard/would_send"
VERDICT = "/guard/verdict_json"
PREDICTED_FRAME = "/predictor/rollout/image/compressed"
ACTUAL_FRAME = "/evaluation/actual/compressed"
MARKERS = "/predictor/rollout/markers"
TYPES = {
    CANDIDATE: "trajectory_msgs/msg/JointTrajectory",
    GUARDED: "trajectory_msgs/msg/JointTrajectory",
    VERDICT: "std_msgs/msg/String",
    PREDICTED_FRAME: "sensor_msgs/msg/CompressedImage",
    ACTUAL_FRAME: "sensor_msgs/msg/CompressedImage",
    MARKERS: "visualization_msgs/msg/MarkerArray",
}
_LINE_STRIP = 4
_LINE_WIDTH_M = 0.005
_BLUE, _RED, _GREEN = (0.2, 0.5, 1.0), (0.9, 0.2, 0.2), (0.2, 0.8, 0.3)


@dataclass(frozen=True)
class Annotation:
    """What is recorded of one chunk.

    Attributes:
        stamp_ns: Of the observation.
        candidate, guarded: What the model and the guard would have sent; None where they would have sent nothing.
        verdict: The guard's verdict as JSON data; None when it was not asked.
        predicted: Tool link → ``float64 [T, 3]`` predicted positions, m, base frame.
        actual: Tool link → ``float64 [N, 3]`` recorded positions, m, base frame.
        frames: (time in ns, predicted JPEG, actual JPEG or None) up to the next chunk.
    """

    stamp_ns: int
    candidate: JointTrajectory | None
    guarded: JointTrajectory | None
    verdict: dict[str, Any] | None
    predicted: dict[str, FloatArray]
    actual: dict[str, FloatArray]
    frames: tuple[tuple[int, bytes, bytes | None], ...]


class AnnotationWriter:
    """Logs annotations while a recording is evaluated, so that whatever ends it, those of the done chunks are there.

    Use it as a context manager; nothing is written before the first annotation.

    Args:
        folder: Of the evaluation.
        bag: Name of the recording.
        base_frame: Of the paths.
        done: Chunks that have a record already. The annotations of others are made again, and are cut off here.
    """

    def __init__(self, folder: Path, bag: str, base_frame: str, done: Collection[ChunkKey] = ()) -> None:
        self._path = log_path(folder, bag)
        self._base_frame = base_frame
        self._done = done
        self._types = default_typestore()
        self._factory = MessageFactory(self._types)
        self._log: AnnotationLog | None = None

    def __enter__(self) -> AnnotationWriter:
        """Cut off what is made again."""
        if self._path.exists():
            truncate_log(self._path, self._done)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()

    def add(self, key: ChunkKey, annotation: Annotation) -> None:
        """Log what is recorded of one chunk; it outlives this process when this returns.

        Raises:
            OutputError: It cannot be written.
        """
        make, stamp = self._factory, annotation.stamp_ns
        events: list[tuple[int, str, Any]] = []
        for topic, trajectory in ((CANDIDATE, annotation.candidate), (GUARDED, annotation.guarded)):
            if trajectory is not None:
                events.append((stamp, topic, make.joint_trajectory(trajectory)))
        if annotation.verdict is not None:
            events.append((stamp, VERDICT, make.string(json.dumps(annotation.verdict))))
        if annotation.predicted:
            events.append((stamp, MARKERS, self._markers(annotation)))
        for time, predicted, actual in annotation.frames:
            for topic, data in ((PREDICTED_FRAME, predicted), (ACTUAL_FRAME, actual)):
                if data is not None:
                    events.append((time, topic, make.compressed_image(data, stamp_ns=time, frame_id="prediction")))
        events.sort(key=lambda event: event[0])
        if self._log is None:
            self._log = AnnotationLog(self._path)
        self._log.add(
            key, [(time, topic, bytes(self._types.serialize_cdr(m, TYPES[topic]))) for time, topic, m in events]
        )

    def _markers(self, annotation: Annotation) -> Any:
        """Return the predicted tool path in blue (red with a violation) and the recorded one in green."""
        make = self._factory
        violated = bool(annotation.verdict and annotation.verdict["violations"])
        markers = []
        for kind, paths, colour in (
            ("predicted", annotation.predicted, _RED if violated else _BLUE),
            ("actual", annotation.actual, _GREEN),
        ):
            for link, points in paths.items():
                marker = make.message(
                    "visualization_msgs/msg/Marker",
                    header=make.header(annotation.stamp_ns, self._base_frame),
                    ns=f"{link}/{kind}",
                    type=_LINE_STRIP,
                    color=make.message("std_msgs/msg/ColorRGBA", **dict(zip("rgb", colour, strict=True)), a=1.0),
                    points=[make.point(point) for point in points],
                )
                marker.scale.x = _LINE_WIDTH_M
                marker.pose.orientation.w = 1.0
                markers.append(marker)
        return make.message("visualization_msgs/msg/MarkerArray", markers=markers)
