# ruff: noqa: E402  (nothing here can be imported where ROS is not installed)
"""A private domain for the tests of player and recorder, which run as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import Deadline

rclpy = pytest.importorskip("rclpy", reason="ROS is not installed")

from rclpy.executors import SingleThreadedExecutor

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.processes import child_environment


class Live:
    """A private domain with a node of the test's own and child processes that are ended with it."""

    def __init__(self, domain: int, folder: Path) -> None:
        self._environment = child_environment(private_environment(domain))
        self._folder = folder
        self._children: list[subprocess.Popen] = []
        self.domain = domain
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []

    def node(self, name: str, **keywords):
        node = rclpy.create_node(name, context=self.context, **keywords)
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def verb(self, *arguments: object) -> tuple[subprocess.Popen, Path]:
        """Start ``cosmos-ros <arguments>``; its output goes into the returned file."""
        output = self._folder / f"{arguments[0]}{len(self._children)}.log"
        with output.open("w") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "cosmos_ros.cli", *map(str, arguments)], env=self._environment,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._children.append(child)
        return child, output

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
        deadline = Deadline(timeout)
        while not condition():
            assert not deadline.passed(), f"{what} did not happen within {deadline}"
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(10)
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with private_domain() as domain:
        session = Live(domain, tmp_path)
        try:
            yield session
        finally:
            session.close()
