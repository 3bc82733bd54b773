"""Shared pieces of the simulator's tests. MuJoCo is the ``sim`` extra: without it nothing here is collected."""

from __future__ import annotations

import importlib.util

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("mujoco") else ["test_*.py"]


@pytest.fixture(scope="session")
def franka():
    from cosmos_ros.embodiment import load_embodiment

    return load_embodiment("franka")


@pytest.fixture(scope="session")
def gl() -> str:
    """The GL backend; skips where nothing renders off screen."""
    from cosmos_ros.sim.rendering import CAN_RENDER, GL_BACKEND, INSTALL_HINT

    if not CAN_RENDER:
        pytest.skip(f"no off-screen OpenGL. {INSTALL_HINT}")
    return GL_BACKEND
