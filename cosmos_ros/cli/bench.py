"""``cosmos-ros bench``: measure on this machine."""

from __future__ import annotations

import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("bench", help="measure the chain on this machine", description="Measure on this machine.")
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    pipeline = what.add_parser(
        "pipeline",
        help="cameras to guarded trajectory, model excluded",
        description="Three 1280x720 cameras at 30 Hz: from the last image's arrival in the predictor to the guard's "
        "published trajectory, model excluded. The last line is 'p99_ms: N', the worst of the transports.",
    )
    pipeline.add_argument("--duration", type=float, default=300.0, help="seconds a transport (default 300)")
    pipeline.add_argument("--transport", choices=("both", "compressed", "raw"), default="both")
    pipeline.add_argument("--rate", type=float, default=10.0, help="most predictions a second")
    pipeline.add_argument("--joint-rate", type=float, default=500.0, help="joint states a second")
    pipeline.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from rich.console import Console

    from cosmos_ros.bench.chain_latency import run_pipeline

    run_pipeline(
        Console(highlight=False, soft_wrap=True),
        duration=arguments.duration,
        transports=("compressed", "raw") if arguments.transport == "both" else (arguments.transport,),
        rate=arguments.rate,
        joint_rate=arguments.joint_rate,
    )
    return 0
