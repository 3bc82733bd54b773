"""Images of the simulated cameras: where things appear is where the intrinsics say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cosmos_ros.errors import ConfigError
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.rendering import CameraRenderer, PinholeCamera
from cosmos_ros.sim.world import WorldRenderer

VIEWS = ("wrist", "exterior_1", "exterior_2")


@pytest.fixture(scope="module")
def world(franka):
    return world_of(franka, seed=3)


@pytest.fixture(scope="module")
def renderer(gl, world):
    made = WorldRenderer(world, world.cameras(dict.fromkeys(VIEWS, (320, 180))))
    yield made
    made.close()
    made.close()


@pytest.mark.parametrize("view", ["exterior_1", "exterior_2"])
@pytest.mark.parametrize(("name", "channel"), [("red_cube", 0), ("green_pad", 1), ("blue_cube", 2)])
def test_objects_are_seen_where_the_camera_model_puts_them(world, renderer, view, name, channel) -> None:
    renderer.load(world.snapshot())
    image = renderer.render(view)
    assert image.shape == (180, 320, 3)
    assert image.dtype == np.uint8
    point = world.object_poses()[name][:3, 3]
    mounted = world.scene.cameras[view]
    forward = np.subtract(mounted.look_at, mounted.position) / np.linalg.norm(
        np.subtract(mounted.look_at, mounted.position)
    )
    right = np.cross(forward, mounted.up) / np.linalg.norm(np.cross(forward, mounted.up))
    optical = np.stack([right, np.cross(forward, right), forward])
    u, v, depth = renderer.cameras[view].intrinsics @ optical @ (point - mounted.position)
    column, row = round(u / depth), round(v / depth)
    colour = image[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).mean(axis=0)
    others = [c for k, c in enumerate(colour) if k != channel]
    assert colour[channel] > 1.3 * max(others), (view, name, (column, row), colour)


def test_the_robot_is_in_every_exterior_view_and_moves(world, renderer) -> None:
    world.reset(3)
    renderer.load(world.snapshot())
    before = {view: renderer.render(view).astype(int) for view in VIEWS}
    joints = dict(zip(world.joint_names, world.joint_state().positions.tolist(), strict=True))
    world.set_state({**joints, "panda_joint1": 0.5}, {})
    renderer.load(world.snapshot())
    for view in VIEWS:
        changed = (np.abs(renderer.render(view).astype(int) - before[view]).max(axis=2) > 30).mean()
        assert changed > 0.01, view
    world.reset(3)


def test_rendering_is_repeatable_and_needs_no_own_thread(world, renderer) -> None:
    import threading

    renderer.load(world.snapshot())
    here = renderer.render("wrist")
    elsewhere: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: elsewhere.append(renderer.render("wrist")))
    thread.start()
    thread.join(30.0)
    assert np.array_equal(here, elsewhere[0])


def test_intrinsics() -> None:
    camera = PinholeCamera("c", 640, 480, np.pi / 2)
    assert camera.intrinsics == pytest.approx(np.array([[240, 0, 319.5], [0, 240, 239.5], [0, 0, 1.0]]))


def test_unknown_cameras_are_refused(gl, world) -> None:
    with pytest.raises(ConfigError, match="not in the scene"):
        CameraRenderer(world.model, {"nowhere": PinholeCamera("nowhere", 32, 32, 0.8)})


def test_without_opengl_the_world_works_and_cameras_say_what_to_install() -> None:
    script = """
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.world import WorldRenderer
world = world_of(load_embodiment("franka"))
world.hold(10)
try:
    WorldRenderer(world, world.cameras({"wrist": (32, 32)}))
except ConfigError as error:
    print("refused:", error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "MUJOCO_GL": "disable"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "refused:" in result.stdout
    assert "apt-get install" in result.stdout


def test_the_environment_script_asks_whether_images_can_be_rendered() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "cosmos_ros.sim.rendering"]
    assert " ".join(command[1:]) in (root / "scripts/common.sh").read_text()
    for backend, status in (("", 0), ("disable", 1)):
        environment = {**os.environ, "MUJOCO_GL": backend} if backend else dict(os.environ)
        assert subprocess.run(command, env=environment, cwd=root, capture_output=True, check=False).returncode == status
