"""Shards on the card: every picture as bytes in its memory, indexed there, so that no loader stands in the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cosmos_ros.sim.scenes import hand_words
from cosmos_ros.sim.teacher import Phase
from cosmos_ros.world_models.compact.robot_inputs import RobotInputs, state_statistics
from cosmos_ros.world_models.compact.words import Vocabulary
from training.generate import LARGEST_SEED, shards
from training.lockstep import robot_of
from training.robots import raw_states
from training.rows import Arrays, read_shard
from training.wordings import wordings

# Seeds of this range are for validation while training; nothing is fitted to them.
VALIDATION_SEEDS = range(3_900_000, LARGEST_SEED)
# Ways to say each instruction that are kept.
_WORDINGS = 8
# Rows of these phases are drawn more often: they decide, and they are few.
_OFTEN = {Phase.DESCEND: 1.5, Phase.CLOSE: 3.0, Phase.LIFT: 1.5, Phase.LOWER: 2.0, Phase.OPEN: 3.0, Phase.PUSH: 1.5}
_STATISTICS_ROWS = 50_000
# Shards that are read at once.
_READERS = 6


@dataclass
class RobotData:
    """The rows of one robot, N of them; tensors on one device.

    Attributes:
        robot: What the network is given of it, with statistics.
        pictures: A view's ``uint8 [N, H, W, 3]`` each.
        labels: ``float16 [N, T, D]``; executed ``float16 [N, D]``.
        states, known: ``float32 [N, S]`` before normalisation, and what is known.
        left: ``int64 [N]`` rows that follow in the same episode.
        words: ``int64 [I, W, L]`` ways to say each instruction; ``instruction`` says which is a row's.
        often: ``float32 [N]`` how often each row is drawn.
        items: ``float32 [N, 3]`` where the named thing is, m, in the base frame.
        mean, std: ``[S]`` of the state vector.
        column_weights: ``[D]`` how much each column of a row counts; ``grippers`` the numbers of those with openings.
    """

    robot: RobotInputs
    pictures: list[Tensor]
    labels: Tensor
    executed: Tensor
    states: Tensor
    known: Tensor
    left: Tensor
    words: Tensor
    instruction: Tensor
    often: Tensor
    items: Tensor
    _totals: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        device = self.states.device
        self.mean = torch.tensor(self.robot.mean, device=device)
        self.std = torch.tensor(self.robot.std, device=device)
        scale, offset = (torch.tensor(v, device=device) for v in (self.robot.scale, self.robot.offset))
        # The diagonal of a small rotation says nothing, and its normalised range is a thousandth wide.
        self.column_weights = torch.where((scale < 0.02) & (offset > 0.9), 0.1, 1.0)
        self.column_weights[list(self.robot.gripper_columns)] = 1.0
        self.grippers = torch.tensor(self.robot.gripper_columns, device=device)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """Size of the pictures."""
        return sum(pictures.nbytes for pictures in self.pictures)

    def draw(self, count: int, source: torch.Generator, rows_after: int = 0) -> Tensor:
        """Return row numbers ``int64 [count]``, at least ``rows_after`` rows before their episode's end.

        Raises:
            ValueError: No episode is that long.
        """
        if rows_after not in self._totals:
            weights = self.often * (self.left >= rows_after)
            if not bool(weights.any()):
                raise ValueError(f"no episode of {self.robot.embodiment} has {rows_after + 1} rows")
            self._totals[rows_after] = torch.cumsum(weights.double(), dim=0)
        # By the inverse of the cumulated weights: multinomial draws from 2^24 rows at most, and sums anew each time.
        total = self._totals[rows_after]
        where = torch.rand(count, generator=source, device=total.device, dtype=torch.float64) * total[-1]
        return torch.searchsorted(total, where, right=True).clamp(max=len(self) - 1)

    def seen(self, rows: Tensor) -> list[Tensor]:
        """Return a view's ``uint8 [..., H, W, 3]`` each of row numbers ``[...]``."""
        return [pictures[rows] for pictures in self.pictures]


def load_robot(
    robot: RobotInputs,
    folders: Sequence[Path],
    vocabulary: Vocabulary,
    *,
    device: torch.device,
    gigabytes: float,
    validation: bool = False,
) -> RobotData:
    """Read shards until they are all read or so much memory is taken.

    Args:
        robot: What the network is given; its statistics are kept, or taken from the rows where there are none.
        folders: Where the shards are, those that matter most first.
        vocabulary: Of the instructions.
        device: Where the tensors are to be.
        gigabytes: Largest size of the pictures.
        validation: Episodes of the validation seeds, else the others.

    Raises:
        ValueError: There is no row, or an episode has a seed that is kept for measuring.
    """
    names = [f"view_{view.name}" for view in robot.views]
    chunks: list[dict[str, Tensor]] = []
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    words: dict[str, int] = {}
    taken = 0
    for whole in _read(path for folder in folders for path in shards(folder)):
        shard = _chosen(whole, validation=validation)
        if not len(shard["phase"]):
            continue
        size = sum(shard[name].nbytes for name in names)
        if taken + size > gigabytes * 1e9:
            break
        taken += size
        raw, known = raw_states(robot, shard)
        kept.append((raw, known))
        lengths = np.diff(np.append(shard["episode_start"], len(shard["phase"])))
        left = np.concatenate([np.arange(n)[::-1] for n in lengths])
        numbers = [words.setdefault(str(text), len(words)) for text in shard["episode_instruction"]]
        chunks.append(
            {
                **{name: torch.from_numpy(shard[name]).to(device) for name in names},
                "labels": torch.from_numpy(shard["labels"]).to(device),
                "executed": torch.from_numpy(shard["executed"]).to(device),
                "left": torch.from_numpy(left.astype(np.int64)).to(device),
                "instruction": torch.from_numpy(np.repeat(numbers, lengths).astype(np.int64)).to(device),
                "often": torch.from_numpy(_often(shard)).to(device),
                "items": torch.from_numpy(shard["item"]).to(device),
            }
        )
    if not chunks:
        raise ValueError(f"no rows of {robot.embodiment} in {[str(folder) for folder in folders]}")
    # One array at a time: both its parts and the whole are held only for the moment of joining them.
    joined = {name: torch.cat([chunk.pop(name) for chunk in chunks]) for name in list(chunks[0])}
    raw, known = (np.concatenate(part) for part in zip(*kept, strict=True))
    if not robot.std:
        step = max(1, len(raw) // _STATISTICS_ROWS)
        mean, std = state_statistics(robot, raw[::step])
        robot = replace(robot, mean=mean, std=std)
    hands = tuple(hand_words(robot_of(robot.embodiment).description).items())
    return RobotData(
        robot=robot,
        pictures=[joined[name] for name in names],
        labels=joined["labels"],
        executed=joined["executed"],
        states=torch.from_numpy(raw).to(device),
        known=torch.from_numpy(known).to(device),
        left=joined["left"],
        words=_said(words, hands, vocabulary).to(device),
        instruction=joined["instruction"],
        often=joined["often"],
        items=joined["items"],
    )


def joined(first: RobotData, second: RobotData) -> RobotData:
    """Return the rows of both, which are of one robot with one set of statistics."""
    if first.robot != second.robot:
        raise ValueError(f"rows of {first.robot.embodiment} and {second.robot.embodiment} have other statistics")
    names = ("labels", "executed", "states", "known", "left", "often", "items", "words")
    return RobotData(
        robot=first.robot,
        pictures=[torch.cat(pair) for pair in zip(first.pictures, second.pictures, strict=True)],
        instruction=torch.cat((first.instruction, second.instruction + len(first.words))),
        **{name: torch.cat((getattr(first, name), getattr(second, name))) for name in names},
    )


def _read(paths: Iterable[Path]) -> Iterator[Arrays]:
    """Yield shards in order; the next few are read meanwhile, as checking their sums takes longer than copying them."""
    with ThreadPoolExecutor(_READERS) as pool:
        reading: deque[Future[Arrays]] = deque()
        for path in paths:
            reading.append(pool.submit(read_shard, path))
            if len(reading) > _READERS:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()


def _chosen(shard: Arrays, *, validation: bool) -> Arrays:
    """Return the episodes of a shard that training, or validation, may see."""
    seeds = shard["episode_seed"].astype(np.int64)
    if seeds.max() >= LARGEST_SEED:
        raise ValueError(f"seed {seeds.max()} is kept for measuring; training stops at {LARGEST_SEED}")
    mine = (seeds >= VALIDATION_SEEDS.start) == validation
    if mine.all():
        return shard
    count = len(shard["phase"])
    lengths = np.diff(np.append(shard["episode_start"], count))
    rows = np.repeat(mine, lengths)
    chosen = {name: array[mine] if name.startswith("episode_") else array[rows] for name, array in shard.items()}
    chosen["episode_start"] = np.concatenate(([0], np.cumsum(lengths[mine])))[: int(mine.sum())].astype(np.int64)
    return chosen


def _often(shard: Arrays) -> np.ndarray:
    weights = np.ones(len(shard["phase"]), dtype=np.float32)
    for phase, factor in _OFTEN.items():
        weights[shard["phase"] == int(phase)] = factor
    # What is done stays done; a little of that is enough.
    weights[shard["done"].astype(bool)] *= 0.5
    return weights


def _said(texts: dict[str, int], hands: tuple[tuple[str, str], ...], vocabulary: Vocabulary) -> Tensor:
    """Return ``int64 [I, W, L]``; the first of each is the instruction itself."""
    table = []
    for text in texts:
        ways = wordings(text, hands)
        source = np.random.default_rng([len(text), *text.encode()[:64]])
        others = [ways[i] for i in source.choice(len(ways), _WORDINGS - 1)]
        table.append(np.stack([vocabulary.encode(way)[0] for way in (ways[0], *others)]))
    return torch.from_numpy(np.stack(table))
