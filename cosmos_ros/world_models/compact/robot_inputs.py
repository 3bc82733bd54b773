"""What the model is given of one robot, as plain numbers: views cut from the canvas, and the state vector.

Training and prediction call the same functions. N is a number of states; one request has N = 1.

The state vector has, in this order: each tool's translation (m) and first two rotation columns, measured openings,
openings last commanded and whether they are known, joint positions, joint velocities and whether they are known, and
the normalised row that led here, its grippers zeroed, and whether it is known. What is not known is zero after
normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.types import Float32Array, FloatArray, UInt8Array

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

# Standard deviations below this are of numbers that never change.
_CONSTANT = 1e-4


@dataclass(frozen=True)
class ViewInput:
    """One view as the network sees it.

    Attributes:
        name: View of the embodiment.
        width, height: Pixels.
        left, top, right, bottom: Where it lies on the canvas, as shares of its width and height.
    """

    name: str
    width: int
    height: int
    left: float
    top: float
    right: float
    bottom: float

    def cut(self, canvas: UInt8Array) -> UInt8Array:
        """Return this view's part of a canvas ``uint8 [H, W, 3]``, unscaled."""
        height, width = canvas.shape[:2]
        part = canvas[
            round(self.top * height) : round(self.bottom * height), round(self.left * width) : round(self.right * width)
        ]
        if 0 in part.shape:
            raise InputError(f"a canvas of {width}x{height} pixels is too small", where=f"view {self.name}")
        return part

    def picture(self, canvas: UInt8Array) -> UInt8Array:
        """Return this view ``uint8 [height, width, 3]`` of a canvas ``uint8 [H, W, 3]``."""
        import cv2

        part = self.cut(canvas)
        shrinks = part.shape[1] >= self.width
        scaled = cv2.resize(
            part, (self.width, self.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        return np.asarray(scaled, dtype=np.uint8)


@dataclass(frozen=True)
class RobotInputs:
    """What a trained model fixes for one robot.

    Attributes:
        embodiment: Its name.
        domain: Action domain.
        fps, chunk_size, action_dim: As in a request.
        links, grippers, joints: What the state vector has, in its order; joints empty where there are none.
        gripper_columns: Columns of the action rows that hold openings.
        scale, offset: ``[D]`` what the normalised rows mean; a request with others is refused.
        views: The views.
        mean, std: ``[S]`` normalisation of the state vector.
    """

    embodiment: str
    domain: str
    fps: float
    chunk_size: int
    action_dim: int
    links: tuple[str, ...]
    grippers: tuple[str, ...]
    joints: tuple[str, ...]
    gripper_columns: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    views: tuple[ViewInput, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def state_size(self) -> int:
        """S, the length of the state vector."""
        return 9 * len(self.links) + 2 * len(self.grippers) + 1 + 2 * len(self.joints) + 1 + self.action_dim + 1

    def raw_state(
        self,
        *,
        tools: FloatArray | Float32Array,
        openings: FloatArray | Float32Array,
        commands: FloatArray | Float32Array | None = None,
        positions: FloatArray | Float32Array | None = None,
        velocities: FloatArray | Float32Array | None = None,
        past: FloatArray | Float32Array | None = None,
    ) -> tuple[Float32Array, Float32Array]:
        """Return state vectors before normalisation and what of them is known, each ``float32 [N, S]``.

        Args:
            tools: ``[N, P, 9]``; ``openings`` and ``commands`` ``[N, G]``; ``positions`` and ``velocities`` ``[N, J]``;
                ``past`` ``[N, D]``; None where not known.
        """
        count = len(tools)
        moved = None if past is None else np.array(past, dtype=np.float32)
        if moved is not None:
            moved[:, list(self.gripper_columns)] = 0.0
        parts: list[tuple[Any, int, bool]] = [
            (tools, 9 * len(self.links), False),
            (openings, len(self.grippers), False),
            (commands, len(self.grippers), True),
            (positions, len(self.joints), False),
            (velocities, len(self.joints), True),
            (moved, self.action_dim, True),
        ]
        values, known = [], []
        for part, width, flagged in parts:
            is_known = part is not None and width > 0
            columns = np.zeros((count, width)) if part is None else np.asarray(part).reshape(count, width)
            values.append(columns)
            known.append(np.full((count, width), float(is_known)))
            if flagged:
                values.append(np.full((count, 1), float(is_known)))
                known.append(np.ones((count, 1)))
        return np.hstack(values).astype(np.float32), np.hstack(known).astype(np.float32)

    def state(self, raw: Float32Array, known: Float32Array) -> Float32Array:
        """Return normalised state vectors ``float32 [N, S]``."""
        mean, std = np.array(self.mean, dtype=np.float32), np.array(self.std, dtype=np.float32)
        return np.asarray(np.clip((raw - mean) / std, -8.0, 8.0) * known, dtype=np.float32)

    def flag_groups(self) -> dict[str, tuple[int, int]]:
        """Return name → first and last-but-one column of those groups that may be unknown, their flags last."""
        start = 9 * len(self.links) + len(self.grippers)
        groups = {}
        for name, width, skip in (
            ("commands", len(self.grippers), len(self.joints)),
            ("velocities", len(self.joints), 0),
            ("past", self.action_dim, 0),
        ):
            groups[name] = (start, start + width + 1)
            start += width + 1 + skip
        return groups


def state_statistics(robot: RobotInputs, raw: Float32Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of state vectors; flags and constants stay as they are."""
    mean, std = raw.mean(axis=0, dtype=np.float64), raw.std(axis=0, dtype=np.float64)
    for _, last in robot.flag_groups().values():
        mean[last - 1], std[last - 1] = 0.0, 1.0
    std = np.where(std < _CONSTANT, 1.0, std)
    return tuple(mean.tolist()), tuple(std.tolist())


def canvas_places(embodiment: Embodiment) -> dict[str, tuple[float, float, float, float]]:
    """Return view → (left, top, right, bottom) on the canvas, as shares of its width and height."""
    cameras, rows = embodiment.spec.cameras, embodiment.spec.canvas.rows
    heights = [1.0 / cameras[row[0]].divide for row in rows]
    places, top = {}, 0.0
    for row, height in zip(rows, heights, strict=True):
        bottom = top + height / sum(heights)
        for i, view in enumerate(row):
            places[view] = (i / len(row), top, (i + 1) / len(row), bottom)
        top = bottom
    return places


def robot_inputs(embodiment: Embodiment, sizes: Mapping[str, tuple[int, int]]) -> RobotInputs:
    """Return what the model is given of an embodiment, still without statistics of the state vector.

    Args:
        embodiment: The robot.
        sizes: View → (width, height) in pixels that the network sees.
    """
    places = canvas_places(embodiment)
    layout = embodiment.layout
    return RobotInputs(
        embodiment=embodiment.name,
        domain=embodiment.domain_name,
        fps=embodiment.fps,
        chunk_size=embodiment.chunk_size,
        action_dim=embodiment.action_dim,
        links=tuple(block.link for block in layout.poses),
        grippers=tuple(grip.gripper for grip in layout.grips),
        joints=tuple(embodiment.all_joints) if embodiment.has_joints else (),
        gripper_columns=tuple(grip.column for grip in layout.grips),
        scale=tuple(np.asarray(embodiment.normaliser.scale, dtype=np.float64).tolist()),
        offset=tuple(np.asarray(embodiment.normaliser.offset, dtype=np.float64).tolist()),
        views=tuple(ViewInput(view, *sizes[view], *places[view]) for view in embodiment.views),
    )
