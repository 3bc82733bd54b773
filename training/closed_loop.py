"""The learner by itself in the simulator: share of tasks done on held-out scenes, without the nodes and the guard.

Run: python -m training.closed_loop CHECKPOINT --embodiment franka --task lift --episodes 100
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cosmos_ros.sim.task import Verb
from training.dagger import learner_of
from training.generate import SMALLEST_MEASURED, DataOptions, make_shard
from training.robots import EYES
from training.statistics import share_done

# A task counts from the control step after it was done, s.
_LINGER = 0.3


def measure(
    checkpoint: Path, name: str, verb: Verb, *, episodes: int, processes: int, seed: int = SMALLEST_MEASURED,
    width: int | None = None, longest: float = 40.0, swap: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return the share of tasks done, with its n and a 95 % interval (Wilson).

    Args:
        checkpoint: Whose network drives.
        name: The embodiment.
        verb: The kind of task.
        episodes: How many.
        processes: Among which they are divided.
        seed: The first; each episode takes one.
        width: Of the canvas it sees, pixels; None as it was trained with.
        longest: Simulated time after which a task has failed, s.
        swap: Ask for another object on the same table, and judge by that; only episodes that have one count.
    """
    each = -(-episodes // processes)
    options = DataOptions(
        embodiment=name, verbs=(verb.value,), episodes=each, first_seed=seed, width=0, longest=longest, linger=_LINGER
    )
    jobs = [(options, index, str(checkpoint), width or EYES[name].canvas, swap) for index in range(processes)]
    if processes == 1:
        outcomes = _outcomes(*jobs[0])
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            outcomes = [one for part in pool.map(_outcomes, *zip(*jobs, strict=True)) for one in part]
    return share_done(dict(sorted(outcomes)[:episodes]))


def _outcomes(options: DataOptions, index: int, checkpoint: str, canvas: int, swap: bool) -> list[tuple[int, bool]]:
    """Return seed and outcome of each episode of a shard that counts."""
    with learner_of(options, index, checkpoint, canvas=canvas, swap=swap) as driver:
        shard = make_shard(options, index, driver, measuring=True)
    outcomes = zip(shard["episode_seed"].tolist(), shard["episode_done"].tolist(), strict=True)
    return [(seed, done) for seed, done in outcomes if not swap or seed in driver.swapped]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--embodiment", choices=tuple(EYES), default="franka")
    parser.add_argument("--task", choices=(*(v.value for v in Verb), "all"), default="all")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--swap", action="store_true", help="ask for another object on the same table")
    given = parser.parse_args(arguments)
    for verb in list(Verb) if given.task == "all" else [Verb(given.task)]:
        figure = measure(
            given.checkpoint, given.embodiment, verb, episodes=given.episodes, processes=given.processes,
            swap=given.swap,
        )  # fmt: skip
        about = {"embodiment": given.embodiment, "task": verb.value, "swap": given.swap}
        print(json.dumps({**about, **figure}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
