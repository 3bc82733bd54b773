"""Entry point of ``cosmos-ros``: finds the verbs in this folder and runs one."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import sys
from collections.abc import Sequence
from typing import Any

import cosmos_ros
from cosmos_ros import cli
from cosmos_ros.cli._signals import Ended, as_interrupts
from cosmos_ros.errors import CosmosRosError


class _Parser(argparse.ArgumentParser):
    """argparse takes ``-0.3,0,0.5`` for an option; lists of numbers never are. Verbs inherit the class."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._negative_number_matcher = re.compile(r"^-\.?\d\S*$")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every verb of this folder; a verb is a module with ``add_parser(subparsers)``."""
    parser = _Parser(prog="cosmos-ros", description=cosmos_ros.__doc__)
    parser.add_argument("--version", action="version", version=cosmos_ros.__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in sorted(m.name for m in pkgutil.iter_modules(cli.__path__)):
        if module != "main" and not module.startswith("_"):
            importlib.import_module(f"{cli.__name__}.{module}").add_parser(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit status. Known errors end in one line on stderr and status 2."""
    arguments = build_parser().parse_args(argv)
    try:
        with as_interrupts():
            return int(arguments.run(arguments))
    except CosmosRosError as error:
        print(f"cosmos-ros {arguments.verb}: {error}", file=sys.stderr)
        return 2
    except Ended as end:
        return 128 + end.number
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
