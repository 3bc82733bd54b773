"""Observations to requests, rollouts to chunks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from robots import NAMES, embodiment, images, joint_state, observation, random_walk

from cosmos_ros.errors import DecodeError, InputError
from cosmos_ros.se3 import pose_error
from cosmos_ros.types import ActionSpace, JointState, Mode, Rollout

STEP = 66_666_667  # one step at 15 Hz, ns


@pytest.mark.parametrize("name", NAMES)
def test_request_carries_what_the_file_says(name):
    robot = embodiment(name)
    request = robot.build_request(observation(robot), Mode.POLICY, seed=7, negative_prompt="blurry")
    spec = robot.spec
    assert (request.domain_name, request.domain_id) == (spec.domain.name, spec.domain.id)
    assert (request.fps, request.chunk_size, request.action_dim) == (spec.fps, spec.chunk_size, robot.action_dim)
    assert (request.view_point, request.resolution_tier) == (spec.prompt.view_point, spec.canvas.tier)
    assert (request.seed, request.negative_prompt) == (7, "blurry")
    assert request.instruction == "pick up the red cube"
    assert "pick up the red cube." in request.prompt
    np.testing.assert_array_equal(request.image, robot.compose(observation(robot).images))
    assert request.video is None
    assert request.actions is None
    assert request.previous_image is None
    assert request.past_action is None
    assert request.observation is None
    assert dict(request.recommended_settings) == robot.sampler_settings(Mode.POLICY)
    assert dict(request.settings) == {}
    np.testing.assert_array_equal(request.layout.scale, robot.normaliser.scale)
    assert request.layout.pose_columns == tuple(block.start for block in robot.layout.poses)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "google_robot"])
def test_hold_action_decodes_to_no_motion(name):
    robot = embodiment(name)
    seen = observation(robot)
    request = robot.build_request(seen, Mode.POLICY)
    assert request.hold_action.dtype == np.float32
    rollout = Rollout(frames=None, actions=np.repeat(request.hold_action[None], request.chunk_size, axis=0))
    chunk = robot.decode(rollout, seen)
    for link, start in robot.tool_poses(seen).items():
        metres, radians = pose_error(chunk.poses[link], start)
        assert metres.max() < 1e-5
        assert radians.max() < 1e-5
    for gripper, opening in robot.gripper_openings(seen).items():
        np.testing.assert_allclose(chunk.grippers[gripper], opening, atol=1e-6)


def test_hold_action_is_unknown_where_the_gripper_is_not_observed():
    robot = embodiment("google_robot")
    assert robot.build_request(observation(robot), Mode.POLICY).hold_action is None


@pytest.mark.parametrize("name", ["franka", "ur5e", "agibot_g1", "franka_dual", "widowx250s"])
def test_past_action_is_the_encoding_of_the_last_step(name):
    robot = embodiment(name)
    step = round(1e9 / robot.fps)
    moved = {joint: robot.home[joint] + 0.003 for joint in robot.joint_names}
    before = observation(robot, stamp_ns=10**9, seed=1)
    now = observation(robot, stamp_ns=10**9 + step, previous=before, **moved)
    request = robot.build_request(now, Mode.POLICY)
    expected = robot.encode([before.joints, now.joints]).actions[0]
    np.testing.assert_allclose(request.past_action, expected, atol=1e-6)
    assert request.past_action.dtype == np.float32
    np.testing.assert_array_equal(request.previous_image, robot.compose(before.images))


def test_past_action_is_left_out_where_the_previous_observation_is_not_one_step_away():
    robot = embodiment("franka")
    for gap in (STEP // 2, 2 * STEP, 0):
        before = observation(robot, stamp_ns=10**9)
        now = observation(robot, stamp_ns=10**9 + gap, previous=before)
        assert robot.build_request(now, Mode.POLICY).past_action is None
    before = replace(observation(robot, stamp_ns=10**9), joints=None)
    now = observation(robot, stamp_ns=10**9 + STEP, previous=before)
    assert robot.build_request(now, Mode.POLICY).past_action is None


def test_observation_travels_only_when_asked_for():
    robot = embodiment("franka")
    seen = observation(robot)
    assert robot.build_request(seen, Mode.POLICY, needs_observation=True).observation is seen


def test_chunk_size_and_settings_may_be_overridden():
    robot = embodiment("franka")
    request = robot.build_request(observation(robot), Mode.POLICY, chunk_size=32, settings={"guidance_scale": 2.0})
    assert request.chunk_size == 32
    assert dict(request.settings) == {"guidance_scale": 2.0}
    assert json.loads(request.prompt)["duration"] == "2s"
    with pytest.raises(InputError, match="chunk size 0"):
        robot.build_request(observation(robot), Mode.POLICY, chunk_size=0)


def test_forward_dynamics_takes_actions_and_clamps_them():
    robot = embodiment("franka")
    rows = robot.encode(random_walk(robot, 16, seed=1)).unclamped
    request = robot.build_request(observation(robot), Mode.FORWARD_DYNAMICS, actions=rows)
    assert request.actions.dtype == np.float32
    assert np.abs(rows).max() > 1.0
    np.testing.assert_array_equal(request.actions, np.clip(rows, -1, 1).astype(np.float32))
    with pytest.raises(InputError, match="needs actions"):
        robot.build_request(observation(robot), Mode.FORWARD_DYNAMICS)
    with pytest.raises(InputError, match="expected 16 action rows, got 15"):
        robot.build_request(observation(robot), Mode.FORWARD_DYNAMICS, actions=rows[:15])
    with pytest.raises(DecodeError, match=r"expected \[T, 10\].*\[16, 7\]"):
        robot.build_request(observation(robot), Mode.FORWARD_DYNAMICS, actions=rows[:, :7])
    with pytest.raises(InputError, match="predicts actions"):
        robot.build_request(observation(robot), Mode.POLICY, actions=rows)


def test_inverse_dynamics_takes_a_video():
    robot = embodiment("franka")
    video = np.stack([robot.compose(images(robot, 36, 64, seed=i)) for i in range(17)])
    request = robot.build_request(observation(robot), Mode.INVERSE_DYNAMICS, video=video)
    np.testing.assert_array_equal(request.video, video)
    assert request.image is None
    with pytest.raises(InputError, match="needs a video"):
        robot.build_request(observation(robot), Mode.INVERSE_DYNAMICS)
    with pytest.raises(InputError, match=r"expected \[17, H, W, 3\], got shape \[16"):
        robot.build_request(observation(robot), Mode.INVERSE_DYNAMICS, video=video[:16])
    with pytest.raises(InputError, match="takes an image, not a video"):
        robot.build_request(observation(robot), Mode.POLICY, video=video)


def test_joint_policy_gets_its_state_row():
    robot = embodiment("franka_joint")
    request = robot.build_request(observation(robot, panda_finger_joint1=0.01, panda_joint1=0.3), Mode.POLICY)
    expected = [0.3, *(robot.home[joint] for joint in robot.joint_names[1:]), 0.25]
    np.testing.assert_allclose(request.state, expected, rtol=1e-6)
    assert request.state.dtype == np.float32
    assert (request.action_dim, request.chunk_size) == (8, 32)
    assert dict(request.recommended_settings)["num_inference_steps"] == 4
    assert embodiment("franka").build_request(observation(embodiment("franka")), Mode.POLICY).state is None


def test_joint_rollouts_decode_through_either_embodiment():
    seen = observation(embodiment("franka"))
    home = [embodiment("franka").home[joint] for joint in embodiment("franka").joint_names]
    rows = np.column_stack([np.tile(home, (32, 1)), np.full(32, 0.5)]).astype(np.float32)
    rollout = Rollout(frames=None, actions=rows, action_space=ActionSpace.JOINT)
    for name in ("franka", "franka_joint"):
        chunk = embodiment(name).decode(rollout, seen)
        np.testing.assert_allclose(chunk.joint_positions, rows[:, :7])
        np.testing.assert_allclose(chunk.poses["panda_link8"][0], chunk.start_poses["panda_link8"], atol=1e-6)


def test_decoded_chunk_carries_stamp_widths_and_uncertainty():
    robot = embodiment("franka")
    seen = observation(robot, stamp_ns=123, panda_finger_joint1=0.02)
    hold = robot.build_request(seen, Mode.POLICY).hold_action
    spread = np.linspace(0.1, 0.2, 4)
    chunk = robot.decode(Rollout(None, np.repeat(hold[None], 4, axis=0), uncertainty=spread), seen)
    assert chunk.stamp_ns == 123
    assert chunk.times_ns.tolist() == [66_666_667, 133_333_333, 200_000_000, 266_666_667]
    np.testing.assert_allclose(chunk.gripper_widths["gripper"], 0.04, atol=1e-7)
    np.testing.assert_array_equal(chunk.uncertainty, spread)


def test_joint_order_and_extra_joints_do_not_matter():
    robot = embodiment("ur5e")
    state = joint_state(robot)
    order = np.argsort(state.names)
    alphabetical = JointState(0, (*(state.names[i] for i in order), "extra"), np.append(state.positions[order], 99.0))
    for link, pose in robot.tool_poses(state).items():
        np.testing.assert_array_equal(robot.tool_poses(alphabetical)[link], pose)


def test_gripper_openings_follow_the_joint_or_the_width():
    robot = embodiment("ur5e")
    assert robot.gripper_openings(joint_state(robot, robotiq_85_left_knuckle_joint=0.8)) == {"gripper": 0.0}
    assert robot.gripper_openings(joint_state(robot, robotiq_85_left_knuckle_joint=0.2))["gripper"] == pytest.approx(
        0.75
    )
    # Fingers rest a little beyond their nominal ends.
    assert robot.gripper_openings(joint_state(robot, robotiq_85_left_knuckle_joint=0.82)) == {"gripper": 0.0}
    seen = replace(observation(robot), gripper_widths={"gripper": 0.0425})
    assert robot.gripper_openings(seen)["gripper"] == pytest.approx(0.5)
    hand = embodiment("umi")
    assert hand.gripper_openings(replace(observation(hand), gripper_widths={"gripper": 0.055}))["gripper"] == 0.5


def test_samplers_differ_by_mode():
    franka, camera = embodiment("franka"), embodiment("camera_pose")
    assert franka.sampler_settings(Mode.POLICY)["flow_shift"] == 5.0
    assert franka.sampler_settings(Mode.INVERSE_DYNAMICS)["flow_shift"] == 10.0
    assert camera.sampler_settings(Mode.POLICY) == {}
