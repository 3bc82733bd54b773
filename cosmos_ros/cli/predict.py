"""``cosmos-ros predict``: what happens next, from one picture or one moment of a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cosmos_ros.cli import _predicting


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "predict",
        help="predict frames and actions from pictures or a recording",
        description=(
            "Predict one chunk: frames (mp4) and a decoded trajectory in metres and radians (JSON). With --actions the "
            "actions are given and the frames are predicted (forward dynamics); else both are (policy)."
        ),
    )
    _predicting.add_model_arguments(parser)
    _predicting.add_scene_arguments(parser)
    parser.add_argument(
        "--actions", type=Path, metavar="FILE", help="normalised actions (JSON, npz or parquet) to be carried out"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict and write."""
    from cosmos_ros.embodiment import read_action_file
    from cosmos_ros.types import Mode

    asking = _predicting.prepare(arguments, Mode.FORWARD_DYNAMICS if arguments.actions else Mode.POLICY)
    actions = None
    if arguments.actions:
        file = read_action_file(arguments.actions)
        file.check(asking.embodiment.domain_name, "normalised")
        actions = file.rows
    scene, assumed = _predicting.scene_of(arguments, asking.embodiment)
    with asking.loaded() as states:
        if actions is None:
            result = states.generate_rollout(scene, "", asking.embodiment.chunk_size)
        else:
            result = states.predict_next_state(scene, actions)
    return _predicting.write_result(asking, result, scene, assumed)
