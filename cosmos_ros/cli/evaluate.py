"""``cosmos-ros evaluate``: evaluate a world model on recordings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, Suppress, UseAppendAction, arg

from cosmos_ros.evaluation.evaluation_options import TIMING, EvaluationOptions
from cosmos_ros.named_values import comma_separated, named_values, plain_value
from cosmos_ros.observation.sync_settings import Timing


@dataclass(frozen=True)
class Evaluate(EvaluationOptions):
    """Walk recordings at the chunk stride with the recorded observations, predict, and compare with what then happened.

    Frames, actions, guard and time are judged; baselines stand beside the model. Writes chunks.jsonl, metrics.json,
    timing.json, report.html and annotated recordings. Ctrl-C keeps what is done. Exit status 1 when a recording could
    not be read or the model never answered, 130 when interrupted.

    For example: cosmos-ros evaluate out/bag --world-model flow --out out/report

    Attributes:
        model: Checkpoint directory, hub id or server address.
        sampler: Sampler setting; once for each.
    """

    bags: Positional[tuple[Path, ...]]
    timing: Suppress[Timing] = TIMING
    model_options: Suppress[Mapping[str, Any]] = field(default_factory=dict)
    settings: Suppress[Mapping[str, Any]] = field(default_factory=dict)
    model: str = ""
    sampler: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE")] = ()

    def run(self) -> int:
        """Evaluate and print the main figures."""
        from cosmos_ros.evaluation.evaluate import evaluate
        from cosmos_ros.evaluation.text_summary import print_metrics

        settings = named_values((text for part in self.sampler for text in comma_separated(part)), where="--set")
        options = EvaluationOptions(
            **{option.name: getattr(self, option.name) for option in fields(EvaluationOptions)}
            | {
                "model_options": {"model": self.model} if self.model else {},
                "settings": {name: plain_value(text) for name, text in settings.items()},
            }
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


VERB = Evaluate
