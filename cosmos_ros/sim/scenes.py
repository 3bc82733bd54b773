"""Varied scenes: the things that instructions can name, and tables with some of them in random places and light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cosmos_ros.sim.look import Look
from cosmos_ros.sim.sim_description import RobotDescription
from cosmos_ros.sim.tabletop import SceneObject, Tabletop, tabletop_for
from cosmos_ros.sim.task import Task, Verb, instruction_of, parse_instruction

COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.86, 0.13, 0.13),
    "orange": (0.95, 0.46, 0.08),
    "yellow": (0.97, 0.75, 0.12),
    "green": (0.20, 0.66, 0.33),
    "blue": (0.13, 0.36, 0.85),
    "purple": (0.52, 0.22, 0.68),
    "white": (0.93, 0.93, 0.92),
    "black": (0.10, 0.10, 0.11),
}
# Full edge lengths in metres at a Franka's size; the fingers close on the second.
SHAPES: Mapping[str, tuple[float, float, float]] = {
    "cube": (0.040, 0.040, 0.040),
    "cylinder": (0.040, 0.040, 0.050),
    "block": (0.064, 0.034, 0.034),
}
PAD = (0.12, 0.12, 0.003)


def named_object(name: str) -> SceneObject:
    """Return the object of a name such as ``red_cube`` at a Franka's size; KeyError for other names."""
    colour, _, noun = name.partition("_")
    if noun == "pad":
        return SceneObject(name, PAD, COLOURS[colour], movable=False)
    return SceneObject(name, SHAPES[noun], COLOURS[colour], round=noun == "cylinder")


def vocabulary() -> dict[str, SceneObject]:
    """Return everything that an instruction can name, by name."""
    return {f"{c}_{noun}": named_object(f"{c}_{noun}") for c in COLOURS for noun in (*SHAPES, "pad")}


@dataclass(frozen=True)
class TaskScene:
    """A scene and what is to be done in it.

    Attributes:
        scene: Objects, look and places.
        task: What is to be done, with objects of the scene.
        instruction: The same in words.
    """

    scene: Tabletop
    task: Task
    instruction: str


def hand_words(description: RobotDescription) -> dict[str, str]:
    """Return gripper → what an instruction calls it."""
    return {gripper: hand.word for gripper, hand in description.hands.items()}


def task_scene(
    description: RobotDescription, seed: int, *, instruction: str | None = None, verb: Verb | None = None
) -> TaskScene:
    """Return a random scene for a task: the same arguments, the same scene.

    Args:
        description: The robot.
        seed: Seed of objects, look and wording; use it for the poses too (``SimWorld.reset``).
        instruction: What is to be done; its objects are there. None samples a task.
        verb: Kind of a sampled task; None samples that too.

    Raises:
        InputError: The instruction is not one of the vocabulary.
    """
    rng = np.random.default_rng([seed, 0x5CE7E])
    words = hand_words(description)
    if instruction is None:
        task = _sample_task(rng, list(Verb)[int(rng.integers(4))] if verb is None else verb)
    else:
        task = parse_instruction(instruction, vocabulary(), words)
    hand = task.hand or list(description.hands)[int(rng.integers(len(description.hands)))]
    objects = [replace(o, hand=hand) for o in task.objects]
    objects += _distractors(rng, task, list(description.hands), hand)
    order = rng.permutation(len(objects))
    scene = tabletop_for(description.scene, [objects[i] for i in order], look=Look.sample(rng))
    if task.verb is Verb.PUSH and task.target is not None:
        lane = (task.item.name, task.target.name, 0.075 * description.scene.scale)
        scene = replace(scene, lane=lane)
    known = scene.by_name
    task = Task(known[task.item.name], None if task.target is None else known[task.target.name], task.verb, hand)
    text = instruction or instruction_of(task, int(rng.integers(20)), words[hand])
    return TaskScene(scene, task, text)


def _sample_task(rng: np.random.Generator, verb: Verb) -> Task:
    colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))]
    item = named_object(f"{colours[0]}_{rng.choice(list(SHAPES))}")
    if not verb.needs_target:
        return Task(item, None, verb)
    # Things are put on pads, and on cubes and cylinders, which are flat enough on top; pushed onto pads only.
    noun = "pad" if verb is Verb.PUSH else str(rng.choice(["pad", "pad", "cube"]))
    return Task(item, named_object(f"{colours[1]}_{noun}"), verb)


def _distractors(rng: np.random.Generator, task: Task, hands: list[str], hand: str) -> list[SceneObject]:
    """Return one to three other objects: of other colours or shapes than what is named."""
    taken = {o.name for o in task.objects}
    result: list[SceneObject] = []
    # Where several hands have small areas, or a lane is kept free, there is room for two.
    most = 2 if len(hands) > 1 or task.verb is Verb.PUSH else 3
    for _ in range(int(rng.integers(1, most + 1))):
        noun = str(
            rng.choice([*SHAPES, "pad"] if not any(not o.movable for o in (*task.objects, *result)) else [*SHAPES])
        )
        name = f"{rng.choice(list(COLOURS))}_{noun}"
        if name in taken:
            continue
        taken.add(name)
        # With several hands, some lie before another one: there is less room before each.
        where = hand if len(hands) == 1 else str(rng.choice([h for h in hands if h != hand]))
        result.append(replace(named_object(name), hand=where))
    return result
