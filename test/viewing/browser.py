"""Screenshots of a page in headless Chromium."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from devtools import find_chromium, opened_page

# WebGL in software.
_SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@contextmanager
def page(url: str, profile: Path, size: tuple[int, int] = (1600, 1000)) -> Iterator[Callable[[], np.ndarray]]:
    """Open a page; gives a function that takes a screenshot ``uint8 [H, W, 3]`` RGB. Skips without Chromium."""
    pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed")
    with opened_page(program, url, profile, _SOFTWARE, size) as call:

        def screenshot() -> np.ndarray:
            data = base64.b64decode(call("Page.captureScreenshot", format="png")["data"])
            return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

        yield screenshot
