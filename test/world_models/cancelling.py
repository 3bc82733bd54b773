"""Cancels a model's predictions from another thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def cancelled_again_and_again(model: Any) -> Iterator[None]:
    """Cancel whatever runs, until the block is left: however slow the machine, a cancel falls between two steps."""
    left = threading.Event()

    def cancel() -> None:
        while not left.wait(0.002):
            model.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
