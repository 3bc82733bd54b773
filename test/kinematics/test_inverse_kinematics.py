"""Inverse kinematics: reachable chunks, limits, singularities, several targets, unreachable poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bench_ik import CASES, measure, random_chunks
from cosmos_ros.errors import InputError, KinematicsError
from cosmos_ros.kinematics import IkOptions, InverseKinematics, RobotModel
from cosmos_ros.limits import JointLimit
from cosmos_ros.resources import resource
from cosmos_ros.se3 import from_euler_xyz_extrinsic, pose_error, pose_from

PANDA_START = np.array([0.0438, -0.4094, 0.4236, -2.4313, -0.0276, 1.9793, 0.6358])
PANDA_JOINTS = [f"panda_joint{i}" for i in range(1, 8)]
UR_JOINTS = [
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
]


def load(name: str) -> RobotModel:
    return RobotModel.from_urdf(resource("embodiments", "urdf", f"{name}.urdf"))


@pytest.fixture(scope="module")
def panda() -> RobotModel:
    return load("panda")


def panda_path(model: RobotModel, steps: int = 16, amplitude: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """A smooth joint path from PANDA_START, and its flange poses."""
    phase = np.linspace(0, 1, steps + 1)[1:, None]
    q = PANDA_START + amplitude * np.sin(phase * np.array([1.0, 0.7, -0.8, 0.6, 1.2, -0.5, 0.9]))
    return q, model.fk_batch(np.column_stack([q, np.zeros(steps)]), "panda_link8")


def times(steps: int, fps: float = 15.0) -> np.ndarray:
    return np.round(np.arange(1, steps + 1) * 1e9 / fps).astype(np.int64)


def check_figures(name: str, count: int, seed: int) -> None:
    (result,) = measure(name, ["auto"], count, speed=0.3, seed=seed)
    assert result.limit_violations == 0
    assert result.silent_failures == 0
    assert result.success_percent >= 99.5
    assert result.fastest_step <= 2.0 + 1e-6  # times are whole nanoseconds


@pytest.mark.parametrize("name", ["panda", "fr3", "ur5e", "ur10e", "wx250s", "g1_arms", "g1_whole", "franka_dual"])
def test_reachable_chunks_are_reached(name: str) -> None:
    check_figures(name, 40, seed=11)


@pytest.mark.nightly
@pytest.mark.parametrize("name", list(CASES))
def test_reachable_chunks_are_reached_500(name: str) -> None:
    check_figures(name, 500, seed=12)


def test_numpy_backend_gives_the_same_answers() -> None:
    fast, slow = measure("panda", ["auto", "numpy"], 6, speed=0.3)
    assert slow.backend == "numpy"
    assert slow.success_percent == 100.0
    assert slow.worst_position_mm == pytest.approx(fast.worst_position_mm, abs=1e-6)


def test_fast_chunks_that_are_missed_are_reported() -> None:
    """At 90 % of all velocity limits at once some chunks run into limits; none may do so silently."""
    (result,) = measure("fr3", ["auto"], 25, speed=0.9)
    assert result.silent_failures == 0
    assert result.limit_violations == 0


def test_redundant_arm_stays_near_its_path(panda: RobotModel) -> None:
    q, poses = panda_path(panda)
    solver = InverseKinematics(panda, ["panda_link8"], PANDA_JOINTS)
    solution = solver.solve({"panda_link8": poses}, PANDA_START, times(16))
    assert solution.converged.all()
    assert solution.position_residuals.max() < 2e-6
    assert np.abs(solution.positions - q).max() < 0.2
    assert solution.joint_names == tuple(PANDA_JOINTS)


def test_pull_brings_a_still_tool_towards_the_nominal_posture(panda: RobotModel) -> None:
    home = panda.fk(np.append(PANDA_START, 0), "panda_link8")
    wobble = np.array([home @ pose_from([1e-4 * (-1) ** k, 0, 0]) for k in range(300)])
    nominal = {"panda_joint1": 0.5}

    def end(options: IkOptions) -> float:
        solver = InverseKinematics(panda, ["panda_link8"], PANDA_JOINTS, nominal, options=options)
        solution = solver.solve({"panda_link8": wobble}, PANDA_START)
        assert solution.converged.all()
        return float(solution.positions[-1, 0])

    still = end(IkOptions(pull_to_start=0, pull_to_nominal=0))
    drawn = end(IkOptions(pull_to_start=0, pull_to_nominal=0.02))
    assert abs(drawn - 0.5) < abs(still - 0.5) - 0.1


@pytest.mark.parametrize("start", [PANDA_START, dict(zip(PANDA_JOINTS, PANDA_START, strict=True)) | {"other": 1.0}])
def test_unreachable_poses_give_residuals_not_errors(panda: RobotModel, start: object) -> None:
    solver = InverseKinematics(panda, ["panda_link8"], PANDA_JOINTS)
    poses = np.tile(pose_from([3.0, 0, 0.5]), (16, 1, 1))
    solution = solver.solve({"panda_link8": poses}, start, times(16))  # type: ignore[arg-type]
    assert not solution.converged.any()
    assert (solution.position_residuals > 1.0).all()
    limits = [panda.limits[name] for name in PANDA_JOINTS]
    assert (solution.positions >= [limit.lower for limit in limits]).all()
    assert (solution.positions <= [limit.upper for limit in limits]).all()
    reached = panda.fk(np.append(solution.positions[-1], 0), "panda_link8")
    assert pose_error(reached, poses[-1])[0] == pytest.approx(solution.position_residuals[-1], abs=1e-9)


def test_half_turn_error_does_not_stall(panda: RobotModel) -> None:
    home = panda.fk(np.append(PANDA_START, 0), "panda_link8")
    for axis in np.eye(3):
        turned = home @ pose_from([0, 0, 0], from_euler_xyz_extrinsic(np.pi * axis))
        solver = InverseKinematics(panda, ["panda_link8"], PANDA_JOINTS)
        solution = solver.solve({"panda_link8": turned[None]}, PANDA_START)
        assert np.isfinite(solution.positions).all()
        assert np.abs(solution.positions - PANDA_START).max() > 1e-3


def test_limits_hold_and_are_left_again(panda: RobotModel) -> None:
    """Joint 4 is limited just before where the path turns: it waits at the face and comes back."""
    swing = PANDA_START + 0.3 * np.sin(np.linspace(0, np.pi, 33)[1:, None]) * np.array([0, 0.3, 0, 1.0, 0, 0.5, 0])
    poses = panda.fk_batch(np.column_stack([swing, np.zeros(32)]), "panda_link8")
    upper = PANDA_START[3] + 0.25
    limits = {"panda_joint4": replace(panda.limits["panda_joint4"], upper=upper)}
    solver = InverseKinematics(panda, ["panda_link8"], PANDA_JOINTS, limits=limits)
    solution = solver.solve({"panda_link8": poses}, PANDA_START, times(32))
    at_limit = solution.positions[:, 3] == upper
    assert solution.positions[:, 3].max() == upper
    assert 0 < at_limit.sum() < 32
    assert solution.converged[-1]
    assert solution.positions[-1, 3] < upper - 0.1


def test_singular_wrist_asks_for_no_jump() -> None:
    """A tool path straight through the wrist singularity of a UR would flip wrist joints by half a turn at once."""
    model = load("ur5e")
    start = np.array([0.3, -1.4, 1.6, -1.8, 0.02, 0.4])
    home = model.fk(start, "tool0")
    # A turn about an axis that the singular wrist cannot make: it has to swing wrist 1 and 3 to follow.
    turns = np.linspace(0, 0.25, 17)[1:]
    poses = np.array([home @ pose_from([0, 0, 0], from_euler_xyz_extrinsic([0, a, 0.3 * a])) for a in turns])
    velocity = np.array([model.limits[j].velocity for j in UR_JOINTS])
    solver = InverseKinematics(model, ["tool0"], UR_JOINTS)
    solution = solver.solve({"tool0": poses}, start, times(16, 30.0))
    steps = np.abs(np.diff(np.vstack([start, solution.positions]), axis=0))
    assert (steps <= 2.0 * velocity / 30.0 + 1e-6).all()
    unbounded = solver.solve({"tool0": poses}, start)
    jumps = np.abs(np.diff(np.vstack([start, unbounded.positions]), axis=0))
    assert (jumps > 2.0 * velocity / 30.0).any(), "the path does not test what it should"


@pytest.mark.parametrize("turn", [-1, 0, 1])
def test_turns_are_kept(turn: int) -> None:
    """The same tool path from wrist 3 at 170 degrees on three turns: across 180 degrees without wrapping."""
    model = load("ur3e")
    start = np.array([0.3, -1.4, 1.6, -1.8, -1.2, np.radians(170) + 2 * np.pi * turn])
    q = np.tile(start, (16, 1))
    q[:, 5] += np.linspace(0, 0.6, 17)[1:]
    solver = InverseKinematics(model, ["tool0"], UR_JOINTS)
    solution = solver.solve({"tool0": model.fk_batch(q, "tool0")}, start, times(16))
    np.testing.assert_allclose(solution.positions, q, atol=1e-5)


def test_whole_agibot_moves_waist_head_and_both_hands() -> None:
    model = load("g1")
    links = ["head_camera_link", "gripper_r_base_link", "gripper_l_base_link"]
    joints = [name for name in model.joint_names if "gripper" not in name]
    start = np.array([0.2, 0.3, 0.1, 0.1] + [0.5, -0.5, 0.3, 0.6, 0.2, 0.4, 0.1] * 2)
    whole = np.zeros((17, len(model.joint_names)))
    columns = [model.joint_names.index(name) for name in joints]
    whole[:, columns] = start + np.linspace(0, 1, 17)[:, None] * np.linspace(0.1, -0.1, 18) * 0.5
    poses = {link: found[1:] for link, found in model.fk_batch_links(whole, links).items()}
    solver = InverseKinematics(model, links, joints)
    solution = solver.solve(poses, dict(zip(model.joint_names, whole[0], strict=True)), times(16))
    assert solution.converged.all()
    assert solution.targets == tuple(links)
    assert solution.target_position_residuals.shape == (16, 3)
    # The head's two joints and the waist's two are determined by the head's pose.
    trunk = [solver.joint_names.index(name) for name in joints[:4]]
    np.testing.assert_allclose(solution.positions[:, trunk], whole[1:, columns][:, :4], atol=1e-4)


def test_hands_stay_exact_when_the_head_cannot_follow() -> None:
    model = load("g1")
    links = ["head_camera_link", "gripper_r_base_link", "gripper_l_base_link"]
    joints = [name for name in model.joint_names if "gripper" not in name]
    start = dict.fromkeys(model.joint_names, 0.0)
    start |= dict(zip(joints, [0.2, 0.3, 0.1, 0.1] + [0.5, -0.5, 0.3, 0.6, 0.2, 0.4, 0.1] * 2, strict=True))
    poses = {link: np.tile(model.fk(start, link), (8, 1, 1)) for link in links}
    poses["head_camera_link"] = poses["head_camera_link"] @ pose_from([0.02, 0.0, 0.0], [0, 0, 0.0087265, 0.99996192])
    solution = InverseKinematics(model, links, joints).solve(poses, start, times(8))
    hands = solution.target_position_residuals[:, 1:]
    assert hands.max() < 1e-4
    assert solution.target_position_residuals[-1, 0] > 1e-3
    assert not solution.converged[-1]


def test_joints_that_are_not_moved_keep_their_measured_value() -> None:
    model = load("g1")
    joints = [name for name in model.joint_names if "right_arm" in name]
    link = "gripper_r_base_link"
    measured = dict.fromkeys(model.joint_names, 0.0) | dict.fromkeys(joints, 0.3) | {"idx01_waist_lift_joint": 0.3}
    pose = model.fk(measured | {joints[0]: 0.35}, link)
    solver = InverseKinematics(model, [link], joints)
    solution = solver.solve({link: pose[None]}, measured)
    assert solution.converged.all()
    with pytest.raises(KinematicsError, match="'idx01_waist_lift_joint' has no value"):
        solver.solve({link: pose[None]}, [0.3] * 7)
    trunk = {"idx01_waist_lift_joint": 0.3, "idx02_waist_pitch_joint": 0.0}
    nominal = InverseKinematics(model, [link], joints, nominal=trunk)
    assert nominal.solve({link: pose[None]}, [0.3] * 7).converged.all()


def test_arms_that_share_no_joint_are_solved_apart() -> None:
    model = load("franka_dual")
    left, right = "left_panda_link8", "right_panda_link8"
    joints = [f"{side}_panda_joint{i}" for i in range(1, 8) for side in ("left", "right")]
    start = dict.fromkeys(model.joint_names, 0.0)
    for side in ("left", "right"):
        start |= {f"{side}_{name}": value for name, value in zip(PANDA_JOINTS, PANDA_START, strict=True)}
    poses = {link: np.tile(model.fk(start, link), (8, 1, 1)) @ pose_from([0, 0, 0.02]) for link in (left, right)}
    both = InverseKinematics(model, [left, right], joints).solve(poses, start, times(8))
    poses[left] = np.tile(pose_from([5.0, 0, 0]), (8, 1, 1))
    one = InverseKinematics(model, [left, right], joints).solve(poses, start, times(8))
    columns = [index for index, name in enumerate(joints) if name.startswith("right")]
    np.testing.assert_array_equal(one.positions[:, columns], both.positions[:, columns])
    assert both.converged.all()
    assert one.target_position_residuals[0, 0] > 1.0
    assert one.target_position_residuals[0, 1] < 1e-5


def test_solving_is_deterministic() -> None:
    from benchmarks.bench_ik import make_solver

    _, solver = make_solver("fr3")
    for chunk in random_chunks(solver, 3, 0.6, seed=22):
        first = solver.solve(chunk.poses, chunk.start, chunk.times_ns)
        second = solver.solve(chunk.poses, chunk.start, chunk.times_ns)
        np.testing.assert_array_equal(first.positions, second.positions)


def test_start_outside_its_limits_is_brought_inside(panda: RobotModel) -> None:
    start = PANDA_START.copy()
    start[5] = -0.02  # the limit is -0.0175
    pose = panda.fk(np.append(start, 0), "panda_link8")
    solution = InverseKinematics(panda, ["panda_link8"], PANDA_JOINTS).solve(
        {"panda_link8": np.tile(pose, (4, 1, 1))}, start, times(4)
    )
    assert (solution.positions[:, 5] >= panda.limits["panda_joint6"].lower).all()
    assert solution.position_residuals.max() < 1e-2


@pytest.mark.parametrize(
    ("targets", "joints", "limits", "match"),
    [
        ([], PANDA_JOINTS, {}, "targets"),
        (["panda_link8", "panda_link8"], PANDA_JOINTS, {}, "repeat"),
        (["panda_link9"], PANDA_JOINTS, {}, "Did you mean"),
        (["panda_link8"], [], {}, "joints"),
        (["panda_link8"], ["joint1"], {}, "'joint1' is unknown"),
        (["panda_link8"], ["panda_finger_joint1"], {}, "moves none of the targets"),
        (["panda_link8", "panda_link0"], PANDA_JOINTS, {}, "'panda_link0' is moved by none"),
        (["panda_link8"], PANDA_JOINTS, {"panda_joint1": JointLimit(lower=1, upper=0)}, "no room"),
    ],
)
def test_wrong_configurations(panda: RobotModel, targets: list, joints: list, limits: dict, match: str) -> None:
    with pytest.raises(KinematicsError, match=match):
        InverseKinematics(panda, targets, joints, limits=limits)


def test_wrong_inputs(panda: RobotModel) -> None:
    solver = InverseKinematics(panda, ["panda_link8"], PANDA_JOINTS)
    _, poses = panda_path(panda)
    good = {"panda_link8": poses}
    broken = poses.copy()
    broken[7, 0, 3] = np.nan
    cases: list[tuple[object, object, object, type[Exception], str]] = [
        ({"panda_link8": broken}, PANDA_START, None, InputError, "panda_link8: pose 7 is not finite"),
        ({"panda_link8": 2 * poses}, PANDA_START, None, InputError, "last row"),
        ({"panda_link8": poses[0]}, PANDA_START, None, InputError, r"expected \[T, 4, 4\]"),
        ({}, PANDA_START, None, InputError, "panda_link8: no poses"),
        (good, PANDA_START[:6], None, KinematicsError, r"shape \(6,\), expected \[7\]"),
        (
            good,
            dict(zip(PANDA_JOINTS[1:], PANDA_START[1:], strict=True)),
            None,
            KinematicsError,
            "'panda_joint1' has no",
        ),
        (good, np.append(PANDA_START[:6], np.nan), None, KinematicsError, "'panda_joint7' is nan"),
        (good, PANDA_START, times(15), InputError, "times"),
        (good, PANDA_START, times(16)[::-1], InputError, "row 1 does not come after"),
        (good, PANDA_START, times(16) - times(1)[0], InputError, "row 0 does not come after"),
    ]
    for wanted, start, stamps, error, match in cases:
        with pytest.raises(error, match=match):
            solver.solve(wanted, start, stamps)  # type: ignore[arg-type]
