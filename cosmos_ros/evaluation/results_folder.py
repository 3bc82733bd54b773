"""The folder of an evaluation: one JSON line a chunk, so that whatever ends it, what was done is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.files import AppendedFile, output_errors, write_json
from cosmos_ros.recordings.annotation_log import ChunkKey

CHUNKS, RUN, METRICS, TIMING, REPORT = "chunks.jsonl", "run.json", "metrics.json", "timing.json", "report.html"


class ResultStore:
    """Records of an evaluation on disk. Use it as a context manager.

    Args:
        folder: Is made.
        identity: What decides the metrics; must be the same when going on.
        resume: Go on with what is there.

    Attributes:
        done: Chunks that have a record.

    Raises:
        ConfigError: On entering: there are results and ``resume`` was not asked for, or they are of other options.
        OutputError: On entering: the folder cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = folder
        self._identity = dict(identity)
        self._resume = resume
        self.done: set[ChunkKey] = set()

    def __enter__(self) -> ResultStore:
        """Open the folder."""
        path = self.folder / CHUNKS
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_json(self.folder / RUN, self._identity, sort_keys=True)
        elif self._resume:
            self._check_identity()
            _cut_unfinished_line(path)
            self.done = {key_of(record) for record in iterate_records(self.folder)}
        else:
            raise ConfigError(
                "there are results of an evaluation in it", where=str(self.folder), hint="Give --resume or another."
            )
        self._file = AppendedFile(path)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def add(self, record: Mapping[str, Any]) -> None:
        """Append one record; it is on disk when this returns.

        Raises:
            OutputError: The disk is full.
        """
        self._file.append(json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n")
        self.done.add(key_of(record))

    def _check_identity(self) -> None:
        try:
            before = json.loads((self.folder / RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read: {error}", where=str(self.folder / RUN)) from error
        now = json.loads(json.dumps(self._identity))
        other = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        if other:
            raise ConfigError(
                f"was begun with other {', '.join(other)}: {', '.join(str(before.get(key)) for key in other)}",
                where=str(self.folder),
                hint="Give the same options, or another folder.",
            )


def _cut_unfinished_line(path: Path) -> None:
    """Cut off a line that was not finished when the last run was killed."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            end += len(line) if line.endswith(b"\n") else 0
    if end < path.stat().st_size:
        with output_errors(path):
            os.truncate(path, end)


def iterate_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the chunk records of an evaluation, in order.

    Raises:
        InputError: There are none, or a line is damaged; names it.
    """
    path = folder / CHUNKS
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    record = json.loads(line)
                    key_of(record)
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(f"line {number} is damaged: {error}", where=str(path)) from error
                yield record
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def key_of(record: Mapping[str, Any]) -> ChunkKey:
    """Return what identifies a chunk: recording, epoch, stamp in nanoseconds."""
    return str(record["bag"]), int(record["epoch"]), int(record["stamp_ns"])
