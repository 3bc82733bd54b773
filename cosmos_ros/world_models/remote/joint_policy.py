"""Cosmos3-Nano-Policy-DROID's own numbers: absolute joint positions, and a gripper whose sign depends on the sender.

The checkpoint's action rows are seven joint positions (rad) and the gripper, 1 = open. Its servers take and return the
DROID data set's raw gripper instead, 0 = open and 1 = closed. Within this package 1 is open, so it is turned here.
"""

from __future__ import annotations

import numpy as np

from cosmos_ros.errors import CapabilityError, ModelError
from cosmos_ros.types import Float32Array, Request, UInt8Array
from cosmos_ros.world_models.domains import POLICY_DROID_SIZE, POLICY_DROID_WIDTH
from cosmos_ros.world_models.media import conditioning_image

_LARGEST_ANGLE = 2 * np.pi  # no Franka joint goes there
_SHAPE_SLACK = 0.02  # cameras of 848x480 are 16:9 but for one percent
_GRIPPER_SLACK = 0.25  # a regression head overshoots a little; percent or radians overshoot by far


def policy_state(where: str, request: Request) -> tuple[Float32Array, float]:
    """Return ``float32 [7]`` joint positions (rad) and the raw gripper (0 open, 1 closed) of ``Request.state``.

    Raises:
        CapabilityError: The request is not of a joint-space embodiment, or carries no state.
    """
    if request.action_dim != POLICY_DROID_WIDTH:
        raise CapabilityError(
            f"this policy has rows of {POLICY_DROID_WIDTH} numbers (joints and gripper), the embodiment has "
            f"{request.action_dim}",
            where=where,
            hint="Use an embodiment whose layout is joints, e.g. embodiment:=franka_joint.",
        )
    if request.state is None or request.state.shape != (POLICY_DROID_WIDTH,):
        raise CapabilityError(
            "the request carries no state: this policy needs the joint positions and the gripper's opening",
            where=where,
            hint="Check that joint_states holds the arm's and the gripper's joints.",
        )
    state = np.asarray(request.state, dtype=np.float32)
    if not np.isfinite(state).all():
        raise CapabilityError(f"the state is not finite: {state.tolist()}", where=where)
    return state[:7], float(np.clip(1.0 - state[7], 0.0, 1.0))


def policy_image(where: str, request: Request) -> UInt8Array:
    """Return the canvas ``uint8 [540, 640, 3]``; smaller or larger ones of the same shape are scaled.

    Raises:
        CapabilityError: There is none, or it is of another shape: the servers would take it, and squeeze it.
    """
    image = conditioning_image(where, request)
    height, width = image.shape[:2]
    if (height, width) == POLICY_DROID_SIZE:
        return image
    wanted_height, wanted_width = POLICY_DROID_SIZE
    if abs(width * wanted_height / (height * wanted_width) - 1.0) > _SHAPE_SLACK:
        raise CapabilityError(
            f"the canvas is {width}x{height}, this policy was trained on {wanted_width}x{wanted_height}",
            where=where,
            hint="Use a wrist camera of 16:9, or crop its image to that.",
        )
    import cv2

    scaled = cv2.resize(image, (wanted_width, wanted_height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled, dtype=np.uint8)


def gripper_from_server(where: str, rows: Float32Array) -> Float32Array:
    """Return ``float32 [T, 8]`` with the gripper turned to 1 = open.

    Raises:
        ModelError: Joints beyond a full turn or a gripper far outside 0 to 1: another unit or another model.
    """
    joints, gripper = rows[:, :7], rows[:, 7]
    far = np.argwhere(np.abs(joints) > _LARGEST_ANGLE)
    if far.size:
        step, joint = (int(v) for v in far[0])
        raise ModelError(
            f"actions[{step}, {joint}] is {joints[step, joint]:.3g}, which is no joint position in radians",
            where=where,
            hint="Check that the server serves Cosmos3-Nano-Policy-DROID.",
        )
    wild = np.flatnonzero((gripper < -_GRIPPER_SLACK) | (gripper > 1.0 + _GRIPPER_SLACK))
    if wild.size:
        raise ModelError(
            f"actions[{int(wild[0])}, 7] is {gripper[wild[0]]:.3g}, which is no gripper position from 0 to 1",
            where=where,
        )
    turned = rows.copy()
    turned[:, 7] = np.clip(1.0 - gripper, 0.0, 1.0)
    return turned
