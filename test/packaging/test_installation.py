"""What pip and colcon really install, seen from outside the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging_tools import NODES, ROOT, clean_environment, copy_source, node_module, run

# Asked of an installation by an interpreter that does not see the checkout.
PROBE = """
import cosmos_ros, json
from cosmos_ros.resources import resource, share_directory
names = sorted(p.relative_to(share_directory()).as_posix()
               for folder in ("config", "embodiments", "launch", "models")
               for p in resource(folder).rglob("*") if p.is_file())
print(json.dumps({"module": cosmos_ros.__file__, "share": str(share_directory()), "names": names}))
"""


def shared_files() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in ("config", "embodiments", "launch", "models")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def check_prefix(prefix: Path) -> None:
    """Assert what ``ros2 run`` and ``ros2 launch`` look for under an installation prefix."""
    assert (prefix / "share/ament_index/resource_index/packages/cosmos_ros").exists()
    executables = sorted((prefix / "lib/cosmos_ros").iterdir())
    assert [p.name for p in executables] == NODES
    for executable in executables:
        assert os.access(executable, os.X_OK)
        assert executable.read_text().startswith("#!/usr/bin/env python3\n")
    share = prefix / "share/cosmos_ros"
    installed = {p.relative_to(share).as_posix() for p in share.rglob("*") if p.is_file()}
    assert shared_files() | {"package.xml"} <= installed


def check_probe(output: str, prefix: Path) -> None:
    found = json.loads(output.splitlines()[-1])
    assert Path(found["module"]).is_relative_to(prefix)
    assert Path(found["share"]) == prefix / "share/cosmos_ros"
    assert shared_files() <= set(found["names"])


@pytest.fixture(scope="module")
def pip_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copy_source(tmp_path_factory.mktemp("source"))
    prefix = tmp_path_factory.mktemp("prefix")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    # Without --ignore-installed, pip takes this environment's own installation away.
    run([*command, "--ignore-installed", "--prefix", str(prefix), "."], cwd=source)
    return prefix


def site_packages(prefix: Path) -> str:
    return str(next(prefix.glob("lib/python3*/site-packages")))


def test_pip_install_serves_ros_tools(pip_prefix: Path) -> None:
    check_prefix(pip_prefix)


def test_pip_installed_copy_finds_its_files(pip_prefix: Path, tmp_path: Path) -> None:
    output = run([sys.executable, "-c", PROBE], cwd=tmp_path, PYTHONPATH=site_packages(pip_prefix))
    check_probe(output, pip_prefix)


def test_pip_installed_command_names_its_verbs(pip_prefix: Path, tmp_path: Path) -> None:
    output = run([str(pip_prefix / "bin/cosmos-ros"), "--help"], cwd=tmp_path, PYTHONPATH=site_packages(pip_prefix))
    assert "up" in output.split()


# Runs an executable with its node's main replaced, and expects main's answer as the exit status.
HANDOVER = """
import importlib, runpy, sys
path, module = sys.argv[1:]
importlib.import_module(module).main = lambda *arguments: 42
try:
    runpy.run_path(path, run_name="__main__")
except SystemExit as end:
    assert end.code == 42, end
else:
    raise AssertionError("main was not called")
"""


@pytest.mark.parametrize("node", NODES)
def test_node_executable_hands_over_to_its_main(pip_prefix: Path, tmp_path: Path, node: str) -> None:
    pytest.importorskip("rclpy", reason="nodes need ROS 2")
    command = [sys.executable, "-c", HANDOVER, str(pip_prefix / "lib/cosmos_ros" / node), node_module(node)]
    run(command, cwd=tmp_path, PYTHONPATH=site_packages(pip_prefix))


# In a workspace where rosdep alone has installed: everything that predict, replay and guard import and make.
ROSDEP_ONLY = """
import sys
NAMES = ("tyro", "rosbags", "mujoco", "pydantic", "pinocchio", "rich", "matplotlib", "torch", "diffusers", "aiohttp",
         "av", "pyarrow", "rerun", "ray", "msgpack")
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
import cosmos_ros.nodes.predictor, cosmos_ros.nodes.guard_node, cosmos_ros.nodes.visualizer
import cosmos_ros.bringup.launch_description, cosmos_ros.bringup.player_process, cosmos_ros.recordings.play_bag
from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.embodiment import list_embodiments, load_embodiment
for name in list_embodiments():
    load_embodiment(name)
for name in ("predict", "replay"):
    bringup = BRINGUPS[name]
    given = {"bag": "bag", "viewer": "markers"} if name == "replay" else {"viewer": "markers"}
    print(*(node.name for node in bringup.nodes(resolve(bringup.arguments(), given))))
"""


def test_predict_replay_and_guard_need_nothing_of_pip(pip_prefix: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="nodes need ROS 2")
    output = run([sys.executable, "-c", ROSDEP_ONLY], cwd=tmp_path, PYTHONPATH=site_packages(pip_prefix))
    assert output.splitlines()[-2:] == ["predictor guard visualizer"] * 2


def test_simulator_without_mujoco_says_what_brings_it(pip_prefix: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="nodes need ROS 2")
    hidden = tmp_path / "hidden/mujoco"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('No module named mujoco', name='mujoco')\n")
    environment = clean_environment(PYTHONPATH=f"{hidden.parent}:{site_packages(pip_prefix)}")
    command = [sys.executable, str(pip_prefix / "lib/cosmos_ros/sim_robot")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "ConfigError: the simulator needs MuJoCo. Install them: pip install mujoco PyOpenGL.\n"


@pytest.mark.parametrize("options", [[], ["--symlink-install"]], ids=["copy", "symlink"])
def test_colcon_build(tmp_path: Path, options: list[str]) -> None:
    pytest.importorskip("colcon_core", reason="colcon is not installed")
    pytest.importorskip("colcon_ros", reason="colcon is not installed")
    source = copy_source(tmp_path / "workspace/src/cosmos_ros")
    workspace = source.parents[1]
    run([sys.executable, "-m", "colcon", "build", *options], cwd=workspace)
    prefix = workspace / "install/cosmos_ros"
    script = (
        '. install/setup.bash && cosmos-ros --version && cd / && python3 -c "$PROBE" && echo ":$AMENT_PREFIX_PATH:"'
    )
    output = run(["bash", "-c", script], cwd=workspace, PROBE=PROBE)
    *_, probed, prefixes = output.splitlines()
    assert f":{prefix}:" in prefixes
    if not options:
        check_prefix(prefix)
        check_probe(probed, prefix)
    else:
        assert str(source) in probed  # a symlink install is the source
        assert sorted(p.name for p in (prefix / "lib/cosmos_ros").iterdir()) == NODES


# What the guard needs: these packages, and what they themselves are made of.
LIGHT = (
    "numpy", "numpy.libs", "scipy", "scipy.libs", "yaml", "_yaml",
)  # fmt: skip
GUARDED = """
import numpy as np, cosmos_ros as cr
franka = cr.load_embodiment("franka")
joints = franka.controllers[0][1]
positions = np.tile([franka.home[name] for name in joints], (3, 1))
positions[1:, 0] += [0.1, 9.0]
trajectory = cr.JointTrajectory.from_seconds(joints, [0.0, 1.0, 2.0], positions)
settings = cr.GuardSettings(velocity_scale=0.5)
print(cr.Guard.for_embodiment(franka, settings).judge(trajectory, cr.GuardContext.now(franka.home)).response.value)
"""


def test_pip_brings_what_the_guard_needs_and_no_more(pip_prefix: Path) -> None:
    (found,) = metadata.distributions(name="cosmos_ros", path=[site_packages(pip_prefix)])
    always = [line for line in found.requires or [] if "extra ==" not in line]
    assert {re.split(r"[<>=! ;]", line)[0].lower() for line in always} == {"numpy", "scipy", "pyyaml"}


def test_the_guard_needs_three_packages_only(pip_prefix: Path, tmp_path: Path) -> None:
    """In an interpreter that sees nothing but these: no ROS, torch, MuJoCo or OpenCV."""
    installed = Path(np.__file__).parents[1]
    links = tmp_path / "packages"
    links.mkdir()
    for name in LIGHT:
        if (installed / name).exists():
            (links / name).symlink_to(installed / name)
    run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], cwd=tmp_path)
    python = str(tmp_path / "bare/bin/python")
    seen = {"cwd": tmp_path, "PYTHONPATH": f"{site_packages(pip_prefix)}:{links}"}
    absent = "import importlib.util as u; print([n for n in ('cv2', 'torch', 'mujoco', 'rclpy') if u.find_spec(n)])"
    assert run([python, "-c", absent], **seen).strip() == "[]"
    assert run([python, "-c", GUARDED], **seen).splitlines()[-1] == "reject"
