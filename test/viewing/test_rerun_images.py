"""The Rerun viewer's page, opened in headless Chromium, shows the frames and the robot."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rerun", reason="rerun-sdk is not installed (the viewer extra)")
from browser import page
from machine import Deadline

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.viewing import rerun_layout as layout
from cosmos_ros.viewing.rerun_writer import RerunLog

pytestmark = pytest.mark.timeout(300)
START = 1_700_000_000 * 10**9
MAGENTA, CYAN, YELLOW = (255, 0, 255), (0, 255, 255), (255, 255, 0)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def flat(colour) -> np.ndarray:
    return np.full((90, 160, 3), colour, np.uint8)


def share(image: np.ndarray, colour) -> float:
    """Part of the image that has this colour, as JPEG keeps it."""
    return float(np.mean(np.abs(image.astype(int) - colour).max(axis=2) < 40))


def feed(log: RerunLog, embodiment) -> None:
    for step in range(20):
        stamp = START + step * 50_000_000
        log.joints(stamp, {**embodiment.home, "panda_joint1": 0.02 * step})
        log.image(layout.PREDICTED, stamp, flat(MAGENTA))
        log.image(layout.ACTUAL, stamp, flat(CYAN))
        for view in embodiment.views:
            log.image(layout.camera(view), stamp, flat(YELLOW))
    log.event("guard", START, "accept", "INFO")
    log.stream.flush(timeout_sec=10.0)


@pytest.mark.integration  # rendering in software wants the cores for itself
def test_the_page_shows_frames_beside_each_other_and_the_robot(tmp_path):
    embodiment = load_embodiment("franka")
    log = RerunLog(embodiment)
    address = log.web(free_port(), free_port(), "100MB")
    feed(log, embodiment)
    deadline = Deadline(120.0)
    with page(address, tmp_path / "profile") as take:
        while True:
            image = take()
            height, width, _ = image.shape
            space = image[int(0.05 * height) : int(0.58 * height), : width // 2]
            shown = {
                "predicted": share(image[:, width // 2 : 3 * width // 4], MAGENTA) > 0.05,
                "actual": share(image[:, 3 * width // 4 :], CYAN) > 0.05,
                "cameras": share(image[:, width // 2 :], YELLOW) > 0.02,
                "robot": float(np.mean(space.min(axis=2) > 120)) > 0.005,
                "limits": share(image[int(0.6 * height) :, : width // 2], (240, 60, 60)) > 0.0005,
            }
            if all(shown.values()):
                break
            if deadline.passed():
                cv2.imwrite(str(tmp_path / "last.png"), image[..., ::-1])
                pytest.fail(f"not shown within two minutes: {shown}; see {tmp_path / 'last.png'}")
    log.close()


@pytest.mark.nightly
@pytest.mark.integration
def test_the_demo_in_the_browser(tmp_path):
    """Opens the page once the demo was stopped, for two cores cannot simulate and render in software at once.

    Takes the image of the documentation: set COSMOS_ROS_PICTURES to a folder to keep it.
    """
    pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")
    pytest.importorskip("mujoco", reason="the simulated robot needs the sim extra")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
    from live import processes
    from sensor_msgs.msg import Image

    from cosmos_ros.bringup.arguments import resolve
    from cosmos_ros.bringup.graph import BRINGUPS
    from cosmos_ros.nodes import qos
    from cosmos_ros.sim.rendering import GL_BACKEND, INSTALL_HINT

    if GL_BACKEND == "disable":
        pytest.skip(f"no off-screen OpenGL. {INSTALL_HINT}")
    ports = {"grpc_port": free_port(), "web_port": free_port()}
    parameters = tmp_path / "viewer.yaml"
    parameters.write_text(yaml.safe_dump({"/**/rerun_viewer": {"ros__parameters": ports}}))
    bringup = BRINGUPS["demo"]
    given = {"viewer": "rerun", "rerun_output": "web", "seed": "3", "params_file": str(parameters)}
    values = resolve(bringup.arguments(), given)
    with processes() as (watcher, group, environment, _):
        group.start_nodes(bringup.nodes(values), values, environment)
        address = watcher.wait_diagnostic("rerun_viewer: state", "open http", 30.0).removeprefix("open ")
        watcher.wait_diagnostic("predictor: prediction", "predicting", 30.0)
        watcher.wait(lambda: watcher.call("guard/arm").success, "the guard is armed", 30.0)
        watcher.listen(Image, "predictor/rollout/contact_sheet", qos.latched())
        # A rollout lasts about a second; both images are there once one was played.
        watcher.wait_new("predictor/rollout/contact_sheet", 10, 90.0)
        for name in ("predictor", "guard", "sim_robot"):
            group.kill(name)
        with page(address, tmp_path / "profile") as take:
            deadline = Deadline(120.0)
            while True:
                image = take()
                height, width, _ = image.shape
                top = image[int(0.1 * height) : int(0.42 * height)]
                frames = [top[:, int(a * width) : int(b * width)] for a, b in ((0.51, 0.74), (0.76, 0.99))]
                space = image[int(0.1 * height) : int(0.58 * height), : width // 2]
                robot = float(np.mean(space.min(axis=2) > 120)) > 0.005
                sheet = image[int(0.49 * height) : int(0.58 * height), int(0.51 * width) : int(0.99 * width)]
                log = image[int(0.86 * height) : int(0.95 * height), int(0.51 * width) : int(0.99 * width)]
                if robot and all(part.std() > 25.0 for part in (*frames, sheet)) and (log < 140).mean() > 0.005:
                    break
                if deadline.passed():
                    cv2.imwrite(str(tmp_path / "last.png"), image[..., ::-1])
                    pytest.fail(f"not shown within two minutes; see {tmp_path / 'last.png'}")
            # What was predicted for now and what is now look alike, and are not one image twice.
            small = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA).astype(float) for frame in frames]
            assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.7
    if folder := os.environ.get("COSMOS_ROS_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(Path(folder) / "rerun.png"), image[..., ::-1])
