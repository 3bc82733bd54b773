"""Tool paths and verdicts in space, against forward kinematics asked directly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.embodiment import list_embodiments, load_embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.types import JointState, JointTrajectory
from cosmos_ros.viewing.motion_trace import MotionTrace
from cosmos_ros.viewing.robot_shape import RobotShape

NANO = 1_000_000_000
FRANKA = load_embodiment("franka")
ARM = FRANKA.joint_names
HOME = np.array([FRANKA.home[name] for name in ARM])


def tool(positions) -> np.ndarray:
    return FRANKA.robot.fk({**FRANKA.home, **dict(zip(ARM, positions, strict=True))}, "panda_link8")[:3, 3]


def ramp(target, *, stamp: int = 5 * NANO, points: int = 5, velocities: bool = False) -> JointTrajectory:
    share = np.linspace(0.0, 1.0, points)[:, None]
    rows = HOME + share * (np.asarray(target) - HOME)
    speeds = np.zeros_like(rows) if velocities else None
    return JointTrajectory(ARM, stamp, np.arange(points) * NANO // 4, rows, speeds)


def state(positions, stamp: int) -> JointState:
    return JointState(stamp, ARM, np.asarray(positions, dtype=float))


def turned(angle: float) -> np.ndarray:
    return HOME + np.eye(7)[0] * angle


def test_the_recent_path_is_where_the_tool_was_for_as_long_as_asked():
    trace = MotionTrace(FRANKA, history_s=1.0, rate=10.0)
    kept = [trace.add_joint_state(state(turned(0.01 * i), NANO + i * NANO // 100)) for i in range(201)]
    assert sum(kept) == 21  # every tenth of 100 Hz
    path = trace.recent_path()["panda_link8"]
    assert len(path) == 11
    np.testing.assert_allclose(path[-1], tool(turned(2.0)), atol=1e-12)
    np.testing.assert_allclose(path[0], tool(turned(1.0)), atol=1e-12)


def test_a_clock_that_runs_backwards_empties_everything():
    trace = MotionTrace(FRANKA)
    trace.add_joint_state(state(HOME, 9 * NANO))
    trace.add_candidate(ramp(turned(0.3)))
    trace.add_guarded(ramp(turned(0.3)))
    assert trace.verdict_paths().guarded
    trace.add_joint_state(state(turned(0.5), NANO))
    assert trace.newest_candidate is None
    assert not trace.verdict_paths().guarded
    assert len(trace.recent_path()["panda_link8"]) == 1


def test_a_joint_state_that_is_not_finite_moves_nothing():
    trace = MotionTrace(FRANKA)
    trace.add_joint_state(state([np.nan, *HOME[1:]], NANO))
    np.testing.assert_allclose(trace.recent_path()["panda_link8"][-1], tool(HOME), atol=1e-12)


@pytest.mark.parametrize("velocities", [False, True])
def test_the_guarded_path_runs_through_the_trajectorys_points(velocities):
    trace = MotionTrace(FRANKA)
    trace.add_guarded(ramp(turned(1.0), velocities=velocities))
    path = trace.verdict_paths().guarded["panda_link8"]
    np.testing.assert_allclose(path[[0, -1]], [tool(HOME), tool(turned(1.0))], atol=1e-9)
    for share in (0.25, 0.5, 0.75):
        away = np.linalg.norm(path - tool(turned(share)), axis=1).min()
        assert away < 0.01


def test_trajectories_of_the_same_joints_replace_each_other_and_a_gripper_has_no_path():
    trace = MotionTrace(FRANKA)
    trace.add_guarded(ramp(turned(1.0)))
    trace.add_guarded(JointTrajectory(("panda_finger_joint1",), NANO, np.array([0, NANO]), np.array([[0.04], [0.0]])))
    np.testing.assert_allclose(trace.verdict_paths().guarded["panda_link8"][-1], tool(turned(1.0)), atol=1e-9)
    both = JointTrajectory(
        (*ARM, "panda_finger_joint1"), NANO, np.array([0, NANO]), np.array([[*HOME, 0.04], [*turned(-1.0), 0.0]])
    )
    trace.add_guarded(both)
    np.testing.assert_allclose(trace.verdict_paths().guarded["panda_link8"][-1], tool(turned(-1.0)), atol=1e-9)


def test_violations_stand_where_the_tool_is_at_their_time():
    trace = MotionTrace(FRANKA)
    candidate = ramp(turned(1.0))
    trace.add_candidate(candidate)
    verdict = {
        "response": "reject",
        "summary": "reject: velocity panda_joint1",
        "stamp_ns": candidate.stamp_ns,
        "violations": [
            {"limit": "velocity", "joint": "panda_joint1", "step": 3, "time": 0.75},
            {"limit": "self_collision", "joint": None, "step": 2, "time": None},
            {"limit": "stale_state", "joint": None, "step": None, "time": None},
            {"limit": "jerk", "joint": "panda_joint2", "step": 99, "time": "inf"},
        ],
    }
    trace.add_verdict(verdict)
    paths = trace.verdict_paths()
    assert [point.text for point in paths.violations] == ["self_collision", "velocity panda_joint1"]
    np.testing.assert_allclose(paths.violations[0].position, tool(turned(0.5)), atol=1e-9)
    np.testing.assert_allclose(paths.violations[1].position, tool(turned(0.75)), atol=1e-9)
    np.testing.assert_allclose(paths.refused["panda_link8"][0], tool(turned(0.5)), atol=1e-9)
    np.testing.assert_allclose(paths.refused["panda_link8"][-1], tool(turned(1.0)), atol=1e-9)
    trace.add_verdict({**verdict, "stamp_ns": 1})
    assert not trace.verdict_paths().violations, "a verdict about an unknown candidate marks no other one"


@given(st.integers(0, 4), st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 6))
def test_what_is_not_finite_ends_the_path(row, value, column):
    trajectory = ramp(turned(1.0))
    trajectory.positions[row, column] = value
    trace = MotionTrace(FRANKA)
    trace.add_candidate(trajectory)
    path = trace.path_of(trajectory)
    assert bool(path) == (row > 0)
    if path:
        assert np.isfinite(path["panda_link8"]).all()
        np.testing.assert_allclose(path["panda_link8"][-1], tool(turned(0.25 * (row - 1))), atol=1e-9)


def test_times_that_run_backwards_end_the_path():
    trajectory = ramp(turned(1.0))
    trajectory.times_ns[3] = 0
    path = MotionTrace(FRANKA).path_of(trajectory)["panda_link8"]
    np.testing.assert_allclose(path[-1], tool(turned(0.5)), atol=1e-9)


@pytest.mark.parametrize("name", [n for n in list_embodiments() if load_embodiment(n).has_joints])
def test_every_robot_has_a_shape_that_reaches_its_tools(name):
    embodiment = load_embodiment(name)
    shape = RobotShape(embodiment)
    ends, radii = shape.segments(embodiment.home)
    assert ends.shape == (len(shape.capsules), 2, 3)
    assert np.isfinite(ends).all()
    assert (radii > 0).all()
    for link in embodiment.tool_links:
        place = embodiment.poses_of(tuple(embodiment.home), np.array([list(embodiment.home.values())]))[link][0, :3, 3]
        # Within the thickness of the hand.
        assert np.linalg.norm(ends - place, axis=2).min() < 0.06


def test_a_shape_follows_the_joints():
    shape = RobotShape(FRANKA)
    home, _ = shape.segments(FRANKA.home)
    moved, _ = shape.segments({**FRANKA.home, "panda_joint1": np.pi / 2})
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    above = [index for index, capsule in enumerate(shape.capsules) if capsule.link != "panda_link0"]
    np.testing.assert_allclose(moved[above], home[above] @ quarter.T, atol=1e-9)


def test_an_embodiment_without_joints_is_refused():
    with pytest.raises(InputError, match="umi has no joints"):
        MotionTrace(load_embodiment("umi"))


def test_keep_out_boxes_of_the_guard_are_shown_beside_those_of_the_robot():
    message_types = pytest.importorskip("visualization_msgs.msg", reason="ROS is not installed")
    from types import SimpleNamespace

    from cosmos_ros.viewing.marker_messages import guard_markers
    from cosmos_ros.viewing.motion_trace_reader import MotionReader

    reader = MotionReader(MotionTrace(load_embodiment("franka")))
    reader.guard_settings(SimpleNamespace(data='{"parameters": {"keep_out": "0.3 0.1 0 0.5 0.3 0.4"}}'))
    assert not reader.problem
    array = guard_markers(reader.trace.verdict_paths(), reader.trace.surroundings, "panda_link0", 0)
    cubes = [marker for marker in array.markers if marker.type == message_types.Marker.CUBE]
    assert [cube.ns for cube in cubes] == ["keep_out"]
    centre, size = cubes[0].pose.position, cubes[0].scale
    assert (centre.x, centre.y, centre.z) == pytest.approx((0.4, 0.2, 0.2))
    assert (size.x, size.y, size.z) == pytest.approx((0.2, 0.2, 0.4))
    for broken in ("{", '{"parameters": {"keep_out": "1 2 3"}}', '{"parameters": 3}'):
        reader.problem = ""
        reader.guard_settings(SimpleNamespace(data=broken))
        assert "guard settings" in reader.problem
