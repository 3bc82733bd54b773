"""Records topics as they come, serialised, into a rosbag2 (mcap). Needs ROS."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.recordings.ros_message_types import (
    installed_definition,
    message_class,
    recorded_profiles,
    subscription_profile,
)
from cosmos_ros.recordings.writer import BagWriter

QUEUE_BYTES = 512 * 1024 * 1024
_LARGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/PointCloud2")


@dataclass
class RecorderReport:
    """What was recorded.

    Attributes:
        counts: Topic → messages written.
        dropped: Topic → messages lost because the disk was slower than the topics.
        skipped: Topic → why it is not recorded.
    """

    counts: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


class BagRecorder:
    """Subscribes to topics as they appear and writes them from a thread of its own.

    ``discover`` belongs on a timer; callbacks run in the node's executor and only queue. Each subscription takes the
    strongest QoS that all publishers of its topic offer, and gives way when a weaker one joins.

    Args:
        node: Node that the subscriptions belong to; its clock gives the recording times.
        path: Folder to create.
        topics: Absolute names to record; None for every topic that is not hidden.
        exclude: Regular expression of names to leave out.
        compress: Compress with zstd.
        announce: Called with one line whenever a topic is joined or cannot be.
        queue_bytes: Most bytes waiting for the disk.

    Attributes:
        received: Topic → messages that have arrived.
        error: Why writing has failed, if it has; ``close`` raises it.

    Raises:
        InputError: The folder exists, or ``exclude`` is not a regular expression.
    """

    def __init__(
        self,
        node: Any,
        path: str | Path,
        *,
        topics: Collection[str] | None = None,
        exclude: str | None = None,
        compress: bool = False,
        announce: Callable[[str], None] = lambda line: None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        try:
            self._exclude = re.compile(exclude) if exclude else None
        except re.error as error:
            raise InputError(f"not a regular expression: {error}", where="exclude") from error
        self._node = node
        self._wanted = None if topics is None else frozenset(node.resolve_topic_name(name) for name in topics)
        self._announce = announce
        self._subscriptions: dict[str, tuple[Any, bool, bool]] = {}
        self._report = RecorderReport()
        self._queue: queue.SimpleQueue[tuple[str, int, bytes] | None] = queue.SimpleQueue()
        self._queued = 0
        self._queue_bytes = queue_bytes
        self._lock = threading.Lock()
        self._writer = BagWriter(path, compress=compress).__enter__()
        self._writer_lock = threading.Lock()
        self.received: dict[str, int] = {}
        self.error: CosmosRosError | None = None
        self._thread = threading.Thread(target=self._write, name="bag_recorder")
        self._thread.start()

    @property
    def topics(self) -> frozenset[str]:
        """Topics that are being recorded."""
        return frozenset(self._subscriptions)

    @property
    def missing(self) -> frozenset[str]:
        """Topics asked for that nobody publishes yet."""
        return frozenset() if self._wanted is None else self._wanted - self.topics

    def discover(self) -> None:
        """Join topics that have appeared, and meet publishers that have joined."""
        for topic, types in self._node.get_topic_names_and_types():
            if not self._is_wanted(topic):
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            if len(types) != 1:
                self._skip(topic, f"it is published as {' and '.join(types)}")
                continue
            self._join(topic, types[0], publishers)

    def close(self) -> RecorderReport:
        """Write what is queued, finish the recording, and return what was recorded; may be called twice.

        Raises:
            CosmosRosError: The recording could not be written.
        """
        for subscription, _, _ in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._writer.close()
        self._report.counts = dict(self._writer.counts)
        if self.error is not None:
            raise self.error
        return self._report

    def _is_wanted(self, topic: str) -> bool:
        if self._exclude is not None and self._exclude.search(topic):
            return False
        if self._wanted is not None:
            return topic in self._wanted
        return not any(part.startswith("_") for part in topic.split("/"))

    def _skip(self, topic: str, reason: str) -> None:
        if topic not in self._report.skipped:
            self._report.skipped[topic] = reason
            self._announce(f"{topic} is not recorded: {reason}")

    def _join(self, topic: str, type_name: str, publishers: list[Any]) -> None:
        if topic in self._report.skipped:
            return
        profile = subscription_profile(publishers, depth=10 if type_name in _LARGE_TYPES else 100)
        demands = (
            profile.reliability == ReliabilityPolicy.RELIABLE,
            profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
        )
        known = self._subscriptions.get(topic)
        if known is not None:
            # Only a publisher that offers less than is demanded is lost; joining anew would repeat latched messages.
            if all(now or not before for before, now in zip(known[1:], demands, strict=True)):
                return
            self._node.destroy_subscription(known[0])
        try:
            kind = message_class(type_name)
            definition = None if type_name in self._writer.types.types else installed_definition(type_name)
            with self._writer_lock:
                self._writer.add_topic(topic, type_name, qos=recorded_profiles(publishers), definition=definition)
        except InputError as error:
            self._skip(topic, str(error))
            return

        def receive(data: bytes) -> None:
            self._receive(topic, data)

        subscription = self._node.create_subscription(kind, topic, receive, profile, raw=True)
        self._subscriptions[topic] = (subscription, *demands)
        if known is None:
            self._announce(f"recording {topic} ({type_name})")

    def _receive(self, topic: str, data: bytes) -> None:
        self.received[topic] = self.received.get(topic, 0) + 1
        with self._lock:
            if self._queued + len(data) > self._queue_bytes:
                self._report.dropped[topic] = self._report.dropped.get(topic, 0) + 1
                return
            self._queued += len(data)
        self._queue.put((topic, int(self._node.get_clock().now().nanoseconds), data))

    def _write(self) -> None:
        while (entry := self._queue.get()) is not None:
            topic, log_ns, data = entry
            if self.error is None:
                try:
                    with self._writer_lock:
                        self._writer.write(topic, log_ns, data)
                except CosmosRosError as error:
                    self.error = error
            with self._lock:
                self._queued -= len(data)
