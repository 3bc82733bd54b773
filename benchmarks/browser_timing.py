"""How soon headless Chromium shows a page: the page's own navigation timing, read through the DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_SCRIPT = """(() => {
  const load = performance.getEntriesByType('navigation')[0], paints = performance.getEntriesByType('paint');
  const paint = paints.find((entry) => entry.name === 'first-contentful-paint');
  return load && paint && load.loadEventEnd ? JSON.stringify([paint.startTime, load.loadEventEnd]) : '';
})()"""


def opened(page: Path, times: int = 5) -> dict[str, Any] | str:
    """Open a file in a fresh browser several times.

    Returns:
        Medians of first contentful paint and load event, ms after navigation began, and the slowest load event; or why
        there are none.
    """
    program = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        return "not measured: Chromium is not installed"
    try:
        from websockets.sync.client import connect  # noqa: F401
    except ImportError:
        return "not measured: websockets is not installed"
    found = []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="browser_", ignore_cleanup_errors=True) as profile:
            found.append(_open_once(program, page, Path(profile)))
    paint, load = np.median(found, axis=0)
    return {
        "times": times, "first_contentful_paint_ms": round(paint), "load_event_ms": round(load),
        "slowest_load_event_ms": round(max(entry[1] for entry in found)),
    }  # fmt: skip


def _open_once(program: str, page: Path, profile: Path) -> list[float]:
    from websockets.sync.client import connect

    command = [
        program, "--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-networking",
        "--window-size=1600,1000", f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank",
    ]  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean)
    deadline = time.monotonic() + 60.0
    try:
        port_file = profile / "DevToolsActivePort"
        while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
            _wait(process, deadline)
        port, path = port_file.read_text().splitlines()
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=2**28) as socket:
            number = 0

            def call(method: str, session: str = "", **parameters: Any) -> Any:
                nonlocal number
                number += 1
                message = {"id": number, "method": method, "params": parameters}
                socket.send(json.dumps({**message, "sessionId": session} if session else message))
                while (answer := json.loads(socket.recv(timeout=60.0))).get("id") != number:
                    pass
                return answer["result"]

            target = call("Target.createTarget", url=page.resolve().as_uri())["targetId"]
            session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            while not (answer := call("Runtime.evaluate", session, expression=_SCRIPT)["result"].get("value")):
                _wait(process, deadline)
            return [float(value) for value in json.loads(answer)]
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], deadline: float) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        raise RuntimeError("Chromium has ended, or does not answer")
    time.sleep(0.02)
