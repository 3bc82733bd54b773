"""Scenes and an action layout shared by the tests of the world models."""

from __future__ import annotations

import cv2
import numpy as np

from cosmos_ros.types import ActionLayout

Q01 = np.array([-0.05, -0.03, -0.04, 0.98, -0.16, -0.08, -0.16, 0.97, -0.08, 0.0])
Q99 = np.array([0.05, 0.03, 0.03, 1.0, 0.16, 0.08, 0.16, 1.0, 0.09, 1.0])


def pose_layout() -> ActionLayout:
    return ActionLayout(scale=(Q99 - Q01) / 2, offset=(Q99 + Q01) / 2, pose_columns=(0,), gripper_columns=(9,))


def normalise(physical: np.ndarray) -> np.ndarray:
    layout = pose_layout()
    return ((physical - layout.offset) / layout.scale).astype(np.float32)


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3.0)


def block_on_table(x: int, y: int = 60, size: int = 48) -> np.ndarray:
    """A textured block in front of a textured background, its left edge at column x."""
    image = textured(160, 240, seed=1) // 2
    image[y : y + size, x : x + size] = 128 + textured(size, size, seed=2) // 2
    return image
