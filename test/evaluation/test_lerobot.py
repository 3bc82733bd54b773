from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import recordings

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("av", reason="PyAV is not installed")

from cosmos_ros.cli.import_lerobot import parse_episodes
from cosmos_ros.cli.main import main
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError, CosmosRosError, InputError, KinematicsError
from cosmos_ros.lerobot import importing as lerobot_import
from cosmos_ros.lerobot.columns import ColumnMap, DatasetMap, PoseColumnMap, find_map, gripper_column, load_map
from cosmos_ros.lerobot.dataset import LeRobotDataset, LeRobotEpisode
from cosmos_ros.lerobot.dataset_files import DatasetFiles
from cosmos_ros.lerobot.episode_motion import differentiate
from cosmos_ros.lerobot.exporting import ExportTopics, export_bags
from cosmos_ros.lerobot.importing import DEFAULT_START_NS, import_episode
from cosmos_ros.lerobot.video import VideoWriter, frames_at
from cosmos_ros.messages import compress, decode_compressed, joint_state_from_message, matrix_from_message
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.se3 import euler_xyz_extrinsic_from_matrix, pose_error

PERIOD = 66_666_667


@pytest.fixture(scope="module")
def franka():
    return load_embodiment("franka")


def motion(franka, count: int = 30) -> np.ndarray:
    """A smooth arm motion [N, 7] about home, and a gripper that closes and opens."""
    phase = np.linspace(0, 2 * np.pi, count)[:, None]
    home = np.array([franka.home[name] for name in franka.joint_names])
    return home + 0.2 * np.sin(phase + np.arange(7)) - 0.2 * np.sin(np.arange(7))


def flange(franka, joints: np.ndarray) -> np.ndarray:
    return franka.poses_of(franka.joint_names, joints)["panda_link8"]


def flat_dataset(folder: Path, franka, *, count: int = 30, frames: int | None = None, **changes) -> Path:
    """An episode as the DROID sample holds it, with its damage."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    joints = motion(franka, count)
    poses = flange(franka, joints)
    angles = np.asarray(euler_xyz_extrinsic_from_matrix(poses[:, :3, :3]))
    flattened = np.concatenate([joints[0], np.full(count - 7, joints[0, -1])])
    columns = {
        "timestamp": np.arange(count) / 15, "frame_index": np.arange(count), "episode_index": np.zeros(count, int),
        "observation.state.cartesian_position": list(np.hstack([poses[:, :3, 3], angles])),
        "observation.state.joint_positions": flattened,
        "observation.state.gripper_position": np.zeros(count),
        "action.gripper_position": (np.arange(count) % 20 >= 10).astype(float),
    } | changes  # fmt: skip
    pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), folder / "episode.parquet")
    with VideoWriter(folder / "exterior_image_2_left.mp4", 15) as video:
        for k in range(count if frames is None else frames):
            video.write(recordings.picture(k, 48, 64))
    return folder


def read(path: Path, topic: str) -> list:
    with BagReader(path) as reader:
        return [(message.log_ns, reader.decode(message)) for message in reader.messages([topic])]


def test_damaged_joints_come_back_from_the_poses(tmp_path: Path, franka) -> None:
    dataset = LeRobotDataset(flat_dataset(tmp_path / "flat", franka))
    report = import_episode(dataset.episode(0), tmp_path / "bag", franka, instruction="close the gripper")
    assert report["joints"]["source"] == "inverse kinematics"
    assert report["joints"]["start"].startswith("frame 0 in observation.state.joint_positions")
    assert report["joints"]["position_residual_max_mm"] < 1e-5
    assert report["joints"]["joints_outside_limits"] == []
    assert {entry["column"] for entry in report["ignored_columns"]} == {
        "observation.state.joint_positions", "observation.state.gripper_position",
    }  # fmt: skip
    assert report["views_missing"] == ["exterior_1", "wrist"] and report["instruction"] == "close the gripper"
    assert json.loads((tmp_path / "bag" / "import_report.json").read_text()) == json.loads(json.dumps(report))

    states = read(tmp_path / "bag", "/joint_states")
    expected = motion(franka)
    poses = flange(franka, expected)
    assert len(states) == 30
    for k, (log_ns, message) in enumerate(states):
        state = joint_state_from_message(message)
        assert log_ns == state.stamp_ns == DEFAULT_START_NS + round(k * 1e9 / 15)
        assert state.names == (*franka.joint_names, "panda_finger_joint1")
        metres, radians = pose_error(flange(franka, state.positions[None, :7])[0], poses[k])
        assert metres < 1e-8 and radians < 1e-8
        assert state.positions[7] == (0.0 if k % 20 >= 10 else 0.04)
    np.testing.assert_allclose(states[0][1].position[:7], expected[0], atol=1e-9)
    tool = read(tmp_path / "bag", "/tool_pose")
    np.testing.assert_allclose(matrix_from_message(tool[9][1].pose, where="t"), poses[9], atol=1e-9)
    assert tool[9][1].header.frame_id == "panda_link0"
    images = read(tmp_path / "bag", "/exterior_2/image_raw/compressed")
    assert len(images) == 30
    for k, (log_ns, message) in enumerate(images):
        assert log_ns == DEFAULT_START_NS + round(k * 1e9 / 15)
        blue = decode_compressed(message)[..., 2].mean()
        assert abs(blue - (k * 7) % 256) < 4, "the image is the one of this row"
    with BagReader(tmp_path / "bag") as reader:
        assert reader.topics["/instruction"].qos[0].durability.name == "TRANSIENT_LOCAL"
        first = next(reader.messages())
        assert (first.topic, reader.decode(first).data) == ("/instruction", "close the gripper")


def test_good_joints_are_taken_as_they_are_and_checked_against_the_poses(tmp_path: Path, franka) -> None:
    joints = motion(franka)
    folder = flat_dataset(tmp_path / "flat", franka, **{"observation.state.joint_positions": list(joints)})
    report = import_episode(LeRobotDataset(folder).episode(0), tmp_path / "bag", franka)
    assert report["joints"]["source"] == "column observation.state.joint_positions"
    assert report["joints"]["pose_check"]["position_residual_max_mm"] < 1e-6
    states = read(tmp_path / "bag", "/joint_states")
    np.testing.assert_array_equal([message.position[:7] for _, message in states], joints)


def test_without_the_first_row_the_search_starts_at_home(tmp_path: Path, franka) -> None:
    folder = flat_dataset(tmp_path / "flat", franka, **{"observation.state.joint_positions": np.full(30, 0.5)})
    report = import_episode(LeRobotDataset(folder).episode(0), tmp_path / "bag", franka)
    assert report["joints"]["start"] == "the embodiment's home"
    assert report["joints"]["position_residual_max_mm"] < 1e-3


def test_poses_of_another_robot_are_refused(tmp_path: Path, franka) -> None:
    poses = np.tile([1.5, 0.0, 0.3, 3.14, 0.0, 0.0], (30, 1))
    folder = flat_dataset(tmp_path / "flat", franka, **{"observation.state.cartesian_position": list(poses)})
    with pytest.raises(KinematicsError, match="30 of 30 recorded poses of panda_link8 cannot be reached"):
        import_episode(LeRobotDataset(folder).episode(0), tmp_path / "bag", franka)
    assert not (tmp_path / "bag").exists()


def test_missing_frames_stay_missing_and_are_told(tmp_path: Path, franka) -> None:
    folder = flat_dataset(tmp_path / "flat", franka, frames=25)
    report = import_episode(LeRobotDataset(folder).episode(0), tmp_path / "bag", franka)
    assert report["topics"]["/exterior_2/image_raw/compressed"] == 25
    assert "5 of 30 frames of exterior_2 are not in the video" in report["findings"]


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path, franka) -> None:
    bad = np.full((30, 6), np.nan)
    folder = flat_dataset(tmp_path / "flat", franka, **{"observation.state.cartesian_position": list(bad)})
    with pytest.raises(InputError, match=r"neither joints nor poses can be used.*1 number\(s\) a row.*finite"):
        import_episode(LeRobotDataset(folder).episode(0), tmp_path / "bag", franka)


def test_unknown_columns_are_listed(tmp_path: Path, franka) -> None:
    folder = flat_dataset(tmp_path / "flat", franka, **{"observation.state.cartesian_position": None})
    with pytest.raises(InputError, match="not known") as caught:
        import_episode(LeRobotDataset(folder).episode(0), tmp_path / "bag", franka)
    assert "observation.state.joint_positions" in caught.value.hint and "--map" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"timestamp": None}, "no timestamp column"),
        ({"timestamp": np.zeros(30)}, "increasing"),
        ({"timestamp": np.full(30, np.nan)}, "finite"),
    ],
)
def test_bad_times(tmp_path: Path, franka, changes, match) -> None:
    dataset = LeRobotDataset(flat_dataset(tmp_path / "flat", franka, **changes))
    with pytest.raises(InputError, match=match):
        dataset.episode(0)


def test_single_precision_timestamps_are_put_right(tmp_path: Path, franka) -> None:
    times = (np.arange(30) / 15).astype(np.float32).astype(float)
    episode = LeRobotDataset(flat_dataset(tmp_path / "flat", franka, timestamp=times)).episode(0)
    assert episode.fps == 15.0
    np.testing.assert_array_equal(episode.times_ns, np.rint(np.arange(30) * 1e9 / 15))
    late = np.arange(30) / 15 + 0.02 * (np.arange(30) > 9)
    (tmp_path / "late").mkdir()
    episode = LeRobotDataset(flat_dataset(tmp_path / "late" / "flat", franka, timestamp=late)).episode(0)
    np.testing.assert_array_equal(episode.times_ns, np.rint(late * 1e9))
    assert "taken as they are" in episode.findings[0]


def bag(path: Path, franka, *, count: int = 30, offset_ns: int = 0, height: int = 48) -> Path:
    """A recording of the motion at 15 Hz, images 2 ms after joints."""
    names = (*franka.joint_names, "panda_finger_joint1")
    with BagWriter(path) as out:
        out.add_topic("/instruction", "std_msgs/msg/String")
        out.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        out.add_topic("/wrist/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        start = DEFAULT_START_NS + offset_ns
        out.write_message("/instruction", start, out.factory.string(f"task {offset_ns}"))
        for k, arm in enumerate(motion(franka, count)):
            stamp = start + k * PERIOD
            state = out.factory.joint_state(names, np.append(arm, 0.04 * (k % 2)), None, stamp_ns=stamp)
            out.write_message("/joint_states", stamp, state)
            picture = compress(recordings.picture(k, height, 64), image_format="png")
            image = out.factory.compressed_image(picture, stamp_ns=stamp + 2_000_000, frame_id="wrist")
            out.write_message("/wrist/image_raw/compressed", stamp + 2_000_000, image)
    return path


def test_export_and_import_again_give_the_same_motion(tmp_path: Path, franka) -> None:
    bags = [bag(tmp_path / f"bag{k}", franka, count=30 + 10 * k, offset_ns=k * 10**12) for k in range(2)]
    report = export_bags(bags, tmp_path / "dataset", franka)
    # The last image of each recording is newer than its last joint state, and is taken when the recording ends.
    assert [episode["rows"] for episode in report["episodes"]] == [30, 40]
    info = json.loads((tmp_path / "dataset" / "meta" / "info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == ("v3.0", 15, 2, 70)
    assert info["features"]["observation.images.wrist"]["shape"] == [48, 64, 3]

    dataset = LeRobotDataset(tmp_path / "dataset")
    assert dataset.episode_count == 2
    episode = dataset.episode(1)
    assert (len(episode), episode.task, episode.findings) == (40, f"task {10**12}", ())
    np.testing.assert_array_equal(episode.columns["action"][:-1], episode.columns["observation.state"][1:])
    assert episode.columns["ros_stamp_ns"][3] == pytest.approx(DEFAULT_START_NS + 10**12 + 3 * PERIOD + 2_000_000)

    report = import_episode(episode, tmp_path / "again", franka)
    assert report["joints"]["source"] == "column observation.state" and report["findings"] == []
    states = np.array([message.position for _, message in read(tmp_path / "again", "/joint_states")])
    np.testing.assert_allclose(states[:, :7], motion(franka, 40), atol=1e-6)
    np.testing.assert_allclose(states[:, 7], 0.04 * (np.arange(40) % 2), atol=1e-8)
    poses = np.stack(
        [matrix_from_message(message.pose, where="pose") for _, message in read(tmp_path / "again", "/tool_pose")]
    )
    metres, radians = pose_error(poses, flange(franka, motion(franka, 40)))
    assert metres.max() < 1e-9 and radians.max() < 1e-7
    images = read(tmp_path / "again", "/wrist/image_raw/compressed")
    assert len(images) == 40
    for k, (_, message) in enumerate(images):
        # The second episode's frames stand behind the first's in the same file.
        assert abs(decode_compressed(message)[..., 2].mean() - (k * 7) % 256) < 5


def test_export_refuses_what_would_make_a_wrong_dataset(tmp_path: Path, franka) -> None:
    good = bag(tmp_path / "good", franka)
    with pytest.raises(InputError, match=r"gives 15\.0 rows per second, not 30"):
        export_bags([good], tmp_path / "a", franka, fps=30)
    with pytest.raises(InputError, match="there are no images on /cam_wrist, /cam_exterior_1"):
        export_bags([good], tmp_path / "b", franka, topics=ExportTopics(image="/cam_{view}"))
    with pytest.raises(InputError, match="/joint_states lacks panda_joint1"):
        export_bags([recordings.write(tmp_path / "other")], tmp_path / "b", franka)
    larger = bag(tmp_path / "larger", franka, height=64)
    with pytest.raises(InputError, match="a frame is 64 x 64"):
        export_bags([good, larger], tmp_path / "c", franka)
    assert not list(tmp_path.glob("*.partial")) and not (tmp_path / "c").exists()
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match="exists already"):
        export_bags([good], tmp_path / "d", franka)


def test_half_rate_export_takes_every_second_image(tmp_path: Path, franka) -> None:
    report = export_bags([bag(tmp_path / "bag", franka)], tmp_path / "dataset", franka, fps=7.5)
    assert report["episodes"][0]["rows"] == 15 and report["episodes"][0]["gaps"] == 0
    stamps = LeRobotDataset(tmp_path / "dataset").episode(0).columns["ros_stamp_ns"]
    np.testing.assert_allclose(np.diff(stamps), 2 * PERIOD, atol=300)


def test_standard_layout_refusals(tmp_path: Path, franka) -> None:
    with pytest.raises(InputError, match="no such folder"):
        LeRobotDataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"neither meta/info\.json nor"):
        LeRobotDataset(tmp_path)
    export_bags([bag(tmp_path / "bag", franka)], tmp_path / "set", franka)
    with pytest.raises(InputError, match="there is no episode 1; it has 1"):
        LeRobotDataset(tmp_path / "set").episode(1)
    info = tmp_path / "set" / "meta" / "info.json"
    content = json.loads(info.read_text())
    (tmp_path / "set" / "videos" / "observation.images.wrist" / "chunk-000" / "file-000.mp4").unlink()
    assert "the video of observation.images.wrist is missing" in LeRobotDataset(tmp_path / "set").episode(0).findings
    for changes, match in (
        ({"codebase_version": "v2.1"}, "reads v3.x"),
        ({"fps": "fast"}, "fps is 'fast'"),
        ({"features": None}, "features are missing"),
    ):
        info.write_text(json.dumps(content | changes))
        with pytest.raises(InputError, match=match):
            LeRobotDataset(tmp_path / "set")
    info.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        LeRobotDataset(tmp_path / "set")
    info.write_text(json.dumps(content | {"features": {"../../x": {"dtype": "video"}}}))
    with pytest.raises(InputError, match="not a plain name"):
        LeRobotDataset(tmp_path / "set").episode(0)
    (tmp_path / "set" / "data" / "chunk-000" / "file-000.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="cannot be read"):
        LeRobotDataset(tmp_path / "set").episode(0)


def episode(columns, names=None) -> LeRobotEpisode:
    count = len(next(iter(columns.values())))
    return LeRobotEpisode(0, 10.0, np.arange(count) * 10**8, columns, names or {}, ())


def test_gripper_columns_are_judged() -> None:
    mapping = DatasetMap("m", gripper=(ColumnMap("a"), ColumnMap("b"), ColumnMap("c", (1,))))
    still, moving = np.zeros(5), np.arange(5.0)
    name, values, damages = gripper_column(episode({"a": still, "b": moving}), mapping)
    assert name == "b" and values is not None
    assert {d.column: d.reason for d in damages} == {"c": "is missing", "a": "is 0 in every row while b changes"}
    name, _, damages = gripper_column(episode({"a": still}), mapping)
    assert name == "a" and {d.column for d in damages} == {"b", "c"}
    name, values, _ = gripper_column(episode({"a": np.full(5, np.nan), "c": np.stack([still, moving], 1)}), mapping)
    assert name == "c" and values.tolist() == moving.tolist()
    assert gripper_column(episode({"x": still}), mapping)[1] is None


def test_maps(tmp_path: Path, franka) -> None:
    droid = load_map("droid")
    assert droid.view("observation.images.wrist_image_left") == "wrist"
    assert droid.view("observation.images.top-cam") == "top_cam"
    names = {"observation.state": ("panda_finger_joint1", *(f"{name}.pos" for name in franka.joint_names))}
    found = find_map(episode({"observation.state": np.zeros((4, 8))}, names), franka.joint_names, "panda_finger_joint1")
    assert found.joints.indices == tuple(range(1, 8)) and found.gripper_is_joint
    own = tmp_path / "own.yaml"
    own.write_text("joints: {column: s, indices: [2, 0]}\npose: {column: p, rotation: quaternion_xyzw, link: tip}\n")
    loaded = load_map(str(own))
    assert loaded.joints.indices == (2, 0) and (loaded.pose.rotation, loaded.pose.link) == ("quaternion_xyzw", "tip")
    assert loaded.joints.take(episode({"s": np.arange(6.0).reshape(2, 3)})).tolist() == [[2.0, 0.0], [5.0, 3.0]]
    assert loaded.joints.take(episode({"s": np.zeros((2, 2))})) is None
    for text, match in (
        ("- a", "not a mapping"),
        ("speed: x", "speed: unknown field; allowed here: .*joints"),
        ("joints: {indices: [1]}", "joints.column: missing"),
        ("joints: {column: a, indices: [-1]}", "joints.indices.0: .*greater than or equal to 0, got -1"),
        ("joints: {column: a, what: 1}", "joints.what: unknown field; allowed here: column, indices"),
        ("pose: {column: a, rotation: euler}", "pose.rotation: .*quaternion_xyzw.*got 'euler'"),
        ("gripper: a", "gripper: must be a list, got 'a'"),
        ("views: [a]", "views: must be a mapping"),
        ("a: [", "cannot be read"),
    ):
        own.write_text(text)
        with pytest.raises(ConfigError, match=match):
            load_map(str(own))
    with pytest.raises(ConfigError, match="no dataset map 'nope'") as caught:
        load_map("nope")
    assert "droid" in caught.value.hint


def test_other_rotations_and_conventions(tmp_path: Path, franka) -> None:
    joints = motion(franka)
    poses = flange(franka, joints)
    from scipy.spatial.transform import Rotation

    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    sixes = np.swapaxes(poses[:, :3, :2], 1, 2).reshape(-1, 6)
    for rotation, values in (("quaternion_xyzw", quaternions), ("rotation_6d", sixes)):
        recorded = episode({"p": np.hstack([poses[:, :3, 3], values]), "g": np.full(30, 0.01)})
        mapping = DatasetMap(rotation, pose=PoseColumnMap("p", rotation=rotation), gripper=(ColumnMap("g"),))
        report = import_episode(recorded, tmp_path / rotation, franka, mapping=mapping)
        assert report["joints"]["position_residual_max_mm"] < 1e-3
    wild = episode({"p": np.hstack([poses[:, :3, 3], sixes]), "g": np.linspace(0, 255, 30)})
    with pytest.raises(InputError, match=r"g goes from 0 to 255, outside 1 \(closed\) to 0 \(open\)"):
        import_episode(wild, tmp_path / "wild", franka, mapping=mapping)


def test_velocities_are_the_derivative_of_the_curve() -> None:
    times = np.cumsum(np.random.default_rng(0).integers(50, 80, 40)) * 1_000_000
    seconds = (times - times[0]) / 1e9
    cubic = np.stack([seconds**3 - 2 * seconds, 0.5 * seconds**2], axis=1)
    exact = np.stack([3 * seconds**2 - 2, seconds], axis=1)
    np.testing.assert_allclose(differentiate(times, cubic), exact, atol=1e-9)
    step = np.repeat([0.0, 1.0, 1.0, 0.0], 10)
    assert np.abs(differentiate(times, step, monotone=True)[[5, 15, 25, 35]]).max() == 0.0
    assert differentiate(times[:2], cubic[:2]).tolist() == [[0, 0], [0, 0]]


def test_frames_at_times(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 10) as video:
        for k in range(10):
            video.write(recordings.picture(k, 31, 33))
        with pytest.raises(InputError, match="the first was"):
            video.write(recordings.picture(0, 31, 35))
    times = np.array([0.0, 0.21, 0.5, 0.97, 1.5])
    frames = list(frames_at(path, times, 0.05))
    found = [None if f is None else round(float(f[..., 2].mean()) / 7) for f in frames]
    assert found == [0, 2, 5, None, None] or found == [0, 2, 5, 9, None]
    assert frames[0].shape == (32, 34, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(InputError, match="cannot be decoded"):
        next(frames_at(path, times, 0.05))
    path.write_bytes(whole.replace(b"avc1", b"zzzz"))  # a kind of video that nobody knows
    with pytest.raises(InputError, match="cannot be decoded"):
        next(frames_at(path, times, 0.05))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", [0]), ("all", [0, 1, 2, 3, 4]), ("1-3", [1, 2, 3]), ("4,0,0", [0, 4]), ("2,0-1", [0, 1, 2])],
)
def test_episode_lists(text, expected) -> None:
    assert parse_episodes(text, 5) == expected


@pytest.mark.parametrize("text", ["", "x", "1-", "-1", "5", "3-1", "0-5"])
def test_wrong_episode_lists(text) -> None:
    with pytest.raises(ConfigError, match="--episodes"):
        parse_episodes(text, 5)


def test_the_verbs(tmp_path: Path, franka, capsys) -> None:
    for k in range(2):
        bag(tmp_path / f"bag{k}", franka, offset_ns=k)
    arguments = ["export-lerobot", str(tmp_path / "bag0"), str(tmp_path / "bag1"), str(tmp_path / "set")]
    assert main(arguments) == 0
    assert "2 episode(s)" in capsys.readouterr().out
    assert (
        main(["import-lerobot", str(tmp_path / "set"), str(tmp_path / "out"), "--episodes", "all", "--start", "5"]) == 0
    )
    printed = capsys.readouterr().out
    assert "30 rows at 15 Hz" in printed and "not in the dataset: exterior_1, exterior_2" in printed
    for k in range(2):
        assert read(tmp_path / "out" / f"episode_{k:06d}", "/joint_states")[0][0] == 5 * 10**9
    assert main(["import-lerobot", str(tmp_path / "set"), str(tmp_path / "out" / "episode_000000")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["import-lerobot", str(tmp_path / "set"), str(tmp_path / "x"), "--start", "-1"]) == 2


def test_the_droid_sample(tmp_path: Path, droid: Path, franka) -> None:
    episode = LeRobotDataset(droid).episode(0)
    assert len(episode) == 722 and episode.fps == 15.0
    report = import_episode(replace(episode, videos=()), tmp_path / "bag", franka)
    facts = report["joints"]
    assert facts["position_residual_max_mm"] <= 1.1e-4
    assert facts["joints_outside_limits"] == [] and facts["highest_share_of_velocity_limit"] < 1.0
    assert {entry["column"] for entry in report["ignored_columns"]} == {
        "observation.state.joint_positions", "observation.state.gripper_position",
    }  # fmt: skip
    states = read(tmp_path / "bag", "/joint_states")
    expected = (0.0438, -0.4094, 0.4236, -2.4313, -0.0276, 1.9793, 0.6358)
    np.testing.assert_allclose(states[0][1].position[:7], expected, atol=5e-5)
    openings = np.array([message.position[7] for _, message in states])
    assert openings[0] == 0.04 and openings.min() < 0.01


def test_frames_of_the_droid_sample_follow_the_rows(droid: Path) -> None:
    episode = LeRobotDataset(droid).episode(0)
    times = episode.times_ns[:40] / 1e9
    frames = list(frames_at(episode.videos[0].path, times, 0.5 / episode.fps))
    assert all(frame is not None and frame.shape == (360, 640, 3) for frame in frames)


def test_what_cannot_be_finished_leaves_nothing(tmp_path: Path, franka, monkeypatch) -> None:
    def damaged(times: int):
        yield from [np.zeros((48, 64, 3), np.uint8)] * times
        raise InputError("the video cannot be decoded", where="video")

    source = flat_dataset(tmp_path / "source", franka)
    with monkeypatch.context() as patch:
        patch.setattr(lerobot_import, "_frames", lambda *_: damaged(3))
        with pytest.raises(InputError, match="cannot be decoded"):
            import_episode(LeRobotDataset(source).episode(0), tmp_path / "bag", franka)
    assert not (tmp_path / "bag").exists(), "half an episode would look like a whole one"
    import_episode(LeRobotDataset(source).episode(0), tmp_path / "bag", franka)

    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DatasetFiles, "finish", full)
    with pytest.raises(CosmosRosError, match="dataset: cannot be written: No space left"):
        export_bags([tmp_path / "bag"], tmp_path / "dataset", franka)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "source"]
