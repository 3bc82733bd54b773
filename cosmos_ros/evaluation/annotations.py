"""Predictions, verdicts and paths as recorded topics, beside what a recording holds."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.evaluation.annotation_log import AnnotationLog, cut, log_of
from cosmos_ros.evaluation.chunk_jobs import ChunkJob, gapless, joints_and_poses
from cosmos_ros.evaluation.frame_scores import fit
from cosmos_ros.evaluation.results_folder import Key
from cosmos_ros.evaluation.scoring import MODEL, Scored
from cosmos_ros.messages import compress
from cosmos_ros.messages.stamps import split_ns
from cosmos_ros.recordings.message_types import MessageFactory, default_typestore
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory, UInt8Array

# As the live nodes name them, so that the shipped layouts show them.
CANDIDATE = "/predictor/action_trajectory"
GUARDED = "/guard/would_send"
VERDICT = "/guard/verdict_json"
FRAME = "/predictor/rollout/image/compressed"
ACTUAL = "/evaluation/actual/compressed"
MARKERS = "/predictor/rollout/markers"
TYPES = {
    CANDIDATE: "trajectory_msgs/msg/JointTrajectory",
    GUARDED: "trajectory_msgs/msg/JointTrajectory",
    VERDICT: "std_msgs/msg/String",
    FRAME: "sensor_msgs/msg/CompressedImage",
    ACTUAL: "sensor_msgs/msg/CompressedImage",
    MARKERS: "visualization_msgs/msg/MarkerArray",
}
_WIDEST = 640
_QUALITY = 85


@dataclass(frozen=True)
class Annotation:
    """What is recorded of one chunk.

    Attributes:
        stamp_ns: Of the observation.
        candidate, guarded: What the model and the guard would have sent; None where they would have sent nothing.
        verdict: The guard's verdict as JSON data; None when it was not asked.
        predicted: Tool link → ``float64 [T, 3]`` predicted positions.
        actual: Tool link → ``float64 [N, 3]`` recorded positions.
        frames: (time, predicted JPEG, actual JPEG or None) up to the next chunk.
    """

    stamp_ns: int
    candidate: JointTrajectory | None
    guarded: JointTrajectory | None
    verdict: dict[str, Any] | None
    predicted: dict[str, FloatArray]
    actual: dict[str, FloatArray]
    frames: tuple[tuple[int, bytes, bytes | None], ...]


def make_annotation(job: ChunkJob, scored: Scored, embodiment: Embodiment, stride: int) -> Annotation | None:
    """Return what is recorded of a chunk; None when the model predicted nothing. Needs no model."""
    prediction, verdict = scored.prediction, scored.verdict
    if prediction is None:
        return None
    frames = []
    predicted = scored.frames.get(MODEL)
    for k in range(1, min(stride, len(job.canvases) - 1) + 1) if predicted is not None else ():
        time = job.observation.stamp_ns + round(k * NANOSECONDS / embodiment.fps)
        truth = job.canvases[k]
        assert predicted is not None
        frame = predicted[k] if truth is None else fit(predicted[k], truth)
        frames.append((time, _jpeg(frame), None if truth is None else _jpeg(truth)))
    chunk = prediction.chunk
    states = gapless(job.joints)
    actual: dict[str, FloatArray] = {}
    if states:
        actual = {link: poses[:, :3, 3] for link, poses in joints_and_poses(embodiment, states)[1].items()}
    stable = None if verdict is None else {k: v for k, v in verdict.to_dict().items() if k != "elapsed_ms"}
    return Annotation(
        stamp_ns=job.observation.stamp_ns,
        candidate=prediction.trajectory,
        guarded=None if verdict is None else verdict.trajectory,
        verdict=stable,
        predicted={} if chunk is None else {link: poses[:, :3, 3] for link, poses in chunk.poses.items()},
        actual=actual,
        frames=tuple(frames),
    )


def _jpeg(image: UInt8Array) -> bytes:
    if image.shape[1] > _WIDEST:
        size = (_WIDEST, max(1, round(image.shape[0] * _WIDEST / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return compress(image, quality=_QUALITY)


class AnnotationWriter:
    """Keeps annotations while a recording is evaluated, so that whatever ends it, those of the done chunks are there.

    Args:
        folder: Of the evaluation.
        bag: Name of the recording.
        base_frame: Of the paths.
        done: Chunks that have a record already. What was kept of others is made again, and is cut off here.
    """

    def __init__(self, folder: Path, bag: str, base_frame: str, done: Collection[Key] = ()) -> None:
        self._path = log_of(folder, bag)
        self._base_frame = base_frame
        self._done = done
        self._types = default_typestore()
        self._factory = MessageFactory(self._types)
        self._log: AnnotationLog | None = None

    def __enter__(self) -> AnnotationWriter:
        """Nothing is written before the first annotation."""
        if self._path.exists():
            cut(self._path, self._done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()

    def add(self, key: Key, annotation: Annotation) -> None:
        """Keep what is recorded of one chunk; it outlives this process when this returns.

        Raises:
            CosmosRosError: It cannot be written.
        """
        make = self._factory
        stamp = annotation.stamp_ns
        events: list[tuple[int, str, Any]] = []
        for topic, trajectory in ((CANDIDATE, annotation.candidate), (GUARDED, annotation.guarded)):
            if trajectory is not None:
                events.append((stamp, topic, self._trajectory(trajectory)))
        if annotation.verdict is not None:
            events.append((stamp, VERDICT, make.string(json.dumps(annotation.verdict))))
        if annotation.predicted:
            events.append((stamp, MARKERS, self._markers(annotation)))
        for time, predicted, actual in annotation.frames:
            for topic, data in ((FRAME, predicted), (ACTUAL, actual)):
                if data is not None:
                    image = make.compressed_image(data, stamp_ns=time, frame_id="prediction")
                    events.append((time, topic, image))
        if self._log is None:
            self._log = AnnotationLog(self._path)
        self._log.add(
            key,
            [
                (time, topic, bytes(self._types.serialize_cdr(message, TYPES[topic])))
                for time, topic, message in sorted(events, key=lambda event: event[0])
            ],
        )

    def _markers(self, annotation: Annotation) -> Any:
        """Return the predicted tool path in blue and the recorded one in green."""
        types, make = self._types.types, self._factory
        broken = bool(annotation.verdict and annotation.verdict["violations"])
        colours = {"predicted": (0.9, 0.2, 0.2) if broken else (0.2, 0.5, 1.0), "actual": (0.2, 0.8, 0.3)}
        zero = types["geometry_msgs/msg/Vector3"]
        identity = types["geometry_msgs/msg/Pose"](
            position=types["geometry_msgs/msg/Point"](0.0, 0.0, 0.0),
            orientation=types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
        )
        still = types["builtin_interfaces/msg/Duration"](0, 0)
        markers = []
        for kind, paths in (("predicted", annotation.predicted), ("actual", annotation.actual)):
            for link, points in paths.items():
                markers.append(
                    types["visualization_msgs/msg/Marker"](
                        header=make.header(annotation.stamp_ns, self._base_frame),
                        ns=f"{link}/{kind}",
                        id=0,
                        type=4,  # LINE_STRIP
                        action=0,
                        pose=identity,
                        scale=zero(0.005, 0.0, 0.0),
                        color=types["std_msgs/msg/ColorRGBA"](*colours[kind], 1.0),
                        lifetime=still,
                        frame_locked=False,
                        points=[types["geometry_msgs/msg/Point"](*(float(v) for v in point)) for point in points],
                        colors=[],
                        texture_resource="",
                        texture=types["sensor_msgs/msg/CompressedImage"](
                            header=make.header(annotation.stamp_ns, ""), format="", data=np.zeros(0, np.uint8)
                        ),
                        uv_coordinates=[],
                        text="",
                        mesh_resource="",
                        mesh_file=types["visualization_msgs/msg/MeshFile"]("", np.zeros(0, np.uint8)),
                        mesh_use_embedded_materials=False,
                    )
                )
        return types["visualization_msgs/msg/MarkerArray"](markers=markers)

    def _trajectory(self, trajectory: JointTrajectory) -> Any:
        types = self._types.types
        points = []
        for i, time in enumerate(trajectory.times_ns):
            sec, nanosec = split_ns(int(time), where="time_from_start")
            points.append(
                types["trajectory_msgs/msg/JointTrajectoryPoint"](
                    positions=np.ascontiguousarray(trajectory.positions[i], np.float64),
                    velocities=_row(trajectory.velocities, i),
                    accelerations=_row(trajectory.accelerations, i),
                    effort=np.zeros(0),
                    time_from_start=types["builtin_interfaces/msg/Duration"](sec, nanosec),
                )
            )
        return types["trajectory_msgs/msg/JointTrajectory"](
            header=self._factory.header(trajectory.stamp_ns, ""),
            joint_names=list(trajectory.joint_names),
            points=points,
        )


def _row(rows: FloatArray | None, index: int) -> FloatArray:
    return np.zeros(0) if rows is None else np.ascontiguousarray(rows[index], np.float64)
