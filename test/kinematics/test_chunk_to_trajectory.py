"""From an action chunk to the trajectory that a controller runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cosmos_ros.errors import InputError, KinematicsError
from cosmos_ros.kinematics import (
    GripperJoint,
    InverseKinematics,
    ResidualGate,
    RobotModel,
    chunk_to_trajectory,
)
from cosmos_ros.limits import JointLimit
from cosmos_ros.resources import resource
from cosmos_ros.se3 import from_euler_xyz_extrinsic, pose_error, pose_from
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import ActionChunk, JointState, JointTrajectory

LINK = "panda_link8"
JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
FINGER = "panda_finger_joint1"
START = np.array([0.0438, -0.4094, 0.4236, -2.4313, -0.0276, 1.9793, 0.6358])
ACCELERATIONS = dict(zip(JOINTS, [15, 7.5, 10, 12.5, 15, 20, 20], strict=True))
GRIPPERS = {"gripper": GripperJoint(FINGER, closed=0.0, open=0.04, max_velocity=0.1)}
GATE = ResidualGate()
STEPS = 16
TIMES = np.round(np.arange(1, STEPS + 1) * 1e9 / 15).astype(np.int64)


@pytest.fixture(scope="module")
def model() -> RobotModel:
    return RobotModel.from_urdf(resource("embodiments", "urdf", "panda.urdf"))


@pytest.fixture(scope="module")
def solver(model: RobotModel) -> InverseKinematics:
    limits = {name: replace(model.limits[name], acceleration=a) for name, a in ACCELERATIONS.items()}
    return InverseKinematics(model, [LINK], JOINTS, dict(zip(JOINTS, START, strict=True)), limits)


def path(t: np.ndarray) -> np.ndarray:
    return START + 0.15 * np.sin(t[:, None] * np.array([1.0, 0.7, -0.8, 0.6, 1.2, -0.5, 0.9]) * 2)


def flange(model: RobotModel, q: np.ndarray) -> np.ndarray:
    return model.fk_batch(np.column_stack([q, np.zeros(len(q))]), LINK)


def make_chunk(model: RobotModel, q: np.ndarray | None = None, **changes: object) -> ActionChunk:
    q = path(TIMES / 1e9) if q is None else q
    chunk = ActionChunk(
        stamp_ns=5_000_000_000,
        times_ns=TIMES,
        start_poses={LINK: flange(model, START[None])[0]},
        poses={LINK: flange(model, q)},
        grippers={"gripper": np.linspace(1, 0, STEPS)},
    )
    return replace(chunk, **changes)  # type: ignore[arg-type]


def state(
    velocities: np.ndarray | str | None = "still", positions: np.ndarray = START, finger: float = 0.04
) -> JointState:
    """A joint state in another order than the chain's, with a joint that nobody asked for."""
    names = (FINGER, "other", *reversed(JOINTS))
    speed = None
    if isinstance(velocities, np.ndarray):
        speed = np.concatenate([[0.0, 0.0], velocities[::-1]])
    elif velocities == "still":
        speed = np.zeros(9)
    return JointState(4_990_000_000, names, np.concatenate([[finger, 7.0], positions[::-1]]), speed)


def start_velocity() -> np.ndarray:
    return (path(np.array([1e-6])) - path(np.array([-1e-6])))[0] / 2e-6


def test_shape_order_and_start(model: RobotModel, solver: InverseKinematics) -> None:
    chunk = make_chunk(model)
    trajectory, solution = chunk_to_trajectory(chunk, state(start_velocity()), solver, GRIPPERS, GATE)
    assert trajectory.joint_names == (*JOINTS, FINGER)
    assert trajectory.stamp_ns == chunk.stamp_ns
    assert trajectory.accelerations is None
    assert trajectory.times_ns[0] == 0
    np.testing.assert_array_equal(trajectory.times_ns[1 : STEPS + 1], TIMES)
    np.testing.assert_array_equal(trajectory.positions[0], np.append(START, 0.04))
    assert trajectory.velocities is not None
    np.testing.assert_allclose(trajectory.velocities[0, :7], start_velocity(), atol=1e-9)
    assert solution is not None
    np.testing.assert_array_equal(trajectory.positions[1 : STEPS + 1, :7], solution.positions)
    assert solution.converged.all()


def test_executed_cubic_follows_the_tool_path(model: RobotModel, solver: InverseKinematics) -> None:
    chunk = make_chunk(model)
    trajectory, _ = chunk_to_trajectory(chunk, state(start_velocity()), solver, GRIPPERS, GATE)
    curve = piecewise(trajectory)
    at_knots = flange(model, curve(TIMES / 1e9)[:, :7])
    assert pose_error(at_knots, chunk.poses[LINK])[0].max() < 1e-5
    between = np.linspace(0, TIMES[-1] / 1e9, 400)
    # Between the knots the tool stays on the path that the poses were sampled from.
    assert pose_error(flange(model, curve(between)[:, :7]), flange(model, path(between)))[0].max() < 1e-4


def test_ends_at_rest_within_the_accelerations(model: RobotModel, solver: InverseKinematics) -> None:
    chunk = make_chunk(model)
    trajectory, _ = chunk_to_trajectory(chunk, state(start_velocity()), solver, GRIPPERS, GATE)
    assert trajectory.velocities is not None
    assert np.abs(trajectory.velocities[-2]).max() > 0.05
    assert len(trajectory.times_ns) == STEPS + 2
    assert (trajectory.velocities[-1] == 0).all()
    ramp = JointTrajectory(
        trajectory.joint_names, 0, trajectory.times_ns[-2:], trajectory.positions[-2:], trajectory.velocities[-2:]
    )
    accelerations = np.abs(piecewise(ramp).derivative(2)(ramp.times_ns / 1e9))
    assert (accelerations[:, :7] <= np.array(list(ACCELERATIONS.values())) + 1e-6).all()
    # Constant deceleration: the same at both ends of the ramp.
    curve = piecewise(ramp).derivative(2).coefficients[0]
    np.testing.assert_allclose(curve[:7, 1], 0, atol=1e-3)


def test_a_chunk_that_ends_at_rest_gets_no_extra_point(model: RobotModel, solver: InverseKinematics) -> None:
    chunk = make_chunk(model, np.tile(START, (STEPS, 1)), grippers={"gripper": np.ones(STEPS)})
    trajectory, _ = chunk_to_trajectory(chunk, state(), solver, GRIPPERS, GATE)
    assert len(trajectory.times_ns) == STEPS + 1
    assert trajectory.velocities is not None
    assert (trajectory.velocities[-1] == 0).all()
    np.testing.assert_allclose(trajectory.positions[-1], np.append(START, 0.04), atol=1e-6)


@pytest.mark.parametrize("missing", [None, np.full(7, np.nan)])
def test_unmeasured_start_velocities_are_those_of_the_path(
    model: RobotModel, solver: InverseKinematics, missing: np.ndarray | None
) -> None:
    trajectory, _ = chunk_to_trajectory(make_chunk(model), state(missing), solver, {}, GATE)
    assert trajectory.velocities is not None
    jacobian = model.jacobian(np.append(START, 0), LINK)[:, :7]
    np.testing.assert_allclose(jacobian @ trajectory.velocities[0], jacobian @ start_velocity(), atol=0.01)


def test_gate_names_step_link_residual_and_limit(model: RobotModel, solver: InverseKinematics) -> None:
    chunk = make_chunk(model)
    poses = chunk.poses[LINK].copy()
    poses[11:, 0, 3] += 2.0
    with pytest.raises(KinematicsError, match=rf"step 12 of 16: {LINK} misses its pose by \d+\.\d\d mm"):
        chunk_to_trajectory(replace(chunk, poses={LINK: poses}), state(), solver, GRIPPERS, GATE)
    # Joint 4 may not open as far as the path asks.
    limits = {"panda_joint4": JointLimit(lower=-3.0, upper=START[3] + 0.05, velocity=2.0)}
    tight = InverseKinematics(model, [LINK], JOINTS, limits=limits)
    with pytest.raises(KinematicsError, match=r"panda_joint4 is at its upper limit -2\.381"):
        chunk_to_trajectory(chunk_towards(model, reach=0.12), state(), tight, {}, GATE)


def chunk_towards(model: RobotModel, reach: float) -> ActionChunk:
    """Straight out along the line from the shoulder: only joint 4 can lengthen the arm."""
    home = flange(model, START[None])[0]
    out = home[:3, 3] - [0, 0, 0.333]
    poses = np.tile(home, (STEPS, 1, 1))
    poses[:, :3, 3] += np.linspace(0, reach, STEPS + 1)[1:, None] * out / np.linalg.norm(out)
    return make_chunk(model, poses={LINK: poses}, grippers={})


def test_gripper_goes_no_faster_than_it_may_and_never_overshoots(model: RobotModel, solver: InverseKinematics) -> None:
    step = np.where(np.arange(STEPS) < 4, 1.0, 0.0)
    chunk = make_chunk(model, grippers={"gripper": step})
    trajectory, _ = chunk_to_trajectory(chunk, state(), solver, GRIPPERS, GATE)
    curve = piecewise(trajectory)
    samples = np.linspace(0, trajectory.times_ns[-1] / 1e9, 3000)
    finger, speed = curve(samples)[:, 7], curve.derivative()(samples)[:, 7]
    assert finger.min() >= -1e-9
    assert finger.max() <= 0.04 + 1e-9
    assert np.abs(speed).max() <= 0.1 + 1e-9
    assert trajectory.positions[4, 7] == 0.04
    assert trajectory.positions[-1, 7] == pytest.approx(0.0)
    assert (np.diff(finger) <= 1e-12).all()


def test_gripper_without_a_known_speed_takes_the_joints_limit(model: RobotModel, solver: InverseKinematics) -> None:
    grippers = {"gripper": GripperJoint(FINGER, closed=0.0, open=0.04)}
    chunk = make_chunk(model, grippers={"gripper": np.zeros(STEPS)})
    trajectory, _ = chunk_to_trajectory(chunk, state(), solver, grippers, GATE)
    samples = np.linspace(0, trajectory.times_ns[-1] / 1e9, 3000)
    fastest = np.abs(piecewise(trajectory).derivative()(samples)[:, 7]).max()
    assert 0.1 < fastest <= 0.2 + 1e-9


def test_gripper_that_moves_at_the_start_is_not_thrown_past_its_end(
    model: RobotModel, solver: InverseKinematics
) -> None:
    start = state(np.zeros(7))
    assert start.velocities is not None
    start.velocities[0] = -0.5
    chunk = make_chunk(model, grippers={"gripper": np.full(STEPS, 0.1)})
    trajectory, _ = chunk_to_trajectory(chunk, replace(start), solver, GRIPPERS, GATE)
    finger = piecewise(trajectory)(np.linspace(0, 1, 2000))[:, 7]
    assert finger.min() >= 0.004 - 1e-9


def test_grippers_map_fractions_to_joint_positions() -> None:
    knuckle = GripperJoint("knuckle", closed=0.8, open=0.0)
    np.testing.assert_allclose(knuckle.position([0.0, 0.25, 1.0, 1.5, -1.0]), [0.8, 0.6, 0.0, 0.0, 0.8])
    np.testing.assert_allclose(knuckle.fraction([0.8, 0.6, 0.0]), [0.0, 0.25, 1.0])


def test_grippers_without_a_joint_are_left_out(model: RobotModel, solver: InverseKinematics) -> None:
    trajectory, _ = chunk_to_trajectory(make_chunk(model), state(), solver, {}, GATE)
    assert trajectory.joint_names == JOINTS


def test_joint_space_chunks_need_no_solver(model: RobotModel) -> None:
    q = path(TIMES / 1e9)
    chunk = make_chunk(model, poses={}, joint_names=JOINTS, joint_positions=q)
    trajectory, solution = chunk_to_trajectory(chunk, state(start_velocity()), None, GRIPPERS, GATE)
    assert solution is None
    np.testing.assert_array_equal(trajectory.positions[1 : STEPS + 1, :7], q)
    assert trajectory.joint_names == (*JOINTS, FINGER)
    assert trajectory.velocities is not None
    assert (trajectory.velocities[-1] == 0).all()


def test_one_row(model: RobotModel, solver: InverseKinematics) -> None:
    chunk = make_chunk(model, path(TIMES[:1] / 1e9), times_ns=TIMES[:1], grippers={"gripper": np.ones(1)})
    trajectory, _ = chunk_to_trajectory(chunk, state(), solver, GRIPPERS, GATE)
    assert np.isfinite(trajectory.positions).all()
    assert trajectory.velocities is not None
    assert np.isfinite(trajectory.velocities).all()
    assert (np.diff(trajectory.times_ns) > 0).all()


def test_what_is_wrong_is_named(model: RobotModel, solver: InverseKinematics) -> None:
    chunk = make_chunk(model)
    q = path(TIMES / 1e9)
    q[3, 2] = np.nan
    bad_joints = make_chunk(model, poses={}, joint_names=JOINTS, joint_positions=q)
    short = make_chunk(model, poses={}, joint_names=JOINTS[:6], joint_positions=path(TIMES / 1e9))
    nan_pose = chunk.poses[LINK].copy()
    nan_pose[5, 0, 3] = np.nan
    broken_start = state(positions=np.where(np.arange(7) == 2, np.nan, START))
    no_finger = JointState(0, JOINTS, START)
    cases: list[tuple[ActionChunk, JointState, InverseKinematics | None, type[Exception], str]] = [
        (chunk, state(), None, KinematicsError, "no inverse kinematics"),
        (bad_joints, state(), None, InputError, "step 4: joint 'panda_joint3' is not finite"),
        (short, state(), None, InputError, r"expected \[16, 6\]"),
        (replace(chunk, poses={LINK: nan_pose}), state(), solver, InputError, "pose 5 is not finite"),
        (replace(chunk, poses={}), state(), solver, InputError, f"{LINK}: no poses"),
        (replace(chunk, times_ns=TIMES[::-1]), state(), solver, InputError, "row 1 is not after"),
        (replace(chunk, times_ns=TIMES[:0]), state(), solver, InputError, "no rows"),
        (chunk, broken_start, solver, InputError, "'panda_joint3' is not finite"),
        (chunk, no_finger, solver, InputError, f"'{FINGER}' is not in the joint state"),
        (replace(chunk, grippers={"gripper": np.full(STEPS, np.nan)}), state(), solver, InputError, "gripper"),
        (replace(chunk, grippers={"gripper": np.ones(3)}), state(), solver, InputError, "16 finite numbers"),
    ]
    for given, start, with_solver, error, match in cases:
        with pytest.raises(error, match=match):
            chunk_to_trajectory(given, start, with_solver, GRIPPERS, GATE)


def test_real_episode_in_chunks(model: RobotModel, solver: InverseKinematics) -> None:
    """All of a real DROID episode, chunk after chunk, each from where the one before arrived."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "droid"
    file = Path(os.environ.get("COSMOS_ROS_DROID", default)) / "episode.parquet"
    if not file.is_file():
        pytest.skip(f"DROID sample not found at {file.parent}; set COSMOS_ROS_DROID")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = np.array(parquet.read_table(file)["observation.state.cartesian_position"].to_pylist())
    poses = pose_from(rows[:, :3], from_euler_xyz_extrinsic(rows[:, 3:]))
    distance, angle = pose_error(flange(model, START[None])[0], poses[0])
    assert distance < 1e-4  # the joints are known to four digits
    assert angle < 1e-4
    now, velocity, worst = START, np.zeros(7), 0.0
    for row in range(0, len(poses) - STEPS, STEPS):
        chunk = make_chunk(model, poses={LINK: poses[row + 1 : row + 1 + STEPS]}, grippers={})
        trajectory, solution = chunk_to_trajectory(chunk, state(velocity, now), solver, {}, GATE)
        assert solution is not None and trajectory.velocities is not None
        assert solution.converged.all()
        worst = max(worst, float(solution.position_residuals.max()))
        now, velocity = trajectory.positions[STEPS], trajectory.velocities[STEPS]
        limits = [model.limits[name] for name in JOINTS]
        speeds = np.abs(piecewise(trajectory).derivative()(np.linspace(0, STEPS / 15, 300)))
        assert (speeds <= [limit.velocity for limit in limits]).all()
    assert worst < 1e-6
