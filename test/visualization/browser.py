"""Chromium without a screen, driven through its own DevTools protocol: open a page, take pictures of it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest


def chromium() -> str:
    """Path of Chromium; skips where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is not installed")


@contextmanager
def page(url: str, profile: Path, size: tuple[int, int] = (1600, 1000)) -> Iterator[Callable[[], np.ndarray]]:
    """Open a page; gives a function that takes a picture ``uint8 [H, W, 3]`` RGB."""
    connect = pytest.importorskip("websockets.sync.client", reason="websockets is not installed").connect
    command = [
        chromium(),
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        "--disable-background-networking",
        # WebGL in software.
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        f"--window-size={size[0]},{size[1]}",
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
    clean = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean)
    try:
        port_file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 30.0
        while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
            assert process.poll() is None, "Chromium has ended"
            assert time.monotonic() < deadline, "Chromium does not answer"
            time.sleep(0.05)
        port, path = port_file.read_text().splitlines()
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=2**28) as socket:
            number = 0

            def call(method: str, session: str | None = None, **parameters):
                nonlocal number
                number += 1
                message = {"id": number, "method": method, "params": parameters}
                socket.send(json.dumps(message if session is None else {**message, "sessionId": session}))
                while True:
                    answer = json.loads(socket.recv(timeout=60.0))
                    if answer.get("id") == number:
                        assert "error" not in answer, answer
                        return answer["result"]

            target = call("Target.createTarget", url=url)["targetId"]
            session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

            def picture() -> np.ndarray:
                data = base64.b64decode(call("Page.captureScreenshot", session, format="png")["data"])
                return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

            yield picture
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
