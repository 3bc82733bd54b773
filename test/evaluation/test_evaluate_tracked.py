"""Evaluations of a hand-held gripper: no joints, the tool's pose and the gripper's width are recorded."""

from __future__ import annotations

import math
from pathlib import Path

import evaluation_bags as eb
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.evaluation.evaluate import evaluate
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.results_folder import iterate_records
from cosmos_ros.messages import compress
from cosmos_ros.recordings.interpolation import interpolate
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.types import Observation

FPS, STEPS = 10, 40
SPIN, SPEED = 0.4, 0.05  # rad/s about its own z, m/s along its own x


def pose_at(seconds: float) -> np.ndarray:
    """A constant twist of the tool: a circle."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0, 0, SPIN * seconds]).as_matrix()
    radius = SPEED / SPIN
    pose[:3, 3] = [radius * math.sin(SPIN * seconds), radius * (1 - math.cos(SPIN * seconds)), 0.3]
    return pose


def write(path: Path, *, widths: bool = True, pose_topic: str = "/camera/pose", gap: tuple = (9e9, 9e9)) -> Path:
    events = [(round(k * 1e9 / FPS), "image", k) for k in range(STEPS)]
    events += [(round(k * 1e9 / 60), "pose", k) for k in range(STEPS * 6)]
    with BagWriter(path) as bag:
        bag.add_topic("/wrist/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        bag.add_topic(pose_topic, "geometry_msgs/msg/PoseStamped")
        if widths:
            bag.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        for at, kind, k in sorted(events):
            stamp = eb.START + at
            if kind == "image":
                payload = compress(eb.picture(k), image_format="png")
                image = bag.factory.compressed_image(payload, stamp_ns=stamp, frame_id="wrist", image_format="png")
                bag.write_message("/wrist/image_raw/compressed", stamp + 1, image)
                continue
            if gap[0] < at * 1e-9 < gap[1]:
                continue
            pose = pose_at(at * 1e-9)
            quaternion = Rotation.from_matrix(pose[:3, :3]).as_quat()
            message = bag.factory.pose_stamped(pose[:3, 3], quaternion, stamp_ns=stamp, frame_id="world")
            if widths:
                state = bag.factory.joint_state(("gripper",), np.array([0.08]), None, stamp_ns=stamp)
                bag.write_message("/joint_states", stamp, state)
            bag.write_message(pose_topic, stamp + 1, message)
    return path


def options(bag: Path, out: Path, **keywords) -> EvaluationOptions:
    values = {"world_model": "persistence", "baselines": ("flow", "constant_velocity"), **keywords}
    return EvaluationOptions(bags=(bag,), out=out, embodiment="umi", **values)


def test_a_tracked_tool_is_evaluated(tmp_path: Path) -> None:
    bag = write(tmp_path / "circle")
    outcome = evaluate(options(bag, tmp_path / "out"))
    assert outcome.complete and outcome.metrics["chunks"] == 3
    held, turned = (outcome.metrics["predictors"][name]["figures"] for name in ("model", "constant_velocity"))
    # At 0.5 s, step 5 of 10 a second.
    assert held["policy.tool.deg@0.5s"]["mean"] == pytest.approx(math.degrees(SPIN * 0.5), abs=1e-4)
    chord = 2 * (SPEED / SPIN) * math.sin(SPIN * 0.25) * 100
    assert held["policy.tool.cm@0.5s"]["mean"] == pytest.approx(chord, abs=1e-3)
    # Constant, in the recorded motion too; the statistics' clamp lets this motion through.
    assert turned["policy.tool.deg@0.5s"]["median"] == pytest.approx(0.0, abs=0.05)
    assert held["policy.gripper.accuracy"]["mean"] == 1.0
    assert held["inverse_dynamics.tool.deg@0.5s"]["mean"] == pytest.approx(math.degrees(SPIN * 0.5), abs=1e-4)
    assert held["forward_dynamics.gap.psnr"]["mean"] == 0.0
    assert outcome.metrics["predictors"]["model"]["guard"] is None
    assert "recorded.jerk" not in held
    failures = outcome.metrics["predictors"]["model"]["failures"]
    assert all("the recorded motion has a gap or ends" in text for text in failures)
    with BagReader(tmp_path / "out" / "annotated") as annotated:
        markers = [annotated.decode(e) for e in annotated.messages(["/predictor/rollout/markers"])]
    assert [m.ns for m in markers[0].markers] == ["camera/predicted", "camera/actual"]
    assert np.allclose([markers[0].markers[1].points[10].x], pose_at(1.0)[0, 3], atol=1e-9)
    again = evaluate(options(bag, tmp_path / "again"))
    assert again.metrics == outcome.metrics


def test_a_gap_in_the_poses_is_counted(tmp_path: Path) -> None:
    bag = write(tmp_path / "gap", gap=(1.0, 1.5), pose_topic="/tracker")
    outcome = evaluate(options(bag, tmp_path / "out", tool_poses={"camera": "/tracker"}, baselines=()))
    assert next(iter(iterate_records(tmp_path / "out")))["steps_recorded"] == 10
    assert outcome.metrics["incomplete"]["chunks_without_all_joint_states"] >= 1


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    bag = write(tmp_path / "bare", widths=False)
    with pytest.raises(InputError, match="no topic /hand"):
        evaluate(options(bag, tmp_path / "1", tool_poses={"camera": "/hand"}))
    with pytest.raises(ConfigError, match="elbow are not tracked: umi has camera"):
        evaluate(options(bag, tmp_path / "2", tool_poses={"elbow": "/camera/pose"}))
    # Without widths nothing says how to hold the gripper: every prediction fails, and that is counted.
    metrics = evaluate(options(bag, tmp_path / "3", baselines=())).metrics
    assert any("hold_action" in text for text in metrics["predictors"]["model"]["failures"])


def test_between_two_states() -> None:
    def state(ms: int, seconds: float, width: float) -> Observation:
        poses = {"camera": pose_at(seconds)}
        return Observation(ms * 10**6, {}, {}, None, tool_poses=poses, gripper_widths={"gripper": width})

    states = [state(100, 0.0, 0.02), state(200, 1.0, 0.06)]
    middle = interpolate(states, 150 * 10**6, 10**9)
    assert middle.gripper_widths["gripper"] == pytest.approx(0.04)
    turn = Rotation.from_matrix(middle.tool_poses["camera"][:3, :3]).as_rotvec()
    assert turn == pytest.approx([0, 0, SPIN / 2])
    assert interpolate(states, 200 * 10**6, 10**9) is states[1]
    assert interpolate(states, 150 * 10**6, 10**7) is None
    assert interpolate(states, 99 * 10**6, 10**9) is None
