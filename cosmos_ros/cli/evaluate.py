"""``cosmos-ros evaluate``: recordings into figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "evaluate",
        help="evaluate a world model on recordings",
        description=(
            "Walk recordings at the chunk stride with the recorded observations, predict, and compare with what then "
            "happened: frames, actions, guard, time; baselines stand beside the model. Writes chunks.jsonl, "
            "metrics.json, timing.json, report.html and annotated recordings. Ctrl-C keeps what is done."
        ),
    )
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="rosbag2 folder, or an .mcap or .db3 file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--embodiment", default="franka", help="name or YAML file (default: %(default)s)")
    parser.add_argument("--world-model", default="flow", help="name (default: %(default)s)")
    parser.add_argument("--model", default="", help="checkpoint directory, hub id or server address")
    parser.add_argument(
        "--cameras",
        default="",
        metavar="VIEW=TOPIC,...",
        help="image topics without /compressed; views left out are black (default: every view at /<view>/image_raw)",
    )
    parser.add_argument("--joint-states", default="/joint_states", metavar="TOPIC", help="default: %(default)s")
    parser.add_argument(
        "--tool-poses",
        default="",
        metavar="LINK=TOPIC,...",
        help="PoseStamped topics of an embodiment without joints (default: every link at /<link>/pose)",
    )
    parser.add_argument("--stride", type=int, default=0, metavar="N", help="control steps between chunks (default: T)")
    parser.add_argument("--chunk-size", type=int, default=0, metavar="T", help="default: the embodiment's")
    parser.add_argument("--seed", type=int, default=0, help="of the sampler (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="sampler setting")
    parser.add_argument("--instruction", default="", help="task text until one is recorded")
    parser.add_argument(
        "--baselines",
        default="persistence,flow,constant_velocity",
        metavar="NAME,...",
        help="beside the model; empty for none (default: %(default)s)",
    )
    parser.add_argument("--modes", default="", metavar="MODE,...", help="default: all that the model can do")
    parser.add_argument("--commands", metavar="TOPIC,...", help="joint trajectories of another driver (shadow mode)")
    parser.add_argument(
        "--lpips",
        type=Path,
        metavar="FILE.onnx",
        help="LPIPS network: two images [1, 3, H, W] in [-1, 1] to one number (default: LPIPS is not computed)",
    )
    parser.add_argument("--lpips-sha256", default="", metavar="HEX", help="what the file must have (default: any)")
    parser.add_argument("--deadline", type=float, default=0.0, metavar="S", help="default: the time of a stride")
    parser.add_argument("--resume", action="store_true", help="go on where the last evaluation in DIR ended")
    parser.add_argument("--no-pictures", action="store_true", help="no pictures in the report")
    parser.add_argument("--no-annotate", action="store_true", help="no annotated recordings")
    parser.add_argument("--max-chunks", type=int, default=0, metavar="N", help="stop after N chunks")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="threads that decode and score")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where chunks are scored")
    parser.add_argument("--address", default="", help="of a Ray cluster; empty starts a local one")
    parser.add_argument("--ray-workers", type=int, default=0, metavar="N", help="Ray processes (default: one a core)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print the main figures.

    Exit status 1 when a recording could not be read or the model never answered, 130 when interrupted.
    """
    from cosmos_ros.evaluation.evaluate import evaluate
    from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
    from cosmos_ros.evaluation.text_summary import print_metrics

    options = EvaluationOptions(
        bags=tuple(arguments.bags),
        out=arguments.out,
        embodiment=arguments.embodiment,
        world_model=arguments.world_model,
        model_options={"model": arguments.model} if arguments.model else {},
        cameras=_pairs(arguments.cameras, "--cameras"),
        joint_states=arguments.joint_states,
        tool_poses=_pairs(arguments.tool_poses, "--tool-poses"),
        lpips=arguments.lpips,
        lpips_sha256=arguments.lpips_sha256,
        stride=arguments.stride,
        chunk_size=arguments.chunk_size,
        seed=arguments.seed,
        settings={name: _value(text) for name, text in _pairs(",".join(arguments.set), "--set").items()},
        instruction=arguments.instruction,
        baselines=_names(arguments.baselines),
        modes=_modes(arguments.modes),
        commands=None if arguments.commands is None else _names(arguments.commands),
        deadline=arguments.deadline,
        resume=arguments.resume,
        pictures=not arguments.no_pictures,
        annotate=not arguments.no_annotate,
        workers=arguments.workers,
        engine=arguments.engine,
        address=arguments.address,
        ray_workers=arguments.ray_workers,
        max_chunks=arguments.max_chunks,
    )
    outcome = evaluate(options, _progress if sys.stderr.isatty() else lambda _: None)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print_metrics(outcome.metrics, outcome.timing)
    for recording in outcome.annotated:
        if recording.left_out:
            print(f"{recording.path}: without {', '.join(recording.left_out)}, whose definitions are not recorded")
    print(f"results are in {options.out}")
    if outcome.interrupted:
        print("interrupted: --resume goes on", file=sys.stderr)
        return 130
    if not outcome.metrics["predictors"]["model"]["answered"]:
        print("the model answered none of the chunks", file=sys.stderr)
        return 1
    return 0 if outcome.complete else 1


def _progress(status: Any) -> None:
    bar = "#" * round(30 * status.share)
    print(f"\r{status.bag} [{bar:<30}] {status.chunks} chunks", end="", file=sys.stderr, flush=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(text: str, where: str) -> dict[str, str]:
    from cosmos_ros.errors import ConfigError

    pairs: dict[str, str] = {}
    for part in _names(text):
        name, equals, value = part.partition("=")
        if not equals or not name or not value or name in pairs:
            raise ConfigError(f"{part!r} is not NAME=VALUE, or is given twice", where=where)
        pairs[name.strip()] = value.strip()
    return pairs


def _value(text: str) -> float | int | str | bool:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _modes(text: str) -> frozenset[Any]:
    from cosmos_ros.errors import ConfigError
    from cosmos_ros.types import Mode

    try:
        return frozenset(Mode(name) for name in _names(text))
    except ValueError as error:
        raise ConfigError(f"{error}; modes are {', '.join(m.value for m in Mode)}", where="--modes") from None
