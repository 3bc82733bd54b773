"""The shared-memory profile, on real DDS between two processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from machine import slowness

from cosmos_ros.messages.dds import PROFILE_VARIABLES, profile_variables, use_shared_memory_profile
from cosmos_ros.observation.lost_images import LostImageDetector
from cosmos_ros.resources import resource

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH, FRAMES = 720, 1280, 45

PUBLISHER = f"""
import sys, time
from array import array
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, "image_raw", best_effort)
data = array("B", bytes({HEIGHT * WIDTH * 3}))
message = Image(height={HEIGHT}, width={WIDTH}, encoding="rgb8", step={WIDTH * 3}, data=data)
deadline = time.monotonic() + 30
while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
    time.sleep(0.01)
begin = time.monotonic()
for k in range({FRAMES}):
    while time.monotonic() < begin + k / float(sys.argv[1]):
        time.sleep(0.001)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(10**12 + k * 33_333_333, 10**9)
    publisher.publish(message)
print("sent", flush=True)
sys.stdin.read()
"""


def test_the_profile_is_what_the_facts_say() -> None:
    space = {"dds": "http://www.eprosima.com"}
    root = ElementTree.parse(resource("config", "fastdds.xml")).getroot()
    transports = {
        entry.find("dds:transport_id", space).text: {child.tag.split("}")[1]: child.text for child in entry}
        for entry in root.iterfind(".//dds:transport_descriptor", space)
    }
    kinds = {entry["type"]: entry for entry in transports.values()}
    assert set(kinds) == {"SHM", "UDPv4"}
    assert (kinds["SHM"]["segment_size"], kinds["SHM"]["maxMessageSize"]) == (str(64 << 20), str(16 << 20))
    participant = root.find(".//dds:participant", space)
    assert participant.get("is_default_profile") == "true"
    used = {entry.text for entry in participant.iterfind(".//dds:userTransports/dds:transport_id", space)}
    assert used == set(transports)
    assert participant.find(".//dds:useBuiltinTransports", space).text == "false"


@pytest.mark.parametrize("distribution", ["jazzy", "kilted", None])
def test_a_profile_is_set_once_and_for_the_ros_in_use(distribution) -> None:
    environment = {"ROS_DISTRO": distribution} if distribution else {}
    assert use_shared_memory_profile(environment)
    names = set(environment) & set(PROFILE_VARIABLES)
    assert names == set(profile_variables(environment)) and names
    if distribution == "jazzy":
        assert names == {"FASTRTPS_DEFAULT_PROFILES_FILE"}
    assert all(Path(environment[name]).is_file() for name in names)
    before = dict(environment)
    assert use_shared_memory_profile(environment) and environment == before


@pytest.mark.parametrize(
    "own",
    [
        {"FASTRTPS_DEFAULT_PROFILES_FILE": "/etc/mine.xml"},
        {"FASTDDS_DEFAULT_PROFILES_FILE": "/etc/mine.xml"},
        {"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"},
        {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
    ],
)
def test_a_users_own_choice_is_left_alone(own) -> None:
    environment = dict(own)
    assert not use_shared_memory_profile(environment)
    assert environment == own


def receive(profile: bool) -> tuple[LostImageDetector, int]:
    """Run a best-effort 720p camera in another process; return what watched it and how many images arrived."""
    rclpy = pytest.importorskip("rclpy", reason="ROS is not installed")
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    from cosmos_ros.bringup.domain import private_domain, private_environment

    with private_domain() as domain:
        environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
        # A wheel's interpreter hook that was inherited would keep the child from finding its libraries.
        if environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None) is not None:
            environment.pop("LD_LIBRARY_PATH", None)
        environment.pop("FASTDDS_BUILTIN_TRANSPORTS", None)
        environment |= private_environment(domain)
        if profile:
            assert use_shared_memory_profile(environment)
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=domain)
        node = rclpy.create_node("viewer", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        detector, stamps = LostImageDetector(), []

        def on_image(message: Image) -> None:
            stamps.append(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
            detector.image(stamps[-1], len(message.data))

        qos = QoSProfile(depth=FRAMES, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(Image, "image_raw", on_image, qos)
        camera = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(30.0 / slowness())], env=environment, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            os.set_blocking(camera.stdout.fileno(), False)
            deadline = time.monotonic() + 40
            sent_at = None
            while time.monotonic() < deadline and len(stamps) < FRAMES:
                executor.spin_once(timeout_sec=0.05)
                if sent_at is None and camera.stdout.readline().startswith("sent"):
                    sent_at = time.monotonic()
                if sent_at is not None and time.monotonic() > sent_at + 1.0:
                    break
            assert sent_at is not None or len(stamps) == FRAMES, "the camera did not finish"
        finally:
            camera.stdin.close()
            camera.wait(timeout=20)
            executor.shutdown()
            node.destroy_node()
            context.try_shutdown()
        return detector, len(stamps)


@pytest.mark.integration
def test_raw_720p_arrives_whole_with_the_profile() -> None:
    # A stalled machine may still overrun the segment's 23 frames; the transport itself loses nothing.
    for _ in range(3):
        detector, received = receive(profile=True)
        if received == FRAMES:
            break
    assert received == FRAMES
    assert detector.explain("/image_raw") == ""


@pytest.mark.integration
def test_without_it_images_are_lost_and_the_reason_is_told() -> None:
    detector, received = receive(profile=False)
    if received == FRAMES:
        pytest.skip("this DDS delivers large images without a profile")
    for k in range(FRAMES):  # camera_info is small and always arrives
        detector.camera_info(10**12 + k * 33_333_333, HEIGHT * WIDTH * 3)
    assert detector.loss().share > 0.1
    line = detector.explain("/image_raw", best_effort=True)
    assert "512 KiB" in line and "config/fastdds.xml" in line
