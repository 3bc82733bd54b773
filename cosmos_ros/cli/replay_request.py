"""``cosmos-ros replay-request``: ask a recorded prediction again and compare."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional, UseAppendAction


@dataclass(frozen=True)
class ReplayRequest:
    """Ask the world model of one line of a prediction log the same again.

    Exit status 0 when the actions (and frames) are the same bit by bit, 1 when they differ. `same_expected` says
    whether they had to be: the model is deterministic, and hardware, libraries and weights are those of the record.

    For example: cosmos-ros replay-request out/predictions/predictions.jsonl --number 12

    Attributes:
        line: A line of a prediction log, or a log file.
        number: Which line of the file, from 1; without it the last.
        pictures: Folder of the pictures; without it beside the log.
        world_model: Ask this one instead of the recorded one.
        model: Its checkpoint or address, where that has moved.
        option: KEY=VALUE in place of the recorded option; once for each.
    """

    line: Positional[str]
    number: int | None = None
    pictures: Path | None = None
    world_model: str | None = None
    model: str | None = None
    option: UseAppendAction[tuple[str, ...]] = ()

    def run(self) -> int:
        """Ask again and print what came out as JSON."""
        from cosmos_ros.errors import ConfigError, InputError
        from cosmos_ros.prediction.prediction_log import image_folder, read_line, replay
        from cosmos_ros.world_models import open_world_model, parse_options

        record, path = read_line(self.line, self.number)
        folder = self.pictures or (image_folder(path) if path is not None else None)
        if folder is None:
            raise InputError("a bare line does not say where its pictures are", where="line", hint="Give --pictures.")
        recorded = record["world_model"]
        name = self.world_model or recorded.get("name")
        if not isinstance(name, str):
            raise ConfigError("the line does not name its world model", where="line", hint="Give --world-model.")
        before = recorded.get("options", {}) if name == recorded.get("name") else {}
        if not isinstance(before, dict):
            raise InputError("its world_model.options is not an object", where="line")
        # As text, so that the line's values are checked like those of the command line.
        recorded_options = parse_options(name, [f"{key}={value}" for key, value in before.items()])
        options = recorded_options | parse_options(name, self.option) | parse_options(name, [], model=self.model or "")
        with open_world_model(name, **options) as model:
            again = replay(record, model, folder)
        print(
            json.dumps(
                {
                    "same": again.same,
                    "same_expected": again.same_expected
                    and name == recorded.get("name")
                    and options == recorded_options,
                    "largest_difference": again.largest_difference,
                    "changed": list(again.changed),
                    "latencies_ms": dict(again.rollout.latencies_ms),
                },
                indent=1,
            )
        )
        return 0 if again.same else 1


VERB = ReplayRequest
