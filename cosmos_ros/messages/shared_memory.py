"""What a killed process leaves in shared memory: Fast DDS frees its segments only in an orderly end.

With the shared-memory profile in ``config/fastdds.xml`` that is 70 MB a process, until the machine is restarted or
``fastdds shm clean`` is called.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path

_SHARED = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux
# A process holds an exclusive lock on this file for as long as its segment is in use.
_LOCK = re.compile(r"(fastdds_[0-9a-f]{16})_el")


def segments_of(pid: int) -> list[str]:
    """Return the names of the Fast DDS segments whose lock files a running process holds open."""
    names = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                file = entry.readlink()
                if file.parent == _SHARED and (match := _LOCK.fullmatch(file.name)):
                    names.add(match[1])
    return sorted(names)


def remove_left(names: Iterable[str]) -> None:
    """Remove the segments of processes that have ended; one that a living process has locked stays."""
    for name in names:
        lock = _SHARED / f"{name}_el"
        with contextlib.suppress(OSError), lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _unlink(name)


def remove_own() -> None:
    """Remove this process's segments, right before an end without clean-up; who has them mapped keeps them."""
    for name in segments_of(os.getpid()):
        with contextlib.suppress(OSError):
            _unlink(name)


def _unlink(name: str) -> None:
    (_SHARED / name).unlink(missing_ok=True)
    (_SHARED / f"{name}_el").unlink(missing_ok=True)
