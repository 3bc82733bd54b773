"""What was chosen for one reference stamp, still undecoded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.messages.compressed import decode_compressed
from cosmos_ros.messages.cv_bridge_images import BridgeImage
from cosmos_ros.messages.images import decode_image
from cosmos_ros.observation.rings import Item
from cosmos_ros.types import FloatArray, JointState, Observation, UInt8Array


@dataclass
class Snapshot:
    """The inputs of one observation. Cheap to make; ``build`` decodes the images.

    Attributes:
        stamp_ns: Reference stamp.
        images: View → item; the payload is a message or ``uint8 [H, W, 3]`` RGB.
        joints: As-of joint state, or None.
        tool_poses, gripper_widths, scene, instruction: As in Observation.
        previous: The snapshot one control step earlier, when the buffers had it.
        epoch: Number of clock resets before it.
    """

    stamp_ns: int
    images: Mapping[str, Item]
    joints: JointState | None
    instruction: str = ""
    tool_poses: Mapping[str, FloatArray] = field(default_factory=dict)
    gripper_widths: Mapping[str, float] = field(default_factory=dict)
    scene: Mapping[str, FloatArray] = field(default_factory=dict)
    previous: Snapshot | None = None
    epoch: int = 0

    @property
    def received_ns(self) -> int:
        """Node clock at the arrival of the last of the images."""
        return max(item.received_ns for item in self.images.values())

    def build(self, *, previous_images: bool = True, pool: Executor | None = None) -> Observation:
        """Decode the images and return the observation.

        Args:
            previous_images: Decode those of ``previous`` too; without, it has none, only the state.
            pool: Decodes images at the same time (decoders give up the GIL); None decodes one after another.

        Raises:
            InputError: An image cannot be decoded; names the view.
        """
        if pool is not None:
            wanted = [(item, view) for view, item in self.images.items() if item.decoded is None and not item.decoding]
            list(pool.map(lambda pair: decode_item(*pair), wanted))
        previous: Observation | None = None
        if self.previous is not None:
            earlier = self.previous if previous_images else replace(self.previous, images={}, previous=None)
            # The present does not depend on it, and what is wrong was reported when it was the reference itself.
            with contextlib.suppress(InputError):
                previous = earlier.build(previous_images=previous_images, pool=pool)
        return Observation(
            stamp_ns=self.stamp_ns,
            images={view: decode_item(item, view) for view, item in self.images.items()},
            image_stamps_ns={view: item.stamp_ns for view, item in self.images.items()},
            joints=self.joints,
            instruction=self.instruction,
            previous=previous,
            tool_poses=self.tool_poses,
            gripper_widths=self.gripper_widths,
            scene=self.scene,
        )


def decode_item(item: Item, view: str) -> UInt8Array:
    """Return an image item as ``uint8 [H, W, 3]`` RGB, decoding it on the first call or waiting for the pool.

    Raises:
        InputError: It cannot be decoded; names the view.
    """
    if item.decoded is None:
        decoding = item.decoding
        item.decoded = decode_payload(item.payload, f"camera {view}") if decoding is None else decoding.result()
    image: UInt8Array = item.decoded
    return image


def start_decoding(
    item: Item, view: str, pool: Executor, then: Callable[[str, UInt8Array], None] = lambda view, image: None
) -> None:
    """Have a pool decode an image item that will probably be used, once; ``then`` is called there with the image."""
    if item.decoded is None and item.decoding is None:
        item.decoding = pool.submit(_decode_then, item.payload, view, then)


def _decode_then(payload: Any, view: str, then: Callable[[str, UInt8Array], None]) -> UInt8Array:
    image = decode_payload(payload, f"camera {view}")
    then(view, image)
    return image


def decode_payload(payload: Any, name: str) -> UInt8Array:
    """Return an Image, a BridgeImage, a CompressedImage or an RGB array as ``uint8 [H, W, 3]``.

    Raises:
        InputError: It is none of these, or cannot be decoded.
    """
    if isinstance(payload, np.ndarray):
        if payload.dtype != np.uint8 or payload.ndim != 3 or payload.shape[2] != 3 or payload.size == 0:
            raise InputError(f"{payload.dtype} {list(payload.shape)} is not uint8 [H, W, 3]", where=name)
        return payload
    if isinstance(payload, BridgeImage):
        return payload.decode(topic=name)
    if hasattr(payload, "encoding"):
        return decode_image(payload, topic=name)
    return decode_compressed(payload, topic=name)
