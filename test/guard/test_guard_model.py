"""Limits that need the robot's kinematics, against Pinocchio and coal on dense samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from guard_support import HOME, JOINT_CHECKS, NOW, PANDA, context, dense, panda_limits, reach, state, times_of
from hypothesis import given, settings
from hypothesis import strategies as st
from model_support import (
    CAPSULES,
    ONE,
    PAIRS,
    TIP,
    coal_distances,
    find,
    model,
    tip_path,
    tool_twists,
    with_tool,
)

from cosmos_ros.errors import GuardError
from cosmos_ros.guard import Box, Guard, GuardContext, GuardedRobot, GuardSettings, Response, Surroundings, Violation
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checks.check_registry import check_types
from cosmos_ros.guard.checks.effort import Effort, PinocchioDynamics
from cosmos_ros.guard.checks.region import beyond, inside
from cosmos_ros.guard.checks.self_collision import segment_distance
from cosmos_ros.guard.motion.joint_motion import make_motion
from cosmos_ros.guard.motion.kinematic_bounds import make_chain
from cosmos_ros.guard.motion.limit_table import limit_table
from cosmos_ros.guard.motion.sampler import Points, Sampler
from cosmos_ros.limits import RobotLimits
from cosmos_ros.resources import resource
from cosmos_ros.types import JointTrajectory

# -- kinematics and their bounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("robot", "tip"),
    [
        ("panda", "panda_link8"), ("panda", "panda_rightfinger"), ("g1", "gripper_r_base_link"), ("ur5e", "tool0"),
        ("wx250s", "ee_gripper_link"),
    ],
)  # fmt: skip
def test_twists_and_all_bounds_on_their_change(robot: str, tip: str) -> None:
    m = model(robot)
    names, rng = m.joint_names, np.random.default_rng(4)
    table = limit_table(names, RobotLimits({n: m.limits[n] for n in names}))
    q, v = rng.uniform(-0.5, 0.5, (6, len(names))), rng.uniform(-1.0, 1.0, (6, len(names)))
    motion = make_motion(JointTrajectory(names, NOW, times_of(np.arange(6) * 0.1), q, v), table, None)
    samples = Sampler(m, [tip]).samples(motion, None)
    segment = np.repeat(np.arange(5), 60)
    u = np.tile(np.linspace(0.01, 0.99, 60), 5)

    def at(shift: float) -> Points:
        return Points(samples, segment, u + shift / 0.1, np.zeros(len(u)))

    points, h = at(0.0), 1e-6
    jacobians = np.array([m.jacobian(c, tip) for c in points.joints(0)])
    assert np.abs(points.jacobian(tip) - jacobians).max() < 1e-12
    moved = (at(h).position(tip) - at(-h).position(tip)) / (2 * h)
    assert np.abs(points.twist(tip)[:, :3] - moved).max() < 1e-7
    change = (at(h).twist(tip) - at(-h).twist(tip)) / (2 * h)
    rate = points.twist_rate(tip)
    assert np.abs(rate - change).max() < 1e-6 * np.abs(change).max()
    jerk = (at(h).twist_rate(tip) - at(-h).twist_rate(tip)) / (2 * h)
    least = np.linalg.svd(jacobians, compute_uv=False)[:, -1]
    ahead = np.linalg.svd(at(h).jacobian(tip), compute_uv=False)[:, -1]
    size = {
        "speed": np.linalg.norm(points.twist(tip)[:, :3], axis=1),
        "spin": np.linalg.norm(points.twist(tip)[:, 3:], axis=1),
        "acceleration": np.linalg.norm(rate[:, :3], axis=1),
        "spin_rate": np.linalg.norm(rate[:, 3:], axis=1),
        "jerk": np.linalg.norm(jerk[:, :3], axis=1),
        "spin_jerk": np.linalg.norm(jerk[:, 3:], axis=1),
    }
    chain = samples.sampler.chains[tip]
    for name, values in size.items():
        assert (values <= getattr(points.rates(tip), name) * (1 + 1e-6) + 1e-6).all(), name
        assert (values <= getattr(samples.ceilings(chain), name)[segment] * (1 + 1e-6) + 1e-6).all(), name
    assert (np.abs(ahead - least) / h <= points.singular_rate(tip) + 1e-5).all()
    assert (np.abs(ahead - least) / h <= points.coarse_singular_rate(tip) + 1e-5).all()
    # Over an interval, too: from its midpoint to anywhere in it.
    wide = Points(samples, segment, np.full(len(u), 0.5), np.full(len(u), 0.5))
    middle = np.linalg.svd(wide.jacobian(tip), compute_uv=False)[:, -1]
    away = np.abs(u - 0.5) * 0.1
    assert (np.abs(least - middle) <= wide.singular_rate(tip) * 0.05 + 1e-9).all() and away.max() < 0.05


def test_a_link_that_nothing_moves() -> None:
    chain = make_chain(model(), "panda_link0")
    assert not chain.joints
    table = limit_table(PANDA, panda_limits())
    samples = Sampler(model(), [], ["panda_link0"]).samples(make_motion(reach(0.1), table, None), None)
    rates = samples.ceilings(chain)
    assert not rates.speed.any() and not rates.jacobian_bend.any() and not rates.spin_rate.any()


def test_joints_that_a_motion_lacks_stay_as_measured() -> None:
    m = model("g1")
    arm = [n for n in m.joint_names if "right_arm" in n]
    limits = RobotLimits({n: m.limits[n] for n in m.joint_names})
    table = limit_table(tuple(arm), limits)
    q = np.zeros((2, len(arm)))
    motion = make_motion(JointTrajectory(tuple(arm), NOW, times_of([0.0, 1.0]), q), table, None)
    lifted = state(HOME)
    lifted = replace(
        lifted, names=("idx01_waist_lift_joint", "idx02_waist_pitch_joint"), positions=np.array([0.3, 0.2])
    )
    tip = "gripper_r_base_link"
    low = Sampler(m, [tip]).samples(motion, None).grid.position(tip)[0]
    high = Sampler(m, [tip]).samples(motion, lifted).grid.position(tip)[0]
    assert high[2] - low[2] > 0.1


# -- tool speed and acceleration -------------------------------------------------------------------------------------


SWING = np.array([0.9, 0.5, -0.5, 0.6, 0.4, -0.6, 0.8])


@pytest.mark.parametrize(("kind", "column"), [("cartesian_speed", 1), ("rotational_speed", 2)])
def test_tool_speeds(kind: str, column: int) -> None:
    trajectory = reach(SWING)
    twists = tool_twists(trajectory)
    bounds = [0.7 * twists[1].max(), 0.7 * twists[2].max()]
    limits = with_tool(linear_speed=bounds[0], angular_speed=bounds[1])
    found = find(trajectory, kind, limits)
    assert len(found) == 1 and found[0].limit == kind and found[0].message == TIP
    bound = bounds[column - 1]
    assert found[0].time == pytest.approx(twists[0][np.argmax(twists[column] > bound)], abs=2e-3)
    assert found[0].value == pytest.approx(bound, abs=1e-3) and found[0].bound == bound
    slower = replace(trajectory, times_ns=trajectory.times_ns * 4, velocities=trajectory.velocities / 4)
    assert not find(slower, kind, limits)
    assert find(slower, kind, limits, cartesian_scale=0.1)


def test_a_bound_just_above_and_just_below_the_peak() -> None:
    trajectory = reach(SWING)
    peak = tool_twists(trajectory, 10_000.0)[1].max()
    assert not find(trajectory, "cartesian_speed", with_tool(linear_speed=peak * 1.002))
    assert find(trajectory, "cartesian_speed", with_tool(linear_speed=peak * 0.996))


@pytest.mark.parametrize("bound", ["linear_acceleration", "angular_acceleration"])
def test_tool_acceleration(bound: str) -> None:
    trajectory = reach(SWING)
    assert not find(trajectory, "cartesian_acceleration", with_tool(**{bound: 40.0}))
    found = find(trajectory, "cartesian_acceleration", with_tool(**{bound: 1.0}))
    assert found[0].limit == "cartesian_acceleration" and found[0].bound == 1.0 and found[0].value >= 1.0
    assert not find(replace(trajectory, velocities=None), "cartesian_acceleration", with_tool(**{bound: 1.0}))


def test_tool_acceleration_by_differences_of_velocity() -> None:
    """The first time and the size, against numerical derivatives of the tool's position."""
    trajectory = reach(SWING)
    samples = dense(trajectory, 4000.0)
    pad = len(model().joint_names) - 7
    fine = np.linspace(0.0, samples.seconds[-1], 8001)
    q = np.stack([np.interp(fine, samples.seconds, samples.positions[:, j]) for j in range(7)], axis=1)
    tips = model().fk_batch(np.pad(q, ((0, 0), (0, pad))), TIP)[:, :3, 3]
    smooth = 40  # the path is itself interpolated; differences over 5 ms see through that
    speed = (tips[smooth:] - tips[:-smooth]) / (fine[smooth] - fine[0])
    acceleration = np.linalg.norm(speed[smooth:] - speed[:-smooth], axis=1) / (fine[smooth] - fine[0])
    bound = 0.5 * acceleration.max()
    found = find(trajectory, "cartesian_acceleration", with_tool(linear_acceleration=bound))[0]
    first = fine[smooth] + fine[np.argmax(acceleration > bound)]
    assert found.time == pytest.approx(first, abs=0.02) and found.value == pytest.approx(bound, rel=0.1)
    assert not find(trajectory, "cartesian_acceleration", with_tool(linear_acceleration=1.1 * acceleration.max()))


def test_a_tool_that_is_too_fast_is_slowed_down() -> None:
    limits = with_tool(linear_speed=0.3, angular_speed=0.8, linear_acceleration=2.0, angular_acceleration=6.0)
    guard = Guard(GuardedRobot(limits, model()), GuardSettings(checks=[check.name for check in check_types()]))
    trajectory = reach(SWING)
    verdict = guard.judge(trajectory, context())
    assert verdict.response is Response.SLOW_DOWN, verdict.summary
    _, linear, angular = tool_twists(verdict.trajectory)
    assert linear.max() <= 0.3 + 2e-3 and angular.max() <= 0.8 + 2e-3
    assert linear.max() > 0.27 or angular.max() > 0.72


# -- where the tool may be -------------------------------------------------------------------------------------------


def test_distances_to_boxes() -> None:
    box = Box((0.0, 0.0, 0.0), (1.0, 2.0, 3.0))
    points = np.array([[0.5, 1.0, 1.5], [0.9, 1.0, 1.5], [1.2, 1.0, 1.5], [2.0, 3.0, 1.5]])
    assert inside(box, 0.0, points).tolist() == pytest.approx([0.5, 0.1, -0.2, -1.0])
    assert inside(box, 0.05, points)[0] == pytest.approx(0.45)
    assert inside(box, 0.05, np.array([[0.1, 1.0, 1.5], [0.9, 1.0, 1.5]])).tolist() == pytest.approx([0.05, 0.05])
    assert beyond(box, 0.0, points).tolist() == pytest.approx([-0.5, -0.1, 0.2, np.sqrt(2.0)])
    assert beyond(box, 0.1, points)[2] == pytest.approx(0.1)


def test_workspace_keep_out_and_plane() -> None:
    trajectory = reach(ONE[0] * 1.2 + ONE[1] * 0.6, duration=2.0, points=31)
    seconds, path = tip_path(trajectory)
    side = Box((-1.0, -1.0, -1.0), (1.0, 0.25, 2.0))
    found = find(trajectory, "workspace", workspace=side)[0]
    assert found.time == pytest.approx(seconds[np.argmax(path[:, 1] > 0.25)], abs=2e-3)
    assert "y = 0.250" in found.message and found.bound == 0.0
    earlier = find(trajectory, "workspace", workspace=side, workspace_margin=0.05)[0]
    assert earlier.time < found.time and earlier.margin == 0.05
    assert not find(trajectory, "workspace", workspace=Box((-1.0, -1.0, -1.0), (1.0, 1.0, 2.0)))
    middle = path[len(path) // 2]
    block = Box(tuple(middle - 0.02), tuple(middle + 0.02))
    found = find(trajectory, "keep_out", keep_out=(Box((5.0, 5.0, 5.0), (6.0, 6.0, 6.0)), block))[0]
    within = np.all(np.abs(path - middle) < 0.02, axis=1)
    assert found.time == pytest.approx(seconds[np.argmax(within)], abs=2e-3) and "box 1" in found.message
    height = path[:, 2].min() + 0.01
    found = find(trajectory, "plane", minimum_z=height)[0]
    assert found.time == pytest.approx(seconds[np.argmax(path[:, 2] < height)], abs=2e-3)
    assert found.value == pytest.approx(height, abs=1e-4) and found.bound == height
    assert not find(trajectory, "plane", minimum_z=path[:, 2].min() - 0.001)


def test_a_dip_between_points_is_seen() -> None:
    """Both points are high; the joint-linear way between them is not."""
    q = np.array([[0.0, 0.31, 0.0, -1.47, 0.0, 2.51, 0.785], [0.0, 1.17, 0.0, -2.99, 0.0, 0.86, 0.785]])
    trajectory = JointTrajectory(PANDA, NOW, times_of([0.0, 2.0]), q)
    assert tip_path(trajectory)[1][[0, -1], 2].min() > 0.2
    found = find(trajectory, "plane", start=q[0], minimum_z=0.125)
    assert found and 0.5 < found[0].time < 0.8


def test_a_tool_that_is_outside_may_come_back_but_go_no_farther() -> None:
    low = find(reach(ONE[1] * -0.2, duration=2.0), "plane", minimum_z=0.65)  # home is at 0.59
    assert not low
    found = find(reach(ONE[1] * 0.2, duration=2.0), "plane", minimum_z=0.65)
    assert found and found[0].time > 0.0
    assert find(reach(ONE[1] * -0.2, duration=2.0), "plane", minimum_z=0.65, recovery=False)[0].time == 0.0


def test_truncates_before_the_table() -> None:
    limits = with_tool()
    robot = GuardedRobot(limits, model(), Surroundings(links=(TIP,), minimum_z=0.4))
    guard = Guard(robot, GuardSettings(checks=JOINT_CHECKS | {"plane"}, workspace_margin=0.01))
    trajectory = reach(ONE[1] * 1.0, duration=2.0, points=31)
    verdict = guard.judge(trajectory, context())
    assert verdict.response is Response.TRUNCATE, verdict.summary
    assert tip_path(verdict.trajectory)[1][:, 2].min() >= 0.41 - 1e-4


# -- self-collision --------------------------------------------------------------------------------------------------


def test_capsule_distances_are_those_of_coal() -> None:
    rng = np.random.default_rng(2)
    lower = np.array([panda_limits().joints[n].lower for n in PANDA])
    upper = np.array([panda_limits().joints[n].upper for n in PANDA])
    positions = rng.uniform(lower, upper, (60, 7))
    robot = GuardedRobot(with_tool(), model(), Surroundings(links=(TIP,), capsules=CAPSULES, collision_pairs=PAIRS))
    checker = Checker(robot, GuardSettings(checks=frozenset({"self_collision"})))
    table = limit_table(PANDA, panda_limits())
    still = make_motion(JointTrajectory(PANDA, NOW, times_of(np.arange(60)), positions), table, None)
    samples = checker.sampler.samples(still, None)
    ours = checker.checks[0].distances(Points(samples, np.arange(59), np.zeros(59), np.zeros(59)))
    theirs = coal_distances(positions[:59])
    apart = theirs > 1e-6  # coal reports a penetration depth of its own kind where capsule axes cross
    assert np.abs(ours - theirs)[apart].max() < 1e-9
    assert (ours[~apart] < 1e-6).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_segment_distance_against_sampling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = rng.normal(size=(4, 3))
    if seed % 4 == 1:
        ends[3] = ends[2] + (ends[1] - ends[0]) * rng.normal()  # parallel
    elif seed % 4 == 2:
        ends[1] = ends[0]  # a point
    elif seed % 4 == 3:
        ends[1], ends[3] = ends[0], ends[2]  # two points
    u = np.linspace(0.0, 1.0, 301)
    a = ends[0] + np.outer(u, ends[1] - ends[0])
    b = ends[2] + np.outer(u, ends[3] - ends[2])
    sampled = np.linalg.norm(a[:, None] - b[None], axis=2).min()
    exact = float(segment_distance(*ends))
    assert exact <= sampled + 1e-9 and sampled - exact < 0.03


FOLD = np.array([[0.0, -0.3, 0.0, -2.2, 0.0, 2.0, 0.785], [0.0, -1.5, 0.0, -3.0, 0.0, 0.3, 0.785]])


def folding() -> JointTrajectory:
    return JointTrajectory(PANDA, NOW, times_of([0.0, 3.0]), FOLD)


@pytest.mark.parametrize("margin", [0.0, 0.03])
def test_self_collision_on_the_way(margin: float) -> None:
    around = {"capsules": CAPSULES, "collision_pairs": PAIRS, "collision_margin": margin}
    found = find(folding(), "self_collision", start=FOLD[0], **around)[0]
    samples = dense(folding(), 500.0)
    nearest = coal_distances(samples.positions).min(axis=1)
    assert found.time == pytest.approx(samples.seconds[np.argmax(nearest < margin)], abs=5e-3)
    assert found.value == pytest.approx(margin, abs=1e-4) and found.bound == margin
    assert "panda_" in found.message
    assert not find(reach(0.1), "self_collision", **around)


def test_an_arm_in_collision_may_unfold() -> None:
    around = {"capsules": CAPSULES, "collision_pairs": PAIRS}
    q = np.stack([FOLD[0] + 0.75 * (FOLD[1] - FOLD[0]), FOLD[0], FOLD[1]])
    out = JointTrajectory(PANDA, NOW, times_of([0.0, 3.0]), q[:2])
    assert not find(out, "self_collision", start=q[0], **around)
    assert find(out, "self_collision", start=q[0], recovery=False, **around)[0].time == 0.0
    deeper = JointTrajectory(PANDA, NOW, times_of([0.0, 3.0]), q[[0, 2]])
    assert find(deeper, "self_collision", start=q[0], **around)


def test_a_look_that_never_ends_counts_as_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """When certifying a motion would take too many looks, it is not let through."""
    monkeypatch.setattr("cosmos_ros.guard.motion.crossing_search.MAX_INTERVALS", 50)
    trajectory = reach(SWING)
    peak = tool_twists(trajectory)[1].max()
    assert find(trajectory, "cartesian_speed", with_tool(linear_speed=peak * 1.0005))


# -- effort ----------------------------------------------------------------------------------------------------------

PENDULUM = """<robot name="pendulum"><link name="base"/>
<link name="rod"><inertial><origin xyz="0.5 0 0"/><mass value="2.0"/>
<inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial></link>
<joint name="hinge" type="revolute"><parent link="base"/><child link="rod"/><axis xyz="0 1 0"/>
<limit lower="-3" upper="3" velocity="5" effort="20"/></joint></robot>"""


def test_effort_of_a_pendulum() -> None:
    """Held level, 2 kg at half a metre weigh 9.81 Nm; lifting it fast takes more."""
    pytest.importorskip("pinocchio")
    from cosmos_ros.limits import JointLimit

    dynamics = PinocchioDynamics(PENDULUM)

    def found(effort: float, delta: float, seconds: float) -> list[Violation]:
        limits = RobotLimits({"hinge": JointLimit(-3.0, 3.0, 50.0, 500.0, 1e6, effort)})
        checker = Checker(GuardedRobot(limits, dynamics=dynamics), GuardSettings(checks=frozenset({"effort"})))
        t = times_of([0.0, seconds])
        q = np.array([[0.0], [delta]])
        measured = replace(state(np.zeros(1)), names=("hinge",))
        trajectory = JointTrajectory(("hinge",), NOW, t, q, np.zeros((2, 1)))
        return list(checker.check(trajectory, GuardContext(NOW, measured)).violations)

    assert not found(9.9, 0.0, 1.0)
    held = found(9.7, 0.0, 1.0)[0]
    assert abs(held.value) == pytest.approx(9.81, abs=0.01) and held.joint == "hinge" and held.time == 0.0
    assert not found(12.0, -0.5, 2.0)
    assert found(12.0, -0.5, 0.3)[0].limit == "effort"


def test_effort_needs_masses_and_a_description() -> None:
    pytest.importorskip("pinocchio")
    with pytest.raises(GuardError, match="no masses"):
        PinocchioDynamics(resource("embodiments", "urdf", "panda.urdf"))
    with pytest.raises(GuardError, match="cannot be read"):
        PinocchioDynamics("/nowhere/robot.urdf")
    with pytest.raises(GuardError, match="continuous"):
        PinocchioDynamics(PENDULUM.replace("revolute", "continuous"))


def test_effort_leaves_lines_and_unknown_joints_alone() -> None:
    pytest.importorskip("pinocchio")
    checker = Checker(
        GuardedRobot(panda_limits(), dynamics=PinocchioDynamics(PENDULUM)), GuardSettings(checks=frozenset({"effort"}))
    )
    assert isinstance(checker.checks[0], Effort)
    assert not checker.check(reach(0.1), context()).violations
    assert not checker.check(reach(0.1, kind="linear"), context()).violations
