"""Files that are written whole or not at all, and files that grow by whole entries."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cosmos_ros.errors import OutputError


@contextmanager
def output_errors(path: Path) -> Generator[None, None, None]:
    """Turn an OSError of the block into an OutputError that names the path.

    Raises:
        OutputError: The disk is full, the path is not writable, or it is no such kind of file.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that whoever reads it finds the old one or the new one.

    A path that is no regular file, as ``/dev/stdout``, is written directly.

    Raises:
        OutputError: It cannot be written; an earlier file stays as it was.
    """
    with output_errors(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()  # a link keeps pointing where it points
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            unfinished.write_bytes(data)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; as ``write_bytes``."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any, *, sort_keys: bool = False) -> None:
    """Write indented JSON; as ``write_bytes``.

    Raises:
        ValueError: A number is not finite, which JSON cannot hold.
        OutputError: It cannot be written.
    """
    text = json.dumps(data, indent=2, sort_keys=sort_keys, allow_nan=False, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())


class AppendedFile:
    """A file that grows by whole entries; the folder is made.

    Raises:
        OutputError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")

    def append(self, entry: bytes) -> None:
        """Append one entry; it outlives this process when this returns.

        Raises:
            OutputError: The disk is full.
        """
        with output_errors(self.path):
            self._file.write(entry)
            self._file.flush()

    def close(self) -> None:
        """Close the file; may be called twice."""
        with suppress(OSError):  # an entry that could not be written has been reported
            self._file.close()
