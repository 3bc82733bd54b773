"""Stands in for ROS's rosbag2_py: the part of its interface that reads, on the files that rosbags reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from rosbags.rosbag2 import Reader


@dataclass
class StorageOptions:
    uri: str
    storage_id: str


@dataclass
class ConverterOptions:
    input_serialization_format: str
    output_serialization_format: str


@dataclass
class StorageFilter:
    topics: list[str] = field(default_factory=list)


class Info:
    def read_metadata(self, uri: str, storage_id: str) -> SimpleNamespace:
        assert (Path(uri) / "metadata.yaml").is_file()
        return SimpleNamespace(compression_mode="")


class SequentialReader:
    def open(self, storage: StorageOptions, converter: ConverterOptions) -> None:
        path = Path(storage.uri)
        if path.is_file() and storage.storage_id != {".mcap": "mcap", ".db3": "sqlite3"}[path.suffix]:
            raise RuntimeError(f"No storage could be initialized for {storage.uri}")
        assert converter.output_serialization_format == "cdr"
        try:
            self._reader = Reader(path)
            self._reader.open()
        except Exception as error:
            raise RuntimeError(f"could not open: {error}") from error
        self._topics: list[str] = []
        self._start = 0
        self._stream = None
        self._next = None

    def get_metadata(self) -> SimpleNamespace:
        topics = [
            SimpleNamespace(
                topic_metadata=SimpleNamespace(
                    name=connection.topic, type=connection.msgtype, serialization_format="cdr"
                ),
                message_count=connection.msgcount,
            )
            for connection in self._reader.connections
        ]
        return SimpleNamespace(
            topics_with_message_count=topics,
            message_count=self._reader.message_count,
            starting_time=SimpleNamespace(nanoseconds=self._reader.start_time),
            duration=SimpleNamespace(nanoseconds=self._reader.duration - 1),
        )

    def set_filter(self, wanted: StorageFilter) -> None:
        self._topics = wanted.topics

    def seek(self, timestamp: int) -> None:
        self._start = timestamp

    def has_next(self) -> bool:
        if self._stream is None:
            wanted = [one for one in self._reader.connections if not self._topics or one.topic in self._topics]
            self._stream = self._reader.messages(wanted, start=self._start)
        if self._next is None:
            try:
                self._next = next(self._stream, None)
            except Exception as error:
                raise RuntimeError(str(error)) from error
        return self._next is not None

    def read_next(self) -> tuple[str, bytes, int]:
        assert self.has_next()
        (connection, log_ns, data), self._next = self._next, None
        return connection.topic, bytes(data), log_ns


SequentialCompressionReader = SequentialReader
