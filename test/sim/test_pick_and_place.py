"""The scripted policy by itself: it gets there from anywhere, within its bounds, whenever it is asked again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cosmos_ros.sim.pick_and_place import Pace, PickAndPlacePolicy, ToolState
from cosmos_ros.sim.tabletop import Tabletop
from cosmos_ros.sim.task import parse_instruction

SCENE = Tabletop()
TASK = parse_instruction("put the red cube on the green pad", SCENE.by_name)
DT = 1.0 / 15.0


def start(seed: int, position=(0.35, 0.0, 0.4), tilt=0.0) -> ToolState:
    poses = SCENE.sample_poses(np.random.default_rng(seed))
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xy", [np.pi + tilt, 0.5 * tilt]).as_matrix()
    pose[:3, 3] = position
    return ToolState(pose, np.zeros(3), np.zeros(3), 1.0, poses["red_cube"], poses["green_pad"])


def run(policy: PickAndPlacePolicy, state: ToolState, limit: float, chunk: int = 1):
    states, phases = [state], []
    while len(phases) * DT < limit and (not phases or phases[-1] != "done"):
        ahead, _, named = policy.plan(state, chunk, DT)
        states += ahead[1:]
        phases += named
        state = ahead[-1]
    return states, phases


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    x=st.floats(0.3, 0.6),
    y=st.floats(-0.3, 0.3),
    z=st.floats(0.15, 0.5),
    tilt=st.floats(-0.3, 0.3),
)
def test_reaches_the_goal_from_anywhere_within_its_bounds(seed, x, y, z, tilt) -> None:
    pace = Pace()
    states, phases = run(PickAndPlacePolicy(TASK, 0.08, pace), start(seed, (x, y, z), tilt), 15.0)
    assert phases[-1] == "done"
    offset = states[-1].item[:3, 3] - states[-1].target[:3, 3]
    assert np.abs(offset[:2]).max() < 0.01
    positions = np.array([s.pose[:3, 3] for s in states])
    velocities = np.diff(positions, axis=0) / DT
    assert np.linalg.norm(velocities, axis=1).max() <= pace.speed + 1e-6
    assert np.linalg.norm(np.diff(velocities, axis=0), axis=1).max() / DT <= pace.acceleration + 1e-6
    turns = [Rotation.from_matrix(b.pose[:3, :3] @ a.pose[:3, :3].T).magnitude() for a, b in itertools.pairwise(states)]
    assert max(turns) / DT <= pace.turn + 1e-6
    openings = np.array([s.opening for s in states])
    assert np.abs(np.diff(openings)).max() / DT <= pace.grip + 1e-6
    assert positions[:, 2].min() > 0.01  # the fingertips never touch the table


def test_carries_above_what_stands_on_the_table() -> None:
    policy = PickAndPlacePolicy(TASK, 0.08)
    states, phases = run(policy, start(1), 15.0)
    travelling = [
        s.item[2, 3]
        for s, phase in zip(states[1:], phases, strict=False)
        if phase == "carry" and np.linalg.norm(s.item[:2, 3] - s.target[:2, 3]) > 0.1
    ]
    assert travelling
    assert min(travelling) - 0.02 > 0.04  # underside above the tops of the other cubes


def test_planning_again_continues_the_same_motion() -> None:
    """What a plan of 16 steps says about step 8 is what planning anew at step 8 starts from."""
    policy = PickAndPlacePolicy(TASK, 0.08)
    whole, _, _ = policy.plan(start(2), 64, DT)
    state = start(2)
    for k in range(0, 64, 8):
        ahead, _, _ = policy.plan(state, 16, DT)
        assert np.allclose(ahead[8].pose, whole[k + 8].pose, atol=2e-3)
        state = ahead[8]


def test_a_dropped_item_is_fetched_again() -> None:
    policy = PickAndPlacePolicy(TASK, 0.08)
    states, phases = run(policy, start(3), 15.0)
    carrying = next(s for s, phase in zip(states[1:], phases, strict=False) if phase == "carry")
    fallen = carrying.item.copy()
    fallen[:3, 3] = [0.45, 0.0, 0.02]
    lost = ToolState(carrying.pose, carrying.velocity, carrying.turn_rate, carrying.opening, fallen, carrying.target)
    _, phases = run(policy, lost, 15.0)
    assert phases[0] in ("above", "descend")
    assert phases[-1] == "done"


def test_what_is_already_done_is_left_alone() -> None:
    state = start(4)
    item = state.target.copy()
    item[2, 3] = 0.02
    done = ToolState(state.pose, state.velocity, state.turn_rate, 1.0, item, state.target)
    states, _, phases = PickAndPlacePolicy(TASK, 0.08).plan(done, 16, DT)
    assert set(phases) == {"done"}
    assert np.allclose(states[-1].pose, states[0].pose, atol=1e-3)


def test_too_wide_for_the_fingers() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        PickAndPlacePolicy(TASK, 0.04)
