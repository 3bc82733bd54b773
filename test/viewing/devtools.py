"""Headless Chromium, driven through its own DevTools protocol; shared by the tests and the benchmarks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import Deadline


def find_chromium() -> str | None:
    """Path of Chromium, or None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextmanager
def opened_page(
    program: str, url: str, profile: Path, options: Sequence[str] = (), size: tuple[int, int] = (1600, 1000)
) -> Iterator[Callable[..., Any]]:
    """Open a page in a browser of its own; gives ``call(method, **parameters)`` for that page."""
    from websockets.sync.client import connect

    command = [
        program,
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        "--disable-background-networking",
        *options,
        f"--window-size={size[0]},{size[1]}",
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
    clean = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean)
    try:
        port_file = profile / "DevToolsActivePort"
        deadline = Deadline(30.0)
        while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
            assert process.poll() is None, "Chromium has ended"
            assert not deadline.passed(), "Chromium does not answer"
            time.sleep(0.02)
        port, path = port_file.read_text().splitlines()
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=2**28) as socket:
            number = 0

            def call(method: str, session: str | None = None, **parameters: Any) -> Any:
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
            yield lambda method, **parameters: call(method, session, **parameters)
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
