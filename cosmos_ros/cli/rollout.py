"""``cosmos-ros rollout``: a long prediction, chained chunk by chunk."""

from __future__ import annotations

import argparse
from typing import Any

from cosmos_ros.cli import _predicting


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "rollout",
        help="predict many steps, chaining chunks",
        description=(
            "Predict frames and actions over any horizon. Beyond one chunk each next one starts from the last "
            "predicted frame; the JSON says where these seams are, and errors grow across them."
        ),
    )
    _predicting.add_model_arguments(parser)
    _predicting.add_scene_arguments(parser)
    parser.add_argument(
        "--horizon", type=int, default=48, metavar="STEPS", help="steps of 1/fps (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict and write."""
    from cosmos_ros.types import Mode

    asking = _predicting.prepare(arguments, Mode.POLICY)
    scene, assumed = _predicting.scene_of(arguments, asking.embodiment)
    with asking.loaded() as states:
        result = states.generate_rollout(scene, "", arguments.horizon)
    return _predicting.write_result(asking, result, scene, assumed)
