"""Rounds in which the learner drives the generator and the teacher labels where it gets to (DAgger, Ross et al. 2011).

Every process holds the network and steps a shard's episodes together: one forward pass answers all that are due.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import torch

from cosmos_ros.world_models.compact.words import default_vocabulary
from training.checkpoints import network_of
from training.generate import DataOptions, generate, make_shard
from training.learner import Learner
from training.model import CompactNet
from training.robots import with_views
from training.rows import Arrays
from training.train import best_device

# Seeds of round r begin here times r + 1; those of the teacher's own episodes are below.
ROUND_SEEDS = 1_000_000


@lru_cache(maxsize=1)
def _network(checkpoint: str) -> CompactNet:
    torch.set_num_threads(1)
    return network_of(Path(checkpoint), best_device())


@contextmanager
def learner_of(
    options: DataOptions, index: int, checkpoint: str, *, canvas: int = 0, swap: bool = False
) -> Iterator[Learner]:
    """Give the learner that drives a shard; its GL contexts are freed at the end.

    Args:
        options: What data.
        index: Number of the shard.
        checkpoint: Its folder.
        canvas: Width of what the network is shown, pixels; 0 as of the options.
        swap: Ask for another object on the same table.
    """
    seed = options.first_seed + index
    driver = Learner(
        _network(checkpoint), options.embodiment, default_vocabulary(), canvas or options.width, seed, swap=swap
    )
    try:
        yield driver
    finally:
        driver.close()


def learner_shard(options: DataOptions, index: int, checkpoint: str) -> Arrays:
    """Return a shard driven by the network of a checkpoint, with the network's views."""
    with learner_of(options, index, checkpoint) as driver:
        arrays = make_shard(options, index, driver)
    return with_views(arrays, _network(checkpoint).inputs[options.embodiment])


def dagger_round(
    folder: Path, options: DataOptions, checkpoint: Path, number: int, *, rows: int, processes: int, gigabytes: float,
    seconds: float,
) -> int:  # fmt: skip
    """Make the rows of one round; goes on where it was stopped. Returns how many there are.

    Args:
        folder: Of its shards.
        options: As the teacher's own data was made.
        checkpoint: Whose network drives.
        number: Of the round, from 0.
        rows, processes, gigabytes, seconds: As of :func:`training.generate.generate`.

    Raises:
        ValueError: The round's seeds would be those of validation.
    """
    if number > 1:
        raise ValueError(f"round {number} has no seeds of its own; there are rounds 0 and 1")
    mine = replace(options, first_seed=ROUND_SEEDS * (number + 1))
    make = partial(learner_shard, checkpoint=str(checkpoint))
    return generate(folder, mine, rows=rows, processes=processes, gigabytes=gigabytes, seconds=seconds, make=make)
