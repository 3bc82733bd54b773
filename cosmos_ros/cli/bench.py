"""``cosmos-ros bench``: measure the chain, or the small learned model, on this machine."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class BenchPipeline:
    """Cameras to guarded trajectory, model excluded.

    Three 1280x720 cameras at 30 Hz: from the last image's arrival in the predictor to the guard's published trajectory.
    The last line is 'p99_ms: N', the worst of the transports.

    For example: cosmos-ros bench pipeline --duration 60 --transport compressed

    Attributes:
        duration: Seconds a transport.
        transport: How images are sent.
        rate: Most predictions a second.
        joint_rate: Joint states a second.
    """

    duration: float = 300.0
    transport: Literal["both", "compressed", "raw"] = "both"
    rate: float = 10.0
    joint_rate: float = 500.0

    def run(self) -> int:
        """Measure and print."""
        from rich.console import Console

        from cosmos_ros.bench.chain_latency import run_pipeline
        from cosmos_ros.errors import ConfigError

        for name in ("duration", "rate", "joint_rate"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"{getattr(self, name)} is not positive", where=f"--{name.replace('_', '-')}")
        run_pipeline(
            Console(highlight=False, soft_wrap=True),
            duration=self.duration,
            transports=("compressed", "raw") if self.transport == "both" else (self.transport,),
            rate=self.rate,
            joint_rate=self.joint_rate,
        )
        return 0


@dataclass(frozen=True)
class BenchCompact:
    """The small learned model on scenes of the simulator that no training saw.

    Without a task: its frames, the motion it reads off frames, seams, uncertainty, time and memory. With one: the share
    done in the whole chain with the armed guard, in virtual time. Each figure with its n and a 95 % interval. Runs from
    the source tree, where the episodes are made.

    For example: cosmos-ros bench compact --task reach --episodes 100 --json out/figures.json

    Attributes:
        model: Folder of an exported model; empty takes the shipped one.
        embodiment: Which robot.
        task: A kind of task, or all of them, done in the chain; offline: no task.
        episodes: How many episodes, of each task.
        seed: First seed; each episode takes one. Training stays below ten million.
        swap: Ask for another thing on the table than the scene was made for, and judge by that.
        processes: Among which the tasks' episodes are divided.
        stride: Rows between two questions, offline.
        json: Write the figures there, too.
    """

    model: str = ""
    embodiment: str = "franka"
    task: Literal["offline", "all", "reach", "push", "put", "lift"] = "offline"
    episodes: int = 24
    seed: int = 10_000_000
    swap: bool = False
    processes: int = 2
    stride: int = 20
    json: Path | None = None

    def run(self) -> int:
        """Measure and print."""
        from cosmos_ros.bench.machine import machine
        from cosmos_ros.errors import ConfigError
        from cosmos_ros.resources import share_directory
        from cosmos_ros.sim.task import Verb

        for name in ("episodes", "stride", "processes"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{getattr(self, name)} is not positive", where=f"--{name}")
        root = share_directory()
        if not (root / "training" / "evaluate.py").is_file():
            raise ConfigError(
                "the episodes are made by training/, which is not installed", hint="Run it from the source tree."
            )
        sys.path.insert(0, str(root))
        evaluate = importlib.import_module("training.evaluate")
        model = Path(self.model) if self.model else None
        print(machine(), flush=True)
        if self.task == "offline":
            figures = evaluate.evaluate(
                model, self.embodiment, episodes=self.episodes, stride=self.stride, first_seed=self.seed
            )
        else:
            verbs = [verb for verb in Verb if self.task in ("all", verb.value)]
            figures = importlib.import_module("training.chain").measure_chain(
                self.model, self.embodiment, verbs, episodes=self.episodes, first_seed=self.seed, swap=self.swap,
                processes=self.processes,
            )  # fmt: skip
        evaluate.report(self.embodiment, figures, self.json)
        return 0


VERB = {"pipeline": BenchPipeline, "compact": BenchCompact}
