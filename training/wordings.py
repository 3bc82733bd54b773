"""Other ways to say an instruction, so that the model reads words and not sentences it knows by heart."""

from __future__ import annotations

from functools import lru_cache

from cosmos_ros.sim.scenes import vocabulary
from cosmos_ros.sim.task import WORDINGS, Verb, parse_instruction

_MORE: dict[Verb, tuple[str, ...]] = {
    Verb.REACH: (
        "reach for the {item}",
        "go above the {item}",
        "move the gripper to the {item}",
        "point at the {item}",
        "move over to the {item}",
        "travel to the {item}",
        "{item} touch",
    ),
    Verb.PUSH: (
        "push the {item} to the {target}",
        "shove {item} onto {target}",
        "nudge the {item} toward the {target}",
        "drag the {item} over the {target}",
        "onto the {target} push the {item}",
        "push it the {item} up to the {target}",
    ),
    Verb.PUT: (
        "pick the {item} up and place it onto the {target}",
        "grasp the {item} and set it down on the {target}",
        "take the {item} and put it on top of the {target}",
        "lift the {item} onto the {target}",
        "put {item} on {target}",
        "on the {target} place the {item}",
        "bring the {item} to the {target}",
        "move the {item} to the {target}",
        "grab the {item} then lay it on the {target}",
    ),
    Verb.LIFT: (
        "lift up the {item}",
        "pick the {item} up",
        "grasp the {item}",
        "hold the {item} up",
        "take the {item}",
        "grab the {item} and raise it",
        "hoist the {item} up",
    ),
}
_HANDS = ("{text} with the {hand} arm", "with the {hand} hand {text}", "use the {hand} arm and {text}")


@lru_cache(maxsize=65536)
def wordings(instruction: str, hands: tuple[tuple[str, str], ...] = ()) -> tuple[str, ...]:
    """Return the instruction and other ways to say it.

    Args:
        instruction: One that the simulator made.
        hands: (gripper, word) of each hand that an instruction may name.
    """
    task = parse_instruction(instruction, vocabulary(), dict(hands))
    item = task.item.name.replace("_", " ")
    target = "" if task.target is None else task.target.name.replace("_", " ")
    word = dict(hands).get(task.hand, "")
    texts = [pattern.format(item=item, target=target) for pattern in (*WORDINGS[task.verb], *_MORE[task.verb])]
    if word:
        texts = [pattern.format(text=text, hand=word) for text in texts for pattern in _HANDS]
    return (instruction, *texts)
