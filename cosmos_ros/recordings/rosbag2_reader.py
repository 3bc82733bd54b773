"""Reading recordings with ROS's own ``rosbag2_py``, for replays where pip has added nothing. Messages stay serialised.

The bindings give the recorded QoS profiles in another form in each distribution, so topics have none here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from cosmos_ros.errors import InputError
from cosmos_ros.recordings.recording import MAX_MESSAGE_BYTES, BagMessage, BagTopic, Recording

_STORAGES = {".mcap": "mcap", ".db3": "sqlite3"}


class Rosbag2Reader(Recording):
    """A recording: a rosbag2 folder, or a single ``.mcap`` or ``.db3`` file.

    Args:
        path: Folder or file.

    Raises:
        InputError: On entering: no such recording, damaged, or of a storage or compression that is not installed.
    """

    _repair = "Try `ros2 bag info`, `mcap recover` (mcap) or `ros2 bag reindex` (a wrong metadata.yaml)."

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._topics: dict[str, BagTopic] = {}
        self._start_ns = self._end_ns = 0

    def __enter__(self) -> Rosbag2Reader:
        """Read what is in the recording."""
        if not self.path.exists():
            raise InputError("there is no such recording", where=str(self.path))
        with self._guarded("cannot be opened"):
            metadata = self._open().get_metadata()
            for entry in metadata.topics_with_message_count:
                topic = entry.topic_metadata
                self._topics[topic.name] = BagTopic(topic.name, topic.type, int(entry.message_count))
            if metadata.message_count:
                self._start_ns = int(metadata.starting_time.nanoseconds)
                self._end_ns = self._start_ns + int(metadata.duration.nanoseconds)
        return self

    def close(self) -> None:
        """Do nothing: every pass over the recording opens it anew."""

    @property
    def topics(self) -> Mapping[str, BagTopic]:
        """Topics by name."""
        return self._topics

    @property
    def start_ns(self) -> int:
        """Recording time of the first message; 0 for an empty recording."""
        return self._start_ns

    @property
    def end_ns(self) -> int:
        """Recording time of the last message; 0 for an empty recording."""
        return self._end_ns

    def messages(
        self, topics: Collection[str] | None = None, *, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Yield messages in recording order; see ``Recording.messages``."""
        import rosbag2_py

        self.require_known(topics or ())
        count = 0
        with self._guarded("cannot be opened"):
            reader = self._open()
            if topics is not None:
                reader.set_filter(rosbag2_py.StorageFilter(topics=sorted(topics)))
            if start_ns is not None:
                reader.seek(start_ns)
        while True:
            with self._guarded(f"is damaged after {count} messages"):
                if not reader.has_next():
                    return
                topic, data, log_ns = reader.read_next()[:3]  # later distributions add the sending time
            if end_ns is not None and log_ns >= end_ns:
                return
            # A filter of no topics is no filter, and a storage may seek to the chunk before.
            if (topics is not None and topic not in topics) or (start_ns is not None and log_ns < start_ns):
                continue
            if len(data) > MAX_MESSAGE_BYTES:
                raise InputError(f"a message of {len(data)} bytes on {topic}", where=str(self.path))
            count += 1
            yield BagMessage(topic, self._topics[topic].type_name, int(log_ns), bytes(data))

    def _open(self) -> Any:
        import rosbag2_py

        storage = _STORAGES.get(self.path.suffix, "") if self.path.is_file() else ""
        compressed = False
        if self.path.is_dir() and (self.path / "metadata.yaml").is_file():
            compressed = bool(rosbag2_py.Info().read_metadata(str(self.path), storage).compression_mode)
        reader = rosbag2_py.SequentialCompressionReader() if compressed else rosbag2_py.SequentialReader()
        reader.open(
            rosbag2_py.StorageOptions(uri=str(self.path), storage_id=storage),
            rosbag2_py.ConverterOptions(input_serialization_format="cdr", output_serialization_format="cdr"),
        )
        return reader
