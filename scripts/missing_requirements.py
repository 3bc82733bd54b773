"""Print what pip must add to an environment that sees a sourced ROS 2 installation, one requirement a line.

The system's own numpy is kept, since apt's OpenCV and cv_bridge are compiled against it, and OpenCV is left out where
``cv2`` is importable, since apt's build registers no Python distribution that pip could see.

Usage: python missing_requirements.py demo|test|cosmos3
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys

_DEMO = ("kinematics", "sim", "bags")
EXTRAS = {"demo": _DEMO, "test": (*_DEMO, "lerobot", "network", "test", "dev"), "cosmos3": ("cosmos3",)}


def main(set_name: str) -> int:
    """Print the requirements of a set."""
    for requirement in importlib.metadata.requires("cosmos_ros") or []:
        text, _, marker = requirement.partition(";")
        extra = re.search(r"""extra == ['"]([^'"]+)['"]""", marker)
        if extra is not None and extra.group(1) not in EXTRAS[set_name]:
            continue
        name = re.split(r"[\[<>=!~ ]", text.strip(), maxsplit=1)[0]
        if name == "opencv-python-headless" and importlib.util.find_spec("cv2") is not None:
            continue
        if name == "numpy":
            text = f"numpy=={importlib.metadata.version('numpy')}"
        print(text.strip())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
