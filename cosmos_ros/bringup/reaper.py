"""Ends the processes of a group whose starter is gone, however it ended: also after SIGKILL.

A process of its own that reads standard input, a pipe that only the starter holds open. At its end, whatever carries
the group's mark in its environment is ended: children of any thread, and their children. Standard library only, so
that it can be run by its path without the environment's packages.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

_MARK = "COSMOS_ROS_PROCESS_GROUP"
_POLL_S = 0.1
# As ProcessGroup.stop: SIGINT lets nodes end cleanly, the others follow when that takes too long.
_PATIENCE_S = ((signal.SIGINT, 5.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))


class Reaper:
    """The starter's end: keeps a reaper process for as long as this process lives or until :meth:`close`."""

    def __init__(self) -> None:
        self.mark = {_MARK: uuid.uuid4().hex}
        self._process = subprocess.Popen(  # noqa: S603 - our own file, no shell
            [sys.executable, "-I", "-S", __file__, self.mark[_MARK]],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Let it end what is left, and wait until that is done."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def marked(mark: str) -> set[int]:
    """Return the ids of the running processes that carry a mark."""
    entry = f"{_MARK}={mark}".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        # Another user's, or ended meanwhile.
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and entry in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
    return found


def end(mark: str) -> None:
    """End all processes that carry a mark."""
    for number, patience in _PATIENCE_S:
        deadline = time.monotonic() + patience
        signalled: set[int] = set()
        none_left = 0
        # Looked at twice: one that is just being started shows its environment only a moment later.
        while none_left < 2 and time.monotonic() < deadline:
            found = marked(mark)
            for process in found - signalled:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
            signalled |= found
            none_left = 0 if found else none_left + 1
            time.sleep(_POLL_S)
        if none_left >= 2:
            return


def main() -> None:
    """Wait for the starter's end, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(sys.argv[1])


if __name__ == "__main__":
    main()
