"""Print what pip must add to an environment that sees a sourced ROS 2 installation, one requirement a line.

The system's own numpy is kept, since apt's OpenCV and cv_bridge are compiled against it, and OpenCV is left out where
``cv2`` is importable, since apt's build registers no Python distribution that pip could see.

Usage: python missing_requirements.py demo|test|cosmos3
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import runpy
import sys
from pathlib import Path
from unittest import mock

_DEMO = ("cli", "kinematics", "sim", "bags", "compact")
EXTRAS = {
    "demo": _DEMO,
    "test": (*_DEMO, "lerobot", "network", "ray", "test", "dev"),
    "cosmos3": ("cli", "cosmos3", "kinematics", "sim", "training"),
}


def requirements(set_name: str) -> list[str]:
    """Return the requirements of a set as setup.py declares them."""
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(Path(__file__).resolve().parents[1] / "setup.py"))
    declared = setup.call_args.kwargs
    every = list(declared["install_requires"])
    for extra in EXTRAS[set_name]:
        every += declared["extras_require"][extra]
    return list(dict.fromkeys(every))


def main(set_name: str) -> int:
    """Print the requirements that are left to install."""
    for requirement in requirements(set_name):
        name = re.split(r"[\[<>=!~ ]", requirement, maxsplit=1)[0]
        if name == "opencv-python-headless" and importlib.util.find_spec("cv2") is not None:
            continue
        if name == "numpy":
            requirement = f"numpy=={importlib.metadata.version('numpy')}"
        print(requirement)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
