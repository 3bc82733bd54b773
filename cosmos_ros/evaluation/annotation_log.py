"""What is kept of annotations while a recording is evaluated: one entry a chunk, appended whole, so that a process that
is killed loses at most the entry it was writing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.evaluation.results_folder import Key

FOLDER = "annotations"
# (time, topic, serialised message)
Event = tuple[int, str, bytes]
_MAX_HEAD = 1 << 20


def log_of(folder: Path, bag: str) -> Path:
    """Return where the annotations of a recording are kept."""
    return folder / FOLDER / f"{bag}.log"


class AnnotationLog:
    """An open log. An entry is a line of JSON, which says what follows it, and the messages' bytes.

    Raises:
        CosmosRosError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise CosmosRosError(f"cannot be written: {error.strerror}", where=str(path)) from error

    def add(self, key: Key, events: Sequence[Event]) -> None:
        """Append one chunk's messages; they outlive this process when this returns.

        Raises:
            CosmosRosError: The disk is full.
        """
        head = {"key": key, "events": [(time, topic, len(data)) for time, topic, data in events]}
        try:
            self._file.write(json.dumps(head).encode() + b"\n" + b"".join(data for _, _, data in events))
            self._file.flush()
        except OSError as error:
            raise CosmosRosError(f"cannot be written: {error.strerror}", where=str(self._path)) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> Iterator[tuple[Key, list[Event]]]:
    """Yield the whole entries of a log, up to the first that is not."""
    with path.open("rb") as file:
        while (entry := _next(file)) is not None:
            yield entry


def cut(path: Path, done: Collection[Key]) -> None:
    """Cut a log after the last of its first entries that are whole and of chunks that are done."""
    end = 0
    with path.open("rb") as file:
        while (entry := _next(file)) is not None and entry[0] in done:
            end = file.tell()
    if end < path.stat().st_size:
        os.truncate(path, end)


def _next(file: IO[bytes]) -> tuple[Key, list[Event]] | None:
    line = file.readline(_MAX_HEAD)
    try:
        head = json.loads(line)
        bag, epoch, stamp = head["key"]
        events = [(int(time), str(topic), file.read(int(size))) for time, topic, size in head["events"]]
        whole = all(len(data) == size for (_, _, data), (_, _, size) in zip(events, head["events"], strict=True))
    except (ValueError, KeyError, TypeError):
        return None
    return ((str(bag), int(epoch), int(stamp)), events) if whole else None
