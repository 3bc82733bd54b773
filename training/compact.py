"""Makes the compact world model: generate, train, dagger, export, evaluate.

Run: python -m training.compact out/compact
     python -m training.compact out/compact --stages train,dagger,export --robots franka --seconds 540

Each stage goes on where it was stopped, and the whole goes on when the same command is given again. Training pauses for
rounds in which the learner drives (DAgger) and goes on with what they brought. ``--tiny`` runs all stages in a minute,
on a CPU, with a network that learns next to nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from cosmos_ros.sim.task import Verb
from cosmos_ros.world_models.compact.manifest import FILE_NAME, read_manifest, robot_from_json
from cosmos_ros.world_models.compact.robot_inputs import RobotInputs
from cosmos_ros.world_models.compact.words import default_vocabulary
from training.card import model_card
from training.checkpoints import about_checkpoint, latest_checkpoint, network_of
from training.closed_loop import measure
from training.dagger import ROUND_SEEDS, dagger_round
from training.dataset import VALIDATION_SEEDS, RobotData, joined, load_robot
from training.evaluate import evaluate, line_of
from training.export import export
from training.generate import ROWS_AN_EPISODE, SMALLEST_MEASURED, DataOptions, generate, make_shard
from training.losses import Batch
from training.model import TINY, CompactNet, Sizes
from training.robots import EYES, TINY_EYES, Eyes, inputs_of, with_views
from training.rows import Arrays
from training.train import TrainOptions, best_device, train

_LOOKED_INTO = 12
# Among so many shards the rows that are asked for are divided, so that many processes end at about the same time.
_SHARDS, _FEW_SHARDS = 32, 16
STAGES = ("generate", "train", "dagger", "export", "evaluate")


@dataclass(frozen=True)
class Plan:
    """Everything that decides what model comes out.

    Attributes:
        robots: For which robots.
        verbs: Tasks.
        rows, validation_rows, round_rows: Of the teacher, for validation, and of each round with the learner, a robot.
        rounds: Shares of the training after which a round comes.
        episodes: Most a shard.
        longest: Longest episode, s.
        sizes, train: Of the network, and how it is trained.
        gigabytes: Most memory for pictures on the card, all robots together.
        figures: Episodes a robot that offline figures are of; ``closed_loop`` those a task.
        tiny: Views are tiny, too.
    """

    robots: tuple[str, ...] = ("franka",)
    verbs: tuple[str, ...] = tuple(v.value for v in Verb)
    rows: int = 160_000
    validation_rows: int = 4_000
    round_rows: int = 40_000
    rounds: tuple[float, ...] = (0.35, 0.65)
    episodes: int = 40
    longest: float = 25.0
    sizes: Sizes = field(default_factory=Sizes)
    train: TrainOptions = field(default_factory=TrainOptions)
    gigabytes: float = 45.0
    figures: int = 24
    closed_loop: int = 100
    tiny: bool = False

    def eyes(self, name: str) -> Eyes:
        """Return how a robot is seen."""
        return (TINY_EYES if self.tiny else EYES)[name]


def tiny_plan() -> Plan:
    """Return a plan whose stages all take seconds."""
    return Plan(
        verbs=("reach",), rows=150, validation_rows=40, round_rows=40, rounds=(0.5,), episodes=2, longest=4.0,
        sizes=TINY, gigabytes=0.5, figures=2, closed_loop=2, tiny=True,
        train=TrainOptions(steps=40, batch=Batch(16, 8, 2, 2), warm_up=5, report=20, checkpoint=20),
    )  # fmt: skip


class Maker:
    """Runs the stages of one plan in one folder.

    Args:
        folder: Of everything that is made.
        plan: What is made.
        processes: For the simulator.
        seconds: After so long no stage begins more work; shards that are not finished are given up.
    """

    def __init__(self, folder: Path, plan: Plan, processes: int, seconds: float = math.inf) -> None:
        self._folder, self._plan, self._processes = folder, plan, processes
        self._until = time.monotonic() + seconds
        self._run, self.model = folder / "run", folder / "model"
        self._data: dict[str, RobotData] = {}
        self._read: set[str] = set()

    def generate(self) -> None:
        """Make the teacher's rows, and those for validation."""
        for name in self._plan.robots:
            make = partial(view_shard, robot=inputs_of(name, self._plan.eyes(name)))
            for part, seed, rows, among in (
                ("validation", VALIDATION_SEEDS.start, self._plan.validation_rows, _FEW_SHARDS),
                ("data", 0, self._plan.rows, _SHARDS),
            ):
                options = replace(self._options(name, rows, among=among), first_seed=seed)
                generate(
                    self._folder / part / name, options, rows=rows, processes=self._processes,
                    gigabytes=self._plan.gigabytes, seconds=self._left(), make=make,
                )  # fmt: skip

    def train(self) -> None:
        """Train until the first round that is still to be made, or to the end."""
        made = sum(self._round_is_made(number) for number in range(len(self._plan.rounds)))
        steps = self._plan.train.steps
        stop = steps if made == len(self._plan.rounds) else round(self._plan.rounds[made] * steps)
        if self._step() >= stop or self._left() <= 0.0:
            return
        device = best_device()
        data = self._rows(["data", *(f"round{number}" for number in range(made))], device)
        validation = {name: self._load(name, "validation", device, validation=True) for name in self._plan.robots}
        print({name: len(one) for name, one in data.items()}, "rows on", device, flush=True)
        torch.manual_seed(self._plan.train.seed)
        net = CompactNet([one.robot for one in data.values()], default_vocabulary().size, self._plan.sizes).to(device)
        train(net, data, validation, self._run, self._plan.train, stop_at=stop, seconds=self._left())
        del net, validation
        if device.type == "cuda":
            torch.cuda.empty_cache()  # the processes of a round need some, too

    def dagger(self) -> None:
        """Make each round when training has got so far, and train on."""
        for number, share in enumerate(self._plan.rounds):
            self.train()
            checkpoint = latest_checkpoint(self._run)
            if checkpoint is None or self._step() < round(share * self._plan.train.steps):
                return
            if self._round_is_made(number):
                continue
            rows = 0
            for name in self._plan.robots:
                # One round is driven by one network, also where it was stopped: the checkpoint stays until it is made.
                # Each world that is looked into keeps a GL context; a process has fewer of them at once.
                options = self._options(name, self._plan.round_rows, most=_LOOKED_INTO, among=_SHARDS)
                rows += dagger_round(
                    self._folder / f"round{number}" / name, options, checkpoint, number,
                    rows=self._plan.round_rows, processes=self._processes, gigabytes=self._plan.gigabytes,
                    seconds=self._left(),
                )  # fmt: skip
            if not rows:
                return
            (self._folder / f"round{number}" / "made").touch()
        self.train()

    def export(self) -> None:
        """Write the model's folder with its manifest and card."""
        checkpoint = latest_checkpoint(self._run)
        if checkpoint is None:
            raise FileNotFoundError(f"there is no checkpoint in {self._run}; run the stage train")
        net = network_of(checkpoint, torch.device("cpu"))
        manifest, differences = export(net, default_vocabulary(), self.model, self._trained(checkpoint))
        (self._folder / "differences.json").write_text(json.dumps(differences), encoding="utf-8")
        (self.model / "MODEL_CARD.md").write_text(model_card(manifest, differences, {}), encoding="utf-8")
        size = sum(file.bytes for file in manifest.files.values())
        print(f"{self.model}: {size / 1e6:.2f} MB, revision {manifest.revision}, {differences}", flush=True)

    def evaluate(self) -> None:
        """Measure the exported model on held-out seeds, and write the figures into its card."""
        checkpoint = latest_checkpoint(self._run)
        if checkpoint is None or not (self.model / FILE_NAME).exists():
            raise FileNotFoundError(f"there is no exported model in {self.model}; run the stage export")
        figures = {}
        for name in self._plan.robots:
            width = self._plan.eyes(name).canvas
            one = evaluate(self.model, name, episodes=self._plan.figures, stride=20, width=width)
            longest = self._plan.longest if self._plan.tiny else 40.0
            for verb, swap in [*((verb, False) for verb in self._plan.verbs), ("reach", True)]:
                one[f"closed_loop_{verb}{'_swapped' if swap else ''}"] = measure(
                    checkpoint, name, Verb(verb), episodes=self._plan.closed_loop, processes=self._processes,
                    width=width, longest=longest, swap=swap,
                )  # fmt: skip
            figures[name] = one
            print("\n".join(line_of(figure, value) for figure, value in one.items()), flush=True)
        (self._folder / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
        differences = json.loads((self._folder / "differences.json").read_text(encoding="utf-8"))
        card = model_card(read_manifest(self.model), differences, figures)
        (self.model / "MODEL_CARD.md").write_text(card, encoding="utf-8")

    # Parts ------------------------------------------------------------------------------------------------------

    def _left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def _options(self, name: str, rows: int, *, most: int = 40, among: int = _SHARDS) -> DataOptions:
        plan = self._plan
        enough = max(2, round(rows / (ROWS_AN_EPISODE * among)))
        return DataOptions(
            embodiment=name,
            verbs=plan.verbs,
            episodes=min(plan.episodes, most, enough),
            longest=plan.longest,
            width=plan.eyes(name).canvas,
        )

    def _step(self) -> int:
        last = latest_checkpoint(self._run)
        return 0 if last is None else int(about_checkpoint(last)["step"])

    def _round_is_made(self, number: int) -> bool:
        return (self._folder / f"round{number}" / "made").exists()

    def _rows(self, folders: Sequence[str], device: torch.device) -> dict[str, RobotData]:
        """Return robot → rows of some folders; what was read before stays on the card."""
        for folder in folders:
            if folder in self._read:
                continue
            more = {name: self._load(name, folder, device) for name in self._plan.robots}
            self._keep_robots([one.robot for one in more.values()])
            self._data = {name: joined(self._data[name], more[name]) for name in more} if self._data else more
            self._read.add(folder)
        return self._data

    def _load(self, name: str, folder: str, device: torch.device, *, validation: bool = False) -> RobotData:
        # The statistics of the first loading stay: later rows must not change what the weights were made for.
        kept = self._run / "robots.json"
        known = {}
        if kept.exists():
            known = {e["embodiment"]: robot_from_json(e) for e in json.loads(kept.read_text(encoding="utf-8"))}
        robot: RobotInputs = known.get(name) or inputs_of(name, self._plan.eyes(name))
        taken = sum(one.bytes for one in self._data.values()) / 1e9
        share = max(0.0, self._plan.gigabytes - taken) / len(self._plan.robots)
        return load_robot(
            robot, [self._folder / folder / name], default_vocabulary(), device=device, gigabytes=share,
            validation=validation,
        )  # fmt: skip

    def _keep_robots(self, robots: Sequence[RobotInputs]) -> None:
        self._run.mkdir(parents=True, exist_ok=True)
        kept = self._run / "robots.json"
        if not kept.exists():
            kept.write_text(json.dumps([asdict(robot) for robot in robots], indent=1), encoding="utf-8")

    def _trained(self, checkpoint: Path) -> dict[str, object]:
        about = about_checkpoint(checkpoint)
        return {
            "robots": ", ".join(self._plan.robots),
            "tasks": ", ".join(self._plan.verbs),
            "rows": about["rows"],
            "seeds": f"the teacher's from 0, the learner's from {ROUND_SEEDS}, for validation from "
            f"{VALIDATION_SEEDS.start}; figures from {SMALLEST_MEASURED}",
            "steps": about["step"],
            "options": about["options"],
            "sizes": about["sizes"],
            "validation": about.get("validation", {}),
            "torch": torch.__version__,
        }


def view_shard(options: DataOptions, index: int, robot: RobotInputs) -> Arrays:
    """Return a shard of the teacher's with the network's views in place of the canvas."""
    return with_views(make_shard(options, index), robot)


def main(arguments: list[str] | None = None) -> int:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stages", default=",".join(STAGES), help=f"some of {','.join(STAGES)}")
    parser.add_argument("--robots", help="comma-separated")
    parser.add_argument("--tasks", help="comma-separated")
    parser.add_argument("--rows", type=int, help="of the teacher, a robot")
    parser.add_argument("--round-rows", type=int, help="of the learner, a round and robot")
    parser.add_argument("--steps", type=int, help="of the whole training; the same in every call")
    parser.add_argument("--figures", type=int, help="episodes that offline figures are of")
    parser.add_argument("--closed-loop", type=int, help="episodes a task")
    parser.add_argument("--gigabytes", type=float, help="most memory for pictures on the card")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no more work after so long")
    parser.add_argument("--compile", action="store_true", help="compile the layers: half a minute, then faster steps")
    parser.add_argument("--tiny", action="store_true", help="all stages in a minute, to see that they work")
    given = parser.parse_args(arguments)
    stages = given.stages.split(",")
    if unknown := sorted(set(stages) - set(STAGES)):
        parser.error(f"no such stages: {', '.join(unknown)}; there are {', '.join(STAGES)}")
    plan = tiny_plan() if given.tiny else Plan()
    changes = {
        name: getattr(given, name)
        for name in ("rows", "round_rows", "figures", "closed_loop", "gigabytes")
        if getattr(given, name) is not None
    }
    plan = replace(plan, **changes)
    if given.robots:
        plan = replace(plan, robots=tuple(given.robots.split(",")))
    if given.tasks:
        plan = replace(plan, verbs=tuple(given.tasks.split(",")))
    if given.steps:
        plan = replace(plan, train=replace(plan.train, steps=given.steps))
    if given.compile:
        plan = replace(plan, train=replace(plan.train, compiled=True))
    maker = Maker(given.out, plan, given.processes, given.seconds)
    for stage in STAGES:
        if stage in stages:
            print(f"== {stage}", flush=True)
            getattr(maker, stage)()
    return 0


if __name__ == "__main__":
    sys.exit(main())
