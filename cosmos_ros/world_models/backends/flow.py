"""The backend ``flow``, a classical baseline: image and tool go on moving as they just did, ever more slowly.

Frames: dense inverse search optical flow (Kroeger et al., ECCV 2016, as cv2.DISOpticalFlow) from the previous canvas
to the present one, splatted forward so that moving things cover what they move over, then sampled from the present
canvas. Actions: the twist of the last motion (SE(3) logarithm of the physical delta), constant but for damping.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.errors import CapabilityError, ConfigError
from cosmos_ros.se3 import matrix_from_pose9d, pose9d_from_matrix
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import ActionLayout, Float32Array, FloatArray, Int64Array, Mode, Request, Rollout, UInt8Array
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.backends.persistence import hold_action
from cosmos_ros.world_models.protocol import Capabilities, check_request
from cosmos_ros.world_models.sampler_settings import check_names
from cosmos_ros.world_models.screw import screw_exp, screw_log

_GRID = 4  # displacements are splatted on a grid this much coarser than the image


@dataclass(frozen=True)
class FlowOptions(DeclaredSettings):
    """Options of ``flow``; ``damping`` is a sampler setting too."""

    damping: float = setting(
        0.85, "Factor on the motion from each step to the next; 0 is persistence.", minimum=0.0, maximum=1.0
    )


class Flow:
    """Optical-flow extrapolation of frames and constant-twist extrapolation of actions; no weights, deterministic.

    ``forward_dynamics`` ignores the given actions: a model that does no better has not understood them.
    ``inverse_dynamics`` is refused: metric tool motion cannot be read from flow without the scene's geometry.
    Without a previous canvas or past action (the first cycle) nothing moves.
    """

    name = "flow"
    capabilities = Capabilities(
        modes=frozenset({Mode.POLICY, Mode.FORWARD_DYNAMICS}),
        uses_previous_image=True,
        settings=frozenset({"damping"}),
        takes_instruction=False,
    )

    def __init__(self, options: FlowOptions) -> None:
        self._options = options

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, request: Request) -> Rollout:
        """Answer one request. ``settings`` may carry ``damping``.

        Raises:
            CapabilityError: Wrong mode or setting, or the request lacks image, hold_action or layout.
        """
        check_request(self, request)
        damping = self._damping(request.settings)
        # Step k has moved by 1·d + 1·d² + … + d^k past motions.
        travel = np.cumsum(damping ** np.arange(1, request.chunk_size + 1))
        if request.image is None:
            raise CapabilityError("the request carries no image", where=f"world_model {self.name}")
        started = time.perf_counter()
        frames = extrapolate_frames(request.previous_image, request.image, travel)
        framed = time.perf_counter()
        actions = self._extrapolate_actions(request, damping) if request.mode is Mode.POLICY else None
        return Rollout(
            frames=frames,
            actions=actions,
            provenance={
                "backend": self.name,
                "damping": damping,
                "has_previous_image": request.previous_image is not None,
                "has_past_action": request.past_action is not None,
                "ignores_actions": request.mode is Mode.FORWARD_DYNAMICS,
            },
            latencies_ms={"frames": (framed - started) * 1e3, "actions": (time.perf_counter() - framed) * 1e3},
        )

    def close(self) -> None:
        """Nothing to release."""

    def _damping(self, settings: Mapping[str, Any]) -> float:
        check_names(f"world_model {self.name}", settings, frozenset({"damping"}))
        try:
            return float(replace(self._options, **settings).damping)
        except ConfigError as error:
            raise CapabilityError(error.message, where=f"world_model {self.name}") from None

    def _extrapolate_actions(self, request: Request, damping: float) -> Float32Array:
        hold = hold_action(self.name, request)
        rows = np.repeat(hold[None], request.chunk_size, axis=0)
        if request.past_action is None:
            return rows
        if request.layout is None:
            raise CapabilityError(
                "the request carries no layout of its action rows",
                where=f"world_model {self.name}",
                hint="Build the request with Embodiment.build_request.",
            )
        layout = request.layout
        past = np.asarray(request.past_action, dtype=np.float64) * layout.scale + layout.offset
        for start in layout.pose_columns:
            twist = screw_log(matrix_from_pose9d(past[start : start + 9]))
            columns = slice(start, start + 9)
            for step in range(request.chunk_size):
                delta = screw_exp(twist * damping ** (step + 1))
                rows[step, columns] = _normalise(pose9d_from_matrix(delta), layout, columns)
        return rows


def extrapolate_frames(previous: UInt8Array | None, image: UInt8Array, travel: FloatArray) -> UInt8Array:
    """Return ``uint8 [T+1, H, W, 3]``: ``image``, then it moved by ``travel [T]`` times its last displacement.

    Where something moved away, the present image stays: what was behind it is not known.
    """
    import cv2  # heavy, and not needed to list the backends

    frames = np.repeat(image[None], len(travel) + 1, axis=0)
    if previous is None or previous.shape != image.shape or min(image.shape[:2]) < 16:
        return frames
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    # From now to before: where each pixel of the present image came from. Its negative is the motion.
    came_from = solver.calc(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.cvtColor(previous, cv2.COLOR_RGB2GRAY), None)
    if not np.isfinite(came_from).all():
        return frames
    height, width = image.shape[:2]
    small = (max(1, width // _GRID), max(1, height // _GRID))
    motion = -cv2.resize(came_from, small, interpolation=cv2.INTER_AREA)
    # Scaling a field does not change which of its vectors is longer: one order serves every step.
    order = np.argsort((motion**2).sum(axis=-1).reshape(-1), kind="stable")
    grid_x, grid_y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    for step, factor in enumerate(travel, start=1):
        shift = cv2.resize(_splat(motion * np.float32(factor), order), (width, height), interpolation=cv2.INTER_LINEAR)
        frames[step] = cv2.remap(
            image, grid_x - shift[..., 0], grid_y - shift[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return frames


def _splat(motion: Float32Array, order: Int64Array) -> Float32Array:
    """Return, at each grid point, the displacement (in full-image pixels) of what arrives there; zero where nothing.

    Where several arrive, the last in ``order`` wins: in a manipulation scene what moves furthest is the arm, in front.
    """
    height, width = motion.shape[:2]
    values = motion.reshape(-1, 2)[order]
    target_x = np.rint(order % width + values[:, 0] / _GRID).astype(np.int64)
    target_y = np.rint(order // width + values[:, 1] / _GRID).astype(np.int64)
    inside = (target_x >= 0) & (target_x < width) & (target_y >= 0) & (target_y < height)
    arrived = np.zeros((height * width, 2), dtype=np.float32)
    arrived[(target_y * width + target_x)[inside]] = values[inside]  # numpy keeps the last write of a repeated index
    import cv2

    # A median closes the pinholes that rounding leaves inside a stretching surface.
    return np.stack(
        [
            cv2.medianBlur(np.ascontiguousarray(plane), 3)
            for plane in arrived.reshape(height, width, 2).transpose(2, 0, 1)
        ],
        axis=-1,
    )


def _normalise(physical: FloatArray, layout: ActionLayout, columns: slice) -> Float32Array:
    rows = (physical - layout.offset[columns]) / layout.scale[columns]
    return (np.clip(rows, -1.0, 1.0) if layout.clamp else rows).astype(np.float32)


BACKEND = ModelBackend(
    name=Flow.name,
    summary="optical flow goes on, the last twist goes on, both damped; ignores given actions",
    options=FlowOptions,
    capabilities=lambda _: Flow.capabilities,
    implementation=Flow,
    examples={"flow": {}},
)
