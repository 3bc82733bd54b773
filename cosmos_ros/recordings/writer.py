"""Writing rosbag2 recordings (mcap with its metadata) without a ROS installation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from cosmos_ros.errors import InputError, OutputError
from cosmos_ros.files import output_errors
from cosmos_ros.recordings.message_types import MessageFactory, default_typestore, typestore_of

_FORMAT_VERSION: Literal[9] = 9  # Jazzy's and Kilted's


class BagWriter:
    """A new rosbag2 folder with one mcap file. Use it as a context manager.

    Leaving it closes the recording with its index also after an error, so that what was written stays readable.

    Args:
        path: Folder to create; must not exist.
        compress: Compress chunks with zstd.

    Attributes:
        types: Types that messages may be built from and are serialised with.
        factory: Builds common messages of these types.

    Raises:
        InputError: On entering: the folder exists.
        OutputError: It cannot be written.
    """

    def __init__(self, path: str | Path, *, compress: bool = False) -> None:
        self.path = Path(path)
        self.types: Typestore = default_typestore()
        self.factory = MessageFactory(self.types)
        self._compress = compress
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}
        self.counts: dict[str, int] = {}

    def __enter__(self) -> BagWriter:
        """Create the folder and the file."""
        if self.path.exists():
            raise InputError("exists already", where=str(self.path), hint="Choose another folder, or remove it.")
        writer = Writer(self.path, version=_FORMAT_VERSION, storage_plugin=StoragePlugin.MCAP)
        if self._compress:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with output_errors(self.path):
            writer.open()
        self._writer = writer
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the file and write ``metadata.yaml``."""
        self.close()

    def close(self) -> None:
        """Finish the recording; may be called twice.

        Raises:
            OutputError: The disk is full, or the file is gone.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except OSError as error:
            with suppress(Exception):
                writer.abort()
            raise OutputError(f"cannot be finished: {error.strerror}", where=str(self.path)) from error

    def add_topic(self, topic: str, type_name: str, *, qos: Sequence[Qos] = (), definition: str | None = None) -> None:
        """Announce a topic; may be called again with the same type.

        Args:
            topic: Topic name.
            type_name: E.g. ``sensor_msgs/msg/Image``.
            qos: Offered profiles, so that a player offers the same.
            definition: Definition text for types outside the common interfaces.

        Raises:
            InputError: The type is unknown, or the topic has another one.
        """
        known = self._connections.get(topic)
        if known is not None:
            if known.msgtype != type_name:
                raise InputError(f"{topic} is {known.msgtype}, not {type_name}", where=str(self.path))
            return
        store = self.types
        if type_name not in store.types:
            if definition is None:
                raise InputError(f"the definition of {type_name} is not known", where=topic)
            store = typestore_of(definition, type_name)
        self._connections[topic] = self._open_writer().add_connection(
            topic, type_name, typestore=store, offered_qos_profiles=list(qos)
        )
        self.counts[topic] = 0

    def write(self, topic: str, log_ns: int, data: bytes | memoryview) -> None:
        """Write one serialised message (CDR with its encapsulation header) of an announced topic.

        Raises:
            InputError: The topic was not announced.
            OutputError: The disk is full.
        """
        connection = self._connection(topic)
        with output_errors(self.path):
            self._open_writer().write(connection, log_ns, data)
        self.counts[topic] += 1

    def write_message(self, topic: str, log_ns: int, message: Any) -> None:
        """Serialise and write a message of ``types``."""
        self.write(topic, log_ns, self.types.serialize_cdr(message, self._connection(topic).msgtype))

    def _connection(self, topic: str) -> Connection:
        if topic not in self._connections:
            raise InputError("the topic was not announced", where=topic)
        return self._connections[topic]

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise OutputError("is not open for writing", where=str(self.path))
        return self._writer
