"""The process of the ``cosmos-ros`` command: signals end it from the first line on, while it still imports."""

from __future__ import annotations

import os
import signal
import sys

# Nothing is open yet, and an exception could be lost in somebody's import. What is ignored (nohup, a job with &)
# stays so.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, _: os._exit(128 + number))

from cosmos_ros.cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
