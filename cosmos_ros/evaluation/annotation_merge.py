"""Puts a recording and what was kept of its annotations together into one that any viewer opens."""

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

from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.evaluation.annotation_log import Event, log_of, read
from cosmos_ros.evaluation.annotations import TYPES
from cosmos_ros.evaluation.results_folder import Key
from cosmos_ros.recordings.reader import BagMessage, BagReader
from cosmos_ros.recordings.replay import find_view_topic
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.types import NANOSECONDS

# Chunks come in the order of their stamps, images in that of their arrival; so far apart they may be in that.
_AHEAD = 8


@dataclass(frozen=True)
class Merged:
    """An annotated recording.

    Attributes:
        path: Its folder.
        left_out: Topics of the recording that are not in it, because it does not hold their definition.
    """

    path: Path
    left_out: tuple[str, ...] = ()


def merge(folder: Path, bags: Sequence[Path], reference: str) -> list[Merged]:
    """Write, for each recording, one with everything in it and its annotations.

    One recording gives ``annotated/annotated.mcap``, several give ``annotated_<name>/``. One without annotations kept
    since the last time is left as it is. What was predicted from an image is recorded as of that image's own recording
    time, so that it lies where it belongs also when header stamps come from another clock (simulation time).

    Args:
        folder: Of the evaluation.
        bags: The recordings.
        reference: Image topic, without ``/compressed``, whose stamps are those of the observations.

    Raises:
        InputError: A recording cannot be read any more.
        CosmosRosError: They cannot be written.
    """
    written = []
    for path in bags:
        name = path.resolve().name
        log = log_of(folder, name)
        if log.exists():
            out = folder / ("annotated" if len(bags) == 1 else f"annotated_{name}")
            if out.exists():
                shutil.rmtree(out)
            written.append(_merge_one(path, log, out, reference))
    return written


def forget(folder: Path) -> None:
    """Remove what was kept for merging: the evaluation is complete."""
    shutil.rmtree(log_of(folder, "").parent, ignore_errors=True)


def _merge_one(path: Path, log: Path, out: Path, reference: str) -> Merged:
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
        for topic, log_ns, data in _in_order(_tolerant(source, left_out), read(log), view, prefix):
            writer.write(topic, log_ns, data)
    return Merged(out, tuple(left_out))


def _tolerant(reader: BagReader, left_out: Sequence[str]) -> Iterator[BagMessage]:
    """Yield messages up to the first damage, which the evaluation itself has reported."""
    stream = reader.messages([topic for topic in reader.topics if topic not in left_out])
    while True:
        try:
            message = next(stream, None)
        except CosmosRosError:
            return
        if message is None:
            return
        yield message


def _in_order(
    source: Iterator[BagMessage], entries: Iterator[tuple[Key, list[Event]]], view: str, prefix: str
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
    ahead: deque[tuple[int, list[Event]]] = deque()
    offset_ns = 0

    def look_ahead() -> None:
        while len(ahead) < _AHEAD and (entry := next(entries, None)) is not None:
            ahead.append((entry[0][2], entry[1]))

    def place(events: list[Event]) -> None:
        for time, topic, data in events:
            heapq.heappush(pending, (time + offset_ns, next(number), f"{prefix}{topic}", data))

    look_ahead()
    for message in source:
        stamp_ns = _stamp(message.data) if message.topic == view else None
        if any(stamp == stamp_ns for stamp, _ in ahead):
            offset_ns = message.log_ns - (stamp_ns or 0)
            placed: int | None = None
            while placed != stamp_ns:
                placed, events = ahead.popleft()
                place(events)
            look_ahead()
        while pending and pending[0][0] < message.log_ns:
            time, _, topic, data = heapq.heappop(pending)
            yield topic, time, data
        yield message.topic, message.log_ns, message.data
    while ahead:
        place(ahead.popleft()[1])
        look_ahead()
    while pending:
        time, _, topic, data = heapq.heappop(pending)
        yield topic, time, data


def _stamp(data: bytes) -> int | None:
    """Return the header stamp of a serialised message that begins with its header; None for one that is too short."""
    try:
        order = "<" if data[1] & 1 else ">"
        sec, nanosec = struct.unpack_from(f"{order}iI", data, 4)
    except (IndexError, struct.error):
        return None
    return int(sec) * NANOSECONDS + int(nanosec)
