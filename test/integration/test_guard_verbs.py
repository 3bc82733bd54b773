"""What a user does from the command line with a running guard, without ROS's own commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")
pytest.importorskip("tyro", reason="the command line is not installed")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guard"))

from live_arm import Arm, cell
from std_msgs.msg import String

from cosmos_ros.bringup.processes import child_environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Arm, dict[str, str]]]:
    with cell(silence_timeout=30.0) as (arm, _, environment):
        arm.watcher.call_until_success("guard/arm")
        arm.watcher.call("guard/disarm")
        yield arm, child_environment(environment)


def verb(environment: dict[str, str], *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "cosmos_ros.cli", *words]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_arm_stop_release_reset_disarm_and_status(running) -> None:
    _, environment = running
    assert verb(environment, "guard", "arm", "--timeout", "60") == (0, "armed\n")
    status, lines = verb(environment, "guard", "status", "--timeout", "60")
    assert status == 0 and "guard: state: armed" in lines and lines.splitlines()[0].split()[1] == "guard:"
    assert verb(environment, "guard", "stop", "--timeout", "60") == (0, "e-stop pressed on /e_stop\n")
    running[0].watcher.wait_diagnostic("guard: state", "e-stop")
    status, lines = verb(environment, "guard", "arm", "--timeout", "60")
    assert status == 1 and "the e-stop is pressed" in lines
    assert verb(environment, "guard", "stop", "--release", "--timeout", "60")[0] == 0
    running[0].watcher.wait_diagnostic("guard: state", "released")
    assert verb(environment, "guard", "reset", "--timeout", "60")[0] == 0
    assert verb(environment, "guard", "arm", "--timeout", "60")[0] == 0
    assert verb(environment, "guard", "disarm", "--timeout", "60") == (0, "disarmed\n")


def test_an_instruction_is_said_once_somebody_listens(running) -> None:
    arm, environment = running
    arm.watcher.listen(String, "/r1/instruction")
    said = verb(environment, "say", "put the cup on the plate", "--namespace", "r1", "--timeout", "60")
    assert said == (0, "said on /r1/instruction: put the cup on the plate\n")
    arm.watcher.wait(lambda: arm.watcher.messages["/r1/instruction"], "the instruction")
    assert arm.watcher.messages["/r1/instruction"][0].data == "put the cup on the plate"


def test_who_is_not_there_is_named(running) -> None:
    _, environment = running
    status, lines = verb(environment, "guard", "arm", "--namespace", "r2", "--timeout", "0.2")
    assert status == 2 and "nobody offers /r2/guard/arm" in lines and "--namespace" in lines
    status, lines = verb(environment, "say", "hello", "--topic", "/nobody/hears", "--timeout", "0.2")
    assert status == 2 and "nobody listens on /nobody/hears" in lines
    status, lines = verb(environment, "guard", "status", "--namespace", "r2", "--timeout", "0.2")
    assert status == 1 and "no guard r2/guard was heard" in lines
