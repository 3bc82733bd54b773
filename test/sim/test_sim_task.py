"""Instructions are read, and what they ask for is recognised when it is there."""

from __future__ import annotations

import numpy as np
import pytest

from cosmos_ros.errors import InputError
from cosmos_ros.sim.tabletop import Tabletop
from cosmos_ros.sim.task import DEFAULT_INSTRUCTION, parse_instruction

OBJECTS = Tabletop().by_name


@pytest.mark.parametrize(
    ("text", "item", "target"),
    [
        (DEFAULT_INSTRUCTION, "red_cube", "green_pad"),
        ("Put the RED cube onto the green pad.", "red_cube", "green_pad"),
        ("pick up the blue_cube and place it on top of the yellow cube, please", "blue_cube", "yellow_cube"),
    ],
)
def test_reads(text, item, target) -> None:
    task = parse_instruction(text, OBJECTS)
    assert (task.item.name, task.target.name) == (item, target)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names 0 things"),
        ("put the red cube away", "names 1 things"),
        ("put the red cube on the blue cube on the green pad", "names 3 things"),
        ("put the green pad on the red cube", "cannot be moved"),
        ("put the credcube on the green padding", "names 0 things"),
    ],
)
def test_refuses_and_says_what_there_is(text, says) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_instruction(text, OBJECTS)
    assert "yellow cube" in str(caught.value)


def at(x: float, y: float, z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


@pytest.mark.parametrize(
    ("target", "item", "done"),
    [
        ("green_pad", (0.5, 0.1, 0.02), True),
        ("green_pad", (0.53, 0.1, 0.02), True),
        ("green_pad", (0.56, 0.1, 0.02), False),
        ("green_pad", (0.5, 0.1, 0.05), False),
        ("blue_cube", (0.5, 0.1, 0.06), True),
        ("blue_cube", (0.5, 0.1, 0.02), False),
    ],
)
def test_recognises_the_goal(target, item, done) -> None:
    task = parse_instruction(f"put the red cube on the {target.replace('_', ' ')}", OBJECTS)
    height = 0.02 if OBJECTS[target].movable else 0.0
    assert task.reached(at(*item), at(0.5, 0.1, height)) is done
