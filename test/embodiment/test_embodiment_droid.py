"""A recorded DROID episode through encoder, normaliser, and decoder."""

from __future__ import annotations

import math

import numpy as np
import pytest
import slow_reference as slow
from robots import droid_episode, embodiment

from cosmos_ros.embodiment import read_states
from cosmos_ros.se3 import pose_error

CHUNK = 16


@pytest.fixture(scope="module")
def episode():
    path, columns = droid_episode()
    robot = embodiment("franka")
    states = read_states(robot, path, columns)
    return robot, path, states, robot.encode(states)


def chunks(states, encoded):
    """Yield (rows, clamped mask, poses of the T + 1 states) of every chunk."""
    poses = states.tool_poses["panda_link8"]
    for begin in range(len(encoded.actions) - CHUNK + 1):
        window = slice(begin, begin + CHUNK)
        yield encoded.actions[window], encoded.clamped[window], poses[begin : begin + CHUNK + 1]


def test_path_comes_back_where_nothing_was_clamped(episode):
    robot, _, states, encoded = episode
    worst = [0.0, 0.0]
    untouched = 0
    for rows, clamped, poses in chunks(states, encoded):
        if clamped.any():
            continue
        untouched += 1
        sent = rows.astype(np.float32)  # what a model is given and gives
        chunk = robot.decode_actions(sent, {"panda_link8": poses[0]}, thorough=False)
        metres, radians = pose_error(chunk.poses["panda_link8"], poses[1:])
        worst = [max(worst[0], metres.max()), max(worst[1], radians.max())]
    assert untouched > 300
    assert worst[0] <= 1e-6
    assert worst[1] <= 1e-6


def test_whole_path_comes_back_before_the_clamp(episode):
    robot, _, states, encoded = episode
    chunk = robot.decode_actions(encoded.unclamped, encoded.start_poses)
    metres, radians = pose_error(chunk.poses["panda_link8"], states.tool_poses["panda_link8"][1:])
    assert metres.max() <= 1e-9
    assert radians.max() <= 1e-9
    assert chunk.findings == ()


def test_share_inside_the_range_equals_an_independent_computation(episode):
    _, path, _, encoded = episode
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path).to_pylist()
    poses = {"panda_link8": [slow.euler_pose(*row["observation.state.cartesian_position"]) for row in table]}
    openings = {"gripper": [1.0 - row["action.gripper_position"] for row in table]}
    _, normalised, _ = slow.encode("franka", poses, openings)
    expected = [
        sum(1 for row in normalised if -1.0 - 1e-9 <= row[column] <= 1.0 + 1e-9) / len(normalised)
        for column in range(10)
    ]
    shares = (np.abs(encoded.unclamped) <= 1.0 + 1e-9).mean(axis=0)
    assert shares.tolist() == pytest.approx(expected, abs=1e-12)
    assert encoded.clamped_share == pytest.approx(1.0 - sum(expected) / 10.0, abs=1e-12)
    np.testing.assert_allclose(encoded.unclamped, normalised, rtol=0, atol=1e-9)
    assert shares.min() > 0.95


def test_recorded_poses_are_those_of_the_flange(episode):
    """The joints of frame 0, from the sample's notes, put panda_link8 where the episode says."""
    robot, _, states, _ = episode
    joints = dict(
        zip(robot.joint_names, (0.0438, -0.4094, 0.4236, -2.4313, -0.0276, 1.9793, 0.6358), strict=True)
    )  # rounded to four digits
    metres, radians = pose_error(robot.robot.fk(joints, "panda_link8"), states.tool_poses["panda_link8"][0])
    assert metres < 2e-4
    assert radians < math.radians(0.02)
