"""``cosmos-ros demo``: a simulated arm driven by predictions, guarded and recorded."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "demo",
        help="watch a simulated arm being driven by predictions",
        description="Start simulator, predictor and guard, let the arm do its task, and report. Exit status 0 only if "
        "the arm moved, no limit was broken and no deadline was missed.",
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the results")
    parser.add_argument("--world-model", default="expert", help="world model (see: cosmos-ros up demo --show-args)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scene")
    parser.add_argument("--duration", type=float, default=30.0, help="longest time the arm may take, s")
    parser.add_argument(
        "--deadline", type=float, help="gate from observation to guarded trajectory, s (default: a chunk's length)"
    )
    parser.add_argument("launch", nargs="*", metavar="name:=value", help="further launch arguments of the demo")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from cosmos_ros.cli.up import parse_pairs
    from cosmos_ros.demo.demo_options import DemoOptions
    from cosmos_ros.demo.run import run_demo

    return run_demo(
        DemoOptions(
            out=arguments.out,
            world_model=arguments.world_model,
            seed=arguments.seed,
            duration=arguments.duration,
            deadline=arguments.deadline,
            launch=parse_pairs(arguments.launch),
        )
    )
