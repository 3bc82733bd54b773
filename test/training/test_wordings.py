"""Every way that an instruction is said in training is one that the model's vocabulary can say."""

from __future__ import annotations

import pytest

from cosmos_ros.sim.scenes import hand_words, vocabulary
from cosmos_ros.sim.task import Task, Verb, instruction_of
from cosmos_ros.world_models.compact.words import default_vocabulary
from training.lockstep import robot_of
from training.wordings import wordings


@pytest.mark.parametrize("name", ["franka", "agibot_g1"])
def test_no_word_is_unknown_and_every_thing_is_named(name) -> None:
    words = default_vocabulary()
    hands = hand_words(robot_of(name).description)
    things = vocabulary()
    for verb in Verb:
        for word in hands.values():
            target = things["green_pad"] if verb.needs_target else None
            said = instruction_of(Task(things["red_cube"], target, verb), 0, word)
            ways = wordings(said, tuple(hands.items()))
            assert ways[0] == said
            assert len(set(ways)) > 8
            for way in ways:
                numbers, unknown = words.encode(way)
                assert not unknown
                assert {words.numbers["red"], words.numbers["cube"]} <= set(numbers.tolist())
                if word:
                    assert words.numbers[word] in numbers


def test_things_are_told_apart() -> None:
    words = default_vocabulary()
    seen = {tuple(words.encode(f"reach the {name.replace('_', ' ')}")[0]) for name in vocabulary()}
    assert len(seen) == len(vocabulary())
