"""What the demo asks for, in words and in geometry: put one thing on another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.sim.tabletop import SceneObject
from cosmos_ros.types import FloatArray

DEFAULT_INSTRUCTION = "put the red cube on the green pad"


@dataclass(frozen=True)
class PutOn:
    """Put ``item`` on ``target``; both are names of scene objects."""

    item: SceneObject
    target: SceneObject

    def resting_height(self, target_pose: FloatArray) -> float:
        """Return the height of the item's centre when it lies on the target, m."""
        support = target_pose[2, 3] + 0.5 * self.target.size[2] if self.target.movable else 0.0
        return float(support + 0.5 * self.item.size[2])

    @property
    def tolerance(self) -> float:
        """How far the item's centre may be from the target's, per axis of the base frame, m."""
        return max(0.25 * min(self.item.size[:2]), 0.5 * min(self.target.size[:2]) - 0.6 * max(self.item.size[:2]))

    def reached(self, item_pose: FloatArray, target_pose: FloatArray) -> bool:
        """Return whether the item lies on the target, whoever may still be holding it."""
        offset = item_pose[:3, 3] - target_pose[:3, 3]
        return bool(
            np.abs(offset[:2]).max() <= self.tolerance
            and abs(item_pose[2, 3] - self.resting_height(target_pose)) <= 0.004
        )


def parse_instruction(text: str, objects: Mapping[str, SceneObject]) -> PutOn:
    """Read ``put the <colour> <noun> on the <colour> <noun>``, in any wording that names the two in this order.

    Args:
        text: The instruction.
        objects: Scene objects by name; ``red_cube`` is said ``red cube``.

    Raises:
        InputError: Not exactly two of the scene's objects are named, or the first cannot be moved.
    """
    words = re.sub(r"[^a-z0-9]+", " ", text.lower())
    found = sorted(
        (match.start(), name)
        for name in objects
        for match in [re.search(rf"\b{re.escape(name.lower().replace('_', ' '))}\b", words)]
        if match
    )
    names = [name for _, name in found]
    known = ", ".join(name.replace("_", " ") for name in objects)
    hint = f"Say: put the <object> on the <object>. There are: {known}."
    if len(names) != 2:
        raise InputError(f"{text!r} names {len(names)} things of the scene, not 2", where="instruction", hint=hint)
    item, target = objects[names[0]], objects[names[1]]
    if not item.movable:
        raise InputError(f"the {names[0].replace('_', ' ')} cannot be moved", where="instruction", hint=hint)
    return PutOn(item, target)
