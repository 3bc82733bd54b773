"""Wrong inputs: each gives an error, or a finding, that names what was wrong and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from robots import embodiment, joint_state, observation, random_walk

from cosmos_ros.embodiment import RecordedStates
from cosmos_ros.errors import DecodeError, InputError
from cosmos_ros.types import JointState, Mode, Rollout

FRANKA = "franka"


def without(state: JointState, name: str) -> JointState:
    keep = [i for i, joint in enumerate(state.names) if joint != name]
    return JointState(state.stamp_ns, tuple(state.names[i] for i in keep), state.positions[keep])


def chunk_rows(name=FRANKA, steps=16, seed=1, **size):
    robot = embodiment(name)
    return robot.encode(random_walk(robot, steps, seed, **(size or {"metres": 0.002, "radians": 0.008})))


def decode(rows, name=FRANKA):
    robot = embodiment(name)
    return robot.decode(Rollout(frames=None, actions=rows), observation(robot))


# Observations.


def test_missing_joint():
    robot = embodiment(FRANKA)
    with pytest.raises(
        InputError, match=r"joint_states: joints panda_joint3 are missing; it has panda_joint1, panda_j"
    ):
        robot.tool_poses(without(joint_state(robot), "panda_joint3"))
    with pytest.raises(InputError, match=r"state 1, joint_states: joints panda_joint3 are missing"):
        robot.encode([joint_state(robot), without(joint_state(robot), "panda_joint3")])


def test_no_joint_state_at_all():
    robot = embodiment(FRANKA)
    with pytest.raises(InputError, match=r"joint_states: there is no joint state"):
        robot.tool_poses(replace(observation(robot), joints=None))


def test_degrees():
    robot = embodiment(FRANKA)
    with pytest.raises(InputError, match=r"panda_joint2 is at -45.*-45 degrees would be -0\.785398 rad.*Give radians"):
        robot.tool_poses(joint_state(robot, panda_joint2=-45.0))
    ur = embodiment("ur5e")
    with pytest.raises(InputError, match=r"shoulder_lift_joint is at -90.*degrees"):
        ur.tool_poses(joint_state(ur, shoulder_lift_joint=-90.0))


def test_joint_far_outside_its_range():
    robot = embodiment(FRANKA)
    with pytest.raises(InputError, match=r"panda_joint4 is at 0\.9, outside its range -3\.0718 to -0\.0698"):
        robot.tool_poses(joint_state(robot, panda_joint4=0.9))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_joint_not_finite(value):
    robot = embodiment(FRANKA)
    with pytest.raises(InputError, match=r"joint panda_joint5 is (nan|inf)"):
        robot.tool_poses(joint_state(robot, panda_joint5=value))
    positions = np.tile([robot.home[name] for name in robot.joint_names], (5, 1))
    positions[3, 4] = value
    states = RecordedStates(robot.joint_names, positions, gripper_openings={"gripper": np.ones(5)})
    with pytest.raises(InputError, match=r"joint_positions row 3: joint panda_joint5 is (nan|inf)"):
        robot.encode(states)


def test_recorded_degrees_name_the_row():
    robot = embodiment(FRANKA)
    positions = np.tile([robot.home[name] for name in robot.joint_names], (5, 1))
    positions[2, 1] = -45.0
    states = RecordedStates(robot.joint_names, positions, gripper_openings={"gripper": np.ones(5)})
    with pytest.raises(InputError, match=r"joint_positions row 2: joint panda_joint2 is at -45.*degrees"):
        robot.encode(states)


@pytest.mark.parametrize(("value", "given"), [(1.0, "at 1, outside its range"), (0.06, "an opening of 1.5")])
def test_gripper_in_the_wrong_unit(value, given):
    """A fraction where the joint is in metres, and a width where it is one finger's way."""
    robot = embodiment(FRANKA)
    with pytest.raises(InputError, match=rf"joint_states: .*{given}"):
        robot.gripper_openings(joint_state(robot, panda_finger_joint1=value))


def test_gripper_width_in_millimetres():
    robot = embodiment("umi")
    with pytest.raises(InputError, match=r"gripper_widths\[gripper\]: gripper gripper \(55 m\) is an opening of 500"):
        robot.gripper_openings(replace(observation(robot), gripper_widths={"gripper": 55.0}))


@pytest.mark.parametrize("values", [[0.0, 60.0, 120.0], [0.0, 50.0, 100.0], [0.0, 0.5, np.nan], [-1.0, 0.0, 1.0]])
def test_recorded_gripper_in_the_wrong_unit(values):
    robot = embodiment("agibot_g1")
    states = random_walk(robot, 2, seed=0)
    wrong = {**states.gripper_openings, "left_gripper": np.array(values)}
    with pytest.raises(InputError, match=r"gripper left_gripper: row \d is an opening of .*outside 0 \(closed\)"):
        robot.encode(replace(states, gripper_openings=wrong))


def test_missing_view_and_missing_tool_pose():
    robot = embodiment(FRANKA)
    seen = observation(robot)
    with pytest.raises(InputError, match=r"views \['wrist'\] have no image; there are \['exterior_1', 'exterior_2'\]"):
        robot.build_request(replace(seen, images={k: v for k, v in seen.images.items() if k != "wrist"}), Mode.POLICY)
    hand = embodiment("umi")
    with pytest.raises(InputError, match=r"tool_poses: poses of camera are missing; there are none"):
        hand.tool_poses(replace(observation(hand), tool_poses={}))


def test_tool_pose_that_is_no_pose():
    hand = embodiment("umi")
    scaled = np.diag([2.0, 2.0, 2.0, 1.0])
    with pytest.raises(InputError, match=r"tool_poses\[camera\]: pose .*orthonormal"):
        hand.tool_poses(replace(observation(hand), tool_poses={"camera": scaled}))
    walk = random_walk(hand, 3, seed=1)
    poses = walk.tool_poses["camera"].copy()
    poses[2, 0, 3] = np.nan
    with pytest.raises(InputError, match=r"tool_poses\[camera\]: pose 2 is not finite"):
        hand.encode(replace(walk, tool_poses={"camera": poses}))


def test_recordings_of_unequal_length_and_too_short_ones():
    robot = embodiment(FRANKA)
    walk = random_walk(robot, 5, seed=1)
    with pytest.raises(InputError, match=r"lengths differ: \{'panda_link8': 6, 'gripper': 4\}"):
        robot.encode(replace(walk, gripper_openings={"gripper": np.ones(4)}))
    with pytest.raises(InputError, match=r"opening of gripper gripper is missing"):
        robot.encode(replace(walk, gripper_openings={}))
    with pytest.raises(InputError, match=r"1 recorded states give no action"):
        robot.encode(
            RecordedStates(tool_poses={"panda_link8": np.eye(4)[None]}, gripper_openings={"gripper": np.ones(1)})
        )


def test_joint_state_with_unequal_lengths_or_a_name_twice():
    robot = embodiment(FRANKA)
    state = joint_state(robot)
    with pytest.raises(InputError, match=r"joint_states: 8 names \(8 different\) with positions of shape \[7\]"):
        robot.tool_poses(JointState(0, state.names, state.positions[:7]))
    with pytest.raises(InputError, match=r"joint_states: 8 names \(7 different\)"):
        robot.tool_poses(JointState(0, ("panda_joint2", *state.names[1:]), state.positions))


# Chunks.


def test_chunk_of_another_width():
    with pytest.raises(DecodeError, match=r"actions: expected \[T, 10\] numbers, got shape \[16, 7\]"):
        decode(np.zeros((16, 7)))
    with pytest.raises(DecodeError, match=r"expected \[T, 10\] numbers, got shape \[0, 10\]"):
        decode(np.zeros((0, 10)))


def test_chunk_without_actions():
    robot = embodiment(FRANKA)
    with pytest.raises(DecodeError, match="no actions"):
        robot.decode(Rollout(frames=None, actions=None), observation(robot))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_chunk_with_a_number_that_is_not_finite(value):
    rows = chunk_rows().actions
    rows[11, 4] = value
    with pytest.raises(
        DecodeError, match=r"actions: step 11, column 4 \(panda_link8\.c0y\) is -?(nan|inf); 1 non-finite"
    ):
        decode(rows)


def test_chunk_with_zero_rotation():
    encoded = chunk_rows()
    physical = encoded.physical.copy()
    physical[5, 3:9] = 0.0
    robot = embodiment(FRANKA)
    with pytest.raises(DecodeError, match=r"step 5: rotation columns are 1 from orthonormal, at most 0\.05"):
        decode(robot.normaliser.normalise(physical))


def test_chunk_with_noisy_rotation_is_projected_and_says_so():
    encoded = chunk_rows()
    robot = embodiment(FRANKA)
    physical = encoded.physical.copy()
    physical[7, 3:9] *= 1.02
    findings = decode(robot.normaliser.normalise(physical)).findings
    assert [(f.level, f.code, f.where) for f in findings] == [("warning", "orthonormality", "step 7")]
    assert "0.02" in findings[0].message


def test_chunk_not_normalised_at_all():
    findings = decode(chunk_rows().physical).findings
    assert findings[0].code == "normalisation"
    assert "not normalised at all" in findings[0].message


def half(rows):
    return rows.astype(np.float16).astype(np.float64)


def bfloat(rows):
    bits = rows.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)


@pytest.mark.parametrize("rounded", [half, bfloat, lambda rows: np.round(rows, 4)])
@pytest.mark.parametrize("name", ["franka", "franka_robomind", "widowx250s", "ur5e", "umi"])
def test_physical_numbers_in_coarse_steps_are_found_too(name, rounded):
    """Servers answer in half precision, in which no rotation is orthonormal to 1e-5."""
    robot = embodiment(name)
    start = {link: np.eye(4) for link in robot.tool_links}
    encoded = robot.encode(random_walk(robot, 16, 4, metres=0.003, radians=0.008))
    for thorough in (True, False):
        found = robot.decode_actions(rounded(encoded.physical), start, thorough=thorough).findings
        assert "not normalised at all" in found[0].message
        for rows, physical in ((encoded.actions, False), (encoded.physical, True)):
            found = robot.decode_actions(rounded(rows), start, physical=physical, thorough=thorough).findings
            assert "normalisation" not in [f.code for f in found]


def test_a_robot_at_rest_raises_no_suspicion():
    robot = embodiment(FRANKA)
    rows = robot.encode(random_walk(robot, 16, 1, metres=0.0, radians=0.0)).actions
    for noise in (0.0, 0.005, 0.02):
        noisy = rows + np.random.default_rng(0).normal(0.0, noise, rows.shape)
        assert "normalisation" not in [f.code for f in decode(noisy).findings]


def test_normalised_numbers_given_as_physical():
    robot = embodiment(FRANKA)
    encoded = chunk_rows(radians=0.02, metres=0.005)
    start = encoded.start_poses
    with pytest.raises(DecodeError, match=r"looks normalised, not physical: .*give it as normalised"):
        robot.decode_actions(encoded.unclamped, start, physical=True)
    zero = encoded.physical.copy()
    zero[:, 3:9] = 0.0
    with pytest.raises(DecodeError) as error:
        robot.decode_actions(zero, start, physical=True)
    assert "looks" not in str(error.value)


def test_chunk_normalised_and_clamped_twice():
    robot = embodiment(FRANKA)
    once = chunk_rows(radians=0.008, metres=0.003).actions
    twice = robot.normaliser.clamp(robot.normaliser.normalise(once))[0]
    messages = [f.message for f in decode(twice).findings]
    assert any("looks normalised and clamped twice" in text for text in messages)


@pytest.mark.parametrize("value", [85.0, 120.0, -90.0])
def test_chunk_with_a_gripper_in_another_unit(value):
    rows = chunk_rows().physical
    rows[5, 9] = value
    robot = embodiment(FRANKA)
    start = {link: np.eye(4) for link in robot.tool_links}
    with pytest.raises(DecodeError, match=rf"actions: step 5: gripper gripper is an opening of {value:g}, far outside"):
        robot.decode_actions(rows, start, physical=True)


def test_chunk_with_numbers_that_overflow():
    rows = chunk_rows().physical
    rows[3:, 1] = 1e308
    robot = embodiment(FRANKA)
    start = {link: np.eye(4) for link in robot.tool_links}
    with pytest.raises(DecodeError, match=r"step 3, column 1 \(panda_link8\.y\) is 1e\+308, which no motion is"):
        robot.decode_actions(rows, start, physical=True)


def test_a_joint_recorded_twice():
    robot = embodiment(FRANKA)
    names = (*robot.joint_names, robot.joint_names[0])
    states = RecordedStates(names, np.zeros((3, 8)), gripper_openings={"gripper": np.ones(3)})
    with pytest.raises(InputError, match=r"joint_names: a name stands twice"):
        robot.encode(states)


def test_chunk_normalised_twice():
    robot = embodiment(FRANKA)
    with pytest.raises(DecodeError, match=r"looks normalised twice"):
        decode(robot.normaliser.normalise(chunk_rows(radians=0.02, metres=0.005).unclamped))


@pytest.mark.parametrize(
    ("maker", "reader"), [("franka_robomind", "franka"), ("franka", "widowx250s"), ("ur5e", "umi")]
)
def test_chunk_with_another_robots_statistics(maker, reader):
    encoded = chunk_rows(maker, radians=0.015, metres=0.003)
    robot = embodiment(reader)
    start = {link: np.eye(4) for link in robot.tool_links}
    try:
        text = " ".join(f.message for f in robot.decode_actions(encoded.unclamped, start).findings)
    except DecodeError as error:
        text = str(error)
    same = {maker, "franka_exterior", "franka_fr3", "franka_fr3_robomind", "ur10e", "ur16e"}
    assert "looks normalised with the statistics of" in text
    assert any(f"statistics of {name}" in text for name in same)


@pytest.mark.parametrize(
    "name", ["franka", "franka_robomind", "ur5e", "widowx250s", "umi", "agibot_g1", "google_robot"]
)
def test_right_chunks_raise_no_suspicion(name):
    """Recorded motion, exact and in float32, slow, fast and clamped; and a model's noisy answers."""
    robot = embodiment(name)
    start = {link: np.eye(4) for link in robot.tool_links}
    rng = np.random.default_rng(0)
    for metres, radians in ((1e-5, 1e-5), (1e-3, 3e-3), (5e-3, 1e-2)):
        encoded = robot.encode(random_walk(robot, 64, 3, metres, radians))
        for rows in (encoded.unclamped, encoded.actions.astype(np.float32)):
            codes = [f.code for f in robot.decode_actions(rows, start).findings]
            assert "normalisation" not in codes
        noisy = encoded.unclamped + rng.normal(0, 0.02, encoded.unclamped.shape)
        assert "normalisation" not in [f.code for f in robot.decode_actions(noisy, start).findings]


def test_gripper_out_of_range_is_clipped_and_reported():
    """The cookbook's umi.json read as physical numbers has grippers of -0.14."""
    robot = embodiment("umi")
    encoded = robot.encode(random_walk(robot, 8, seed=1))
    physical = encoded.physical.copy()
    physical[:, 9] = -0.14
    chunk = robot.decode_actions(physical, encoded.start_poses, physical=True)
    assert chunk.grippers["gripper"].max() == 0.0
    assert [f.code for f in chunk.findings] == ["gripper_range"]
