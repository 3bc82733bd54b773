"""Drills over real DDS: a best-effort e-stop, a speed slider, recorders and echoes, recordings judged again."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from live_arm import NAMES, START, Arm, Watcher, cell, start_guard
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Bool, Float64, Header
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.processes import ProcessGroup, child_environment
from cosmos_ros.cli.main import main
from cosmos_ros.messages import stamp_message

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


def test_a_speed_slider_below_full_speed_refuses_arming_and_brakes() -> None:
    with cell(silence_timeout=30.0, tracking_tolerance=0.3) as (arm, _, _):
        slider = arm.watcher.node.create_publisher(Float64, "speed_scaling", 10)
        arm.watcher.wait(lambda: slider.get_subscription_count() > 0, "the guard's subscription")
        moving_arm(arm)

        def slowed() -> bool:  # best effort: a message may be lost
            slider.publish(Float64(data=50.0))
            return not arm.moving()

        arm.watcher.wait(slowed, "the arm at rest")
        arm.watcher.wait_diagnostic("guard: state", "speed scaling is 50%")
        arm.watcher.call_until_success("guard/reset")

        def refused() -> bool:
            slider.publish(Float64(data=50.0))
            return "speed slider" in arm.watcher.call("guard/arm").message

        arm.watcher.wait(refused, "a refusal that names the slider")

        def is_armed() -> bool:
            slider.publish(Float64(data=100.0))
            return bool(arm.watcher.call("guard/arm").success)

        arm.watcher.wait(is_armed, "an armed guard at full speed")


def test_who_only_hears_commands_is_no_controller() -> None:
    """An echo and a recorder beside a guard that has no controllers."""
    with private_domain() as domain, ProcessGroup() as group:
        watcher = Watcher(domain)
        try:
            states = watcher.node.create_publisher(JointStateMessage, "joint_states", 5)

            def state() -> None:
                stamp = stamp_message(time.time_ns())
                message = JointStateMessage(header=Header(stamp=stamp), name=list(NAMES), position=START.tolist())
                states.publish(message)

            watcher.node.create_timer(0.02, state)
            nodes = [Node(name, context=watcher.context) for name in ("_ros2cli_4711", "rosbag2_recorder")]
            topics = ("joint_trajectory", "gripper_trajectory")
            for node in nodes:
                for topic in topics:
                    node.create_subscription(TrajectoryMessage, topic, lambda _: None, 10)
            start_guard(group, private_environment(domain))
            watcher.wait(lambda: "no controller" in watcher.call("guard/arm").message, "a refusal for want of one")
            controller = Node("arm_controller", context=watcher.context)
            for topic in topics:
                controller.create_subscription(TrajectoryMessage, topic, lambda _: None, 10)
            watcher.call_until_success("guard/arm")
            watcher.call("guard/disarm")
            # An emergency stop of another type would be pressed in vain.
            panel = watcher.node.create_publisher(Float64, "e_stop", 10)
            watcher.wait(lambda: "not heard" in watcher.call("guard/arm").message, "a refusal for its sake")
            watcher.wait_diagnostic("guard: e-stop", "std_msgs/msg/Float64")
            watcher.node.destroy_publisher(panel)
            watcher.call_until_success("guard/arm")
        finally:
            watcher.close()


@pytest.mark.parametrize("stamps", ["time", "zero"])
def test_a_recording_of_an_armed_guard_gives_its_verdicts_again(tmp_path, stamps: str) -> None:
    recorded, out = tmp_path / "live", tmp_path / "judged.json"
    with cell(silence_timeout=30.0, output_stamps=stamps) as (arm, group, environment):
        topics = ("joint_states", "action_trajectory", "guard/verdict_json", "guard/settings")
        sent = ("guard/sent/joint_trajectory", "guard/sent/gripper_trajectory")
        verb = [sys.executable, "-m", "cosmos_ros.cli", "record", str(recorded), "--topics"]
        group.start("recorder", [*verb, *(f"/{name}" for name in (*topics, *sent))], child_environment(environment))
        count = arm.watcher.node.count_subscribers
        heard = {
            "/joint_states": 2,
            "/action_trajectory": 2,
            "/guard/verdict_json": 2,
            f"/{sent[0]}": 1,
            f"/{sent[1]}": 1,
        }
        arm.watcher.wait(lambda: all(count(topic) >= n for topic, n in heard.items()), "the recorder")
        moving_arm(arm)
        for delta, duration in ((0.1, 3.0), (0.4, 0.3), (-0.2, 2.0), (30.0, 1.0), (0.1, 2.0)):
            before = len(arm.watcher.messages["guard/verdict_json"])
            with arm.time_stops():
                arm.propose(arm.chunk(delta, duration=duration))
                arm.watcher.wait(lambda n=before: len(arm.watcher.messages["guard/verdict_json"]) > n, "a verdict")
        arm.watcher.wait(arm.resting, "the arm at rest")
    assert main(["guard", "run", str(recorded), "--strict", "--json", str(out)]) == 0
    judged = json.loads(out.read_text())
    live = [one["recorded"] for one in judged["verdicts"] if one["recorded"] is not None]
    assert judged["found_again"] + judged["unknown"] == len(live) >= 6 and judged["found_again"] >= 5
    assert judged["notes"][0] == "settings: recorded on /guard/settings"
    assert sum(bool(verdict["context"]["sent_stamps_ns"]) for verdict in live) > 3
    assert len({verdict["response"] for verdict in live}) > 1
    assert sum(verdict["published_ns"] is not None for verdict in live) > 3


def test_the_guard_is_a_lifecycle_node() -> None:
    """A guard that is not active judges nothing and is not armed; deactivating it stops the arm."""
    with cell(silence_timeout=30.0, autostart=False) as (arm, _, _):

        def state() -> str:
            return str(arm.watcher.ask(GetState, "guard/get_state", GetState.Request()).current_state.label)

        def go(transition: int, goal: str) -> None:
            request = ChangeState.Request(transition=Transition(id=transition))

            def there() -> bool:  # an answer may be lost, so the state counts
                if state() != goal:
                    arm.watcher.ask(ChangeState, "guard/change_state", request)
                return state() == goal

            arm.watcher.wait(there, goal)

        arm.watcher.wait_diagnostic("guard: state", "unconfigured")
        go(Transition.TRANSITION_CONFIGURE, "inactive")
        arm.watcher.wait(lambda: "inactive" in arm.watcher.call("guard/arm").message, "a refusal while inactive")
        arm.propose(arm.chunk(0.1))
        go(Transition.TRANSITION_ACTIVATE, "active")
        assert not arm.watcher.messages["guard/verdict_json"]
        moving_arm(arm)
        go(Transition.TRANSITION_DEACTIVATE, "inactive")
        arm.watcher.wait(arm.resting, "the arm at rest")
        assert not arm.received[-1][1].velocities[-1].any()
        assert "inactive" in arm.watcher.call("guard/arm").message
        go(Transition.TRANSITION_CLEANUP, "unconfigured")  # refused until the arm rests
        arm.watcher.wait_diagnostic("guard: state", "unconfigured")
        go(Transition.TRANSITION_CONFIGURE, "inactive")
        go(Transition.TRANSITION_ACTIVATE, "active")
        moving_arm(arm)
