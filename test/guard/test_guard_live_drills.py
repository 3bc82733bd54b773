"""Drills over real DDS that the guard's other live tests do not have: an e-stop that is published best effort."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")

from live_arm import Arm, cell
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def best_effort(durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=durability
    )


def moving_arm(arm: Arm) -> None:
    """Armed, and in a motion of some seconds."""
    arm.watcher.call_until_success("guard/arm")

    def moves() -> bool:
        if not arm.moving():
            arm.propose(arm.chunk(0.2, duration=6.0))
        return arm.moving()

    arm.watcher.wait(moves, "motion")


@pytest.mark.parametrize("durability", [DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL])
def test_best_effort_e_stop_is_heard(durability: DurabilityPolicy) -> None:
    with cell(silence_timeout=30.0, tracking_tolerance=0.3) as (arm, _, _):
        publisher = arm.watcher.node.create_publisher(Bool, "e_stop", best_effort(durability))
        arm.watcher.wait(lambda: publisher.get_subscription_count() > 0, "the guard's subscription")
        moving_arm(arm)
        before = arm.state(arm.now()).positions

        def pressed() -> bool:  # best effort: a message may be lost
            publisher.publish(Bool(data=True))
            return not arm.moving()

        arm.watcher.wait(pressed, "the arm at rest after the e-stop")
        arm.watcher.wait_diagnostic("guard: state", "e-stop")
        after = arm.state(arm.now()).positions
        assert np.abs(after - before).max() < 0.15, "went on to its end"
        assert not arm.watcher.call("guard/arm").success
