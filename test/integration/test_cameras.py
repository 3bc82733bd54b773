"""Cameras as they are: transports by what is published, lost large images and wrong types explained."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Watcher, processes
from machine import slowness
from std_msgs.msg import String

from cosmos_ros.bringup.processes import ProcessGroup, write_parameters
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.nodes import qos

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

VIEWS = load_embodiment("franka").views


class Rig:
    """A predictor, and camera loads in processes of their own."""

    def __init__(
        self, watcher: Watcher, group: ProcessGroup, environment: dict[str, str], **parameters: object
    ) -> None:
        self.watcher, self.group, self.environment = watcher, group, environment
        watcher.listen(String, "predictor/provenance")
        # What a busy machine delivers late is not what is tested here.
        ages = {"max_image_age": 5.0 * slowness(), "max_joint_age": 5.0 * slowness(), "joint_tolerance": 5.0}
        path = write_parameters({"world_model": "persistence", **ages, **parameters}, group.folder, "predictor")
        command = [sys.executable, "-m", "cosmos_ros.nodes.predictor", "--ros-args", "--params-file", str(path)]
        group.start("predictor", command, environment)
        watcher.wait_diagnostic("predictor: state", "active")

    def load(self, name: str, environment: dict[str, str] | None = None, **parameters) -> None:
        path = write_parameters({"image_rate": 15.0 / slowness(), **parameters}, self.group.folder, name)
        command = [sys.executable, "-m", "cosmos_ros.bench.load", "--ros-args", "-r", f"__node:={name}"]
        self.group.start(name, [*command, "--params-file", str(path)], environment or self.environment)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with processes() as (watcher, group, environment, lines):
        try:
            yield Rig(watcher, group, environment)
        finally:
            print("\n".join(lines[-40:]))


COUNTED = """
_convert = CvBridge.imgmsg_to_cv2

def _counted(self, message, desired_encoding="passthrough"):
    with open({marker!r}, "a") as file:
        file.write(f"{{message.encoding}} {{message.width}}\\n")
    return _convert(self, message, desired_encoding)

CvBridge.imgmsg_to_cv2 = _counted
"""


@pytest.mark.parametrize("broken", [False, True])
def test_cv_bridge_converts_live_images_and_a_broken_one_is_one_line(tmp_path: Path, broken: bool):
    """With a stand-in for cv_bridge, which the wheels do not have."""
    stand_in = Path(__file__).parents[1] / "messages/cv_bridge_stand_in/cv_bridge/__init__.py"
    marker = tmp_path / "converted.txt"
    text = stand_in.read_text() + COUNTED.format(marker=str(marker))
    (tmp_path / "cv_bridge").mkdir()
    (tmp_path / "cv_bridge/__init__.py").write_text("import os\nos.abort()" if broken else text)
    with processes() as (watcher, group, environment, lines):
        seen = {**environment, "PYTHONPATH": os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])}
        rig = Rig(watcher, group, seen, image_converter="cv_bridge")
        rig.load("raw", transport="raw", width=320, height=180)
        watcher.wait_new("predictor/provenance", 3)
        said = [line for line in lines if "cv_bridge" in line]
    if broken:
        (line,) = said
        assert "it ends the process (status -6); the built-in converter is used" in line
    else:
        assert said == []
        assert "rgb8 320" in marker.read_text().splitlines()


def without_profile(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a camera driver that knows nothing of our shared-memory profile."""
    return {k: v for k, v in environment.items() if not k.endswith("DEFAULT_PROFILES_FILE")}


def test_lost_large_images_are_explained_and_compressed_ones_taken_instead(rig: Rig):
    rig.load("raw", without_profile(rig.environment), transport="raw")
    line = rig.watcher.wait_diagnostic(f"predictor: camera {VIEWS[0]}", "512 KiB")
    assert "config/fastdds.xml" in line
    rig.load("jpeg", transport="compressed", width=320, height=180)
    rig.watcher.wait_new("predictor/provenance", 3)
    for view in VIEWS:
        rig.watcher.wait_diagnostic(f"predictor: camera {view}", "connected")


def test_large_raw_images_arrive_with_the_profile(rig: Rig):
    rig.load("raw", transport="raw")
    new = rig.watcher.wait_new("predictor/provenance", 5)
    assert json.loads(new[-1].data)["canvas"] == [540, 640]
    rig.watcher.wait_diagnostic(f"predictor: camera {VIEWS[0]}", "connected")


def test_a_topic_of_another_type_is_named(rig: Rig):
    rig.watcher.node.create_publisher(String, f"{VIEWS[0]}/image_raw/compressed", qos.reliable())
    rig.watcher.wait_diagnostic(
        f"predictor: camera {VIEWS[0]}", "published as std_msgs/msg/String, expected sensor_msgs/msg/CompressedImage"
    )
