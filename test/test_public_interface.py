"""The public names: there, lazily imported, documented, and light."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cosmos_ros as cr


def test_every_public_name_is_there_and_documented():
    for name in cr.__all__:
        value = getattr(cr, name)
        assert name == "__version__" or inspect.getdoc(value), name
    assert set(cr.__all__) <= set(dir(cr))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = cr.no_such_name


def test_type_checkers_see_every_public_name_where_it_comes_from():
    tree = ast.parse(Path(cr.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {line.names[0].asname: line.module for line in block.body if isinstance(line, ast.ImportFrom)}
    seen.pop(None)  # what the file itself needs
    assert seen == cr._MODULES


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, cosmos_ros\n"
        "cosmos_ros.Guard, cosmos_ros.GuardSettings()\n"
        "print(sorted({'cv2', 'torch', 'mujoco', 'rclpy', 'rosbags', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_trajectory_is_guarded_in_four_lines():
    franka = cr.load_embodiment("franka")
    home = dict(zip(franka.joint_names, (0.0, -0.7854, 0.0, -2.3562, 0.0, 1.5708, 0.7854, 0.04), strict=False))
    arm = franka.controllers[0][1]
    positions = np.tile([home[name] for name in arm], (3, 1))
    positions[1:, 0] += [0.2, 4.0]
    trajectory = cr.JointTrajectory.from_seconds(arm, [0.0, 1.0, 2.0], positions)
    verdict = cr.Guard.for_embodiment(franka).judge(trajectory, cr.GuardContext.now(home))
    assert verdict.response is not cr.Response.ACCEPT
    assert "panda_joint1" in verdict.summary
