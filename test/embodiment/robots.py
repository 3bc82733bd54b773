"""What the tests of this folder share: loaded embodiments, states, images, the sample data."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cosmos_ros.embodiment import Embodiment, RecordedStates, StateColumns, list_embodiments, load_embodiment
from cosmos_ros.types import JointState, Observation

ROOT = Path(__file__).resolve().parents[2]
NAMES = list_embodiments()
POSE_NAMES = [name for name in NAMES if name != "franka_joint"]


@cache
def embodiment(name: str) -> Embodiment:
    return load_embodiment(name)


def sample(variable: str, relative: str) -> Path:
    """Return the path of shared sample data, or skip saying where it was looked for."""
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / "data" / relative))
    if not path.exists():
        pytest.skip(f"sample data not found at {path}; set {variable}")
    return path


def droid_episode() -> tuple[Path, StateColumns]:
    """Return the DROID episode and the columns in which it says where the tool and the gripper were; may skip."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    columns = StateColumns(
        poses="observation.state.cartesian_position",
        pose_format="xyz_euler",
        grippers={"gripper": "action.gripper_position"},
    )
    return sample("COSMOS_ROS_DROID", "droid") / "episode.parquet", columns


def random_walk(
    robot: Embodiment, steps: int, seed: int, metres: float = 0.01, radians: float = 0.03
) -> RecordedStates:
    """Return a random walk of every tool and gripper, steps + 1 states."""
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(seed)
    poses, joints = {}, None
    if robot.layout.joints:
        lower = np.array([robot.limits.joints[n].lower for n in robot.joint_names])
        upper = np.array([robot.limits.joints[n].upper for n in robot.joint_names])
        joints = rng.uniform(lower, upper, (steps + 1, len(lower)))
    else:
        for link in robot.tool_links:
            pose = np.eye(4)
            pose[:3, 3] = rng.uniform(-1, 1, 3)
            pose[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 31))).as_matrix()
            walk = np.empty((steps + 1, 4, 4))
            turns = Rotation.from_rotvec(rng.normal(0, radians, (steps, 3))).as_matrix()
            moves = rng.normal(0, metres, (steps, 3))
            for k in range(steps + 1):
                walk[k] = pose
                if k < steps:
                    step = np.eye(4)
                    step[:3, :3], step[:3, 3] = turns[k], moves[k]
                    pose = pose @ step
            poses[link] = walk
    return RecordedStates(
        joint_names=robot.joint_names if joints is not None else (),
        joint_positions=joints,
        tool_poses=poses,
        gripper_openings={name: rng.uniform(0, 1, steps + 1) for name in robot.spec.grippers},
    )


def joint_state(robot: Embodiment, stamp_ns: int = 0, **changes: float) -> JointState:
    """Return the home posture as a joint state, with some joints elsewhere."""
    values = {**robot.home, **changes}
    return JointState(stamp_ns, tuple(values), np.array(list(values.values()), dtype=np.float64))


def images(robot: Embodiment, height: int = 360, width: int = 640, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {view: rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for view in robot.views}


def observation(robot: Embodiment, stamp_ns: int = 0, seed: int = 0, previous=None, **changes: float) -> Observation:
    pictures = images(robot, seed=seed)
    poses = {}
    widths = {}
    if not robot.has_joints:
        poses = {link: np.eye(4) for link in robot.tool_links}
        widths = {name: 0.05 for name, gripper in robot.spec.grippers.items() if gripper.width is not None}
    return Observation(
        stamp_ns=stamp_ns,
        images=pictures,
        image_stamps_ns=dict.fromkeys(pictures, stamp_ns),
        joints=joint_state(robot, stamp_ns, **changes) if robot.has_joints else None,
        instruction="pick up the red cube",
        previous=previous,
        tool_poses=poses,
        gripper_widths=widths,
    )
