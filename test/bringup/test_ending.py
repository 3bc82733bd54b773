"""However a bring-up or the demo is ended, nothing that it started is left running. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import Deadline, slowness

pytest.importorskip("rclpy", reason="ROS is not installed")

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.processes import ProcessGroup, child_environment
from cosmos_ros.recordings.writer import BagWriter

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MARK = "COSMOS_ROS_TEST"
NODES = {"up predict": {"predictor", "guard"}, "up demo": {"predictor", "guard", "sim_robot"}}
NODES |= {"up replay": {"predictor", "guard", "player"}, "demo": {"predictor", "guard", "sim_robot"}}


def until(condition: Callable[[], bool], what: Callable[[], object], timeout: float = 120.0) -> None:
    deadline = Deadline(timeout)
    while not condition():
        assert not deadline.passed(), what()
        time.sleep(0.05)


def running(mark: str) -> dict[int, str]:
    """Process id → command line of the processes that inherited a mark."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable]:
    """Start a verb in a private domain and wait until each of its nodes has printed something."""
    mark = uuid.uuid4().hex
    with private_domain() as domain:
        environment = {**child_environment(private_environment(domain)), MARK: mark}

        def started(verb: str) -> tuple[subprocess.Popen, Callable[[], dict[int, str]], Callable[[], str]]:
            arguments = verb.split()
            if verb == "up replay":
                with BagWriter(tmp_path / "bag") as bag:
                    bag.add_topic("/instruction", "std_msgs/msg/String")
                    bag.write_message("/instruction", 10**18, bag.factory.string("wait"))
                arguments += [f"bag:={tmp_path / 'bag'}", "loop:=true"]
            log = tmp_path / "out" / "nodes.log" if verb == "demo" else tmp_path / "log"
            arguments += ["--out", str(tmp_path / "out")] if verb == "demo" else []
            with (tmp_path / "log").open("w") as output:
                command = [sys.executable, "-m", "cosmos_ros.cli", *arguments]
                process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)

            def printed() -> str:
                return log.read_text() if log.exists() else ""

            until(lambda: all(f"[{node}]" in printed() for node in NODES[verb]), printed)
            return process, lambda: running(mark), (tmp_path / "log").read_text

        yield started
        for left in running(mark):
            os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize(
    ("verb", "number"),
    [
        *((verb, number) for verb in ("demo", "up demo") for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)),
        ("up predict", signal.SIGTERM),
        ("up replay", signal.SIGINT),
        ("up replay", signal.SIGKILL),
    ],
)
def test_a_signal_leaves_nothing_running(start: Callable, verb: str, number: int) -> None:
    process, left, printed = start(verb)
    assert len(left()) > len(NODES[verb])
    process.send_signal(number)
    until(lambda: process.poll() is not None, printed)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    until(lambda: not left(), left, 20.0 if number == signal.SIGKILL else 2.0)
    assert "Traceback" not in printed()


def test_what_a_thread_started_goes_on_after_it_and_ends_with_its_process(tmp_path: Path) -> None:
    """Children are not tied to the thread that started them, and a killed process takes along those it forgot."""
    mark = uuid.uuid4().hex
    script = tmp_path / "starter.py"
    script.write_text(
        "import os, subprocess, sys, threading, time\n"
        "from cosmos_ros.bringup.processes import ProcessGroup\n"
        "group = ProcessGroup(lambda name, line: print(line, flush=True))\n"
        "nested = 'import subprocess, sys; subprocess.Popen([sys.executable, \"-c\", sys.argv[1]]).wait()'\n"
        "sleeper = 'import sys; print(\"up\", flush=True); sys.stdin.read(); import time; time.sleep(600)'\n"
        "command = [sys.executable, '-c', nested, sleeper]\n"
        "thread = threading.Thread(target=group.start, args=('child', command))\n"
        "thread.start(); thread.join(); print('joined', flush=True); time.sleep(600)\n"
    )
    environment = {**child_environment(), MARK: mark}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert {process.stdout.readline().strip() for _ in range(2)} == {"joined", "up"}
    assert len(running(mark)) == 4  # the starter, its reaper, the child and its own child
    process.kill()
    process.wait()
    until(lambda: not running(mark), lambda: running(mark))
    process.stdout.close()


def test_an_interrupted_stop_still_ends_everything() -> None:
    """The second Ctrl-C of somebody in a hurry."""
    mark = uuid.uuid4().hex
    lines: list[str] = []
    stubborn = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True)\n"
    stubborn += "while 1: time.sleep(1)"
    group = ProcessGroup(lambda _, line: lines.append(line))
    group.start("stubborn", [sys.executable, "-c", stubborn], {**os.environ, MARK: mark})
    until(lambda: lines == ["up"], lambda: lines)
    timer = threading.Timer(0.3 * slowness(), os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        group.stop(grace=60.0)
    timer.join()
    assert not running(mark)


def test_a_node_that_ends_ends_the_others_or_is_started_again(tmp_path: Path) -> None:
    lines: list[str] = []
    once = "import sys; from pathlib import Path; p = Path(sys.argv[1]); n = len(p.read_text()) if p.exists() else 0\n"
    once += "p.write_text('x' * (n + 1)); print('start', n, flush=True); sys.exit(2 if n == 2 else 1)"
    command = [sys.executable, "-c", once]
    with ProcessGroup(lambda name, line: lines.append(f"{name}: {line}")) as group:
        group.start("waiting", [sys.executable, "-c", "import time; time.sleep(600)"])
        group.start("first", [*command, str(tmp_path / "first")])
        group.start("viewer", [sys.executable, "-c", ""])
        assert group.supervise(ignore=("viewer",)) == ("first", 1)
        assert "waiting" not in group.ended()
    with ProcessGroup(lambda name, line: lines.append(f"{name}: {line}")) as group:
        group.start("again", [*command, str(tmp_path / "again")])
        # Wrong settings, status 2, would be as wrong again.
        assert group.supervise(respawn=("again",)) == ("again", 2)
    assert [line for line in lines if line.startswith("again")] == [
        "again: start 0",
        "again: ended with status 1; started again",
        "again: start 1",
        "again: ended with status 1; started again",
        "again: start 2",
    ]
