"""Walks a recording offline with the very synchroniser that the live node uses."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cosmos_ros.errors import InputError
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.observation.snapshot import Snapshot
from cosmos_ros.observation.synchroniser import Synchroniser
from cosmos_ros.recordings.reader import BagReader

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_MAX_ERRORS = 20
# A message may have been recorded this much after one with a later stamp.
_ARRIVAL_WINDOW_NS = 300_000_000

Feeder = Callable[[Any, int], object]


@dataclass(frozen=True)
class WalkTopics:
    """Where the streams are in a recording.

    Attributes:
        views: View name → image topic, raw or compressed.
        joints: JointState topic; None for none.
        instruction: String topic; None for none. It need not be in the recording.
        tool_poses: Link name → PoseStamped topic.
        scene: MarkerArray topic; None for none.
    """

    views: Mapping[str, str]
    joints: str | None = "/joint_states"
    instruction: str | None = "/instruction"
    tool_poses: Mapping[str, str] = field(default_factory=dict)
    scene: str | None = None


@dataclass
class WalkReport:
    """What happened on the way; filled while walking.

    Attributes:
        messages: Messages fed.
        refused: Malformed messages by topic.
        errors: The first malformed messages, one line each.
        references: Snapshots given.
        unsynchronised: Primary images without partners.
        resets: Times that stamps went back far, e.g. two runs in one recording.
        damaged: Why the recording ended before its end, if it did.
    """

    messages: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    references: int = 0
    unsynchronised: int = 0
    resets: int = 0
    damaged: str = ""

    def refuse(self, topic: str, error: str) -> None:
        """Count a malformed message."""
        self.refused[topic] = self.refused.get(topic, 0) + 1
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(error)


def find_view_topic(recording: BagReader, topic: str) -> str:
    """Return ``topic`` or ``topic/compressed``, whichever the recording holds images on; raw first.

    Raises:
        InputError: Neither is there, or it holds no images.
    """
    present = [name for name in (topic, f"{topic}/compressed") if name in recording.topics]
    chosen = next((name for name in present if recording.topics[name].count), next(iter(present), topic))
    recording.require(chosen, *_IMAGE_TYPES)
    return chosen


def walk(
    recording: BagReader,
    topics: WalkTopics,
    synchroniser: Synchroniser,
    *,
    report: WalkReport | None = None,
    start_ns: int | None = None,
) -> Iterator[Snapshot]:
    """Yield the snapshots of a recording, the same as the live node takes while it is played.

    Messages are fed in the order of their header stamps, restored inside a window because recorders write in the
    order of arrival. Time is the highest stamp so far. Images are decoded only where a snapshot is built.

    Args:
        recording: An open recording.
        topics: Where the streams are.
        synchroniser: A fresh one; its settings decide which images become references.
        report: Filled while walking.
        start_ns: Recording time to begin at.

    Raises:
        InputError: A topic is missing or of the wrong type. A recording that is damaged further on ends the walk
            instead, and ``report.damaged`` says where.
    """
    report = WalkReport() if report is None else report
    feeders = _feeders(recording, topics, synchroniser)
    decoded = _decoded(recording, set(feeders), report, start_ns)
    reset_ns = synchroniser.settings.reset_ns
    now_ns = 0
    for stamp_ns, topic, message in in_stamp_order(decoded, _ARRIVAL_WINDOW_NS, reset_ns):
        # A recording may hold two runs; the synchroniser has to see the clock go back.
        now_ns = stamp_ns if now_ns - stamp_ns > reset_ns else max(now_ns, stamp_ns)
        refused = synchroniser.refused
        feeders[topic](message, now_ns)
        report.messages += 1
        if synchroniser.refused > refused:
            report.refuse(topic, f"{topic}: {synchroniser.last_refusal}")
        yield from _take(synchroniser, now_ns, report, ended=False)
    # The live node takes the last images when waiting ends.
    yield from _take(synchroniser, now_ns, report, ended=True)


def in_stamp_order(
    messages: Iterator[tuple[str, int, Any]], window_ns: int, reset_ns: int
) -> Iterator[tuple[int, str, Any]]:
    """Sort (topic, recording time, message) by header stamp inside a window of recording time.

    Messages without a usable stamp keep their place: just after what had been stamped before them.

    Yields:
        (stamp, topic, message).
    """
    buffered: list[tuple[int, int, int, str, Any]] = []
    newest: dict[str, int] = {}
    highest = -1
    last_log_ns = 0

    def drain() -> Iterator[tuple[int, str, Any]]:
        yield from ((stamp, topic, message) for stamp, _, _, topic, message in sorted(buffered))
        buffered.clear()

    for number, (topic, log_ns, message) in enumerate(messages):
        stamp_ns = _stamp(message)
        if newest.get(topic, 0) - (highest if stamp_ns is None else stamp_ns) > reset_ns or log_ns < last_log_ns:
            # Another run begins: nothing that came before may mix with it.
            yield from drain()
            newest.clear()
            highest = -1
        last_log_ns = log_ns
        if stamp_ns is None:
            stamp_ns = highest + 1
        else:
            newest[topic] = stamp_ns
            highest = max(highest, stamp_ns)
        heapq.heappush(buffered, (stamp_ns, number, log_ns, topic, message))
        while log_ns - buffered[0][2] > window_ns:
            stamp, _, _, name, value = heapq.heappop(buffered)
            yield stamp, name, value
    yield from drain()


def _take(synchroniser: Synchroniser, now_ns: int, report: WalkReport, *, ended: bool) -> Iterator[Snapshot]:
    while (snapshot := synchroniser.take(now_ns, ended=ended)) is not None:
        report.references += 1
        yield snapshot
    report.unsynchronised = synchroniser.unsynchronised
    report.resets = synchroniser.epoch


def _feeders(recording: BagReader, topics: WalkTopics, synchroniser: Synchroniser) -> dict[str, Feeder]:
    feeders: dict[str, Feeder] = {}
    for view, topic in topics.views.items():
        recording.require(topic, *_IMAGE_TYPES)
        feeders[topic] = partial(_feed, synchroniser.add_image, view)
    if topics.joints is not None:
        recording.require(topics.joints, "sensor_msgs/msg/JointState")
        feeders[topics.joints] = lambda message, now: synchroniser.add_joint_state(message, received_ns=now)
    for link, topic in topics.tool_poses.items():
        recording.require(topic, "geometry_msgs/msg/PoseStamped")
        feeders[topic] = partial(_feed, synchroniser.add_tool_pose, link)
    if topics.scene is not None:
        recording.require(topics.scene, "visualization_msgs/msg/MarkerArray")
        feeders[topics.scene] = lambda message, now: synchroniser.add_scene(message, received_ns=now)
    if topics.instruction is not None and topics.instruction in recording.topics:
        recording.require(topics.instruction, "std_msgs/msg/String")
        feeders[topics.instruction] = lambda message, now: synchroniser.add_instruction(message.data, received_ns=now)
    return feeders


def _feed(add: Callable[..., object], name: str, message: Any, now_ns: int) -> None:
    add(name, message, received_ns=now_ns)


def _decoded(
    recording: BagReader, topics: set[str], report: WalkReport, start_ns: int | None
) -> Iterator[tuple[str, int, Any]]:
    try:
        for message in recording.messages(topics, start_ns=start_ns):
            try:
                decoded = recording.decode(message)
            except InputError as error:
                report.refuse(message.topic, str(error))
                continue
            yield message.topic, message.log_ns, decoded
    except InputError as error:
        report.damaged = str(error)


def _stamp(message: Any) -> int | None:
    markers = getattr(message, "markers", None)
    owner = markers[0] if markers else message
    try:
        return ns_from_stamp(owner.header.stamp, where="header.stamp")
    except (AttributeError, InputError):
        return None  # the synchroniser refuses it where it matters
