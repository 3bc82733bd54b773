"""Records to real ROS messages and back; over serialisation where it matters."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.errors import InputError
from cosmos_ros.messages import (
    action_poses_message,
    compressed_image_message,
    decode_compressed,
    decode_image,
    duration_message,
    image_message,
    joint_state_from_message,
    joint_state_message,
    joint_trajectory_from_message,
    joint_trajectory_message,
    matrix_from_message,
    ns_from_duration,
    ns_from_stamp,
    pose_message,
    scene_from_markers,
    split_ns,
    stamp_message,
)
from cosmos_ros.types import ActionChunk, JointState, JointTrajectory

rclpy_serialization = pytest.importorskip("rclpy.serialization", reason="ROS is not installed")
MAX_NS = 2**31 * 10**9 - 1


def through_the_wire(message):
    return rclpy_serialization.deserialize_message(rclpy_serialization.serialize_message(message), type(message))


def stamp(sec: int = 1, nanosec: int = 0) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))


@given(st.integers(0, MAX_NS))
def test_stamps_are_exact(ns: int) -> None:
    assert ns_from_stamp(stamp_message(ns), where="t") == ns


@given(st.integers(-MAX_NS, MAX_NS))
def test_durations_are_exact_and_signed(ns: int) -> None:
    message = duration_message(ns)
    assert 0 <= message.nanosec < 10**9
    assert ns_from_duration(message, where="t") == ns


@pytest.mark.parametrize(("sec", "nanosec"), [(-1, 0), (0, 10**9), (0, -1), (0, 2**32 - 1), (None, 0), ("x", 0)])
def test_bad_stamps_are_named(sec, nanosec) -> None:
    with pytest.raises(InputError) as caught:
        ns_from_stamp(SimpleNamespace(sec=sec, nanosec=nanosec), where="cam header.stamp")
    assert caught.value.where == "cam header.stamp"


def test_times_that_ros_cannot_hold() -> None:
    with pytest.raises(InputError, match="does not fit"):
        split_ns(MAX_NS + 1)
    with pytest.raises(InputError, match="negative"):
        stamp_message(-1)
    with pytest.raises(InputError, match="not a ROS time"):
        ns_from_stamp(object(), where="t")


def test_images_survive_the_wire_and_need_not_be_contiguous() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (10, 7, 3), dtype=np.uint8)[::2, ::-1]
    message = through_the_wire(image_message(pixels, stamp_ns=1_700_000_000_123_456_789, frame_id="cam"))
    assert ns_from_stamp(message.header.stamp, where="t") == 1_700_000_000_123_456_789
    assert (message.header.frame_id, message.step) == ("cam", 21)
    np.testing.assert_array_equal(decode_image(message), pixels)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((2, 2, 3)), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2), np.uint8), np.zeros((0, 2, 3), np.uint8)],
)
def test_what_is_no_colour_image_is_not_sent(pixels) -> None:
    with pytest.raises(InputError):
        image_message(pixels, stamp_ns=0, frame_id="")


def test_compressed_image_message() -> None:
    pixels = np.full((8, 8, 3), (10, 100, 200), np.uint8)
    message = through_the_wire(compressed_image_message(pixels, stamp_ns=5, frame_id="c", quality=100))
    np.testing.assert_allclose(decode_compressed(message), pixels, atol=2)


def joint_message(**changes):
    fields = {
        "header": stamp(2, 5), "name": ["b", "a", "c"], "position": [2.0, 1.0, 3.0], "velocity": [0.2, 0.1, 0.3],
        "effort": [],
    }  # fmt: skip
    return SimpleNamespace(**(fields | changes))


def test_joints_in_any_order() -> None:
    state = joint_state_from_message(joint_message(), joints=["a", "b"])
    assert (state.stamp_ns, state.names) == (2_000_000_005, ("a", "b"))
    assert state.positions.tolist() == [1.0, 2.0] and state.velocities.tolist() == [0.1, 0.2]
    assert joint_state_from_message(joint_message()).names == ("b", "a", "c")


def test_joint_state_round_trip() -> None:
    state = JointState(7, ("a", "b"), np.array([0.1, -1 / 3]), np.array([1e-300, 1e300]))
    back = joint_state_from_message(through_the_wire(joint_state_message(state)))
    assert (back.stamp_ns, back.names) == (7, ("a", "b"))
    np.testing.assert_array_equal(back.positions, state.positions)
    np.testing.assert_array_equal(back.velocities, state.velocities)
    assert joint_state_from_message(joint_state_message(JointState(7, ("a",), np.zeros(1)))).velocities is None


def test_velocities_may_be_absent_or_nan_where_the_hardware_measures_none() -> None:
    some = joint_state_from_message(joint_message(velocity=[0.2, np.nan, 0.3]))
    assert some.velocities[0] == 0.2 and np.isnan(some.velocities[1]) and some.velocities[2] == 0.3
    assert joint_state_from_message(joint_message(velocity=[])).velocities is None
    assert joint_state_from_message(joint_message(velocity=[np.nan] * 3)).velocities is None
    chosen = joint_state_from_message(joint_message(velocity=[np.nan, 0.1, 0.3]), joints=["a", "c"])
    assert chosen.velocities.tolist() == [0.1, 0.3]


@pytest.mark.parametrize(
    ("changes", "match", "place"),
    [
        ({"position": [np.nan, 1.0, 3.0]}, "'b' is nan", "js position"),
        ({"position": [2.0, 1.0, -np.inf]}, "'c' is -inf", "js position"),
        ({"velocity": [0.2, np.inf, 0.3]}, "'a' is inf", "js velocity"),
        ({"name": ["b", "a", "b"]}, "'b' is named twice", "js name"),
        ({"name": ["b", "", "c"]}, "joint 1 has an empty name", "js name"),
        ({"name": [], "position": []}, "no joint names", "js name"),
        ({"name": ["x"] * 513}, "more than 512", "js name"),
        ({"position": [1.0, 2.0]}, "2 values for 3 joints", "js position"),
        ({"velocity": [1.0]}, "1 values for 3 joints", "js velocity"),
        ({"position": []}, "no positions", "js position"),
        ({"position": ["x", "y", "z"]}, "not numbers", "js position"),
        ({"header": stamp(-1)}, "before time zero", "js header.stamp"),
    ],
)
def test_bad_joint_states_are_named(changes, match, place) -> None:
    with pytest.raises(InputError, match=match) as caught:
        joint_state_from_message(joint_message(**changes), topic="js")
    assert caught.value.where == place


def test_missing_joints_are_named() -> None:
    with pytest.raises(InputError, match="joints missing: d, e"):
        joint_state_from_message(joint_message(), joints=["a", "d", "e"])


@settings(max_examples=50, deadline=None)
@given(points=st.integers(0, 6), joints=st.integers(1, 4), derivatives=st.integers(0, 2), seed=st.integers(0, 99))
def test_trajectories_survive_the_wire_bit_for_bit(points, joints, derivatives, seed) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(points, joints)) for _ in range(3)]
    trajectory = JointTrajectory(
        tuple("abcd"[:joints]), int(rng.integers(0, MAX_NS)), np.sort(rng.integers(0, 10**12, points)), arrays[0],
        arrays[1] if derivatives > 0 else None, arrays[2] if derivatives > 1 else None,
    )  # fmt: skip
    back = joint_trajectory_from_message(through_the_wire(joint_trajectory_message(trajectory)))
    assert (back.joint_names, back.stamp_ns) == (trajectory.joint_names, trajectory.stamp_ns)
    np.testing.assert_array_equal(back.times_ns, trajectory.times_ns)
    np.testing.assert_array_equal(back.positions, trajectory.positions)
    for name in ("velocities", "accelerations"):
        ours, theirs = getattr(trajectory, name), getattr(back, name)
        if ours is None or not points:
            assert theirs is None
        else:
            np.testing.assert_array_equal(theirs, ours)


def point(time_ns: int, positions, velocities=(), accelerations=(), effort=()):
    sec, nanosec = divmod(time_ns, 10**9)
    return SimpleNamespace(
        positions=positions, velocities=velocities, accelerations=accelerations, effort=effort,
        time_from_start=SimpleNamespace(sec=sec, nanosec=nanosec),
    )  # fmt: skip


def trajectory_message(points, names=("a", "b")):
    return SimpleNamespace(header=stamp(), joint_names=list(names), points=points)


def test_what_the_guard_must_judge_is_handed_over_as_it_is() -> None:
    message = trajectory_message([point(5, [np.nan, np.inf]), point(-3, [1e308, 0.0]), point(5, [0.0, 0.0])])
    trajectory = joint_trajectory_from_message(message)
    assert trajectory.times_ns.tolist() == [5, -3, 5]
    assert np.isnan(trajectory.positions[0, 0]) and np.isinf(trajectory.positions[0, 1])


@pytest.mark.parametrize(
    ("points", "match"),
    [
        ([point(0, [1.0])], r"points\[0\].positions: 1 positions for 2 joints"),
        ([point(0, [1.0, 2.0]), point(1, [1.0, 2.0, 3.0])], r"points\[1\].positions: 3 positions"),
        ([point(0, [1.0, 2.0]), point(1, [])], r"points\[1\].positions: 0 positions"),
        ([point(0, [], [1.0, 2.0])], "no positions"),
        ([point(0, [1.0, 2.0], [1.0, 1.0]), point(1, [1.0, 2.0])], r"points\[1\].velocities: 0 velocities"),
        ([point(0, [1.0, 2.0], [1.0])], "1 velocities for 2 joints"),
        ([point(0, [1.0, 2.0], (), [1.0, 1.0])], "accelerations but no velocities"),
        ([point(0, [1.0, 2.0], (), (), [1.0, 1.0])], "efforts are not supported"),
        (
            [SimpleNamespace(**(vars(point(0, [1.0, 2.0])) | {"time_from_start": SimpleNamespace(sec=0, nanosec=-1)}))],
            "nanosec",
        ),
    ],
)
def test_trajectories_that_no_record_can_hold_are_refused_with_the_point(points, match) -> None:
    with pytest.raises(InputError, match=match):
        joint_trajectory_from_message(trajectory_message(points), topic="traj")


def test_trajectory_names() -> None:
    for names in ((), ("a", "a"), ("",)):
        with pytest.raises(InputError, match="joint_names"):
            joint_trajectory_from_message(trajectory_message([], names))


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": np.array([[np.nan, 0.0]])},
        {"positions": np.zeros((2, 2))},
        {"velocities": np.zeros((1, 3))},
        {"velocities": np.zeros((1, 2)), "accelerations": np.array([[0.0, np.inf]])},
    ],
)
def test_records_that_must_not_be_sent(changes) -> None:
    fields = {"positions": np.zeros((1, 2)), **changes}
    with pytest.raises(InputError):
        joint_trajectory_message(JointTrajectory(("a", "b"), 0, np.array([1]), **fields))


def chunk(count: int = 3) -> ActionChunk:
    from scipy.spatial.transform import Rotation

    poses = np.tile(np.eye(4), (count + 1, 1, 1))
    poses[:, :3, :3] = Rotation.random(count + 1, random_state=0).as_matrix()
    poses[:, :3, 3] = np.random.default_rng(0).normal(size=(count + 1, 3))
    links = {"tool": poses, "arm": poses[::-1].copy()}
    return ActionChunk(
        stamp_ns=9, times_ns=np.arange(1, count + 1) * 66_666_667, start_poses={k: v[0] for k, v in links.items()},
        poses={k: v[1:] for k, v in links.items()}, grippers={},
    )  # fmt: skip


def test_action_poses_round_trip() -> None:
    original = chunk()
    message = through_the_wire(action_poses_message(original, frame_id="base"))
    assert message.header.frame_id == "base"
    assert ns_from_stamp(message.header.stamp, where="p") == 9
    times = [ns_from_duration(point.time_from_start, where="p") for point in message.points]
    assert times == [0, *original.times_ns.tolist()]
    assert list(message.joint_names) == ["arm", "tool"]
    for column, link in enumerate(message.joint_names):
        poses = [matrix_from_message(point.transforms[column], where="p") for point in message.points]
        np.testing.assert_allclose(poses[0], original.start_poses[link], atol=1e-12)
        np.testing.assert_allclose(poses[1:], original.poses[link], atol=1e-12)


def test_action_poses_that_do_not_fit() -> None:
    original = chunk()
    with pytest.raises(InputError, match="start_poses"):
        action_poses_message(ActionChunk(0, original.times_ns, {}, original.poses, {}), frame_id="base")
    with pytest.raises(InputError, match="does not fit 2 times"):
        action_poses_message(
            ActionChunk(0, original.times_ns[:2], original.start_poses, original.poses, {}), frame_id="base"
        )


def test_poses_and_their_refusals() -> None:
    matrix = chunk().start_poses["tool"]
    np.testing.assert_allclose(matrix_from_message(pose_message(matrix), where="p"), matrix, atol=1e-12)
    message = pose_message(matrix)
    message.orientation.w += 0.5
    with pytest.raises(InputError) as caught:
        matrix_from_message(message, where="tool_pose")
    assert caught.value.where == "tool_pose"
    message = pose_message(matrix)
    message.position.x = float("nan")
    with pytest.raises(InputError, match="not finite"):
        matrix_from_message(message, where="tool_pose")
    with pytest.raises(InputError, match="not finite"):
        pose_message(np.full((4, 4), np.nan))


def test_scene_from_markers() -> None:
    from visualization_msgs.msg import Marker, MarkerArray

    def marker(namespace: str, number: int = 0, action: int = Marker.ADD, x: float = 0.0, stamp_ns: int = 5) -> Marker:
        result = Marker(ns=namespace, id=number, action=action)
        result.header.stamp = stamp_message(stamp_ns)
        result.pose.position.x = x
        result.pose.orientation.w = 1.0
        return result

    stamp_ns, poses = scene_from_markers(
        MarkerArray(
            markers=[
                marker("old"),
                marker("", action=Marker.DELETEALL),
                marker("cube", x=0.1),
                marker("ball", 0, x=0.2),
                marker("ball", 1, x=0.3, stamp_ns=8),
                marker("bin"),
                marker("bin", action=Marker.DELETE),
            ]
        )
    )
    assert stamp_ns == 8
    assert {name: pose[0, 3] for name, pose in poses.items()} == {"cube": 0.1, "ball/0": 0.2, "ball/1": 0.3}
    broken = marker("cube")
    broken.pose.position.z = float("inf")
    with pytest.raises(InputError, match=r"markers\[0\]"):
        scene_from_markers(MarkerArray(markers=[broken]))
