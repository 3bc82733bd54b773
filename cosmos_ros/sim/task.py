"""What the robot is asked to do, in words and in geometry: reach, push, put on, lift. The simulator judges by it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.sim.tabletop import SceneObject
from cosmos_ros.types import FloatArray

DEFAULT_INSTRUCTION = "put the red cube on the green pad"

# Reached: the point between the fingertips is this near to the middle of the object's top, m.
REACHED = 0.035
# Lifted: the object's underside is this high above the table, m; both times the size of the robot's things.
LIFTED = 0.06
# Slower is at rest, m/s.
AT_REST = 0.02


class Verb(Enum):
    """What is done with the first object that an instruction names."""

    REACH = "reach"
    PUSH = "push"
    PUT = "put"
    LIFT = "lift"

    @property
    def needs_target(self) -> bool:
        """Whether a second object is named: where the first one goes."""
        return self in (Verb.PUSH, Verb.PUT)


_WORDS: Mapping[Verb, str] = {
    Verb.PUSH: r"push|slide|shove|nudge",
    Verb.REACH: r"reach|touch|approach|go to|move to|move above|point at",
    Verb.LIFT: r"lift|raise|pick|grasp|grab|hold",
}


@dataclass(frozen=True)
class Task:
    """One thing to do.

    Attributes:
        item: The object that is meant.
        target: Where it goes, for push and put.
        verb: What is done with it.
        hand: Gripper that the instruction names; empty: the one whose area the object is in.
    """

    item: SceneObject
    target: SceneObject | None = None
    verb: Verb = Verb.PUT
    hand: str = ""

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """What it is about."""
        return (self.item,) if self.target is None else (self.item, self.target)

    def resting_height(self, target_pose: FloatArray) -> float:
        """Return the height of the item's centre when it lies on the target, m."""
        assert self.target is not None
        top = 0.5 * self.target.size[2] if self.target.movable else 0.0
        return float(target_pose[2, 3] + top + 0.5 * self.item.size[2])

    @property
    def tolerance(self) -> float:
        """How far the item's centre may be from the target's, per axis of the base frame, m."""
        assert self.target is not None
        half = 0.5 * min(self.target.size[:2])
        return max(0.5 * half, half - 0.6 * max(self.item.size[:2]))

    def reached(self, item_pose: FloatArray, target_pose: FloatArray) -> bool:
        """Return whether the item lies on the target, whoever may still be holding it."""
        offset = item_pose[:3, 3] - target_pose[:3, 3]
        return bool(
            np.abs(offset[:2]).max() <= self.tolerance
            and abs(item_pose[2, 3] - self.resting_height(target_pose)) <= 0.004
        )


@dataclass(frozen=True)
class TaskState:
    """What judging a task needs of one moment, in the base frame.

    Attributes:
        item, target: Poses ``[4, 4]``; target None for tasks without one.
        item_speed: m/s.
        touched: The robot touches the item.
        grasp_points: ``[H, 3]`` points between the fingertips of the hands that may do it.
        tool_speed: Largest speed of those, m/s.
        table: Height of the table's top, m.
        scale: Size of things relative to a Franka's.
    """

    item: FloatArray
    target: FloatArray | None
    item_speed: float
    touched: bool
    grasp_points: FloatArray
    tool_speed: float
    table: float
    scale: float


def is_done(task: Task, state: TaskState) -> bool:
    """Return whether a task is done.

    Reach: a hand's grasp point rests within 3.5 cm of the middle of the item's top. Lift: the item is held with its
    underside 6 cm above the table. Push: the item rests on the target. Put: it does, and nobody touches it any more.
    Distances shrink with the robot's things.
    """
    middle = state.item[:3, 3]
    if task.verb is Verb.REACH:
        # The item's own z axis may point anywhere once it has been tipped over.
        top = middle + np.array([0.0, 0.0, 0.5 * task.item.size[2]])
        near = np.linalg.norm(state.grasp_points - top, axis=-1).min() <= REACHED * state.scale
        return bool(near and state.tool_speed <= AT_REST)
    if task.verb is Verb.LIFT:
        underside = middle[2] - 0.5 * task.item.size[2] - state.table
        return bool(state.touched and underside >= LIFTED * state.scale)
    assert state.target is not None
    on = task.reached(state.item, state.target) and state.item_speed < 0.01
    return on and (task.verb is Verb.PUSH or not state.touched)


def parse_instruction(text: str, objects: Mapping[str, SceneObject], hands: Mapping[str, str] | None = None) -> Task:
    """Read an instruction in any wording that names what to do and the objects, the moved one first.

    ``reach`` and ``lift`` (or pick up, raise, touch ...) name one object, ``push`` and ``put`` two. Without a known
    verb, two objects mean put.

    Args:
        text: The instruction.
        objects: Scene objects by name; ``red_cube`` is said ``red cube``.
        hands: Gripper → what it is called, e.g. ``left``.

    Raises:
        InputError: Another number of the scene's objects is named, or the first cannot be moved.
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
    hint = f"Say: put the <object> on the <object>, push .. onto .., lift .., reach ... There are: {known}."
    verb = next((v for v, pattern in _WORDS.items() if re.search(rf"\b(?:{pattern})\b", words)), Verb.PUT)
    if verb is Verb.LIFT and len(names) == 2:
        verb = Verb.PUT  # pick it up and put it there
    wanted = 2 if verb.needs_target else 1
    if len(names) != wanted:
        raise InputError(
            f"{text!r} names {len(names)} things of the scene, not {wanted}", where="instruction", hint=hint
        )
    item = objects[names[0]]
    target = objects[names[1]] if wanted == 2 else None
    if not item.movable and verb is not Verb.REACH:
        raise InputError(f"the {names[0].replace('_', ' ')} cannot be moved", where="instruction", hint=hint)
    hand = next((g for g, word in (hands or {}).items() if word and re.search(rf"\b{word}\b", words)), "")
    return Task(item, target, verb, hand)


def instruction_of(task: Task, wording: int = 0, hand_word: str = "") -> str:
    """Return an instruction for a task; ``wording`` chooses among some, the first of which is the plainest."""
    item = task.item.name.replace("_", " ")
    target = "" if task.target is None else task.target.name.replace("_", " ")
    choices: Sequence[str] = WORDINGS[task.verb]
    text = choices[wording % len(choices)].format(item=item, target=target)
    return f"{text} with the {hand_word} arm" if hand_word else text


WORDINGS: Mapping[Verb, tuple[str, ...]] = {
    Verb.REACH: (
        "reach the {item}",
        "go to the {item}",
        "move to the {item}",
        "touch the {item}",
        "approach the {item}",
    ),
    Verb.PUSH: (
        "push the {item} onto the {target}",
        "slide the {item} to the {target}",
        "push the {item} on the {target}",
        "shove the {item} over to the {target}",
    ),
    Verb.PUT: (
        "put the {item} on the {target}",
        "place the {item} on the {target}",
        "pick up the {item} and put it on the {target}",
        "set the {item} down on top of the {target}",
        "move the {item} onto the {target}",
    ),
    Verb.LIFT: ("lift the {item}", "pick up the {item}", "raise the {item}", "grab the {item} and lift it up"),
}
