"""Reading rosbag2 recordings (mcap and sqlite3, compressed or not) without a ROS installation, streaming."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys.store import Typestore

from cosmos_ros.errors import InputError
from cosmos_ros.recordings.message_types import default_typestore, typestore_of
from cosmos_ros.recordings.recording import MAX_MESSAGE_BYTES, BagMessage, BagTopic, Recording

_STORAGE_SUFFIXES = (".mcap", ".db3")


class BagReader(Recording):
    """A recording: a rosbag2 folder, or a single ``.mcap`` or ``.db3`` file.

    Use it as a context manager. Messages come in the order of their recording times, file by file; at most a chunk
    and a message are in memory at a time, whatever the size of the recording.

    Args:
        path: Folder or file.

    Attributes:
        path: As given.
        went_back: Times that the recording time went back from one message to the next, in what was read so far.

    Raises:
        InputError: On entering: no such recording, damaged or truncated, unsupported format.
    """

    _repair = "Try `mcap recover` (mcap) or `ros2 bag reindex` (a missing or wrong metadata.yaml)."

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.went_back = 0
        self._readers: list[Reader] = []
        self._connections: list[tuple[Reader, Connection]] = []
        self._topics: dict[str, BagTopic] = {}
        self._base = default_typestore()
        self._stores: dict[str, Typestore] = {}
        self._read = 0

    def __enter__(self) -> BagReader:
        """Open the recording."""
        try:
            for source in self._sources():
                with self._guarded("cannot be opened"):
                    reader = Reader(source)
                    reader.open()
                    self._readers.append(reader)
                    self._connections += [(reader, connection) for connection in reader.connections]
            self._topics = self._list_topics()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close the recording; may be called twice."""
        readers, self._readers = self._readers, []
        self._connections = []
        for reader in readers:
            with suppress(Exception):  # a damaged file may not even close; there is nothing left to save
                reader.close()

    @property
    def topics(self) -> Mapping[str, BagTopic]:
        """Topics by name."""
        return self._topics

    @property
    def message_count(self) -> int:
        """Messages in the recording."""
        return sum(reader.message_count for reader in self._readers)

    @property
    def start_ns(self) -> int:
        """Recording time of the first message; 0 for an empty recording."""
        return min((reader.start_time for reader in self._readers if reader.message_count), default=0)

    @property
    def end_ns(self) -> int:
        """Recording time of the last message; 0 for an empty recording."""
        return max((reader.end_time - 1 for reader in self._readers if reader.message_count), default=0)

    def messages(
        self, topics: Collection[str] | None = None, *, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Yield messages in recording order; see ``Recording.messages``."""
        self.require_known(topics or ())
        last_ns: int | None = None
        for reader in self._readers:
            wanted = [
                connection
                for owner, connection in self._connections
                if owner is reader and (topics is None or connection.topic in topics)
            ]
            if not wanted:
                continue
            stream = reader.messages(wanted, start=start_ns, stop=end_ns)
            before = self._read
            while True:
                with self._guarded(f"is damaged after {self._read} messages"):
                    entry = next(stream, None)
                if entry is None:
                    break
                connection, log_ns, data = entry
                if len(data) > MAX_MESSAGE_BYTES:
                    raise InputError(f"a message of {len(data)} bytes on {connection.topic}", where=str(self.path))
                if last_ns is not None and log_ns < last_ns:
                    self.went_back += 1
                last_ns = log_ns
                self._read += 1
                yield BagMessage(connection.topic, connection.msgtype, log_ns, bytes(data))
            promised = sum(connection.msgcount for connection in wanted)
            if start_ns is None and end_ns is None and self._read - before < promised:
                raise InputError(
                    f"the recording is damaged: it holds {self._read - before} of {promised} messages",
                    where=str(self.path),
                    hint="Try `mcap recover` (mcap) or `ros2 bag reindex` (a missing or wrong metadata.yaml).",
                )

    def decode(self, message: BagMessage) -> Any:
        """Return a message's object; numeric sequences are numpy arrays, ``data`` of images is ``uint8``.

        Raises:
            InputError: Its type is unknown, or its bytes do not fit its type; names topic and time.
        """
        where = f"{self.path} {message.topic} at {message.log_ns} ns"
        store = self._store_of(message.type_name)
        if message.type_name not in store.types:
            raise InputError(
                f"the definition of {message.type_name} is not in the recording",
                where=where,
                hint="Record with mcap, which stores definitions.",
            )
        try:
            return store.deserialize_cdr(message.data, message.type_name)
        except Exception as error:  # rosbags, struct and numpy each raise their own
            raise InputError(
                f"{len(message.data)} bytes do not hold a {message.type_name}: {error}", where=where
            ) from error

    def definition(self, type_name: str) -> str | None:
        """Return the recorded definition of a type, or None where the recording holds none."""
        for _, connection in self._connections:
            if connection.msgtype == type_name and connection.msgdef.format is not MessageDefinitionFormat.NONE:
                return str(connection.msgdef.data)
        return None

    def _sources(self) -> list[Path]:
        if not self.path.exists():
            raise InputError("there is no such recording", where=str(self.path))
        if not self.path.is_dir() or (self.path / "metadata.yaml").exists():
            return [self.path]
        # An interrupted recorder may leave whole files without the summary beside them.
        files = sorted(p for p in self.path.iterdir() if p.suffix in _STORAGE_SUFFIXES)
        if not files:
            raise InputError("the folder holds neither metadata.yaml nor .mcap or .db3 files", where=str(self.path))
        return files

    def _list_topics(self) -> dict[str, BagTopic]:
        topics: dict[str, BagTopic] = {}
        for _, connection in self._connections:
            offered = connection.ext.offered_qos_profiles if isinstance(connection.ext, ConnectionExtRosbag2) else []
            old = topics.get(connection.topic)
            if old is not None and old.type_name != connection.msgtype:
                raise InputError(
                    f"{connection.topic} was recorded as {old.type_name} and as {connection.msgtype}",
                    where=str(self.path),
                )
            topics[connection.topic] = BagTopic(
                name=connection.topic,
                type_name=connection.msgtype,
                count=connection.msgcount + (old.count if old else 0),
                qos=(*(old.qos if old else ()), *offered),
            )
        return topics

    def _store_of(self, type_name: str) -> Typestore:
        store = self._stores.get(type_name)
        if store is None:
            # The recording's own definition wins: a type may have changed since.
            definition = self.definition(type_name)
            store = self._base if definition is None else typestore_of(definition, type_name)
            self._stores[type_name] = store
        return store


def until_damage(messages: Iterator[BagMessage]) -> Iterator[BagMessage]:
    """Yield messages up to where the recording is damaged; for a second pass, after one that reported it."""
    with suppress(InputError):
        yield from messages
