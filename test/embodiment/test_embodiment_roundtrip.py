"""decode(encode(x)) is x, and the algebra behind it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from robots import NAMES, POSE_NAMES, embodiment, random_walk
from scipy.spatial.transform import Rotation

from cosmos_ros.embodiment import RecordedStates
from cosmos_ros.se3 import pose_error
from cosmos_ros.types import ActionSpace


def decode(robot, encoded, physical=False):
    rows = encoded.physical if physical else encoded.unclamped
    return robot.decode_actions(rows, encoded.start_poses, physical=physical, thorough=False)


@pytest.mark.parametrize("name", NAMES)
def test_random_walk_of_10000_steps_comes_back(name):
    robot = embodiment(name)
    states = random_walk(robot, 10_000, seed=3)
    encoded = robot.encode(states)
    chunk = decode(robot, encoded)
    for link, poses in states.tool_poses.items():
        metres, radians = pose_error(chunk.poses[link], poses[1:])
        assert metres.max() <= 1e-9
        assert radians.max() <= 1e-9
    if states.joint_positions is not None:
        np.testing.assert_allclose(chunk.joint_positions, states.joint_positions[1:], rtol=0, atol=1e-9)
    for grip in robot.layout.grips:
        recorded = states.gripper_openings[grip.gripper]
        expected = recorded[grip.offset : grip.offset + 10_000]
        np.testing.assert_allclose(chunk.grippers[grip.gripper], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", POSE_NAMES)
def test_actions_do_not_depend_on_where_the_base_stands(name):
    robot = embodiment(name)
    states = random_walk(robot, 20, seed=5)
    base = np.eye(4)
    base[:3, :3] = Rotation.from_rotvec([0.3, -1.1, 2.0]).as_matrix()
    base[:3, 3] = [3.0, -2.0, 1.0]
    moved = RecordedStates(
        tool_poses={link: base @ poses for link, poses in states.tool_poses.items()},
        gripper_openings=states.gripper_openings,
    )
    np.testing.assert_allclose(robot.encode(moved).physical, robot.encode(states).physical, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_times_are_whole_nanoseconds_of_the_domain_rate(name):
    robot = embodiment(name)
    chunk = decode(robot, robot.encode(random_walk(robot, 45, seed=1)))
    exact = (np.arange(1, 46) * 10**9) / robot.fps
    assert chunk.times_ns.dtype == np.int64
    assert np.abs(chunk.times_ns - exact).max() <= 0.5


@given(
    rows=arrays(np.float64, (5, 10), elements=st.floats(-3.0, 3.0)),
    name=st.sampled_from(["franka", "franka_robomind", "widowx250s", "umi", "google_robot", "ur5e"]),
)
@settings(max_examples=100, deadline=None)
def test_normaliser_is_its_own_inverse_and_clamps_once(rows, name):
    normaliser = embodiment(name).normaliser
    np.testing.assert_allclose(normaliser.normalise(normaliser.denormalise(rows)), rows, rtol=0, atol=1e-9)
    clamped, changed = normaliser.clamp(rows)
    assert np.abs(clamped).max() <= 1.0
    np.testing.assert_array_equal(clamped[~changed], np.clip(rows, -1, 1)[~changed])
    again, changed_again = normaliser.clamp(clamped)
    np.testing.assert_array_equal(again, clamped)
    assert not changed_again.any()


@given(
    turn=arrays(np.float64, 3, elements=st.floats(-1.5, 1.5)),
    move=arrays(np.float64, 3, elements=st.floats(-0.5, 0.5)),
    name=st.sampled_from(POSE_NAMES),
)
@settings(max_examples=60, deadline=None)
def test_one_step_of_any_size_comes_back(turn, move, name):
    robot = embodiment(name)
    step = np.eye(4)
    step[:3, :3], step[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), move
    start = np.eye(4)
    start[:3, 3] = [0.3, 0.1, 0.4]
    states = RecordedStates(
        tool_poses={link: np.stack([start, start @ step]) for link in robot.tool_links},
        gripper_openings={gripper: np.array([0.25, 0.75]) for gripper in robot.spec.grippers},
    )
    chunk = decode(robot, robot.encode(states))
    for link in robot.tool_links:
        metres, radians = pose_error(chunk.poses[link][-1], start @ step)
        assert metres <= 1e-9
        assert radians <= 1e-9


@pytest.mark.parametrize("name", [name for name in NAMES if embodiment(name).has_joints and name != "franka_joint"])
def test_joints_and_their_forward_kinematics_give_the_same_actions(name):
    robot = embodiment(name)
    rng = np.random.default_rng(7)
    home = np.array([robot.home[joint] for joint in robot.joint_names])
    positions = home + np.cumsum(rng.normal(0, 0.004, (12, len(home))), axis=0)
    openings = {gripper: rng.uniform(0, 1, 12) for gripper in robot.spec.grippers}
    from_joints = robot.encode(RecordedStates(robot.joint_names, positions, gripper_openings=openings))
    full = [dict(zip(robot.joint_names, row, strict=True)) for row in positions]
    poses = {link: np.stack([robot.robot.fk({**robot.home, **q}, link) for q in full]) for link in robot.tool_links}
    from_poses = robot.encode(RecordedStates(tool_poses=poses, gripper_openings=openings))
    np.testing.assert_allclose(from_joints.physical, from_poses.physical, rtol=0, atol=1e-12)
    # The order in which joints are recorded does not matter.
    order = rng.permutation(len(home))
    names = tuple(robot.joint_names[i] for i in order)
    shuffled = robot.encode(RecordedStates(names, positions[:, order], gripper_openings=openings))
    np.testing.assert_array_equal(shuffled.physical, from_joints.physical)


def test_joint_space_rows_decode_to_joints_and_their_tool_poses():
    """A policy that speaks joints may answer for the embodiment that speaks poses."""
    robot = embodiment("franka")
    home = np.array([robot.home[joint] for joint in robot.joint_names])
    rows = np.column_stack([home + np.linspace(0, 0.05, 32)[:, None], np.linspace(1, 0, 32)])
    chunk = robot.decode_actions(
        rows, {"panda_link8": robot.robot.fk(robot.home, "panda_link8")}, space=ActionSpace.JOINT
    )
    assert chunk.joint_names == robot.joint_names
    np.testing.assert_array_equal(chunk.joint_positions, rows[:, :7])
    np.testing.assert_array_equal(chunk.grippers["gripper"], rows[:, 7])
    np.testing.assert_allclose(chunk.gripper_widths["gripper"], 0.08 * rows[:, 7])
    last = {**robot.home, **dict(zip(robot.joint_names, rows[-1, :7], strict=True))}
    np.testing.assert_allclose(chunk.poses["panda_link8"][-1], robot.robot.fk(last, "panda_link8"), atol=1e-12)


def test_physical_rows_skip_the_normaliser():
    robot = embodiment("umi")
    states = random_walk(robot, 8, seed=2)
    encoded = robot.encode(states)
    normalised, physical = decode(robot, encoded), decode(robot, encoded, physical=True)
    np.testing.assert_allclose(physical.poses["camera"], normalised.poses["camera"], rtol=0, atol=1e-12)
    widths = 0.11 * states.gripper_openings["gripper"][1:]
    np.testing.assert_allclose(physical.gripper_widths["gripper"], widths, atol=1e-12)


def test_av_translations_are_scaled_and_rotations_are_not():
    robot = embodiment("av")
    states = random_walk(robot, 4, seed=9)
    encoded = robot.encode(states)
    np.testing.assert_allclose(encoded.actions[:, :3], 1.35 * encoded.physical[:, :3], rtol=1e-14)
    np.testing.assert_array_equal(encoded.actions[:, 3:], encoded.physical[:, 3:])


def test_clamped_share_counts_what_the_clamp_changed():
    robot = embodiment("franka")
    slow, fast = random_walk(robot, 200, seed=1, metres=1e-3, radians=3e-3), random_walk(robot, 200, seed=1, metres=0.1)
    assert robot.encode(slow).clamped_share < 0.02
    encoded = robot.encode(fast)
    assert encoded.clamped_share == pytest.approx(np.mean(np.abs(encoded.unclamped) > 1 + 1e-9))
    assert np.abs(encoded.actions).max() == 1.0
    warning = next(f for f in encoded.findings if f.code == "clamped")
    assert warning.level == "warning"
    assert "panda_link8.x" in warning.message
