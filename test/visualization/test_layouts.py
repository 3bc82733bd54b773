"""The shipped layouts show topics that our nodes publish, with these types: asked of the running nodes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "integration"), str(Path(__file__).resolve().parent)]

from live import processes
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from shown_topics import rviz_topics

from cosmos_ros.bringup.graph import BRINGUPS, resolve
from cosmos_ros.resources import resource

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def demo():
    """The running demo and everything it publishes: absolute topic → type → QoS profiles."""
    bringup = BRINGUPS["demo"]
    values = resolve(bringup.arguments(), {"image_width": "64", "image_height": "48"})
    with processes() as (watcher, group, environment, _):
        group.start_nodes(bringup.nodes(values), values, environment)
        watcher.wait_diagnostic("predictor: state", "active", 60.0)
        watcher.wait_diagnostic("sim_robot: cameras", "running", 60.0)
        yield watcher


def published(watcher, topic: str) -> dict[str, list]:
    found: dict[str, list] = {}
    for info in watcher.node.get_publishers_info_by_topic(f"/{topic}"):
        found.setdefault(info.topic_type, []).append(info.qos_profile)
    return found


def test_rviz_shows_topics_that_exist(demo):
    shown = rviz_topics(resource("config", "rollout.rviz"))
    assert len({entry.topic for entry in shown}) == len(shown)
    for entry in shown:
        offers = demo.wait(lambda topic=entry.topic: published(demo, topic), f"a publisher of {entry.topic}")
        assert set(offers) == {entry.type}, entry.topic
        for offer in offers[entry.type]:
            # A subscription that asks for more than is offered gets nothing.
            assert not entry.reliable or offer.reliability == ReliabilityPolicy.RELIABLE, entry.topic
            assert not entry.latched or offer.durability == DurabilityPolicy.TRANSIENT_LOCAL, entry.topic
