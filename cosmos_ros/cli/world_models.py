"""``cosmos-ros world-models``: which world model serves which embodiment."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("world-models", help="which world model serves which embodiment, and why not")
    parser.add_argument("--embodiment", metavar="NAME_OR_FILE", help="only this one")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table as Markdown."""
    from cosmos_ros.embodiment import list_embodiments, load_embodiment
    from cosmos_ros.world_models.compatibility_table import backends_markdown, markdown, survey

    names = [arguments.embodiment] if arguments.embodiment else list_embodiments()
    print(backends_markdown(), end="\n\n")
    print(markdown(survey([load_embodiment(name) for name in names])))
    return 0
