"""How soon headless Chromium shows a page: the page's own navigation timing, read through the DevTools protocol."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "viewing"))
from devtools import find_chromium, opened_page

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
    program = find_chromium()
    if program is None:
        return "not measured: Chromium is not installed"
    if find_spec("websockets") is None:
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
    deadline = time.monotonic() + 60.0
    with opened_page(program, page.resolve().as_uri(), profile) as call:
        while not (answer := call("Runtime.evaluate", expression=_SCRIPT)["result"].get("value")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{page} was not shown within a minute")
            time.sleep(0.02)
    return [float(value) for value in json.loads(answer)]
