"""What pip is asked for beside Ubuntu 24.04 can be had together. Skipped where no package index answers."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging_tools import ROOT

TOOL = runpy.run_path(str(ROOT / "scripts/missing_requirements.py"))
NOBLE = [
    line
    for line in (ROOT / "constraints/rosdep-noble.txt").read_text().splitlines()
    if re.match(r"(numpy|scipy|PyYAML|psutil)==", line)
]
# Ubuntu 24.04: CPython 3.12, glibc 2.39.
TARGET = ["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--only-binary", ":all:"]
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(39, 16, -1)] + ["manylinux2014_x86_64", "linux_x86_64"]


def resolve(folder: Path, requirements: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Have pip resolve, and download what has no metadata of its own, but install nothing."""
    platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command += ["--retries", "0", "--timeout", "10", "--target", str(folder), *TARGET, *platforms, *requirements]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


@cache
def index_answers() -> bool:
    command = [sys.executable, "-m", "pip", "index", "versions", "packaging", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, "--retries", "0", "--timeout", "5"], capture_output=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("set_name", ["demo", pytest.param("test", marks=pytest.mark.nightly)])
def test_a_set_resolves_beside_noble(tmp_path: Path, set_name: str) -> None:
    if not index_answers():
        pytest.skip("no package index answers here; nothing was resolved")
    # colcon comes from the ROS repository; on the index a part of it has no wheel.
    left = [line for line in TOOL["missing"](set_name, "1.26.4", {"cv2"}) if not line.startswith("colcon")]
    assert "numpy==1.26.4" in left and not [line for line in left if line.startswith(("pin", "opencv"))]
    done = resolve(tmp_path, [*left, *NOBLE], 850)
    assert done.returncode == 0, done.stderr[-3000:]


def test_recipe_for_a_workspace_is_the_demo_set() -> None:
    """CONTRIBUTING's one line brings what rosdep does not."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r'^pip install (.+) "numpy==\$\(python3 -c', text, re.MULTILINE)
    keys = {"numpy", "scipy", "PyYAML", "opencv-python-headless"}
    asked = {re.split("[<>=]", line)[0] for line in TOOL["missing"]("demo", "1.26.4", {"cv2"})}
    assert set(recipe.split()) == asked - keys


def test_what_the_system_has_is_not_asked_of_pip() -> None:
    missing = TOOL["missing"]
    assert "pin>=3.0" in missing("demo", "2.3.5", {"cv2"})  # Ubuntu 26.04 without the ROS package
    assert "pin>=3.0" not in missing("demo", "2.3.5", {"cv2", "pinocchio"})
    assert any(line.startswith("opencv") for line in missing("demo", "2.3.5", set()))
    assert set(TOOL["UNREGISTERED"]) <= {re.split("[<>=]", line)[0] for line in TOOL["requirements"]("demo")}
