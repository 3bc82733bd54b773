"""``cosmos-ros demo``: watch a simulated arm being driven by predictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from cosmos_ros.cli._arguments import LAUNCH_ARGUMENTS
from cosmos_ros.demo.demo_options import DemoOptions


@dataclass(frozen=True)
class Demo(DemoOptions):
    """Start simulator, predictor and guard, let the arm do its task, and report.

    Exit status 0 only if the arm moved, no limit was broken and no deadline was missed. Further launch arguments of the
    demo are listed by: cosmos-ros up demo --help

    For example: cosmos-ros demo --seed 3 --duration 60
    """

    out: Path = Path("out/demo")
    launch: Positional[Annotated[dict[str, str], LAUNCH_ARGUMENTS]] = field(default_factory=dict)

    def run(self) -> int:
        """Run the demo."""
        from cosmos_ros.demo.run import run_demo

        return run_demo(self)


VERB = Demo
