"""A walk of a recording gives what the same synchroniser gives live."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import recordings

from cosmos_ros.errors import InputError
from cosmos_ros.observation import Synchroniser, SynchroniserSettings
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.replay import WalkReport, WalkTopics, find_view_topic, in_stamp_order, walk
from cosmos_ros.recordings.writer import BagWriter

MS = recordings.MS
TOPICS = WalkTopics(views={"front": "/front/image_raw/compressed", "wrist": "/wrist/image_raw"})


def synchroniser(**times: int) -> Synchroniser:
    values = {"wait_ns": 2_000 * MS, "image_max_age_ns": 5_000 * MS, "joint_max_age_ns": 5_000 * MS, **times}
    return Synchroniser(["front", "wrist"], joints=recordings.JOINTS, settings=SynchroniserSettings(**values))


def walked(path: Path, report: WalkReport | None = None, **times: int):
    with BagReader(path) as reader:
        return [snapshot.build() for snapshot in walk(reader, TOPICS, synchroniser(**times), report=report)]


def summary(observation):
    return (
        observation.stamp_ns, dict(observation.image_stamps_ns), observation.joints.stamp_ns,
        observation.joints.positions.tolist(), observation.instruction,
        {view: image.tobytes() for view, image in observation.images.items()},
        None if observation.previous is None else observation.previous.stamp_ns,
    )  # fmt: skip


def test_every_image_becomes_an_observation_as_of_its_stamp(recording: Path) -> None:
    report = WalkReport()
    found = walked(recording, report)
    # The first image has no wrist image before it.
    assert [o.stamp_ns for o in found] == [recordings.START + round(k * 1e9 / 30) for k in range(1, 30)]
    assert (report.messages, report.references, report.unsynchronised, report.resets) == (161, 29, 1, 0)
    for k, observation in enumerate(found, start=1):
        np.testing.assert_array_equal(observation.images["front"], recordings.picture(k))
        np.testing.assert_array_equal(observation.images["wrist"], recordings.picture(k - 1))
        assert observation.image_stamps_ns["wrist"] == recordings.START + round((k - 1) * 1e9 / 30) + 11 * MS
        state = (observation.stamp_ns - recordings.START) // (10 * MS)
        assert observation.joints.positions.tolist() == [state, -state, 0.04]
        assert observation.instruction == "put the cube in the bin"


def test_live_feeding_in_order_of_arrival_gives_the_same(recording: Path) -> None:
    offline = walked(recording, period_ns=66 * MS, step_ns=66 * MS)
    live = synchroniser(period_ns=66 * MS, step_ns=66 * MS)
    taken = []
    with BagReader(recording) as reader:
        for raw in reader.messages():
            message = reader.decode(raw)
            now = raw.log_ns
            if raw.topic == "/joint_states":
                live.add_joint_state(message, received_ns=now)
            elif raw.topic == "/instruction":
                live.add_instruction(message.data, received_ns=now)
            else:
                live.add_image(raw.topic.split("/")[1], message, received_ns=now)
            while (snapshot := live.take(now)) is not None:
                taken.append(snapshot.build())
    assert len(taken) > 10 and taken[3].previous is not None
    assert [summary(o) for o in taken] == [summary(o) for o in offline[: len(taken)]]
    assert len(offline) - len(taken) <= 1


def test_two_walks_are_the_same(recording: Path) -> None:
    assert [summary(o) for o in walked(recording)] == [summary(o) for o in walked(recording)]


def test_a_part_of_a_recording(recording: Path) -> None:
    with BagReader(recording) as reader:
        begin = recordings.START + 300 * MS
        snapshots = list(walk(reader, TOPICS, synchroniser(), start_ns=begin))
    assert 18 <= len(snapshots) <= 22
    assert snapshots[0].instruction == "", "what came before the part is not known"


def test_topics_are_found_and_checked(recording: Path) -> None:
    with BagReader(recording) as reader:
        assert find_view_topic(reader, "/front/image_raw") == "/front/image_raw/compressed"
        assert find_view_topic(reader, "/wrist/image_raw") == "/wrist/image_raw"
        with pytest.raises(InputError, match="no topic /left/image_raw"):
            find_view_topic(reader, "/left/image_raw")
        with pytest.raises(InputError, match="expected sensor_msgs/msg/Image"):
            find_view_topic(reader, "/joint_states")
        for topics in (
            WalkTopics(views={"front": "/nope", "wrist": "/wrist/image_raw"}),
            WalkTopics(views=TOPICS.views, joints="/instruction"),
            WalkTopics(views=TOPICS.views, instruction="/joint_states"),
        ):
            with pytest.raises(InputError):
                next(walk(reader, topics, synchroniser()))


def test_malformed_messages_are_counted_and_passed_over(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        recordings.fill(bag, 0.3)
        late = recordings.START + 290 * MS
        bad = bag.factory.joint_state(recordings.JOINTS, np.array([np.nan, 0, 0]), None, stamp_ns=late)
        bag.write_message("/joint_states", late, bad)
        half = recordings.raw_image(bag, recordings.picture(0), late)
        half.data = half.data[:100]
        bag.write_message("/wrist/image_raw", late, half)
        bag.write("/wrist/image_raw", late, b"\x00\x01\x00\x00rubbish")
    report = WalkReport()
    found = walked(tmp_path / "bag", report)
    assert len(found) == 8
    assert report.refused == {"/joint_states": 1, "/wrist/image_raw": 2}
    assert any("joint 'j1' is nan" in line for line in report.errors)
    assert any("truncated: 100 bytes" in line for line in report.errors)
    assert any("do not hold a sensor_msgs/msg/Image" in line for line in report.errors)


def test_damage_ends_the_walk_and_is_told(tmp_path: Path) -> None:
    folder = recordings.write(tmp_path / "bag", 1.0)

    class Damaged:
        def __init__(self, reader: BagReader) -> None:
            self._reader = reader
            self.topics, self.require, self.decode = reader.topics, reader.require, reader.decode

        def messages(self, topics=None, *, start_ns=None, end_ns=None):
            for number, message in enumerate(self._reader.messages(topics)):
                if number == 100:
                    raise InputError("the recording is damaged after 100 messages")
                yield message

    report = WalkReport()
    with BagReader(folder) as reader:
        found = list(walk(Damaged(reader), TOPICS, synchroniser(), report=report))
    assert 10 < len(found) < 29
    assert "damaged after 100 messages" in report.damaged


def test_two_runs_in_one_recording_do_not_mix(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        recordings.fill(bag, 1.0)
        # The second run was stamped by a clock that had been set back, and recorded after the first.
        make = bag.factory
        for log_ns, stamp, stream, k in recordings.events(1.0):
            log_ns, stamp = log_ns + 3_000 * MS, stamp - 20_000 * MS
            if stream == "joints":
                state = make.joint_state(recordings.JOINTS, np.array([1000.0 + k, 0, 0]), None, stamp_ns=stamp)
                bag.write_message("/joint_states", log_ns, state)
            elif stream == "wrist":
                bag.write_message("/wrist/image_raw", log_ns, recordings.raw_image(bag, recordings.picture(k), stamp))
            else:
                from cosmos_ros.messages import compress

                image = make.compressed_image(compress(recordings.picture(k)), stamp_ns=stamp, frame_id="front")
                bag.write_message("/front/image_raw/compressed", log_ns, image)
    report = WalkReport()
    found = walked(tmp_path / "bag", report)
    assert report.resets == 1
    assert len(found) == 58
    first, second = found[:29], found[29:]
    assert all(o.joints.positions[0] < 1000 for o in first) and all(o.joints.positions[0] >= 1000 for o in second)
    assert second[0].stamp_ns < first[0].stamp_ns
    assert second[-1].instruction == "put the cube in the bin"


def headed(stamp_ns: int) -> SimpleNamespace:
    sec, nanosec = divmod(stamp_ns, 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec)))


def test_messages_are_sorted_by_stamp_within_the_window() -> None:
    rng = np.random.default_rng(0)
    stamps = [10**12 + int(k * MS) for k in range(300)]
    arrivals = sorted((stamp + int(rng.integers(0, 80 * MS)), f"/t{k % 3}", stamp) for k, stamp in enumerate(stamps))
    messages = iter([(topic, log_ns, headed(stamp)) for log_ns, topic, stamp in arrivals])
    ordered = [stamp for stamp, _, _ in in_stamp_order(messages, 100 * MS, 500 * MS)]
    assert ordered == stamps


def test_messages_without_a_stamp_keep_their_place() -> None:
    messages = iter(
        [("/text", 0, SimpleNamespace(data="first"))]
        + [("/a", k, headed(10**12 + k)) for k in range(1, 4)]
        + [("/text", 3, SimpleNamespace(data="second"))]
        + [("/a", k, headed(10**12 + k)) for k in range(4, 7)]
    )
    ordered = [(stamp, topic) for stamp, topic, _ in in_stamp_order(messages, 100, 500)]
    base = 10**12
    assert ordered == [
        (0, "/text"), (base + 1, "/a"), (base + 2, "/a"), (base + 3, "/a"), (base + 4, "/text"), (base + 4, "/a"),
        (base + 5, "/a"), (base + 6, "/a"),
    ]  # fmt: skip
