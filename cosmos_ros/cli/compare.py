"""``cosmos-ros compare``: two evaluations side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "compare",
        help="compare two evaluations",
        description=(
            "Compare two evaluations figure by figure: differences with bootstrap confidence intervals over chunks, "
            "pair by pair where both have the same chunks."
        ),
    )
    parser.add_argument("a", type=Path, metavar="A", help="folder of an evaluation")
    parser.add_argument("b", type=Path, metavar="B", help="folder of the other; A again to compare predictors in it")
    parser.add_argument("--predictor-a", default="model", help="model or a baseline's name (default: %(default)s)")
    parser.add_argument("--predictor-b", default="model", help="model or a baseline's name (default: %(default)s)")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=10_000, help="bootstrap samples (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the comparison there as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print."""
    from cosmos_ros.errors import ConfigError
    from cosmos_ros.evaluation.compare import caveats, compare, read_side, table
    from cosmos_ros.files import write_json

    if not 0.0 < arguments.level < 1.0 or arguments.resamples < 1:
        raise ConfigError("the level must lie between 0 and 1, and resamples be positive", where="--level, --resamples")
    a, b = read_side(arguments.a), read_side(arguments.b)
    found = compare(
        a,
        b,
        predictor_a=arguments.predictor_a,
        predictor_b=arguments.predictor_b,
        resamples=arguments.resamples,
        level=arguments.level,
    )
    notes = caveats(a, b)
    print(table(found))
    for note in notes:
        print(f"note: {note}")
    print(
        f"{100 * arguments.level:g} % intervals of the mean difference, bootstrap over chunks. Neighbouring chunks of "
        "one recording resemble each other, so the true intervals are somewhat wider."
    )
    if arguments.json is not None:
        data = {"level": arguments.level, "resamples": arguments.resamples, "notes": notes}
        write_json(arguments.json, {**data, "figures": [c.to_dict() for c in found]}, sort_keys=True)
    return 0
