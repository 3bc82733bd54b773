"""Measures the teacher by itself: share of tasks done on fresh scenes, with a 95 % interval, and how fast it runs.

Run: python -m training.teacher --embodiment ur5e --task push --episodes 200
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from cosmos_ros.sim.task import Verb
from cosmos_ros.sim.teacher import Phase
from training.lockstep import Lockstep, begin, robot_of
from training.statistics import wilson

ROBOTS = ("franka", "ur5e", "widowx250s", "agibot_g1", "umi")
# Longest time a task may take, s of simulated time.
LONGEST = 40.0
_AT_ONCE = 48


@dataclass(frozen=True)
class Outcome:
    """How one episode went: seconds until done or None, and the last phase."""

    seed: int
    seconds: float | None
    phase: str
    missed: int
    instruction: str


def run_batch(
    robot_name: str, verb: Verb, seeds: list[int], replan: tuple[int, int] = (2, 8)
) -> tuple[list[Outcome], int, float]:
    """Run one episode a seed with the teacher replanning at random moments; return outcomes, rows and CPU seconds."""
    began = time.process_time()
    robot = robot_of(robot_name)
    rng = np.random.default_rng([*seeds[:1], len(seeds)])
    waiting = list(seeds)
    outcomes: list[Outcome] = []
    rows = 0
    lock = Lockstep(
        robot.embodiment, [begin(robot, waiting.pop(0), verb, rng) for _ in range(min(_AT_ONCE, len(seeds)))]
    )
    next_plan = [0] * len(lock.episodes)
    longest = round(LONGEST * robot.embodiment.fps)
    while lock.episodes:
        plans = lock.plan(lock.observe())
        rows += len(lock.episodes)
        for i, episode in enumerate(lock.episodes):
            if episode.steps >= next_plan[i]:
                lock.adopt(i, plans.poses[i, 1:], plans.openings[i])
                next_plan[i] = episode.steps + int(rng.integers(2, 8))
        lock.step()
        for i in reversed(range(len(lock.episodes))):
            e = lock.episodes[i]
            if e.done_at is None and e.steps < longest:
                continue
            seconds = None if e.done_at is None else e.done_at * lock.dt
            phase = Phase(int(plans.phases[i, 0])).name
            outcomes.append(Outcome(e.seed, seconds, phase, e.missed, e.made.instruction))
            if waiting:
                lock.episodes[i], next_plan[i] = begin(robot, waiting.pop(0), verb, rng), 0
            else:
                del lock.episodes[i], next_plan[i]
    return outcomes, rows, time.process_time() - began


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; with --json one line a robot and task for machines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embodiment", choices=(*ROBOTS, "all"), default="all")
    parser.add_argument("--task", choices=(*(v.value for v in Verb), "all"), default="all")
    parser.add_argument("--episodes", type=int, default=100, help="a robot and task")
    parser.add_argument("--seed", type=int, default=5_000_000, help="first seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--failures", action="store_true", help="list the episodes that failed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    robots = ROBOTS if options.embodiment == "all" else (options.embodiment,)
    verbs = list(Verb) if options.task == "all" else [Verb(options.task)]
    seeds = list(range(options.seed, options.seed + options.episodes))
    with ProcessPoolExecutor(options.processes) as pool:
        for robot in robots:
            for verb in verbs:
                parts = [seeds[i :: options.processes] for i in range(options.processes)]
                jobs = [pool.submit(run_batch, robot, verb, part) for part in parts if part]
                results = [job.result() for job in jobs]
                outcomes = [o for part, _, _ in results for o in part]
                rows, seconds = sum(r for _, r, _ in results), sum(s for _, _, s in results)
                _report(robot, verb, outcomes, rows / seconds, options)
    return 0


def _report(robot: str, verb: Verb, outcomes: list[Outcome], rate: float, options: argparse.Namespace) -> None:
    times = [o.seconds for o in outcomes if o.seconds is not None]
    low, high = wilson(len(times), len(outcomes))
    failed = Counter(o.phase for o in outcomes if o.seconds is None)
    figures = {
        "embodiment": robot, "task": verb.value, "n": len(outcomes), "done": len(times), "low": low, "high": high,
        "median_s": float(np.median(times)) if times else None, "rows_per_cpu_s": rate, "failed_in": dict(failed),
    }  # fmt: skip
    if options.json:
        print(json.dumps(figures), flush=True)
    else:
        share = 100.0 * len(times) / len(outcomes)
        median = f"median {np.median(times):4.1f} s" if times else "never done"
        print(
            f"{robot:11} {verb.value:6} {share:5.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f}, n {len(outcomes)}) "
            f"{median}, {rate:.0f} rows a CPU second, failed in {dict(failed)}",
            flush=True,
        )
    if options.failures:
        for o in sorted(outcomes, key=lambda o: o.seed):
            if o.seconds is None:
                print(f"  seed {o.seed}: {o.instruction}: {o.phase}, {o.missed} poses missed")


if __name__ == "__main__":
    raise SystemExit(main())
