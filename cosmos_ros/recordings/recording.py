"""What every reader of recordings gives, and which one there is here: with rosbags, or with ROS's own rosbag2_py."""

from __future__ import annotations

import difflib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cosmos_ros.errors import ConfigError, InputError

if TYPE_CHECKING:
    from rosbags.interfaces import Qos

MAX_MESSAGE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class BagTopic:
    """One topic of a recording.

    Attributes:
        name: Topic name.
        type_name: E.g. ``sensor_msgs/msg/Image``.
        count: Messages recorded.
        qos: Offered profiles of its publishers; empty where the recorder wrote none, or the reader cannot tell.
    """

    name: str
    type_name: str
    count: int
    qos: tuple[Qos, ...] = ()


@dataclass(frozen=True)
class BagMessage:
    """One recorded message, still serialised.

    Attributes:
        topic: Topic name.
        type_name: Message type.
        log_ns: When it was recorded.
        data: CDR bytes with their encapsulation header.
    """

    topic: str
    type_name: str
    log_ns: int
    data: bytes


class Recording(ABC):
    """An open recording, read message by message. A context manager.

    Attributes:
        path: As given.
    """

    path: Path
    _repair: str  # what to do about a damaged one

    @abstractmethod
    def __enter__(self) -> Recording:
        """Open the recording."""

    @abstractmethod
    def close(self) -> None:
        """Close the recording; may be called twice."""

    def __exit__(self, *_: object) -> None:
        """Close the recording."""
        self.close()

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Turn whatever a library raises about a recording into an InputError that says what happened to it."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            # Damaged bytes surface as struct, type, zstd, sqlite and rosbags errors alike, and an absurd length as a
            # MemoryError; rosbag2's bindings raise RuntimeError for nearly everything.
            raise InputError(
                f"the recording {what}: {str(error) or type(error).__name__}", where=str(self.path), hint=self._repair
            ) from error

    @property
    @abstractmethod
    def topics(self) -> Mapping[str, BagTopic]:
        """Topics by name."""

    @property
    @abstractmethod
    def start_ns(self) -> int:
        """Recording time of the first message; 0 for an empty recording."""

    @property
    @abstractmethod
    def end_ns(self) -> int:
        """Recording time of the last message; 0 for an empty recording."""

    @property
    def duration_ns(self) -> int:
        """From the first to the last message."""
        return self.end_ns - self.start_ns

    @abstractmethod
    def messages(
        self, topics: Collection[str] | None = None, *, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Yield messages in recording order.

        Args:
            topics: Topics wanted; None for all.
            start_ns: First recording time wanted.
            end_ns: Recording time to stop before.

        Raises:
            InputError: A topic is unknown, or the recording is damaged there; says after how many messages, so
                that what came before can be used.
        """

    def require(self, topic: str, *type_names: str) -> BagTopic:
        """Return a topic that must be there, hold messages, and be of one of the given types.

        Raises:
            InputError: It is missing (with the nearest names), empty, or of another type.
        """
        found = self.topics.get(topic)
        if found is None:
            near = difflib.get_close_matches(topic, self.topics, n=3, cutoff=0.4) or sorted(self.topics)[:8]
            raise InputError(
                f"there is no topic {topic}",
                where=str(self.path),
                hint=f"It has: {', '.join(near)}." if near else "The recording is empty.",
            )
        if type_names and found.type_name not in type_names:
            raise InputError(f"{topic} is {found.type_name}, expected {' or '.join(type_names)}", where=str(self.path))
        if not found.count:
            raise InputError(f"{topic} holds no message", where=str(self.path))
        return found

    def require_known(self, topics: Collection[str]) -> None:
        """Check that topics are there, be they empty.

        Raises:
            InputError: One is missing; names the nearest.
        """
        for topic in topics:
            if topic not in self.topics:
                self.require(topic)


def open_recording(path: str | Path) -> Recording:
    """Return a reader of a recording's serialised messages; enter it to open the file.

    Raises:
        ConfigError: Neither rosbags nor rosbag2_py is installed.
    """
    if importlib.util.find_spec("rosbags") is not None:
        from cosmos_ros.recordings.reader import BagReader

        return BagReader(path)
    if importlib.util.find_spec("rosbag2_py") is not None:
        from cosmos_ros.recordings.rosbag2_reader import Rosbag2Reader

        return Rosbag2Reader(path)
    raise ConfigError(
        "nothing that reads recordings is installed",
        where=str(path),
        hint="Install the ROS package rosbag2_py, or: pip install rosbags.",
    )
