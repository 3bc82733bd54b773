"""The Rerun viewer's page, opened in headless Chromium, shows the frames and the robot."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="rerun-sdk is not installed (the viewer extra)")
from browser import page

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.viewer import layout
from cosmos_ros.viewer.rerun import RerunLog

pytestmark = pytest.mark.timeout(150)
START = 1_700_000_000 * 10**9
MAGENTA, CYAN, YELLOW = (255, 0, 255), (0, 255, 255), (255, 255, 0)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def flat(colour) -> np.ndarray:
    return np.full((90, 160, 3), colour, np.uint8)


def share(picture: np.ndarray, colour) -> float:
    """Part of the picture that has this colour, as JPEG keeps it."""
    return float(np.mean(np.abs(picture.astype(int) - colour).max(axis=2) < 40))


def feed(log: RerunLog, embodiment) -> None:
    for step in range(20):
        stamp = START + step * 50_000_000
        log.joints(stamp, {**embodiment.home, "panda_joint1": 0.02 * step})
        log.picture(layout.PREDICTED, stamp, flat(MAGENTA))
        log.picture(layout.ACTUAL, stamp, flat(CYAN))
        for view in embodiment.views:
            log.picture(layout.camera(view), stamp, flat(YELLOW))
    log.event("guard", START, "accept", "INFO")
    log.stream.flush(timeout_sec=10.0)


def test_the_page_shows_frames_beside_each_other_and_the_robot(tmp_path):
    embodiment = load_embodiment("franka")
    log = RerunLog(embodiment)
    address = log.web(free_port(), free_port(), "100MB")
    feed(log, embodiment)
    deadline = time.monotonic() + 120.0
    with page(address, tmp_path / "profile") as take:
        while True:
            picture = take()
            height, width, _ = picture.shape
            space = picture[int(0.05 * height) : int(0.58 * height), : width // 2]
            shown = {
                "predicted": share(picture[:, width // 2 : 3 * width // 4], MAGENTA) > 0.05,
                "actual": share(picture[:, 3 * width // 4 :], CYAN) > 0.05,
                "cameras": share(picture[:, width // 2 :], YELLOW) > 0.02,
                "robot": float(np.mean(space.min(axis=2) > 120)) > 0.005,
                "limits": share(picture[int(0.6 * height) :, : width // 2], (240, 60, 60)) > 0.0005,
            }
            if all(shown.values()):
                break
            if time.monotonic() > deadline:
                Path(tmp_path / "last.png").write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
                pytest.fail(f"not shown within two minutes: {shown}; see {tmp_path / 'last.png'}")
    log.close()
