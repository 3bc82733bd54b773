"""Makes training data: episodes of the teacher, disturbed, with a label at every visited state.

Run: python -m training.generate out/data --embodiment franka --rows 130000 --processes 16

It goes on where it was stopped: shards that are there already are not made again. The same options give the same data,
on any number of processes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, astuple, dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from cosmos_ros.sim.hands import Hands
from cosmos_ros.sim.task import Verb
from cosmos_ros.sim.teacher_plan import Plans
from cosmos_ros.types import FloatArray
from training.disturb import NONE, Disturbance, disturbed, joined
from training.lockstep import Episode, Lockstep, begin, robot_of
from training.pictures import Pictures
from training.rows import Arrays, EpisodeRows, join, write_shard

# Training takes seeds below this; what is reported is measured on seeds from ten million up.
LARGEST_SEED = 4_000_000
SMALLEST_MEASURED = 10_000_000
# About so many rows an episode has, of all robots and tasks.
ROWS_AN_EPISODE = 140

# Returns the motion that an episode adopts: poses [n, 4, 4] and openings [n].
Driver = Callable[[Lockstep, Plans, Hands, Sequence[int]], list[tuple[FloatArray, FloatArray]]]


@dataclass(frozen=True)
class DataOptions:
    """What data is made.

    Attributes:
        embodiment: The robot.
        verbs: Tasks, in turn.
        episodes: Episodes a shard.
        first_seed: Seed of the first episode of the first shard; each episode takes one.
        replan: A plan is executed for at least and less than this many control steps.
        longest: Longest episode, s.
        linger: It goes on this long after the task is done, s.
        clean: Share of episodes without disturbance.
        width: Width of the canvas in pixels; 0: no pictures.
        disturbance: What is done to the other episodes.
    """

    embodiment: str = "franka"
    verbs: tuple[str, ...] = tuple(v.value for v in Verb)
    episodes: int = 32
    first_seed: int = 0
    replan: tuple[int, int] = (2, 9)
    longest: float = 25.0
    linger: float = 0.8
    clean: float = 0.25
    width: int = 160
    disturbance: Disturbance = field(default_factory=Disturbance)


@dataclass(frozen=True)
class _Made:
    """What was made: shards, their rows, episodes done and begun, and the CPU time, s."""

    shards: int = 0
    rows: int = 0
    done: int = 0
    episodes: int = 0
    spent: float = 0.0

    def __add__(self, other: _Made) -> _Made:
        return _Made(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def make_shard(options: DataOptions, index: int, driver: Driver | None = None, *, measuring: bool = False) -> Arrays:
    """Return shard ``index``: the same options and index, the same arrays.

    Args:
        options: What data.
        index: Number of the shard.
        driver: Who drives in place of the disturbed teacher, for rounds in which a learner does (DAgger).
        measuring: The shard is for reported figures, and takes seeds that training may not.
    """
    robot = robot_of(options.embodiment)
    rng = np.random.default_rng([options.first_seed, index, 0xDA7A])
    seeds = range(options.first_seed + index * options.episodes, options.first_seed + (index + 1) * options.episodes)
    if measuring and seeds.start < SMALLEST_MEASURED:
        raise ValueError(f"reported figures are of seeds from {SMALLEST_MEASURED} on")
    if seeds.stop > LARGEST_SEED and not measuring:
        raise ValueError(f"seeds from {LARGEST_SEED} on are kept for measuring")
    verbs = [Verb(v) for v in options.verbs]
    episodes = [begin(robot, seed, verbs[seed % len(verbs)], rng) for seed in seeds]
    run = _Run(options, Lockstep(robot.embodiment, list(episodes)), driver, rng)
    heads = run.to_end()
    parts = [head.arrays(robot.embodiment) for head in heads]
    if options.width:
        for episode, part, moments in zip(episodes, parts, run.moments, strict=True):
            with Pictures(robot.embodiment, episode.world, options.width) as pictures:
                part["canvas"] = pictures.canvases(moments)
    return join(parts, heads)


class _Run:
    def __init__(self, options: DataOptions, lock: Lockstep, driver: Driver | None, rng: np.random.Generator) -> None:
        self._options, self._lock, self._driver, self._rng = options, lock, driver, rng
        count = len(lock.episodes)
        self._how = [NONE if rng.uniform() < options.clean else options.disturbance for _ in range(count)]
        self._next = [0] * count
        # A plan arrives some steps after it was asked for: (step, poses, openings) with what is past taken off.
        self._late: list[tuple[int, FloatArray, FloatArray] | None] = [None] * count
        self._fastest = (lock.pace.speed * lock.dt, lock.pace.turn * lock.dt)
        self._heads = [_head(e) for e in lock.episodes]
        self._numbers = list(range(count))  # which of all episodes each running one is
        self.moments: list[list[object]] = [[] for _ in range(count)]

    def to_end(self) -> list[EpisodeRows]:
        lock = self._lock
        longest = round(self._options.longest / lock.dt)
        linger = round(self._options.linger / lock.dt)
        while lock.episodes:
            hands = lock.observe()
            plans = lock.plan(hands)
            for i in range(len(lock.episodes)):
                self._record(i, hands, plans)
            self._adopt(hands, plans)
            lock.step()
            for i in reversed(range(len(lock.episodes))):
                e = lock.episodes[i]
                if e.steps >= longest or (e.done_at is not None and e.steps >= e.done_at + linger):
                    del lock.episodes[i], self._next[i], self._numbers[i], self._how[i], self._late[i]
        return self._heads

    def _record(self, i: int, hands: Hands, plans: Plans) -> None:
        lock, e = self._lock, self._lock.episodes[i]
        head = self._heads[self._numbers[i]]
        robot = robot_of(self._options.embodiment)
        state = e.world.joint_state()
        names = robot.embodiment.all_joints or e.world.driven_joints
        columns = [state.names.index(name) for name in names]
        positions = dict(zip(state.names, state.positions.tolist(), strict=True))
        known = {name: positions[name] for name in robot.model.joint_names}
        head.poses.append({link: robot.model.fk(known, link) for link in lock.embodiment.tool_links})
        back = np.linalg.inv(e.hand.grasp)
        plan = plans.poses[i] @ back
        plan[0] = head.poses[-1][e.hand.link]
        head.plans.append(plan)
        head.plan_openings.append(plans.openings[i])
        open_now = {g: e.world.opening(h.joint) for g, h in robot.hands.items()}
        head.openings.append(open_now)
        at_rest = {
            g: float(np.clip(h.joint.fraction(e.setpoint[e.driven.index(h.joint.joint)]), 0.0, 1.0))
            for g, h in robot.hands.items()
        }
        head.commands.append({**at_rest, e.hand.gripper: float(np.clip(e.command, 0.0, 1.0))})
        assert state.velocities is not None
        head.joints.append(state.positions[columns])
        head.velocities.append(state.velocities[columns])
        head.phases.append(int(plans.phases[i, 0]))
        head.done.append(e.done_at is not None)
        head.items.append(hands.item[i, :3, 3].copy())
        if self._options.width:
            self.moments[self._numbers[i]].append(e.world.snapshot())

    def _adopt(self, hands: Hands, plans: Plans) -> None:
        lock = self._lock
        due = [i for i, e in enumerate(lock.episodes) if e.steps >= self._next[i]]
        if self._driver is not None and due:
            for i, (poses, openings) in zip(due, self._driver(lock, plans, hands, due), strict=True):
                lock.adopt(i, poses, openings)
        for i in due:
            e = lock.episodes[i]
            self._next[i] = e.steps + int(self._rng.integers(*self._options.replan))
            if self._driver is not None:
                continue
            poses, openings = disturbed(
                plans.poses[i, 1:], plans.openings[i], phase=int(plans.phases[i, 0]), scale=float(e.job.scale[0]),
                fastest=self._fastest, how=self._how[i], rng=self._rng,
            )  # fmt: skip
            lag = int(self._rng.integers(0, self._how[i].lag + 1)) if e.path else 0
            self._next[i] = max(self._next[i], e.steps + lag + 1)
            self._late[i] = (e.steps + lag, poses[lag:], openings[lag:])
        for i, e in enumerate(lock.episodes):
            late = self._late[i]
            if late is not None and e.steps >= late[0]:
                start = hands.pose[i] if e.last is None else e.last
                lock.adopt(i, joined(late[1], e.path[0] if e.path else None, start, self._fastest[0]), late[2])
                self._late[i] = None


def _head(e: Episode) -> EpisodeRows:
    verb = list(Verb).index(e.made.task.verb)
    return EpisodeRows(e.seed, verb, e.made.instruction, e.hand.link, e.hand.gripper)


class _OutOfTimeError(Exception):
    """A shard was given up."""


def _give_up(*_: object) -> None:
    raise _OutOfTimeError


def _shard_to_file(
    options: DataOptions, index: int, folder: str, make: Callable[[DataOptions, int], Arrays], until: float
) -> _Made:
    """Make a shard, or give it up when the machine's monotonic clock says ``until``."""
    spent = time.process_time()
    if until < math.inf:
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, until - time.monotonic()))
    try:
        arrays = make(options, index)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    except _OutOfTimeError:
        return _Made(spent=time.process_time() - spent)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    write_shard(shard_path(Path(folder), index), arrays)
    done = int(np.count_nonzero(arrays["episode_done"]))
    return _Made(1, len(arrays["phase"]), done, len(arrays["episode_done"]), time.process_time() - spent)


def shard_path(folder: Path, index: int) -> Path:
    """Return the file of a shard."""
    return folder / f"shard_{index:05d}.npz"


def shards(folder: Path) -> Iterator[Path]:
    """Yield the finished shards of a folder, in order."""
    yield from sorted(folder.glob("shard_*.npz"))


def generate(
    folder: Path, options: DataOptions, *, rows: int, processes: int, gigabytes: float, seconds: float = float("inf"),
    make: Callable[[DataOptions, int], Arrays] = make_shard,
) -> int:  # fmt: skip
    """Make shards until there are enough rows, or as much on disk, or as much time passed, as allowed.

    No shard is begun that those in the making should make needless, by the length of those made so far. Those that are
    not finished in time are given up. ``make`` makes a shard; it is sent to other processes.

    Returns:
        The number of rows there are.

    Raises:
        ValueError: The folder holds data of other options.
    """
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.dumps(asdict(options), indent=1, sort_keys=True)
    about = folder / "options.json"
    if about.exists() and about.read_text(encoding="utf-8") != wanted:
        raise ValueError(f"{folder} holds data made with other options; give another folder")
    about.write_text(wanted, encoding="utf-8")
    before = [len(np.load(path, mmap_mode="r")["phase"]) for path in shards(folder)]
    sum_of = _Made(shards=len(before), rows=sum(before))
    numbers = (i for i in range(1_000_000) if not shard_path(folder, i).exists())
    running: set[Future[_Made]] = set()
    # Fork would copy a GL context; a fresh interpreter a process is made once.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        while True:
            size = sum(path.stat().st_size for path in shards(folder)) / 1e9
            length = sum_of.rows / sum_of.shards if sum_of.shards else options.episodes * ROWS_AN_EPISODE
            while (
                len(running) < processes
                and sum_of.rows + length * len(running) < rows
                and size < gigabytes
                and time.monotonic() - began < seconds
            ):
                job = pool.submit(_shard_to_file, options, next(numbers), str(folder), make, began + seconds)
                running.add(job)
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            sum_of = sum((job.result() for job in ended), sum_of)
            elapsed, made = time.monotonic() - began, sum_of.rows - sum(before)
            print(
                f"{sum_of.rows} rows, {size:.2f} GB; {made / elapsed:.0f} rows/s, "
                f"{made / max(sum_of.spent, 1e-9):.0f} a CPU second; {sum_of.done}/{sum_of.episodes} episodes done",
                flush=True,
            )
    return sum_of.rows


def main(arguments: list[str] | None = None) -> int:
    """Make data as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = DataOptions()
    parser.add_argument("out", type=Path)
    parser.add_argument("--embodiment", default=defaults.embodiment)
    parser.add_argument("--tasks", default=",".join(defaults.verbs), help="comma-separated")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--episodes", type=int, default=defaults.episodes, help="a shard")
    parser.add_argument("--width", type=int, default=defaults.width, help="of the canvas in pixels; 0: no pictures")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--gigabytes", type=float, default=20.0, help="stop when the folder holds so much")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="give up what takes longer")
    given = parser.parse_args(arguments)
    options = DataOptions(
        embodiment=given.embodiment, verbs=tuple(given.tasks.split(",")), episodes=given.episodes,
        first_seed=given.seed, width=given.width,
    )  # fmt: skip
    rows = generate(
        given.out, options, rows=given.rows, processes=given.processes, gigabytes=given.gigabytes, seconds=given.seconds
    )
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
