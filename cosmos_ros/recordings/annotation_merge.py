"""Merges a recording and the log of its annotations into one recording that any viewer opens."""

from __future__ import annotations

import heapq
import shutil
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from cosmos_ros.errors import InputError
from cosmos_ros.recordings.annotation_log import ChunkKey, Event, log_path, read_entries
from cosmos_ros.recordings.annotations import TYPES
from cosmos_ros.recordings.reader import BagReader, until_damage
from cosmos_ros.recordings.recording import BagMessage
from cosmos_ros.recordings.replay import find_view_topic
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.types import NANOSECONDS

# Chunks come in the order of their stamps, images in that of their arrival; so many chunks apart they may be in that.
_MAX_REORDERED = 8


@dataclass(frozen=True)
class AnnotatedRecording:
    """An annotated recording.

    Attributes:
        path: Its folder.
        left_out: Topics of the recording that are not in it, because it does not hold their definition.
    """

    path: Path
    left_out: tuple[str, ...] = ()


def merge_annotations(folder: Path, bags: Sequence[Path], reference: str) -> list[AnnotatedRecording]:
    """Write, for each recording, one with everything in it and its annotations.

    One recording gives ``annotated/annotated.mcap``, several give ``annotated_<name>/``. One without annotations logged
    since the last time is left as it is. What was predicted from an image is recorded as of that image's own recording
    time, so that it lies where it belongs also when header stamps come from another clock (simulation time).

    Args:
        folder: Of the evaluation.
        bags: The recordings.
        reference: Image topic, without ``/compressed``, whose stamps are those of the observations.

    Raises:
        InputError: A recording cannot be read any more.
        OutputError: They cannot be written.
    """
    written = []
    for path in bags:
        name = path.resolve().name
        log = log_path(folder, name)
        if log.exists():
            out = folder / ("annotated" if len(bags) == 1 else f"annotated_{name}")
            if out.exists():
                shutil.rmtree(out)
            written.append(_merge_one(path, log, out, reference))
    return written


def remove_logs(folder: Path) -> None:
    """Remove what was logged for merging: the evaluation is complete."""
    shutil.rmtree(log_path(folder, "").parent, ignore_errors=True)


def _merge_one(path: Path, log: Path, out: Path, reference: str) -> AnnotatedRecording:
    left_out = []
    with ExitStack() as stack:
        source = stack.enter_context(BagReader(path))
        writer = stack.enter_context(BagWriter(out, compress=False))
        # A recording of live nodes, or one that was annotated before, holds the topics already.
        prefixes = chain(("", "/evaluation"), (f"/evaluation_{k}" for k in count(2)))
        prefix = next(p for p in prefixes if not any(f"{p}{topic}" in source.topics for topic in TYPES))
        for topic, info in source.topics.items():
            try:
                writer.add_topic(topic, info.type_name, qos=info.qos[:1], definition=source.definition(info.type_name))
            except InputError:
                left_out.append(topic)
        for topic, type_name in TYPES.items():
            writer.add_topic(f"{prefix}{topic}", type_name)
        view = find_view_topic(source, reference)
        # The evaluation itself has reported where the recording is damaged.
        messages = until_damage(source.messages([topic for topic in source.topics if topic not in left_out]))
        for topic, log_ns, data in _in_order(messages, read_entries(log), view, prefix):
            writer.write(topic, log_ns, data)
    return AnnotatedRecording(out, tuple(left_out))


def _in_order(
    source: Iterator[BagMessage], entries: Iterator[tuple[ChunkKey, list[Event]]], view: str, prefix: str
) -> Iterator[tuple[str, int, bytes]]:
    """Yield (topic, recording time, data) of a recording's messages and of the annotations, in order.

    Args:
        source: The recording.
        entries: Annotations, chunk by chunk, with times by header stamps.
        view: Topic of the images whose stamps are those of the chunks.
        prefix: Stands before the annotations' topics.
    """
    number = count()
    pending: list[tuple[int, int, str, bytes]] = []
    upcoming: deque[tuple[int, list[Event]]] = deque()
    offset_ns = 0

    def read_upcoming() -> None:
        while len(upcoming) < _MAX_REORDERED and (entry := next(entries, None)) is not None:
            upcoming.append((entry[0][2], entry[1]))

    def place(events: list[Event]) -> None:
        for time, topic, data in events:
            heapq.heappush(pending, (time + offset_ns, next(number), f"{prefix}{topic}", data))

    def due(before_ns: float) -> Iterator[tuple[str, int, bytes]]:
        while pending and pending[0][0] < before_ns:
            time, _, topic, data = heapq.heappop(pending)
            yield topic, time, data

    read_upcoming()
    for message in source:
        stamp_ns = _stamp(message.data) if message.topic == view else None
        if any(stamp == stamp_ns for stamp, _ in upcoming):
            offset_ns = message.log_ns - (stamp_ns or 0)
            placed: int | None = None
            while placed != stamp_ns:
                placed, events = upcoming.popleft()
                place(events)
            read_upcoming()
        yield from due(message.log_ns)
        yield message.topic, message.log_ns, message.data
    while upcoming:
        place(upcoming.popleft()[1])
        read_upcoming()
    yield from due(float("inf"))


def _stamp(data: bytes) -> int | None:
    """Return the header stamp of a serialised message that begins with its header; None for one that is too short."""
    try:
        order = "<" if data[1] & 1 else ">"
        sec, nanosec = struct.unpack_from(f"{order}iI", data, 4)
    except (IndexError, struct.error):
        return None
    return int(sec) * NANOSECONDS + int(nanosec)
