"""A model in the whole chain, in virtual time: share of tasks done on held-out scenes, with the armed guard.

The chain is the live one: observation, pipeline, join, guard with the node's defaults, controllers, physics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context

import numpy as np

from cosmos_ros.guard import Guard
from cosmos_ros.sim.episode import EpisodeSettings, run_episode
from cosmos_ros.sim.task import Verb
from cosmos_ros.world_models import create_world_model
from cosmos_ros.world_models.protocol import WorldModel
from training.evaluate import Figure
from training.generate import SMALLEST_MEASURED
from training.lockstep import ask_for_another, begin, robot_of
from training.pictures import view_sizes
from training.robots import EYES
from training.statistics import share_done

# From an observation until its trajectory reaches the controllers, s, as measured in the demo on two cores.
_LATENCY = 0.12


@dataclass(frozen=True)
class Drive:
    """One episode.

    Attributes:
        seed: Of scene and start.
        seconds: Until the task was done, or None.
        responses: What the guard said, how often.
        failures: Answers that could not be decoded or reached.
        broken: Limits that the simulated robot saw broken, and trajectories that its controllers refused.
    """

    seed: int
    seconds: float | None
    responses: Mapping[str, int]
    failures: int
    broken: int


@lru_cache(maxsize=1)
def _model(folder: str, name: str) -> WorldModel:
    model = create_world_model("compact", model=folder, embodiment=name, frames=False, threads=1)
    model.load()
    return model


def drive(folder: str, name: str, verb: Verb, seed: int, longest: float, swap: bool) -> Drive | None:
    """Run one episode; None where another object was to be asked for and there is none.

    Args:
        folder: Of the exported model; empty for the shipped one.
        name: The embodiment.
        verb: The kind of task.
        seed: Of scene and start.
        longest: Simulated time after which the task has failed, s.
        swap: Ask for another object on the same table, and judge by that.
    """
    if seed < SMALLEST_MEASURED:
        raise ValueError(f"figures are of seeds from {SMALLEST_MEASURED} on, not of {seed}")
    robot = robot_of(name)
    episode = begin(robot, seed, verb, np.random.default_rng([seed, 0xC4A1]))
    if swap and not ask_for_another(robot, episode):
        return None
    embodiment = robot.embodiment
    size = max(view_sizes(embodiment, EYES[name].canvas).values())
    settings = EpisodeSettings(
        instruction=episode.made.instruction, latency=_LATENCY, longest=longest, linger=0.3, image_size=size
    )
    run = run_episode(
        embodiment, _model(folder, name), seed=seed, settings=settings, guard=Guard.for_embodiment(embodiment),
        world=episode.world,
    )  # fmt: skip
    broken = int(run.status["limit_violations"]["total"]) + len(run.rejections)
    responses = Counter(verdict.response.value for verdict in run.verdicts)
    return Drive(seed, run.seconds, responses, len(run.failures), broken)


def measure_chain(
    folder: str, name: str, verbs: Sequence[Verb], *, episodes: int, first_seed: int, processes: int,
    longest: float = 40.0, swap: bool = False,
) -> dict[str, Figure]:  # fmt: skip
    """Return figure → value, n, 95 % interval (Wilson) and unit, for each kind of task.

    Args:
        folder: Of the exported model; empty for the shipped one.
        name: The embodiment.
        verbs: Kinds of tasks.
        episodes: How many each.
        first_seed: Each episode takes one, from here on.
        processes: Among which they are divided.
        longest: Simulated time after which a task has failed, s.
        swap: Ask for another object on the same table; only episodes that have one count.
    """
    figures: dict[str, Figure] = {}
    said: Counter[str] = Counter()
    failures = broken = 0
    seeds = range(first_seed, first_seed + episodes)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for verb in verbs:
            jobs = [pool.submit(drive, folder, name, verb, seed, longest, swap) for seed in seeds]
            runs = [run for job in jobs if (run := job.result()) is not None]
            figures[f"chain_{verb.value}{'_swapped' if swap else ''}"] = _share(runs)
            for run in runs:
                said.update(run.responses)
                failures, broken = failures + run.failures, broken + run.broken
    total = sum(said.values())
    for response, count in sorted(said.items()):
        figures[f"chain_guard_{response}"] = {"value": 100.0 * count / total, "n": total, "unit": "% of trajectories"}
    figures["chain_answers_failed"] = {"value": float(failures), "n": total + failures, "unit": "answers"}
    figures["chain_limits_broken"] = {"value": float(broken), "n": total, "unit": "in all"}
    return figures


def _share(runs: Sequence[Drive]) -> Figure:
    took = [run.seconds for run in runs if run.seconds is not None]
    share = share_done({run.seed: run.seconds is not None for run in runs})
    return {**share, "median_s": float(np.median(took)) if took else None}
