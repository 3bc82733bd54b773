"""Scenes and an action layout shared by the tests of the world models."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.types import ActionLayout, JointState, Observation

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


def observation_of(embodiment: Embodiment, height: int = 96, width: int = 128) -> Observation:
    """What an embodiment sees in its home posture, half a control step of motion after the observation before."""
    period_ns = round(1e9 / embodiment.fps)
    images = {view: textured(height, width, seed=i) for i, view in enumerate(embodiment.views)}
    earlier = {view: np.roll(image, -2, axis=1) for view, image in images.items()}
    home = embodiment.home

    def joints(stamp_ns: int, offset: float) -> JointState | None:
        if not embodiment.has_joints:
            return None
        names = embodiment.all_joints
        arm = len(embodiment.joint_names)
        positions = np.array([home[name] + (offset if i < arm else 0.0) for i, name in enumerate(names)])
        return JointState(stamp_ns=stamp_ns, names=names, positions=positions)

    def observation(stamp_ns: int, pictures: dict[str, np.ndarray], offset: float) -> Observation:
        tracked = {} if embodiment.has_joints else {link: np.eye(4) for link in embodiment.tool_links}
        widths = {
            name: 0.5 * (gripper.width.closed + gripper.width.open)
            for name, gripper in embodiment.spec.grippers.items()
            if gripper.joint is None and gripper.width is not None
        }
        return Observation(
            stamp_ns=stamp_ns,
            images=pictures,
            image_stamps_ns=dict.fromkeys(pictures, stamp_ns),
            joints=joints(stamp_ns, offset),
            instruction="put the block into the bowl",
            tool_poses=tracked,
            gripper_widths=widths,
        )

    before = observation(10**9, earlier, -0.005)
    return replace(observation(10**9 + period_ns, images, 0.0), previous=before)
