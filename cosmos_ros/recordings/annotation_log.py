"""What is annotated while a recording is evaluated: one entry a chunk, appended whole, so that a process that is killed
loses at most the entry it was writing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from cosmos_ros.files import AppendedFile

FOLDER = "annotations"
# What identifies a chunk: recording, epoch, stamp (ns).
ChunkKey = tuple[str, int, int]
# (time, topic, serialised message)
Event = tuple[int, str, bytes]
_MAX_HEAD = 1 << 20


def log_path(folder: Path, bag: str) -> Path:
    """Return where the annotations of a recording are logged."""
    return folder / FOLDER / f"{bag}.log"


class AnnotationLog(AppendedFile):
    """An open log. An entry is a line of JSON, which says what follows it, and the messages' bytes."""

    def add(self, key: ChunkKey, events: Sequence[Event]) -> None:
        """Append one chunk's messages; as ``append``."""
        head = {"key": key, "events": [(time, topic, len(data)) for time, topic, data in events]}
        self.append(json.dumps(head).encode() + b"\n" + b"".join(data for _, _, data in events))


def read_entries(path: Path) -> Iterator[tuple[ChunkKey, list[Event]]]:
    """Yield the whole entries of a log, up to the first that is not."""
    with path.open("rb") as file:
        while (entry := _next(file)) is not None:
            yield entry


def truncate_log(path: Path, done: Collection[ChunkKey]) -> None:
    """Cut a log after the last of its first entries that are whole and of chunks that are done."""
    end = 0
    with path.open("rb") as file:
        while (entry := _next(file)) is not None and entry[0] in done:
            end = file.tell()
    if end < path.stat().st_size:
        os.truncate(path, end)


def _next(file: IO[bytes]) -> tuple[ChunkKey, list[Event]] | None:
    line = file.readline(_MAX_HEAD)
    try:
        head = json.loads(line)
        bag, epoch, stamp = head["key"]
        events = [(int(time), str(topic), file.read(int(size))) for time, topic, size in head["events"]]
        whole = all(len(data) == size for (_, _, data), (_, _, size) in zip(events, head["events"], strict=True))
    except (ValueError, KeyError, TypeError):
        return None
    return ((str(bag), int(epoch), int(stamp)), events) if whole else None
