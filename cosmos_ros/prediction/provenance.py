"""Provenance of a prediction: which model was asked what, with which settings, from which inputs, and digests."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.types import Observation, Request, Rollout
from cosmos_ros.world_models.protocol import WorldModel

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment
    from cosmos_ros.prediction.state_api import StateRollout


def digest(array: Any) -> str | None:
    """Return a short SHA-256 of an array's dtype, shape and bytes; None for None."""
    if array is None:
        return None
    hasher = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    contiguous: Any = np.ascontiguousarray(array)
    hasher.update(contiguous)
    return hasher.hexdigest()[:16]


def prediction_provenance(request: Request, rollout: Rollout) -> dict[str, Any]:
    """Return what a request and its answer say about how a prediction was made: mode, caption, seed, digests."""
    image = request.image if request.video is None else request.video
    return {
        **rollout.provenance,
        "mode": request.mode.value,
        "domain_name": request.domain_name,
        "domain_id": request.domain_id,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "settings": dict(request.settings),
        "fps": request.fps,
        "chunk_size": request.chunk_size,
        "canvas": None if image is None else list(image.shape[-3:-1]),
        "digests": {
            "canvas": digest(image),
            "actions": digest(rollout.actions),
            "frames": digest(rollout.frames),
        },
    }


def input_provenance(model: WorldModel, embodiment: Embodiment, observation: Observation | None) -> dict[str, Any]:
    """Return which model was asked, for which robot, and the stamps of what was seen."""
    joints = None if observation is None else observation.joints
    return {
        "backend": model.name,
        "scripted": model.capabilities.scripted,
        "deterministic": model.capabilities.deterministic,
        "embodiment": embodiment.name,
        "config_hash": embodiment.config_hash,
        "stamp_ns": None if observation is None else observation.stamp_ns,
        "image_stamps_ns": {} if observation is None else dict(observation.image_stamps_ns),
        "joint_stamp_ns": None if joints is None else joints.stamp_ns,
    }


def state_provenance(model: WorldModel, embodiment: Embodiment, result: StateRollout) -> list[dict[str, Any]]:
    """Return one record a chunk of a state-level call; ``first_row`` says where on the horizon it begins."""
    begins = (0, *result.seams)
    return [
        {
            **input_provenance(model, embodiment, result.start),
            **prediction_provenance(request, rollout),
            "first_row": begin,
            "latencies_ms": {f"model/{stage}": value for stage, value in rollout.latencies_ms.items()},
        }
        for begin, request, rollout in zip(begins, result.requests, result.rollouts, strict=True)
    ]


def to_json(record: Mapping[str, Any]) -> str:
    """Return a record as one line of strict JSON; numbers that are not finite become null, other objects their text."""
    return json.dumps(_plain(record), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
