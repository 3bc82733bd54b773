"""Predictions, verdicts and paths as recorded topics, beside what a recording holds."""

from __future__ import annotations

import heapq
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.evaluation.bag_writer import BagWriter
from cosmos_ros.evaluation.bags import BagMessage, BagReader
from cosmos_ros.evaluation.frame_scores import fit
from cosmos_ros.evaluation.jobs import ChunkJob
from cosmos_ros.evaluation.scoring import MODEL, Scored
from cosmos_ros.messages import compress
from cosmos_ros.messages.stamps import split_ns
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory, UInt8Array

PARTS = "annotations"
# As the live nodes name them, so that the shipped layouts show them.
CANDIDATE = "/predictor/action_trajectory"
GUARDED = "/guard/would_send"
VERDICT = "/guard/verdict_json"
FRAME = "/predictor/rollout/image/compressed"
ACTUAL = "/evaluation/actual/compressed"
MARKERS = "/predictor/rollout/markers"
_TYPES = {
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
    states: list[JointState] = []
    for state in job.joints:
        if state is None:
            break
        states.append(state)
    actual: dict[str, FloatArray] = {}
    if states:
        names = embodiment.joint_names
        joints = np.array([[state.position_of(name) for name in names] for state in states])
        actual = {link: poses[:, :3, 3] for link, poses in embodiment.poses_of(names, joints).items()}
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
    """Records annotations while a recording is evaluated; one part a run, so that an evaluation can go on.

    Args:
        folder: Of the evaluation.
        bag: Name of the recording.
        base_frame: Of the paths.
    """

    def __init__(self, folder: Path, bag: str, base_frame: str) -> None:
        self._folder = folder / PARTS
        self._bag = bag
        self._base_frame = base_frame
        self._writer: BagWriter | None = None

    def __enter__(self) -> AnnotationWriter:
        """Nothing is written before the first annotation."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the part."""
        if self._writer is not None:
            self._writer.close()

    def add(self, annotation: Annotation) -> None:
        """Record one chunk.

        Raises:
            CosmosRosError: It cannot be written.
        """
        writer = self._open()
        make = writer.factory
        stamp = annotation.stamp_ns
        events: list[tuple[int, str, Any]] = []
        for topic, trajectory in ((CANDIDATE, annotation.candidate), (GUARDED, annotation.guarded)):
            if trajectory is not None:
                events.append((stamp, topic, _trajectory(writer, trajectory)))
        if annotation.verdict is not None:
            events.append((stamp, VERDICT, make.string(json.dumps(annotation.verdict))))
        if annotation.predicted:
            events.append((stamp, MARKERS, self._markers(writer, annotation)))
        for time, predicted, actual in annotation.frames:
            for topic, data in ((FRAME, predicted), (ACTUAL, actual)):
                if data is not None:
                    image = make.compressed_image(data, stamp_ns=time, frame_id="prediction")
                    events.append((time, topic, image))
        for time, topic, message in sorted(events, key=lambda event: event[0]):
            writer.write_message(topic, time, message)

    def _open(self) -> BagWriter:
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            taken = [path.name for path in self._folder.glob(f"{self._bag}.*")]
            number = next(n for n in range(len(taken) + 1) if f"{self._bag}.{n}" not in taken)
            self._writer = BagWriter(self._folder / f"{self._bag}.{number}").__enter__()
            for topic, type_name in _TYPES.items():
                self._writer.add_topic(topic, type_name)
        return self._writer

    def _markers(self, writer: BagWriter, annotation: Annotation) -> Any:
        """Return the predicted tool path in blue and the recorded one in green."""
        types = writer.types.types
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
                        header=writer.factory.header(annotation.stamp_ns, self._base_frame),
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
                            header=writer.factory.header(annotation.stamp_ns, ""), format="", data=np.zeros(0, np.uint8)
                        ),
                        uv_coordinates=[],
                        text="",
                        mesh_resource="",
                        mesh_file=types["visualization_msgs/msg/MeshFile"]("", np.zeros(0, np.uint8)),
                        mesh_use_embedded_materials=False,
                    )
                )
        return types["visualization_msgs/msg/MarkerArray"](markers=markers)


def _trajectory(writer: BagWriter, trajectory: JointTrajectory) -> Any:
    types = writer.types.types
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
        header=writer.factory.header(trajectory.stamp_ns, ""),
        joint_names=list(trajectory.joint_names),
        points=points,
    )


def _row(rows: FloatArray | None, index: int) -> FloatArray:
    return np.zeros(0) if rows is None else np.ascontiguousarray(rows[index], np.float64)


def merge(folder: Path, bags: Sequence[Path]) -> list[Path]:
    """Write, for each recording, one with everything in it and its annotations; return where they are.

    One recording gives ``annotated/annotated.mcap``, several give ``annotated_<name>/``. The parts are removed.

    Raises:
        InputError: A recording is damaged, or has topics of these names (it was annotated before).
        CosmosRosError: They cannot be written.
    """
    written = []
    for path in bags:
        name = path.resolve().name
        parts = sorted((folder / PARTS).glob(f"{name}.*"))
        out = folder / ("annotated" if len(bags) == 1 else f"annotated_{name}")
        if parts:
            if out.exists():
                shutil.rmtree(out)
            _merge_one(path, parts, out)
            written.append(out)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    return written


def _merge_one(path: Path, parts: Sequence[Path], out: Path) -> None:
    with ExitStack() as stack:
        source = stack.enter_context(BagReader(path))
        readers = [source, *(stack.enter_context(BagReader(part)) for part in parts)]
        writer = stack.enter_context(BagWriter(out, compress=False))
        prefix = "/evaluation" if any(topic in source.topics for topic in _TYPES) else ""
        if any(f"{prefix}{topic}" in source.topics for topic in _TYPES):
            raise InputError("it holds the topics of an annotated recording", where=str(path))
        names = [{topic: topic for topic in source.topics}]
        names += [{topic: f"{prefix}{topic}" for topic in reader.topics} for reader in readers[1:]]
        for reader, renamed in zip(readers, names, strict=True):
            for topic, info in reader.topics.items():
                writer.add_topic(
                    renamed[topic], info.type_name, qos=info.qos[:1], definition=reader.definition(info.type_name)
                )
        streams = [_tolerant(reader, i, names[i]) for i, reader in enumerate(readers)]
        for log_ns, _, topic, data in heapq.merge(*streams, key=lambda entry: entry[:2]):
            writer.write(topic, log_ns, data)


def _tolerant(reader: BagReader, number: int, names: dict[str, str]) -> Iterator[tuple[int, int, str, bytes]]:
    """Yield (time, stream, topic, data) up to the first damage, which the evaluation itself has reported."""
    stream: Iterator[BagMessage] = reader.messages()
    while True:
        try:
            message = next(stream, None)
        except CosmosRosError:
            return
        if message is None:
            return
        yield message.log_ns, number, names[message.topic], message.data
