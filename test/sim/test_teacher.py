"""The teacher by itself: it gets there from anywhere, within its bounds, whenever it is asked again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.sim.hands import Hands, grasp_rotation
from cosmos_ros.sim.observed_hand import objects_of
from cosmos_ros.sim.simulated_robot import simulated_robot
from cosmos_ros.sim.tabletop import Tabletop
from cosmos_ros.sim.task import parse_instruction
from cosmos_ros.sim.teacher import Phase, decide, stack_jobs
from cosmos_ros.sim.teacher_pace import job_for, pace_for
from cosmos_ros.sim.teacher_plan import plan

SCENE = Tabletop()
DT = 1.0 / 15.0
PUT = "put the red cube on the green pad"


@pytest.fixture(scope="module")
def robot(franka):
    return simulated_robot(franka)


def job(robot, instruction: str = PUT):
    return job_for(robot, robot.hands["gripper"], parse_instruction(instruction, SCENE.by_name))


def start(seed: int, position=(0.35, 0.0, 0.4), tilt=0.0, item="red_cube", target="green_pad") -> Hands:
    poses = SCENE.sample_poses(np.random.default_rng(seed))
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xy", [np.pi + tilt, 0.5 * tilt]).as_matrix()
    pose[:3, 3] = position
    still = np.zeros((1, 3))
    one = np.ones(1)
    return Hands(pose[None], still, still.copy(), one, one.copy(), poses[item][None], poses[target][None])


def run(jobs, hands: Hands, pace, limit: float):
    """Replan every step until the teacher is done; return all states and phases."""
    states, phases = [hands], []
    while len(phases) * DT < limit and (not phases or phases[-1] != Phase.DONE):
        ahead = plan(jobs, hands, 1, DT, pace)
        hands = ahead.end
        states.append(hands)
        phases.append(int(ahead.phases[0, 0]))
    return states, phases


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    x=st.floats(0.3, 0.6),
    y=st.floats(-0.3, 0.3),
    z=st.floats(0.15, 0.5),
    tilt=st.floats(-0.3, 0.3),
    instruction=st.sampled_from(
        (PUT, "lift the red cube", "reach the red cube", "push the red cube onto the green pad")
    ),
)
def test_gets_there_from_anywhere_within_its_bounds(robot, franka, seed, x, y, z, tilt, instruction) -> None:
    pace = pace_for(franka)
    states, phases = run(job(robot, instruction), start(seed, (x, y, z), tilt), pace, 30.0)
    assert phases[-1] == Phase.DONE
    positions = np.array([s.pose[0, :3, 3] for s in states])
    velocities = np.array([s.velocity[0] for s in states])
    assert np.linalg.norm(velocities, axis=1).max() <= pace.speed + 1e-6
    assert np.linalg.norm(np.diff(velocities, axis=0), axis=1).max() / DT <= pace.acceleration + 1e-6
    assert max(np.linalg.norm(s.turn_rate[0]) for s in states) <= pace.turn + 1e-6
    commands = np.array([s.command[0] for s in states])
    assert np.abs(np.diff(commands)).max() / DT <= pace.grip + 1e-6
    assert positions[:, 2].min() > 0.009  # the fingertips never touch the table
    assert all(abs(np.linalg.det(s.pose[0, :3, :3]) - 1.0) < 1e-9 for s in states[::20])


def test_many_at_once_are_decided_as_each_alone(robot, franka) -> None:
    """Batches are for speed only: no hand knows of another."""
    instructions = (PUT, "lift the red cube", "reach the red cube", "push the red cube onto the green pad")
    jobs = [job(robot, text) for text in instructions]
    hands = [start(seed) for seed in range(4)]
    together = Hands(*(np.concatenate([getattr(h, n) for h in hands]) for n in Hands.__dataclass_fields__))
    whole = plan(stack_jobs(jobs), together, 16, DT, pace_for(franka))
    for i, (one, hand) in enumerate(zip(jobs, hands, strict=True)):
        alone = plan(one, hand, 16, DT, pace_for(franka))
        assert np.allclose(alone.poses[0], whole.poses[i], atol=1e-12)
        assert np.array_equal(alone.phases[0], whole.phases[i])


def test_planning_again_continues_the_same_motion(robot, franka) -> None:
    """What a plan of 16 steps says about step 8 is what planning anew at step 8 starts from."""
    jobs, pace = job(robot), pace_for(franka)
    whole = plan(jobs, start(2), 48, DT, pace)
    hands = start(2)
    for k in range(0, 48, 8):
        ahead = plan(jobs, hands, 8, DT, pace)
        assert np.allclose(ahead.poses[0, 8], whole.poses[0, k + 8], atol=2e-3)
        hands = ahead.end


def at_the_grasp(sideways: float, command: float) -> Hands:
    hands = start(3)
    pose = hands.pose.copy()
    side = hands.item[0, :2, 0]
    pose[0, :3, 0], pose[0, :3, 1] = [*side, 0.0], [side[1], -side[0], 0.0]
    pose[0, :3, 2] = [0.0, 0.0, -1.0]
    pose[0, :3, 3] = hands.item[0, :3, 3] + [*(sideways * side), 0.0]
    return replace(hands, pose=pose, command=np.array([command]), opening=np.array([command]))


def test_it_closes_a_centimetre_beside_the_middle(robot) -> None:
    assert decide(job(robot), at_the_grasp(0.010, 0.92)).phase[0] == Phase.CLOSE
    assert decide(job(robot), at_the_grasp(0.030, 0.92)).phase[0] != Phase.CLOSE


def test_once_it_closes_it_goes_on_closing_where_it_would_not_have_begun(robot) -> None:
    beside = 0.016
    assert decide(job(robot), at_the_grasp(beside, 0.92)).phase[0] == Phase.DESCEND
    closing = decide(job(robot), at_the_grasp(beside, 0.75))
    assert closing.phase[0] == Phase.CLOSE
    assert np.allclose(closing.position, at_the_grasp(beside, 0.75).pose[:, :3, 3])  # and does not realign


def test_a_dropped_item_is_fetched_again(robot, franka) -> None:
    pace = pace_for(franka)
    states, phases = run(job(robot), start(3), pace, 20.0)
    carrying = states[1 + phases.index(Phase.CARRY)]
    fallen = carrying.item.copy()
    fallen[0, :3, 3] = [0.45, 0.0, 0.02]
    _, phases = run(job(robot), replace(carrying, item=fallen), pace, 30.0)
    assert phases[0] in (Phase.ABOVE, Phase.DESCEND)
    assert phases[-1] == Phase.DONE


def test_what_is_already_done_is_left_alone(robot, franka) -> None:
    hands = start(4)
    item = hands.target.copy()
    item[0, 2, 3] = 0.02
    ahead = plan(job(robot), replace(hands, item=item), 16, DT, pace_for(franka))
    assert set(ahead.phases[0].tolist()) == {int(Phase.DONE)}
    assert np.allclose(ahead.poses[0, -1], ahead.poses[0, 0], atol=1e-3)


def test_too_wide_for_the_fingers() -> None:
    robot = simulated_robot(load_embodiment("widowx250s"))
    task = parse_instruction(PUT, SCENE.by_name)  # a cube of a Franka's size, 4 cm, between fingers that open 4.4 cm
    with pytest.raises(InputError, match="does not fit"):
        job_for(robot, robot.hands["gripper"], task)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-0.05, 0.05),
    y=st.floats(-0.05, 0.05),
    z=st.floats(0.0, 0.10),
)
@example(x=0.0, y=0.0125, z=0.011)
def test_what_is_held_gets_to_its_place_from_wherever_it_is(robot, franka, x, y, z) -> None:
    """There is no place above or beside the target at which sideways waits for up, and up is satisfied."""
    hands = at_the_grasp(0.0, 0.3)
    item, pose = hands.item.copy(), hands.pose.copy()
    grip = pose[0, :3, 3] - item[0, :3, 3]
    item[0, :3, 3] = hands.target[0, :3, 3] + [x, y, 0.02 + z]
    pose[0, :3, 3] = item[0, :3, 3] + grip
    width = float(job(robot).width[0])
    held = replace(hands, item=item, pose=pose, opening=np.array([width]), command=np.array([width - 0.07]))
    _, phases = run(job(robot), held, pace_for(franka), 20.0)
    assert phases[-1] == Phase.DONE


def test_after_a_push_the_fingers_go_back_before_they_go_up(robot) -> None:
    hands = at_the_grasp(0.0, 0.03)
    item, pose = hands.item.copy(), hands.pose.copy()
    item[0, :3, 3] = hands.target[0, :3, 3] + [0.0, 0.0, 0.02]
    item[0, :3, :3] = np.eye(3)
    pose[0, :3, 3] = item[0, :3, 3] + [-0.031, 0.0, 0.0]
    touching = replace(hands, item=item, pose=pose)
    goals = decide(job(robot, "push the red cube onto the green pad"), touching)
    assert goals.phase[0] == Phase.RETREAT
    moved = goals.position[0] - pose[0, :3, 3]
    assert moved[0] < -0.01
    assert abs(moved[2]) < 1e-6
    pose[0, 0, 3] -= 0.015
    assert (
        decide(job(robot, "push the red cube onto the green pad"), replace(touching, pose=pose)).position[0, 2] > 0.05
    )


@pytest.mark.parametrize("name", ["ur5e", "agibot_g1"])
def test_fingers_that_reach_further_as_they_close_stay_off_the_table(name) -> None:
    robot = simulated_robot(load_embodiment(name))
    hand = next(iter(robot.hands.values()))
    layout = robot.description.scene
    flat = objects_of(robot)["red_block"]
    jobs = job_for(robot, hand, parse_instruction("lift the red block", {"red_block": flat}))
    item, pose = np.eye(4), np.eye(4)
    item[:3, 3] = [0.5, 0.0, layout.height + 0.5 * flat.size[2]]
    pose[:3, :3] = Rotation.from_euler("x", np.pi).as_matrix()
    pose[:3, 3] = item[:3, 3] + [0.0, 0.0, 0.03]
    still, one = np.zeros((1, 3)), np.ones(1)
    hands = Hands(pose[None], still, still.copy(), 0.92 * one, 0.92 * one, item[None], item[None])
    hands.pose[:, :3, :3] = grasp_rotation(jobs, hands)
    assert decide(jobs, hands).phase[0] == Phase.DESCEND
    assert decide(jobs, hands).position[0, 2] >= layout.height + hand.description.lowest - 1e-9
    assert hand.description.lowest > 0.5 * flat.size[2]


def test_fingers_that_close_already_are_not_made_to_begin_again(robot, franka) -> None:
    """A plan made while they close must not fall behind what they are doing."""
    pace = pace_for(franka)
    first = at_the_grasp(0.0, 0.92)
    assert plan(job(robot), first, 4, DT, pace).openings[0, 0] > 0.92 - 0.5 * pace.grip * DT  # gently
    going = at_the_grasp(0.0, 0.7)
    assert plan(job(robot), going, 4, DT, pace).openings[0, 0] == pytest.approx(0.7 - pace.grip * DT)
