"""Print what pip must add to an environment that sees a sourced ROS 2 installation, one requirement a line.

The system's own numpy is kept, since apt's OpenCV and cv_bridge are compiled against it. OpenCV and Pinocchio are left
out where they can be imported, since those of apt register no Python distribution that pip could see; and Pinocchio
beside NumPy 1, for which pip has none of the needed version: the ROS package pinocchio has, and NumPy does the same.

Usage: python missing_requirements.py demo|test|cosmos3
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import runpy
import sys
from collections.abc import Collection
from pathlib import Path
from unittest import mock

_DEMO = ("cli", "kinematics", "sim", "bags", "compact")
EXTRAS = {
    "demo": _DEMO,
    "test": (*_DEMO, "lerobot", "network", "ray", "test", "dev"),
    "cosmos3": ("cli", "cosmos3", "kinematics", "sim", "training"),
}
# Distribution -> what is imported of it, where the system may have it without pip's knowledge.
UNREGISTERED = {"opencv-python-headless": "cv2", "pin": "pinocchio"}


def requirements(set_name: str) -> list[str]:
    """Return the requirements of a set as setup.py declares them."""
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(Path(__file__).resolve().parents[1] / "setup.py"))
    declared = setup.call_args.kwargs
    every = list(declared["install_requires"])
    for extra in EXTRAS[set_name]:
        every += declared["extras_require"][extra]
    return list(dict.fromkeys(every))


def missing(set_name: str, numpy: str, importable: Collection[str]) -> list[str]:
    """Return the requirements of a set that are left to pip.

    Args:
        set_name: ``demo``, ``test`` or ``cosmos3``.
        numpy: The system's version.
        importable: Those of ``UNREGISTERED``'s modules that the system has.
    """
    left = []
    for requirement in requirements(set_name):
        name = re.split(r"[\[<>=!~ ]", requirement, maxsplit=1)[0]
        if UNREGISTERED.get(name) in importable or (name == "pin" and numpy.startswith("1.")):
            continue
        left.append(f"numpy=={numpy}" if name == "numpy" else requirement)
    return left


def main(set_name: str) -> int:
    """Print the requirements that are left to install."""
    importable = [module for module in UNREGISTERED.values() if importlib.util.find_spec(module) is not None]
    print("\n".join(missing(set_name, importlib.metadata.version("numpy"), importable)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
