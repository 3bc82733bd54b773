"""The simulated robot as a process over DDS: what it publishes, what it takes, what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from diagnostic_msgs.msg import DiagnosticArray
from live import processes
from machine import slowness
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from cosmos_ros.messages import (
    decode_compressed,
    decode_image,
    joint_state_from_message,
    joint_trajectory_message,
    ns_from_stamp,
    scene_from_markers,
)
from cosmos_ros.nodes import qos
from cosmos_ros.sim.task import DEFAULT_INSTRUCTION
from cosmos_ros.types import JointTrajectory as Trajectory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]
NANO = 1_000_000_000


def stamp(message) -> int:
    return ns_from_stamp(message.header.stamp, where="test")


def start(group, environment, process="sim_robot", **parameters) -> None:
    command = [sys.executable, "-m", "cosmos_ros.nodes.sim_robot", "--ros-args"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={json.dumps(value)}"]
    group.start(process, command, environment)


def move_to(state, target: float, now: int, seconds: float = 1.0) -> JointTrajectory:
    """A calm motion of joint 1 from where the arm stands."""
    names = tuple(f"panda_joint{i}" for i in range(1, 8))
    here = np.array([state.position_of(name) for name in names])
    there = here.copy()
    there[0] = target
    rows = np.array([here, there])
    return joint_trajectory_message(
        Trajectory(names, now, np.array([0, round(seconds * NANO)]), rows, np.zeros_like(rows))
    )


@pytest.fixture(scope="module")
def robot(gl):
    with processes() as (watcher, group, environment, lines):
        watcher.listen(JointState, "joint_states", qos.sensor(100))
        watcher.listen(String, "task_status", qos.latched())
        watcher.listen(MarkerArray, "scene")
        watcher.lines = lines
        start(group, environment, image_width=160, image_height=90, seed=4)
        watcher.arm = watcher.node.create_publisher(JointTrajectory, "joint_trajectory", qos.reliable(5))
        watcher.gripper = watcher.node.create_publisher(JointTrajectory, "gripper_trajectory", qos.reliable(5))
        watcher.wait(lambda: watcher.messages["joint_states"] and watcher.messages["task_status"], "the robot", 40.0)
        watcher.wait(lambda: watcher.arm.get_subscription_count() > 0, "the arm's controller")
        watcher.wait(lambda: watcher.gripper.get_subscription_count() > 0, "the gripper's controller")
        yield watcher
    assert not [line for line in lines if "Traceback" in line]


def newest_state(robot):
    return joint_state_from_message(robot.messages["joint_states"][-1])


def now(robot) -> int:
    return int(robot.node.get_clock().now().nanoseconds)


def test_joint_states(robot) -> None:
    messages = robot.wait_new("joint_states", 60)
    state = joint_state_from_message(messages[-1])
    assert state.names == (*(f"panda_joint{i}" for i in range(1, 8)), "panda_finger_joint1", "panda_finger_joint2")
    assert state.velocities is not None
    gaps = np.diff([stamp(m) for m in messages])
    assert np.median(gaps) == 10_000_000  # exact in simulated time, whatever the machine does
    newest = robot.messages["joint_states"]
    robot.wait(lambda: abs(now(robot) - stamp(newest[-1])) < NANO, "stamps on the system's time")


def test_cameras_publish_what_is_subscribed_to(robot) -> None:
    for view in ("wrist", "exterior_1", "exterior_2"):
        robot.listen(Image, f"{view}/image_raw")
        robot.listen(CameraInfo, f"{view}/camera_info")
    robot.listen(CompressedImage, "wrist/image_raw/compressed")
    raw = {view: robot.wait_new(f"{view}/image_raw", 3)[-1] for view in ("wrist", "exterior_1", "exterior_2")}
    for view, message in raw.items():
        image = decode_image(message)
        assert image.shape == (90, 160, 3)
        assert image.std() > 5.0
        assert message.header.frame_id == f"{view}_optical_frame"
    info = robot.wait_new("exterior_1/camera_info")[-1]
    assert (info.width, info.height) == (160, 90)
    assert info.k[0] == info.k[4] > 0.0
    assert (info.k[2], info.k[5]) == (79.5, 44.5)
    assert info.header.frame_id == "exterior_1_optical_frame"
    compressed = robot.wait_new("wrist/image_raw/compressed", 2)[-1]
    assert decode_compressed(compressed).shape == (90, 160, 3)
    # All views of a moment carry its stamp, and so does the scene.
    robot.wait(
        lambda: (
            {stamp(m) for m in robot.messages["wrist/image_raw"]}
            & {stamp(m) for m in robot.messages["exterior_2/image_raw"]}
            & {scene_from_markers(m)[0] for m in robot.messages["scene"]}
        ),
        "one stamp on all views and the scene",
    )


def test_scene(robot) -> None:
    message = robot.wait_new("scene")[-1]
    _, poses = scene_from_markers(message)
    assert {"red_cube", "blue_cube", "yellow_cube", "green_pad"} == set(poses)
    assert poses["red_cube"][2, 3] == pytest.approx(0.02, abs=1e-3)
    assert message.markers[0].header.frame_id == "panda_link0"


def test_executes_a_trajectory_and_keeps_its_limits(robot) -> None:
    # It begins when the controller has it: one that begins late catches up with a jump.
    robot.arm.publish(move_to(newest_state(robot), 0.3, now(robot) + round(0.2 * slowness() * NANO)))
    robot.wait(lambda: abs(newest_state(robot).position_of("panda_joint1") - 0.3) < 1e-3, "the arm at 0.3 rad")
    robot.wait_diagnostic("controller joint_trajectory", "following")
    fingers = Trajectory(
        ("panda_finger_joint1",), 0, np.array([0, NANO // 2]), np.array([[0.04], [0.02]]), np.zeros((2, 1))
    )
    robot.gripper.publish(joint_trajectory_message(fingers))
    robot.wait(lambda: abs(newest_state(robot).position_of("panda_finger_joint2") - 0.02) < 1e-3, "half-closed fingers")
    status = json.loads(robot.wait_new("task_status")[-1].data)
    assert status["limit_violations"]["total"] == 0
    assert status["limit_violations"]["velocity_use"]["panda_joint1"] > 0.1
    assert status["accepted"] == 2


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m: setattr(m, "joint_names", [*m.joint_names[:-1], "panda_joint9"]), "panda_joint9"),
        (lambda m: setattr(m.header.stamp, "sec", m.header.stamp.sec - 100), "ended"),
        (lambda m: m.points.clear(), "no points"),
        (lambda m: m.points[-1].velocities.__setitem__(0, 1.0), "not zero"),
        (lambda m: setattr(m.points[0], "effort", [0.0] * 7), "effort"),
        (lambda m: setattr(m.points[0], "positions", [0.0] * 3), "3 positions for 7 joints"),
    ],
)
def test_rejects_and_reports_and_does_not_move(robot, spoil, says) -> None:
    before = newest_state(robot)
    rejected = json.loads(robot.messages["task_status"][-1].data)["rejected"]
    message = move_to(before, 1.0, now(robot))
    spoil(message)
    robot.arm.publish(message)
    robot.wait_diagnostic("controller joint_trajectory", says)
    robot.wait(
        lambda: json.loads(robot.messages["task_status"][-1].data)["rejected"] == rejected + 1, "one more rejection"
    )
    # The arm; the fingers may still settle from what they were told before.
    assert newest_state(robot).positions[:7] == pytest.approx(before.positions[:7], abs=1e-3)


def test_numbers_that_are_not_finite_stop_at_the_drives(robot) -> None:
    before = newest_state(robot)
    message = move_to(before, 1.0, now(robot))
    message.points[-1].positions[3] = float("nan")
    robot.arm.publish(message)
    text = robot.wait_diagnostic("physics", "not finite")
    assert "refused" in text
    assert newest_state(robot).positions[:7] == pytest.approx(before.positions[:7], abs=1e-3)
    status = json.loads(robot.wait_new("task_status")[-1].data)
    assert status["refused_setpoints"] > 0


def test_reset_and_status(robot) -> None:
    first = robot.json("task_status")[-1]
    assert first["task"] == DEFAULT_INSTRUCTION
    assert first["done"] is False
    assert (first["driver"], first["scripted"]) == ("unknown", None)
    answer = robot.call("sim_robot/reset")
    assert answer.success
    assert "seed 4" in answer.message
    robot.wait(lambda: abs(newest_state(robot).position_of("panda_joint1")) < 1e-3, "home")
    robot.wait(lambda: robot.json("task_status")[-1]["time_since_reset"] < first["time_since_reset"], "a new beginning")


def test_makes_the_time_when_asked(gl) -> None:
    """Five times real time on /clock, stamps on it, and no other output is lost."""
    with processes() as (watcher, group, environment, _):
        watcher.listen(Clock, "/clock")
        watcher.listen(JointState, "joint_states", qos.sensor(200))
        watcher.listen(DiagnosticArray, "/diagnostics", qos.reliable(50))
        start(group, environment, publish_clock=True, real_time_factor=5.0, cameras="", driver="scripted")
        watcher.listen(String, "task_status", qos.latched())
        clocks = watcher.wait_new("/clock", 200, timeout=40.0)
        times = np.array([ns_from_stamp(m.clock, where="test") for m in clocks])
        assert times[0] > NANO
        assert times[0] < 200 * NANO
        assert (np.diff(times) > 0).all()
        states = watcher.wait_new("joint_states", 50)
        assert abs(stamp(states[-1]) - times[-1]) < 60 * NANO
        assert np.median(np.diff([stamp(m) for m in states])) == 10_000_000
        status = watcher.wait(lambda: watcher.json("task_status"), "a status")[-1]
        assert (status["driver"], status["scripted"]) == ("scripted", True)
        # Its own diagnostics are stamped with the time it makes.
        watcher.wait(
            lambda: [m for m in watcher.messages["/diagnostics"] if NANO <= stamp(m) < 1000 * NANO],
            "diagnostics on sim time",
        )


# Wrong parameters → what is said of them.
WRONG = {
    "needs publish_clock": {"real_time_factor": 2.0},
    "names 0 things": {"task": "make coffee"},
    "nose": {"cameras": "nose"},
    "no joints": {"embodiment": "av"},
    "hand-held": {"embodiment": "umi"},
    "sim_ur10e": {"embodiment": "ur10e"},
}


@pytest.fixture(scope="module")
def with_wrong_parameters():
    """A robot with each of them, started side by side."""
    with processes() as (watcher, group, environment, lines):
        for says, parameters in WRONG.items():
            start(group, environment, says, **{"cameras": "", **parameters})
        yield watcher, group, lines


@pytest.mark.parametrize("says", WRONG)
def test_wrong_parameters_end_in_one_line(with_wrong_parameters, says) -> None:
    watcher, group, lines = with_wrong_parameters
    watcher.wait(lambda: says in group.ended(), "the end of the robot")
    assert group.ended()[says] == 2
    own = f"[{says}]"
    watcher.wait(lambda: [line for line in lines if line.startswith(own) and says in line.removeprefix(own)], says)
    assert not [line for line in lines if line.startswith(own) and "Traceback" in line]


def test_every_parameter_is_described_and_in_the_file() -> None:
    import yaml

    from cosmos_ros.nodes.sim_robot import SimRobotSettings
    from cosmos_ros.resources import resource
    from cosmos_ros.settings import declared

    shipped = yaml.safe_load(resource("config", "sim_robot.yaml").read_text())["/**/sim_robot"]["ros__parameters"]
    assert {one.name: one.default for one in declared(SimRobotSettings)} == shipped
