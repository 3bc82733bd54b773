from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from world_model_scenes import block_on_table, normalise, pose_layout, textured

from cosmos_ros.errors import CapabilityError
from cosmos_ros.types import Mode
from cosmos_ros.world_models import check_rollout, create_world_model
from cosmos_ros.world_models.screw import screw_exp, screw_log


def physical(rows):
    layout = pose_layout()
    return rows * layout.scale + layout.offset


def pose_row(translation, rotation_vector, gripper=0.7):
    matrix = Rotation.from_rotvec(rotation_vector).as_matrix()
    return np.concatenate([translation, matrix[:, 0], matrix[:, 1], [gripper]])


def psnr(a, b):
    return -10 * np.log10(np.mean((a.astype(float) - b.astype(float)) ** 2 + 1e-12) / 255**2)


@pytest.mark.parametrize("mode", list(Mode))
def test_persistence_answers_every_mode(make_request, mode):
    model = create_world_model("persistence")
    request = make_request(mode, chunk_size=3)
    rollout = model.predict(request)
    check_rollout(model.name, request, rollout, model.capabilities)
    if mode is not Mode.INVERSE_DYNAMICS:
        assert all(np.array_equal(frame, request.image) for frame in rollout.frames)
    if mode is not Mode.FORWARD_DYNAMICS:
        np.testing.assert_allclose(physical(rollout.actions), [[0, 0, 0, 1, 0, 0, 0, 1, 0, 0.7]] * 3, atol=1e-6)


@pytest.mark.parametrize("name", ["persistence", "flow"])
def test_missing_hold_action_is_refused(make_request, name):
    with pytest.raises(CapabilityError, match="no hold_action"):
        create_world_model(name).predict(make_request(hold_action=None))
    with pytest.raises(CapabilityError, match=r"hold_action has shape \[7\], expected \[10\]"):
        create_world_model(name).predict(make_request(hold_action=np.zeros(7, np.float32)))


@pytest.mark.parametrize("name", ["persistence", "flow"])
def test_unknown_setting_and_missing_image_are_refused(make_request, name):
    with pytest.raises(CapabilityError, match="'guidance_scale'"):
        create_world_model(name).predict(make_request(settings={"guidance_scale": 3.0}))
    with pytest.raises(CapabilityError, match="no image"):
        create_world_model(name).predict(make_request(image=None))


def test_flow_refuses_inverse_dynamics(make_request):
    with pytest.raises(CapabilityError, match="inverse_dynamics is not supported"):
        create_world_model("flow").predict(make_request(Mode.INVERSE_DYNAMICS))


def test_flow_without_history_is_persistence(make_request):
    request = make_request()
    rollout = create_world_model("flow").predict(request)
    held = create_world_model("persistence").predict(request)
    np.testing.assert_array_equal(rollout.frames, held.frames)
    np.testing.assert_array_equal(rollout.actions, held.actions)
    assert rollout.provenance["has_previous_image"] is False


def test_flow_moves_the_block_on_and_leaves_the_background(make_request):
    request = make_request(image=block_on_table(60), previous_image=block_on_table(54), settings={"damping": 1.0})
    rollout = create_world_model("flow").predict(request)
    np.testing.assert_array_equal(rollout.frames[0], request.image)
    for step in (1, 2, 4):
        actual = block_on_table(60 + 6 * step)
        assert psnr(rollout.frames[step], actual) > psnr(request.image, actual) + 1.5
        block = actual[66:102, 66 + 6 * step : 102 + 6 * step]
        place = cv2.matchTemplate(rollout.frames[step], block, cv2.TM_CCOEFF_NORMED)
        _, score, _, (x, y) = cv2.minMaxLoc(place)
        assert score > 0.9
        assert abs(x - (66 + 6 * step)) <= 1 + 0.15 * 6 * step  # the flow itself is 10 % short
        assert abs(y - 66) <= 1
        assert np.abs(rollout.frames[step][:40].astype(int) - request.image[:40]).mean() < 0.25


def test_flow_follows_a_moving_camera(make_request):
    scene = textured(200, 320)
    rollout = create_world_model("flow").predict(
        make_request(image=scene[20:180, 24:264], previous_image=scene[20:180, 20:260], settings={"damping": 1.0})
    )
    for step in (1, 3):
        actual = scene[20:180, 24 + 4 * step : 264 + 4 * step]
        inner = (slice(8, -8), slice(8, -24))
        assert psnr(rollout.frames[step][inner], actual[inner]) > 30


def test_flow_damping_stops_the_motion(make_request):
    request = make_request(
        chunk_size=12, image=block_on_table(60), previous_image=block_on_table(54), settings={"damping": 0.5}
    )
    frames = create_world_model("flow").predict(request).frames.astype(int)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert change[-1] < 0.1 * change[0]
    still = create_world_model("flow", damping=0.0).predict(replace(request, settings={})).frames
    np.testing.assert_array_equal(still[-1], request.image)


def test_flow_is_deterministic(make_request):
    request = make_request(
        previous_image=block_on_table(54), past_action=normalise(pose_row([0.01, 0, 0], [0, 0, 0.05]))
    )
    first, second = (create_world_model("flow").predict(request) for _ in range(2))
    np.testing.assert_array_equal(first.frames, second.frames)
    np.testing.assert_array_equal(first.actions, second.actions)


@pytest.mark.parametrize("shape", [(8, 8), (15, 200), (17, 33)])
def test_flow_takes_any_canvas(make_request, shape):
    image = textured(*shape)
    rollout = create_world_model("flow").predict(make_request(image=image, previous_image=image))
    assert rollout.frames.shape == (5, *shape, 3)
    np.testing.assert_array_equal(rollout.frames[-1], image)


def test_flow_ignores_a_previous_canvas_of_another_size(make_request):
    request = make_request(previous_image=textured(80, 120))
    np.testing.assert_array_equal(create_world_model("flow").predict(request).frames[-1], request.image)


def test_flow_screw_motion_stays_on_its_circle(make_request):
    """A tool that turns about an axis beside it keeps turning about that same axis: not so with linear numbers."""
    axis_offset, angle = np.array([0.0, 0.1, 0.0]), 0.08
    delta = np.eye(4)
    delta[:3, :3] = Rotation.from_rotvec([0, 0, angle]).as_matrix()
    delta[:3, 3] = axis_offset - delta[:3, :3] @ axis_offset
    row = np.concatenate([delta[:3, 3], delta[:3, 0], delta[:3, 1], [0.2]])
    request = make_request(chunk_size=6, past_action=normalise(row), settings={"damping": 0.9})
    rollout = create_world_model("flow").predict(request)
    pose, travelled = np.eye(4), 0.0
    for step, got in enumerate(physical(rollout.actions), start=1):
        move = np.eye(4)
        move[:3, :3] = np.column_stack([got[3:6], got[6:9], np.cross(got[3:6], got[6:9])])
        move[:3, 3] = got[:3]
        pose = pose @ move
        travelled += angle * 0.9**step
        np.testing.assert_allclose(Rotation.from_matrix(pose[:3, :3]).as_rotvec(), [0, 0, travelled], atol=1e-5)
        centre = pose[:3, 3] + pose[:3, :3] @ axis_offset
        np.testing.assert_allclose(centre, axis_offset, atol=1e-6)
        assert got[9] == pytest.approx(0.7, abs=1e-6)  # the gripper is held where it is, not where the past row sent it


def test_flow_actions_are_clamped_only_where_the_embodiment_says(make_request):
    past = normalise(pose_row([0.2, 0, 0], [0, 0, 0]))
    clamped = create_world_model("flow").predict(make_request(past_action=past)).actions
    assert clamped.max() <= 1.0
    free = replace(pose_layout(), clamp=False)
    assert create_world_model("flow").predict(make_request(past_action=past, layout=free)).actions.max() > 2.0


def test_flow_without_layout_is_refused(make_request):
    with pytest.raises(CapabilityError, match="no layout"):
        create_world_model("flow").predict(make_request(past_action=np.zeros(10, np.float32), layout=None))


vectors = st.lists(st.floats(-1.7, 1.7), min_size=3, max_size=3).map(np.array)


@settings(max_examples=200, deadline=None)
@given(linear=vectors, angular=vectors)
def test_screw_log_inverts_exp(linear, angular):
    twist = np.concatenate([linear, angular])
    np.testing.assert_allclose(screw_log(screw_exp(twist)), twist, atol=1e-8)


@settings(max_examples=100, deadline=None)
@given(linear=vectors, angular=vectors, a=st.floats(0, 1), b=st.floats(0, 1))
def test_screw_motion_is_a_one_parameter_group(linear, angular, a, b):
    twist = np.concatenate([linear, angular])
    np.testing.assert_allclose(screw_exp(a * twist) @ screw_exp(b * twist), screw_exp((a + b) * twist), atol=1e-9)
