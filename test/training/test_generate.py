"""Training data: the numbers that Cosmos3 would see, from every state that was visited, resumed where it stopped."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from machine import slowness

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.se3 import matrix_from_pose9d
from cosmos_ros.sim.rendering import CAN_RENDER
from training.generate import (
    LARGEST_SEED,
    ROWS_AN_EPISODE,
    DataOptions,
    generate,
    make_shard,
    shard_path,
    shards,
)
from training.rows import Arrays, read_shard
from training.statistics import wilson
from training.teacher import main as teacher_main

SMALL = DataOptions(episodes=2, width=0, longest=6.0, verbs=("reach", "put"))


@pytest.fixture(scope="module")
def shard():
    return make_shard(SMALL, 0)


def test_labels_decode_to_the_motion_that_was_executed_from_an_undisturbed_state() -> None:
    """Where nothing disturbs and every plan is followed to its end, the label is what then happens."""
    calm = replace(SMALL, clean=1.0, replan=(16, 17), verbs=("reach",), longest=3.0, linger=3.0)
    made = make_shard(calm, 0)
    franka = load_embodiment("franka")
    start = int(made["episode_start"][1])
    tools = matrix_from_pose9d(made["tools"][:, 0].astype(np.float64))
    chunk = franka.decode_actions(made["labels"][start].astype(np.float64), {"panda_link8": tools[start]})
    reached = tools[start + 1 : start + 17]
    assert np.linalg.norm(chunk.poses["panda_link8"][:, :3, 3] - reached[:, :3, 3], axis=1).max() < 0.004


def test_executed_rows_lead_from_each_state_to_the_next(shard) -> None:
    franka = load_embodiment("franka")
    first, second = shard["episode_start"]
    tools = matrix_from_pose9d(shard["tools"][:, 0].astype(np.float64))
    chunk = franka.decode_actions(
        shard["executed"][first : second - 1].astype(np.float64), {"panda_link8": tools[first]}
    )
    error = np.linalg.norm(chunk.poses["panda_link8"][:, :3, 3] - tools[first + 1 : second, :3, 3], axis=1)
    assert error.max() < 0.01  # half precision adds up over an episode
    assert np.all(shard["executed"][second - 1] == 0.0)


def test_rows_are_within_the_action_space_and_finite(shard) -> None:
    assert shard["labels"].shape[1:] == (16, 10)
    assert np.abs(shard["labels"]).max() <= 1.0
    for name in ("labels", "executed", "joints", "velocities", "tools", "openings", "commands", "item"):
        assert len(shard[name]) == len(shard["phase"])
        assert np.isfinite(shard[name]).all()


def test_the_same_options_give_the_same_shard(shard) -> None:
    again = make_shard(SMALL, 0)
    assert all(np.array_equal(shard[name], again[name]) for name in shard)
    assert not np.array_equal(make_shard(SMALL, 1)["joints"][:5], shard["joints"][:5])


def test_two_arms_have_29_columns_of_which_only_one_hand_moves() -> None:
    made = make_shard(DataOptions("agibot_g1", ("reach",), episodes=1, width=0, longest=2.0, clean=1.0), 0)
    labels = made["labels"].astype(np.float64)
    assert labels.shape[1:] == (16, 29)
    physical = load_embodiment("agibot_g1").normaliser.denormalise(labels[0])
    right, left = np.abs(physical[:, 9:12]).max(), np.abs(physical[:, 19:22]).max()
    assert min(right, left) < 1e-4 < max(right, left)
    assert (right > left) == (str(made["episode_hand"][0]) == "right_gripper")


def test_seeds_that_are_kept_for_measuring_are_refused() -> None:
    with pytest.raises(ValueError, match="kept for measuring"):
        make_shard(replace(SMALL, first_seed=LARGEST_SEED), 0)


@pytest.mark.skipif(not CAN_RENDER, reason="no off-screen OpenGL")
def test_it_goes_on_where_it_was_stopped_and_refuses_other_options(tmp_path) -> None:
    options = replace(SMALL, episodes=1, longest=1.0, width=32)
    made = generate(tmp_path, options, rows=1, processes=1, gigabytes=1.0)
    first = shard_path(tmp_path, 0)
    content, when = read_shard(first), first.stat().st_mtime_ns
    assert content["canvas"].shape == (made, 24, 32, 3)
    assert content["canvas"].dtype == np.uint8
    assert content["canvas"].std() > 10
    more = generate(tmp_path, options, rows=made + 1, processes=1, gigabytes=1.0)
    assert first.stat().st_mtime_ns == when
    assert more > made
    assert shard_path(tmp_path, 1).exists()
    with pytest.raises(ValueError, match="other options"):
        generate(tmp_path, replace(options, width=64), rows=1, processes=1, gigabytes=1.0)


def endless(options: DataOptions, index: int) -> Arrays:
    """Make a shard, but for the second, which is never finished."""
    while index:
        time.sleep(0.05)
    return make_shard(options, index)


def test_no_shard_is_begun_that_those_in_the_making_make_needless(tmp_path) -> None:
    options = replace(SMALL, episodes=1, longest=1.0)
    # Each has 15 rows, if it is not done sooner; before the first one the usual length of an episode is expected.
    assert ROWS_AN_EPISODE >= 15
    assert generate(tmp_path, options, rows=ROWS_AN_EPISODE, processes=2, gigabytes=1.0) < ROWS_AN_EPISODE + 15
    assert generate(tmp_path / "few", options, rows=10, processes=4, gigabytes=1.0) == 15
    assert len(list(shards(tmp_path / "few"))) == 1


def test_what_is_not_finished_in_time_is_given_up(tmp_path) -> None:
    options = replace(SMALL, episodes=1, longest=1.0)
    made = generate(tmp_path, options, rows=1000, processes=2, gigabytes=1.0, seconds=6.0 * slowness(), make=endless)
    assert made == 15
    assert [path.name for path in tmp_path.glob("*shard*")] == ["shard_00000.npz"]


def test_the_teacher_is_measured_by_a_command(capsys) -> None:
    assert teacher_main(["--embodiment", "umi", "--task", "reach", "--episodes", "3", "--json"]) == 0
    assert '"done": 3' in capsys.readouterr().out


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-4)  # Newcombe 1998, table I
    assert wilson(0, 0) == (0.0, 1.0)
