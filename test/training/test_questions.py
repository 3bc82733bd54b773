"""What the network is given in training is what it is given when a robot asks, number by number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosmos_ros.sim.rendering import CAN_RENDER
from cosmos_ros.types import Mode
from cosmos_ros.world_models import create_world_model
from training.generate import DataOptions, make_shard
from training.questions import Asker
from training.robots import EYES, TINY_EYES, inputs_of, raw_states, with_views

pytestmark = pytest.mark.skipif(not CAN_RENDER, reason="no off-screen OpenGL")


@pytest.mark.parametrize("name", list(EYES))
def test_state_and_views_are_the_same_in_training_and_in_a_request(tmp_path, name) -> None:
    options = DataOptions(name, ("lift",), episodes=2, longest=2.0, width=TINY_EYES[name].canvas)
    shard = make_shard(options, 0)
    robot = inputs_of(name, TINY_EYES[name])
    robot = replace(robot, mean=(0.0,) * robot.state_size, std=(1.0,) * robot.state_size)
    trained = robot.state(*raw_states(robot, shard))
    views = with_views(shard, robot)
    model = create_world_model("compact", model=str(tmp_path), embodiment=name)  # of which nothing is loaded
    asker = Asker(name, shard)
    rows = asker.rows(1, 6)
    assert len(rows) >= 2
    for row in rows:
        request = asker.request(row, Mode.POLICY)
        assert np.allclose(model._state(request, robot)[0], trained[row], atol=2e-5)
        for view in robot.views:
            assert np.array_equal(view.picture(request.image), views[f"view_{view.name}"][row])


@pytest.mark.parametrize("name", list(EYES))
def test_the_networks_pictures_have_the_aspect_of_the_robots_cameras(name) -> None:
    """A picture that is squeezed differently from the real canvas would put things elsewhere."""
    robot = inputs_of(name, EYES[name])
    shard = make_shard(DataOptions(name, ("reach",), episodes=1, longest=0.4, width=EYES[name].canvas), 0)
    height, width = shard["canvas"].shape[1:3]
    for view in robot.views:
        across, down = (view.right - view.left) * width, (view.bottom - view.top) * height
        assert across / down == pytest.approx(view.width / view.height, rel=1e-6)
        assert view.width <= across


def test_an_episodes_first_state_knows_no_row_before_it() -> None:
    shard = make_shard(DataOptions(verbs=("reach",), episodes=2, longest=1.0, width=0), 0)
    robot = inputs_of("franka", EYES["franka"])
    raw, known = raw_states(robot, shard)
    first, last = robot.flag_groups()["past"]
    starts = shard["episode_start"]
    assert (raw[starts, first:last] == 0.0).all() and (known[starts, first : last - 1] == 0.0).all()
    assert (raw[starts + 1, last - 1] == 1.0).all()
    assert np.allclose(raw[starts + 1, first : first + 9], shard["executed"][starts, :9])
    assert (raw[:, first + 9] == 0.0).all()  # what the gripper was told is in the commands
