"""``cosmos-ros view``: what of a recording reaches the viewer; Rerun is replaced by a list of what was logged."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed (the bags extra)")

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.messages import compress
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.viewing import rerun_layout as layout
from cosmos_ros.viewing import rerun_recording as recording

START = 1_600_000_000 * 10**9
MS = 1_000_000
FRANKA = load_embodiment("franka")
CAMERAS = {view: f"{view}/image_raw" for view in FRANKA.views}


class FakeLog:
    """Stands for RerunLog."""

    newest: FakeLog

    def __init__(self, embodiment) -> None:
        self.calls: dict[str, list[tuple]] = defaultdict(list)
        self.closed = False
        FakeLog.newest = self

    def __getattr__(self, name):
        return lambda *given: self.calls[name].append(given)

    def encoded_image(self, entity, stamp, payload, image_format):
        self.calls[entity].append((stamp, image_format))
        return image_format == "jpeg"

    def image(self, entity, stamp, pixels):
        self.calls[entity].append((stamp, pixels))

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def fake_log(monkeypatch):
    monkeypatch.setattr(recording, "RerunLog", FakeLog)


def flat(value: int, size=(36, 64)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def record(path, *, prefix: str = "", views=FRANKA.views, steps: int = 30):
    """Two seconds at 15 Hz; frame k is known by its brightness; a rollout of 8 frames every 5 steps."""
    names = FRANKA.all_joints
    home = np.array([FRANKA.home[name] for name in names])
    with BagWriter(path) as bag:
        make, kinds = bag.factory, bag.types.types
        bag.add_topic(f"{prefix}/joint_states", "sensor_msgs/msg/JointState")
        for view in views:
            bag.add_topic(f"{prefix}/{view}/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        bag.add_topic(f"{prefix}/predictor/rollout/image/compressed", "sensor_msgs/msg/CompressedImage")
        bag.add_topic(f"{prefix}/predictor/action_trajectory", "trajectory_msgs/msg/JointTrajectory")
        bag.add_topic(f"{prefix}/guard/verdict_json", "std_msgs/msg/String")
        for k in range(steps):
            stamp = START + k * 1000 * MS // 15
            for view in views:
                image = make.compressed_image(compress(flat(3 * k)), stamp_ns=stamp, frame_id=view)
                bag.write_message(f"{prefix}/{view}/image_raw/compressed", stamp + MS, image)
            state = make.joint_state(names, home + 0.01 * k, np.zeros(len(names)), stamp_ns=stamp)
            bag.write_message(f"{prefix}/joint_states", stamp + 2 * MS, state)
            if k % 5 == 0:
                for i in range(8):
                    frame = make.compressed_image(
                        compress(flat(200)), stamp_ns=stamp + i * 1000 * MS // 15, frame_id="p"
                    )
                    bag.write_message(f"{prefix}/predictor/rollout/image/compressed", stamp + 3 * MS, frame)
                point = kinds["trajectory_msgs/msg/JointTrajectoryPoint"]
                duration = kinds["builtin_interfaces/msg/Duration"]
                empty = np.zeros(0)
                points = [
                    point(positions=home + 0.1 * t, velocities=empty, accelerations=empty, effort=empty,
                          time_from_start=duration(sec=t, nanosec=0))
                    for t in (0, 1)
                ]  # fmt: skip
                candidate = kinds["trajectory_msgs/msg/JointTrajectory"](
                    header=make.header(stamp, ""), joint_names=list(names), points=points
                )
                bag.write_message(f"{prefix}/predictor/action_trajectory", stamp + 4 * MS, candidate)
                verdict = {
                    "response": "reject", "summary": f"reject {k}", "stamp_ns": stamp, "published_ns": None,
                    "violations": [{"limit": "velocity", "joint": names[0], "step": 1, "time": 0.5}],
                }  # fmt: skip
                bag.write_message(f"{prefix}/guard/verdict_json", stamp + 5 * MS, make.string(json.dumps(verdict)))
    return path


@pytest.mark.parametrize("namespace", ["", "left"])
def test_everything_recorded_is_shown_at_its_time(tmp_path, namespace):
    bag = record(tmp_path / "bag", prefix=f"/{namespace}" if namespace else "")
    shown, problems = recording.write_rrd(bag, FRANKA, CAMERAS, tmp_path / "x.rrd", namespace=namespace)
    assert not problems
    assert sum(shown.values()) == 30 * 3 + 30 + 6 * 8 + 6 + 6
    calls = FakeLog.newest.calls
    assert [len(calls[layout.camera(view)]) for view in FRANKA.views] == [30] * 3
    assert len(calls["joints"]) == 30
    np.testing.assert_allclose(calls["joints"][-1][1]["panda_joint1"], FRANKA.home["panda_joint1"] + 0.29)
    assert [text for _, _, text, level in calls["event"] if level == "ERROR"] == [
        f"reject {k} (disarmed)" for k in range(0, 30, 5)
    ]
    verdicts = [paths for _, paths in calls["guard"]]
    assert all(p.violations[0].text == "velocity panda_joint1" for p in verdicts)
    assert FakeLog.newest.closed


def test_a_predicted_frame_stands_beside_what_was_seen_at_its_moment(tmp_path):
    recording.write_rrd(record(tmp_path / "bag"), FRANKA, CAMERAS, tmp_path / "x.rrd")
    predicted = [stamp for stamp, _ in FakeLog.newest.calls[layout.PREDICTED]]
    actual = FakeLog.newest.calls[layout.ACTUAL]
    assert predicted == [stamp for stamp, _ in actual]
    assert len(predicted) > 15
    assert predicted == sorted(set(predicted))
    for stamp, canvas in actual:
        k = round((stamp - START) * 15 / 1e9)
        # Flat images pass JPEG nearly unchanged; neighbours are 3 apart.
        assert abs(float(np.median(canvas)) - 3 * k) < 1.5


def test_a_view_that_was_not_recorded_is_black_and_the_rest_is_shown(tmp_path):
    bag = record(tmp_path / "bag", views=FRANKA.views[:2], steps=12)
    recording.write_rrd(bag, FRANKA, CAMERAS, tmp_path / "x.rrd")
    canvas = FakeLog.newest.calls[layout.ACTUAL][-1][1]
    assert (canvas[-10:, -10:] == 0).all()
    assert not FakeLog.newest.calls[layout.camera(FRANKA.views[2])]


def test_a_damaged_message_is_left_out_and_named(tmp_path):
    bag = tmp_path / "bag"
    with BagWriter(bag) as writer:
        writer.add_topic("/wrist/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        good = compress(flat(90))
        for k, payload in enumerate((good, good[:40], good)):
            image = writer.factory.compressed_image(payload, stamp_ns=START + k * MS, frame_id="w")
            writer.write_message("/wrist/image_raw/compressed", START + k * MS, image)
    _, problems = recording.write_rrd(bag, FRANKA, CAMERAS, tmp_path / "x.rrd")
    assert set(problems) == {"image wrist"}
    assert len(FakeLog.newest.calls[layout.camera("wrist")]) == 2


def test_a_recording_with_nothing_to_show_is_refused(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/chatter", "std_msgs/msg/String")
        writer.write_message("/chatter", START, writer.factory.string("hello"))
    with pytest.raises(InputError, match="no topic that can be shown"):
        recording.write_rrd(tmp_path / "bag", FRANKA, CAMERAS, tmp_path / "x.rrd")
