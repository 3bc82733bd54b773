"""package.xml, setup.py, the Dockerfile and the documents agree with the code and with each other."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from packaging_tools import NODES, ROOT, node_module

# Keys of rosdistro (checked 2026-08) and packages of Jazzy, Kilted and Lyrical that the manifest may name.
ROSDEP_KEYS = {
    "python3-hypothesis", "python3-numpy", "python3-opencv", "python3-pil", "python3-psutil",
    "python3-pytest", "python3-pytest-timeout", "python3-scipy", "python3-yaml", "python3-matplotlib",
    "python3-pytest-xdist", "python3-aiohttp", "python3-websockets", "python3-msgpack", "python3-rich",
}  # fmt: skip
ROS_PACKAGES = {
    "action_msgs", "ament_index_python", "builtin_interfaces", "control_msgs", "cv_bridge", "diagnostic_msgs",
    "geometry_msgs", "launch", "launch_ros", "lifecycle_msgs", "pinocchio", "rcl_interfaces", "rclpy", "ros2launch",
    "rosbag2_py", "rosbag2_storage_mcap", "rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs", "trajectory_msgs",
    "visualization_msgs",
}  # fmt: skip
# Imported where it is there, never required: the reason is in the manifest or in the module that tries it.
OPTIONAL_ROS = {"tf2_ros", "rviz2"}

# import name -> distribution, where they differ
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless", "yaml": "PyYAML", "pinocchio": "pin", "coal": "pin", "PIL": "pillow",
    "skimage": "scikit-image", "rerun": "rerun-sdk", "mcap_ros2": "mcap-ros2-support",
    "OpenGL": "PyOpenGL",
}  # fmt: skip
ROS_WHEELS = ROS_PACKAGES | OPTIONAL_ROS | {"launch", "launch_ros", "rclpy", "std_msgs", "action_msgs"}


@pytest.fixture(scope="module")
def manifest() -> ET.Element:
    return ET.parse(ROOT / "package.xml").getroot()


@pytest.fixture(scope="module")
def setup_arguments() -> dict[str, Any]:
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    return dict(setup.call_args.kwargs)


def dependencies(manifest: ET.Element) -> set[str]:
    return {str(element.text) for element in manifest if element.tag.endswith("depend")}


def declared(setup_arguments: dict[str, Any]) -> set[str]:
    """Return the distributions that users of some part install; not those of the tests."""
    requirements = list(setup_arguments["install_requires"])
    for name, extra in setup_arguments["extras_require"].items():
        requirements += extra if name not in ("test", "dev") else []
    return {re.split(r"[\[<>=! ;]", text, maxsplit=1)[0].lower() for text in requirements}


def imports_of(folder: str) -> dict[str, set[str]]:
    """Return top-level module → files that import it, also inside functions."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], set()).add(path.relative_to(ROOT).as_posix())
    return {k: v for k, v in found.items() if k not in sys.stdlib_module_names and k != "cosmos_ros"}


def test_every_key_exists_in_rosdistro(manifest: ET.Element) -> None:
    assert dependencies(manifest) <= ROSDEP_KEYS | ROS_PACKAGES


def test_no_heavy_library_is_a_hard_key(manifest: ET.Element) -> None:
    assert not [k for k in dependencies(manifest) if re.search("torch|onnx|diffusers|transformers|mujoco|-pip$", k)]


def test_manifest_and_setup_describe_the_same_package(manifest: ET.Element, setup_arguments: dict[str, Any]) -> None:
    assert manifest.findtext("name") == setup_arguments["name"]
    assert manifest.findtext("version") == setup_arguments["version"]
    assert manifest.findtext("license") == setup_arguments["license"] == "Apache-2.0"
    assert manifest.findtext("export/build_type") == "ament_python"
    assert (ROOT / str(manifest.find("license").get("file"))).read_text().lstrip().startswith("Apache License")  # type: ignore[union-attr]


def test_every_ros_import_is_in_the_manifest(manifest: ET.Element) -> None:
    keys = dependencies(manifest)
    missing = {
        name: files
        for folder in ("cosmos_ros", "launch")
        for name, files in imports_of(folder).items()
        if (name.endswith(("_msgs", "_srvs", "_interfaces")) or name in ROS_WHEELS) and name not in keys | OPTIONAL_ROS
    }
    assert not missing


def test_every_other_import_is_declared(setup_arguments: dict[str, Any]) -> None:
    known = declared(setup_arguments)
    missing = {
        name: files
        for name, files in imports_of("cosmos_ros").items()
        if not name.endswith(("_msgs", "_srvs", "_interfaces"))
        and name not in ROS_WHEELS
        and DISTRIBUTIONS.get(name, name).lower().replace("_", "-") not in known
    }
    assert not missing


def test_extras_for_more_than_the_guard_bring_images(setup_arguments: dict[str, Any]) -> None:
    extras = setup_arguments["extras_require"]
    without = {"ros", "cli", "kinematics", "test", "dev"}  # of no use by themselves, or to the guard
    assert {name for name, packages in extras.items() if extras["images"][0] not in packages} == without


def test_executables_are_the_nodes(setup_arguments: dict[str, Any]) -> None:
    files = dict(setup_arguments["data_files"])
    assert [Path(p).name for p in files["lib/cosmos_ros"]] == NODES
    assert {"predictor", "guard", "sim_robot"} <= set(NODES)
    for name in NODES:
        assert (ROOT / f"{node_module(name).replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("name", ["demo", "test", "docs"])
def test_pins_are_exact(name: str) -> None:
    lines = (ROOT / "constraints" / f"{name}.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert not [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.+!-]+( ; .+)?", line)]
    assert not [line for line in pins if line.startswith("torch")]


def test_test_pins_hold_the_demo_pins() -> None:
    demo, test = (set((ROOT / f"constraints/{n}.txt").read_text().splitlines()[1:]) for n in ("demo", "test"))
    assert demo <= test


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_documents_name_existing_targets(document: str) -> None:
    path = ROOT / document
    if not path.is_file():
        pytest.skip(f"{document} is not written yet")
    text = path.read_text()
    named = set(re.findall(r"(?:`|^|\$ |step )make ([a-z0-9-]+)", text, flags=re.MULTILINE))
    named |= set(re.findall(r"^step ([a-z0-9-]+)", text, flags=re.MULTILINE))
    assert named, document
    assert named <= make_targets()


def test_dockerfile_runs_only_rehearsed_steps() -> None:
    """Whatever the image does is a step that ``make docker-steps`` runs too."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    commands = re.findall(r"^RUN (.+)$", dockerfile, flags=re.MULTILINE)
    steps = [re.sub(r"^(\w+=\S+ )+", "", command) for command in commands]
    assert all(re.fullmatch(r"scripts/image\.sh \w+", step) for step in steps), steps
    (rehearsed,) = re.findall(r"for name in ([\w ]+); do", (ROOT / "scripts/image.sh").read_text())
    assert {step.split()[1] for step in steps} <= set(rehearsed.split())
    assert re.search(r"^USER (?!root)", dockerfile, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("pip install 'cosmos_ros[sim]'", True),
        ("hint: install the extra cosmos-ros[cosmos3,ros]", True),
        ('pip install "cosmos_ros"', True),
        ("python -m pip install mujoco cosmos-ros", True),
        ("pip3 install cosmos_ros>=0.1", True),
        ("pip install mujoco PyOpenGL", False),
        ("pip install -e ~/ros2_ws/src/cosmos_ros/", False),
        ("`pip install pyarrow`; `cosmos-ros import-lerobot`", False),
        ("launch cosmos_ros demo.launch.py", False),
    ],
)
def test_nobody_is_told_to_take_this_package_from_the_index(line: str, refused: bool) -> None:
    pattern = runpy.run_path(str(ROOT / "scripts/check_tree.py"))["FROM_INDEX"]
    assert (pattern.search(line) is not None) == refused


def test_image_installs_what_the_manifest_asks_for(manifest: ET.Element) -> None:
    """Beyond the ROS packages of its base, ros-base."""
    script = (ROOT / "scripts/image.sh").read_text()
    base = ROS_PACKAGES - {"cv_bridge", "pinocchio", "rosbag2_py", "rosbag2_storage_mcap"}
    for key in sorted({str(e.text) for e in manifest if e.tag == "exec_depend"} - base):
        name = key if key in ROSDEP_KEYS else f"-{key.replace('_', '-')}"
        assert name in script, key
