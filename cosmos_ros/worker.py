"""A worker thread with a small mailbox: the newest input wins, and nothing that goes wrong in it ends a node."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cosmos_ros.errors import CosmosRosError

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FinishedJob(Generic[Job, Result]):
    """One finished job: a result, or the reason why there is none."""

    job: Job
    result: Result | None
    error: str | None
    trace: str | None


class WorkerThread(Generic[Job, Result]):
    """Runs ``work`` in a thread of its own, on the newest jobs.

    ``submit`` and ``take`` never block. ``notify`` is called from the worker after each job; it must only wake
    somebody up. At most ``mailbox`` jobs wait, the oldest first to go: with one, the newest wins.
    """

    def __init__(
        self,
        work: Callable[[Job], Result],
        notify: Callable[[], None] = lambda: None,
        *,
        name: str = "engine",
        mailbox: int = 1,
    ) -> None:
        self._work = work
        self._notify = notify
        self._condition = threading.Condition()
        self._pending: deque[Job] = deque(maxlen=mailbox)
        self._busy_since: float | None = None
        self._stopping = False
        self._done: deque[FinishedJob[Job, Result]] = deque(maxlen=16)
        self.replaced = 0  # jobs that a newer one pushed out before they were started
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """True when nothing is running or waiting."""
        with self._condition:
            return self._busy_since is None and not self._pending

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._pending)

    def busy_seconds(self) -> float:
        """Return how long the running job has been running; 0 when none is."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def submit(self, job: Job) -> None:
        """Hand over a job; the oldest waiting one goes when the mailbox is full. Nothing happens after ``stop``."""
        with self._condition:
            if self._stopping:
                return
            self.replaced += len(self._pending) == self._pending.maxlen
            self._pending.append(job)
            self._condition.notify()

    def take(self) -> FinishedJob[Job, Result] | None:
        """Return the oldest finished job not yet taken, or None."""
        try:
            return self._done.popleft()
        except IndexError:
            return None

    def cancel_pending(self) -> None:
        """Forget the jobs that were not started."""
        with self._condition:
            self._pending.clear()

    def stop(self, timeout: float = 5.0, *, finish: bool = False) -> bool:
        """Stop after the running job; return False when it did not end in time (the thread is a daemon).

        With ``finish``, the jobs that wait are done first, as far as the time allows.
        """
        with self._condition:
            self._stopping = True
            if not finish:
                self._pending.clear()
            self._condition.notify()
        self._thread.join(timeout)
        self.cancel_pending()
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._pending and not self._stopping:
                    self._condition.wait()
                if not self._pending:
                    return
                job = self._pending.popleft()
                self._busy_since = time.monotonic()
            self._done.append(self._finish(job))
            self._busy_since = None
            self._notify()

    def _finish(self, job: Job) -> FinishedJob[Job, Result]:
        try:
            return FinishedJob(job, self._work(job), None, None)
        except CosmosRosError as error:
            return FinishedJob(job, None, f"{type(error).__name__}: {error}", None)
        except Exception as error:  # a model may raise anything; the node must live and say what it was
            return FinishedJob(job, None, f"{type(error).__name__}: {error}", traceback.format_exc(limit=20))
