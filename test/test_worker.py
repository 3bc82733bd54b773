"""The worker: newest wins, failures are results, stopping ends the thread."""

from __future__ import annotations

import threading

import pytest

from cosmos_ros.errors import ModelError
from cosmos_ros.worker import WorkerThread


class Bench:
    """An engine whose work waits for a gate, and a way to wait for results."""

    def __init__(self, work=None) -> None:
        self.started = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self.engine = WorkerThread(work or self.work, self.finished.release)

    def work(self, job: int) -> int:
        self.started.release()
        assert self.gate.acquire(timeout=10)
        return job * 10

    def wait(self):
        assert self.finished.acquire(timeout=10)
        return self.engine.take()


def test_the_newest_waiting_job_wins():
    bench = Bench()
    bench.engine.submit(1)
    assert bench.started.acquire(timeout=10)
    for job in (2, 3, 4):
        bench.engine.submit(job)
    assert not bench.engine.idle
    bench.gate.release()
    assert bench.wait().result == 10
    bench.gate.release()
    assert bench.wait().result == 40
    assert bench.engine.replaced == 2
    assert bench.engine.take() is None
    assert bench.engine.stop()


@pytest.mark.parametrize(
    ("error", "text", "has_trace"),
    [
        (
            ModelError("the answer has no actions", where="world_model x"),
            "ModelError: world_model x: the answer",
            False,
        ),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero", True),
        (MemoryError("CUDA out of memory"), "MemoryError: CUDA out of memory", True),
    ],
)
def test_a_failure_is_a_result_and_the_next_job_runs(error, text, has_trace):
    def work(job):
        if job == "bad":
            raise error
        return "fine"

    bench = Bench(work)
    bench.engine.submit("bad")
    done = bench.wait()
    assert done.result is None
    assert done.error.startswith(text)
    assert (done.trace is not None) == has_trace
    bench.engine.submit("good")
    assert bench.wait().result == "fine"
    assert bench.engine.idle
    assert bench.engine.stop()


def test_a_cancelled_job_is_not_started():
    bench = Bench()
    bench.engine.submit(1)
    assert bench.started.acquire(timeout=10)
    bench.engine.submit(2)
    bench.engine.cancel_pending()
    bench.gate.release()
    assert bench.wait().result == 10
    assert bench.engine.idle
    assert bench.engine.stop()


def test_stop_says_when_the_model_does_not_end():
    bench = Bench()
    bench.engine.submit(1)
    assert bench.started.acquire(timeout=10)
    assert bench.engine.busy_seconds() > 0.0
    assert not bench.engine.stop(timeout=0.01)
    bench.gate.release()
    assert bench.engine.stop()


def test_a_larger_mailbox_keeps_order_and_loses_the_oldest():
    bench = Bench()
    bench.engine.stop()
    bench.engine = WorkerThread(bench.work, bench.finished.release, mailbox=2)
    bench.engine.submit(1)
    assert bench.started.acquire(timeout=10)
    for job in (2, 3, 4):
        bench.engine.submit(job)
    assert bench.engine.waiting == 2
    for expected in (10, 30, 40):
        bench.gate.release()
        assert bench.wait().result == expected
    assert bench.engine.replaced == 1
    assert bench.engine.stop()


def test_stopping_can_finish_what_waits():
    done = []
    release = threading.Event()

    def work(job: int) -> None:
        assert release.wait(10)
        done.append(job)

    engine = WorkerThread(work, mailbox=4)
    for job in (1, 2, 3):
        engine.submit(job)
    threading.Timer(0.05, release.set).start()
    assert engine.stop(10.0, finish=True)
    engine.submit(4)
    assert done == [1, 2, 3]
