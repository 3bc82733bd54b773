"""``cosmos-ros replay-request``: ask a recorded prediction again and compare."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "replay-request",
        help="ask a recorded prediction again and compare",
        description=(
            "Ask the world model of one line of a prediction log the same again. Exit status 0 when the actions (and "
            "frames) are the same bit by bit, 1 when they differ. `same_expected` says whether they had to be: the "
            "model is deterministic, and hardware, libraries and weights are those of the record."
        ),
    )
    parser.add_argument("line", metavar="LINE", help="a line of a prediction log, or a log file")
    parser.add_argument("--number", type=int, metavar="N", help="which line of the file, from 1 (default: the last)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="folder of the pictures (default: beside the log)")
    parser.add_argument("--world-model", metavar="NAME", help="ask this one instead of the recorded one")
    parser.add_argument("--model", metavar="PLACE", help="its checkpoint or address, where that has moved")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option in place of the recorded one"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask again and print what came out as JSON."""
    from cosmos_ros.errors import ConfigError, InputError
    from cosmos_ros.prediction.prediction_log import image_folder, read_line, replay
    from cosmos_ros.world_models import open_world_model, parse_options

    record, path = read_line(arguments.line, arguments.number)
    folder = arguments.pictures or (image_folder(path) if path is not None else None)
    if folder is None:
        raise InputError("a bare line does not say where its pictures are", where="line", hint="Give --pictures.")
    recorded = record["world_model"]
    name = arguments.world_model or recorded.get("name")
    if not isinstance(name, str):
        raise ConfigError("the line does not name its world model", where="line", hint="Give --world-model.")
    before = recorded.get("options", {}) if name == recorded.get("name") else {}
    if not isinstance(before, dict):
        raise InputError("its world_model.options is not an object", where="line")
    # As text, so that the line's values are checked like those of the command line.
    recorded_options = parse_options(name, [f"{key}={value}" for key, value in before.items()])
    options = (
        recorded_options | parse_options(name, arguments.option) | parse_options(name, [], model=arguments.model or "")
    )
    with open_world_model(name, **options) as model:
        again = replay(record, model, folder)
    print(
        json.dumps(
            {
                "same": again.same,
                "same_expected": again.same_expected and name == recorded.get("name") and options == recorded_options,
                "largest_difference": again.largest_difference,
                "changed": list(again.changed),
                "latencies_ms": dict(again.rollout.latencies_ms),
            },
            indent=1,
        )
    )
    return 0 if again.same else 1
