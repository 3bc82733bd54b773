"""Shared by the packaging tests: an isolated copy of the source and a clean environment for child processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# One executable a node; test_manifest checks that each has its module.
NODES = sorted(path.name for path in (ROOT / "scripts" / "nodes").iterdir() if path.is_file())

# What an installation is made from; a copy keeps build/ and egg-info out of the checkout.
_SOURCES = [
    "package.xml", "setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md",
    "cosmos_ros", "resource", "launch", "config", "embodiments", "models", "scripts/nodes",
]  # fmt: skip


def node_module(name: str) -> str:
    """Return the module that an executable takes its ``main`` from."""
    text = (ROOT / "scripts" / "nodes" / name).read_text(encoding="utf-8")
    (module,) = re.findall(r"from (cosmos_ros\.nodes\.\w+) import main", text)
    return str(module)


def copy_source(target: Path) -> Path:
    """Copy what an installation needs to ``target`` and return it."""
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def clean_environment(**extra: str) -> dict[str, str]:
    """Return an environment in which nothing points at this checkout or at the parent's libraries.

    ``PYTHONPATH`` in ``extra`` goes in front of the folders of a sourced ROS 2.
    """
    environment = dict(os.environ)
    if environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None) is not None:
        environment.pop("LD_LIBRARY_PATH", None)
    for name in ("VIRTUAL_ENV", "COLCON_PREFIX_PATH"):
        environment.pop(name, None)
    inherited = environment.pop("PYTHONPATH", "").split(os.pathsep) if "ROS_DISTRO" in environment else []
    environment.pop("PYTHONPATH", None)
    folders = [extra.pop("PYTHONPATH", ""), *(path for path in inherited if not Path(path).is_relative_to(ROOT))]
    if any(folders):
        environment["PYTHONPATH"] = os.pathsep.join(path for path in folders if path)
    # Executables start with `env python3`, which must be the interpreter that runs the tests.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment.update(extra)
    return environment


def run(command: list[str], cwd: Path, **extra: str) -> str:
    """Run a command to its end and return what it printed; its whole output is the assertion's message."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}"
    return result.stdout
