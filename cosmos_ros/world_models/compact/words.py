"""Instructions as word numbers: every wording of known words, and the names of those that are not known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.types import Int64Array

MAX_WORDS = 16
_MAX_CHARACTERS = 2000

# Words of one line mean the same to the model. Its order is that of the numbers, which a trained model depends on: its
# manifest holds its own copy.
_SAME: tuple[str, ...] = (
    "reach touch approach contact",
    "push slide shove nudge drag",
    "put place set lay deposit",
    "lift raise hoist elevate",
    "pick grasp grab take hold",
    "go travel head",
    "move bring carry transfer",
    "point",
    "red crimson scarlet",
    "orange",
    "yellow golden",
    "green",
    "blue",
    "purple violet",
    "white",
    "black",
    "cube box",
    "cylinder can tube",
    "block brick bar cuboid",
    "pad mat plate square",
    "on onto upon atop",
    "to toward towards",
    "above",
    "over",
    "up",
    "down",
    "top",
    "and then",
    "it",
    "left",
    "right",
    "arm hand gripper",
)
_NOUNS = "cube cylinder block pad"
# Words that change nothing.
_IGNORED = (
    "the a an please with of now using use your you robot that this there at for so is can could would should kindly "
    "off table until air in from its one by"
)


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows.

    Attributes:
        numbers: Word → number from 1 up; words that mean the same have the same.
        nouns: Numbers that name kinds of things.
        ignored: Words that change nothing.
    """

    numbers: Mapping[str, int]
    nouns: frozenset[int]
    ignored: frozenset[str]

    @property
    def size(self) -> int:
        """One more than the largest number; 0 stands for no word."""
        return 1 + max(self.numbers.values())

    def encode(self, text: str) -> tuple[Int64Array, tuple[str, ...]]:
        """Return the numbers ``int64 [MAX_WORDS]``, zeros after the last, and the words that are not known.

        Raises:
            InputError: The text names no thing that is known, or has too many words.
        """
        numbers, unknown = self._look_up(text)
        known = ", ".join(sorted({w for w, n in self.numbers.items() if n in self.nouns}))
        if not self.nouns & set(numbers):
            also = f"; not known: {', '.join(unknown)}" if unknown else ""
            raise InputError(
                f"{text[:120]!r} names no thing that the model knows{also}",
                where="instruction",
                hint=f"Say what to do with which thing, as 'put the red cube on the green pad'. Things: {known}.",
            )
        if len(numbers) > MAX_WORDS:
            raise InputError(
                f"the instruction has {len(numbers)} words that count, at most {MAX_WORDS} are read",
                where="instruction",
                hint="Say it shorter.",
            )
        return padded(numbers), tuple(unknown)

    def _look_up(self, text: str) -> tuple[list[int], list[str]]:
        numbers, unknown = [], []
        for word in re.findall(r"[a-z0-9]+", text[:_MAX_CHARACTERS].lower()):
            singular = word[:-1] if word.endswith("s") else word
            number = self.numbers.get(word, self.numbers.get(singular))
            if number is not None:
                numbers.append(number)
            elif word not in self.ignored and word not in unknown:
                unknown.append(word)
        return numbers, unknown


def padded(numbers: Sequence[int]) -> Int64Array:
    """Return numbers with zeros behind, ``int64 [MAX_WORDS]``."""
    row = np.zeros(MAX_WORDS, dtype=np.int64)
    row[: len(numbers)] = numbers
    return row


def default_vocabulary() -> Vocabulary:
    """Return the vocabulary that new models are trained with."""
    numbers = {word: i for i, line in enumerate(_SAME, 1) for word in line.split()}
    nouns = frozenset(numbers[noun] for noun in _NOUNS.split())
    return Vocabulary(numbers, nouns, frozenset(_IGNORED.split()))
