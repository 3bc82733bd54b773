"""What the annotated recording shows of an evaluated chunk."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.evaluation.chunk_jobs import ChunkJob, gapless, joints_and_poses
from cosmos_ros.evaluation.frame_scores import scale_to
from cosmos_ros.evaluation.scoring import MODEL, ScoredChunk
from cosmos_ros.messages import compress
from cosmos_ros.recordings.annotations import Annotation
from cosmos_ros.types import NANOSECONDS, FloatArray, UInt8Array

_MAX_WIDTH = 640
_JPEG_QUALITY = 85


def make_annotation(job: ChunkJob, scored: ScoredChunk, embodiment: Embodiment, stride: int) -> Annotation | None:
    """Return what is recorded of a chunk; None when the model predicted nothing. Needs no model."""
    prediction, verdict = scored.prediction, scored.verdict
    if prediction is None:
        return None
    frames = []
    predicted = scored.frames.get(MODEL)
    if predicted is not None:
        for k in range(1, min(stride, len(job.canvases) - 1) + 1):
            actual = job.canvases[k]
            frame = predicted[k] if actual is None else scale_to(predicted[k], actual)
            time = job.observation.stamp_ns + round(k * NANOSECONDS / embodiment.fps)
            frames.append((time, _jpeg(frame), None if actual is None else _jpeg(actual)))
    states = gapless(job.joints)
    recorded = joints_and_poses(embodiment, states)[1] if states else {}
    return Annotation(
        stamp_ns=job.observation.stamp_ns,
        candidate=prediction.trajectory,
        guarded=None if verdict is None else verdict.trajectory,
        # The time that judging took differs from run to run.
        verdict=None if verdict is None else {k: v for k, v in verdict.to_dict().items() if k != "elapsed_ms"},
        predicted=_positions({} if prediction.chunk is None else prediction.chunk.poses),
        actual=_positions(recorded),
        frames=tuple(frames),
    )


def _positions(poses: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {link: matrices[:, :3, 3] for link, matrices in poses.items()}


def _jpeg(image: UInt8Array) -> bytes:
    if image.shape[1] > _MAX_WIDTH:
        size = (_MAX_WIDTH, max(1, round(image.shape[0] * _MAX_WIDTH / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return compress(image, quality=_JPEG_QUALITY)
