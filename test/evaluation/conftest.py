from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import recordings


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of two cameras, joints and an instruction."""
    return recordings.write(tmp_path_factory.mktemp("bags") / "recording")


@pytest.fixture(scope="session")
def droid() -> Path:
    """The real DROID episode, where it is at hand."""
    folder = Path(os.environ.get("COSMOS_ROS_DROID", Path(__file__).resolve().parents[3] / "shared/data/droid"))
    if not (folder / "episode.parquet").is_file():
        pytest.skip("the DROID sample is not at ../shared/data/droid and COSMOS_ROS_DROID is not set")
    return folder
