"""Shared memory that nodes leave behind: none, neither after an orderly end nor when they are killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from live import processes

from cosmos_ros.bringup.arguments import predict_arguments, resolve
from cosmos_ros.bringup.graph import predict_nodes
from cosmos_ros.messages.shared_memory import remove_left, segments_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def existing(names: list[str]) -> list[str]:
    return [name for name in names if Path("/dev/shm", name).exists()]


def test_no_segment_outlives_its_node():
    with processes() as (watcher, group, environment, lines):
        group.start_nodes(predict_nodes(resolve(predict_arguments(), {})), {}, environment)
        watcher.wait_diagnostic("predictor: state", "active")
        watcher.wait_diagnostic("guard: state", "disarmed")
        segments = {name: segments_of(group.pid(name)) for name in ("predictor", "guard")}
        assert all(existing(names) == names and names for names in segments.values())
        remove_left(segments["guard"])
        assert existing(segments["guard"]) == segments["guard"], "taken from a living process"

        os.kill(group.pid("predictor"), signal.SIGINT)
        watcher.wait(lambda: "predictor" in group.ended(), "the predictor's end")
        group.kill("guard")
        assert group.ended()["predictor"] == 0, lines
        assert [existing(names) for names in segments.values()] == [[], []], lines
