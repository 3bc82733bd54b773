"""Varied scenes and tasks of every simulated robot: what is asked for is there, can be seen, and can be judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.scenes import hand_words, task_scene, vocabulary
from cosmos_ros.sim.simulated_robot import simulated_robot
from cosmos_ros.sim.task import TaskState, Verb, is_done, parse_instruction
from cosmos_ros.sim.world import SimWorld, WorldRenderer

ROBOTS = ("franka", "ur5e", "widowx250s", "agibot_g1", "umi")


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize("verb", list(Verb))
def test_an_instruction_is_read_back_from_its_own_scene(name, verb) -> None:
    robot = simulated_robot(load_embodiment(name))
    for seed in range(12):
        made = task_scene(robot.description, seed, verb=verb)
        again = parse_instruction(made.instruction, made.scene.by_name, hand_words(robot.description))
        assert (again.verb, again.item, again.target) == (verb, made.task.item, made.task.target)
        if len(robot.hands) > 1:
            assert again.hand == made.task.hand
        poses = made.scene.sample_poses(np.random.default_rng(seed))
        x0, x1, y0, y1 = robot.description.scene.areas[made.task.hand]
        for item in made.task.objects:
            assert x0 <= poses[item.name][0, 3] <= x1
            assert y0 <= poses[item.name][1, 3] <= y1


def test_the_same_seed_gives_the_same_scene_and_others_differ() -> None:
    description = simulated_robot(load_embodiment("franka")).description
    assert task_scene(description, 7) == task_scene(description, 7)
    looks = {task_scene(description, seed).scene.look for seed in range(8)}
    assert len(looks) == 8


def test_an_instructions_objects_are_put_on_the_table() -> None:
    description = simulated_robot(load_embodiment("ur5e")).description
    made = task_scene(description, 3, instruction="push the purple cylinder onto the orange pad")
    assert {"purple_cylinder", "orange_pad"} <= set(made.scene.by_name)
    with pytest.raises(InputError, match="names 1 things"):
        task_scene(description, 3, instruction="push the purple cylinder away")


@pytest.mark.parametrize("name", ROBOTS)
def test_every_view_shows_the_things_on_the_table(name, gl) -> None:
    embodiment = load_embodiment(name)
    robot = simulated_robot(embodiment)
    made = task_scene(robot.description, 1)
    world = SimWorld(robot.urdf, limits=robot.limits, home=robot.home, scene=made.scene, seed=1)
    renderer = WorldRenderer(world, world.cameras(dict.fromkeys(embodiment.views, (96, 72))))
    renderer.load(world.snapshot())
    before = {view: renderer.render(view) for view in embodiment.views}
    away = np.eye(4)
    away[:3, 3] = 5.0, 5.0, 5.0
    world.set_state({}, dict.fromkeys(made.scene.by_name, away))
    renderer.load(world.snapshot())
    changed = [np.abs(before[v].astype(int) - renderer.render(v)).max() for v in embodiment.views]
    renderer.close()
    assert max(changed) > 40  # of two hands, one may look elsewhere


@pytest.mark.parametrize("name", ROBOTS)
def test_a_robot_at_rest_stays_where_it_is_within_its_limits(name) -> None:
    world = world_of(load_embodiment(name), seed=2)
    before, things = world.joint_state().positions, world.object_poses()
    world.hold(500)
    assert np.abs(world.joint_state().positions - before).max() < 2e-3
    assert world.monitor.total == 0, world.monitor.to_dict()["joints"]
    assert all(np.linalg.norm(world.object_poses()[n][:3, 3] - p[:3, 3]) < 2e-3 for n, p in things.items())


@pytest.mark.parametrize(
    ("name", "pads"), [("ur5e", 0.085), ("agibot_g1", 0.068), ("widowx250s", 0.044), ("umi", 0.11)]
)
def test_fingers_open_as_wide_as_the_description_says(name, pads) -> None:
    robot = simulated_robot(load_embodiment(name))
    for hand in robot.hands.values():
        assert hand.gap(1.0) == pytest.approx(pads)
        for gap in np.linspace(0.0, pads, 5):
            assert hand.gap(float(hand.opening(gap))) == pytest.approx(gap, abs=1e-9)


def state(item, **changes) -> TaskState:
    pose = np.eye(4)
    pose[:3, 3] = item
    base = TaskState(pose, None, 0.0, False, np.array([[0.5, 0.0, 0.2]]), 0.0, 0.0, 1.0)
    return replace(base, **changes)


def test_reach_and_lift_are_judged() -> None:
    reach = parse_instruction("reach the red cube", vocabulary())
    above = np.array([[0.5, 0.0, 0.06]])
    assert is_done(reach, state((0.5, 0.0, 0.02), grasp_points=above))
    assert not is_done(reach, state((0.5, 0.0, 0.02), grasp_points=above, tool_speed=0.1))
    assert not is_done(reach, state((0.56, 0.0, 0.02), grasp_points=above))
    lift = parse_instruction("pick up the red cube", vocabulary())
    assert is_done(lift, state((0.5, 0.0, 0.085), touched=True))
    assert not is_done(lift, state((0.5, 0.0, 0.085), touched=False))  # thrown
    assert not is_done(lift, state((0.5, 0.0, 0.06), touched=True))


def test_push_is_done_with_the_hand_still_there_and_put_is_not() -> None:
    target = np.eye(4)
    target[:3, 3] = 0.5, 0.0, 0.0
    there = state((0.51, 0.0, 0.02), target=target, touched=True)
    assert is_done(parse_instruction("push the red cube onto the green pad", vocabulary()), there)
    put = parse_instruction("put the red cube on the green pad", vocabulary())
    assert not is_done(put, there)
    assert is_done(put, replace(there, touched=False))
