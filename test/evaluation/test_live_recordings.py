# ruff: noqa: E402  (nothing here can be imported where ROS is not installed)
"""Player and recorder as real processes over real DDS."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import recordings
from machine import Deadline, slowness

rclpy = pytest.importorskip("rclpy", reason="ROS is not installed")

from live_session import Live, live
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosbags.interfaces import QosReliability

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.cli.main import main
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.messages.dds import PROFILE_VARIABLES
from cosmos_ros.observation import Synchroniser, SynchroniserSettings
from cosmos_ros.recordings.message_types import default_typestore, qos, typestore_of
from cosmos_ros.recordings.play_options import PlayOptions
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.recorder import BagRecorder
from cosmos_ros.recordings.recording import BagTopic
from cosmos_ros.recordings.replay import WalkTopics, walk
from cosmos_ros.recordings.ros_message_types import installed_definition, message_class, offered_profile, profile

__all__ = ["live"]  # the fixture

MS = recordings.MS
TOPICS = ("/instruction", "/joint_states", "/front/image_raw/compressed", "/wrist/image_raw")


def patiently() -> tuple[str, float]:
    """Options of the player: a subscriber on a slow machine may know of it late, and would miss the first messages."""
    return "--delay", 0.5 * slowness()


def by_topic(path: Path) -> dict[str, list[bytes]]:
    """Payloads without the zeros that DDS fills up the last four bytes with."""
    with BagReader(path) as reader:
        found: dict[str, list[bytes]] = {name: [] for name in reader.topics}
        for message in reader.messages():
            found[message.topic].append(message.data.rstrip(b"\0"))
    return found


@pytest.mark.integration
def test_what_is_played_is_recorded(live: Live, recording: Path, tmp_path: Path) -> None:
    recorder, recorded = live.verb("record", tmp_path / "copy", "--topics", *TOPICS, "/never")
    # Slowly: the recorder must keep up with the pictures, which are sent as best effort.
    slowly = ("--rate", 2 / slowness(), *patiently())
    player, played = live.verb("play", recording, *slowly, "--clock", "--wait-for", *TOPICS)
    live.until(lambda: player.poll() is not None, "the end of the recording")
    assert player.returncode == 0, played.read_text()
    assert "161 messages" in played.read_text()
    recorder.send_signal(signal.SIGINT)
    live.until(lambda: recorder.poll() is not None, "the end of the recorder")
    assert recorder.returncode == 0, recorded.read_text()
    assert "/never: nobody published it" in recorded.read_text()
    copied, original = by_topic(tmp_path / "copy"), by_topic(recording)
    for topic in TOPICS:
        assert copied[topic] == original[topic], topic
    with BagReader(tmp_path / "copy") as copy:
        assert copy.topics["/instruction"].qos[0].durability.name == "TRANSIENT_LOCAL"
        assert copy.topics["/front/image_raw/compressed"].qos[0].reliability is QosReliability.BEST_EFFORT
        assert copy.topics["/wrist/image_raw"].qos[0].reliability is QosReliability.RELIABLE


@pytest.mark.integration
def test_a_late_start_still_has_the_last_latched_message(live: Live, recording: Path) -> None:
    heard = []
    kind = message_class("std_msgs/msg/String")
    profile_ = rclpy.qos.QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    live.node("listener").create_subscription(kind, "/instruction", lambda m: heard.append(m.data), profile_)
    player, played = live.verb("play", recording, "--rate", 4, "--start-offset", 0.5, "--wait-for", "/instruction")
    live.until(lambda: player.poll() is not None, "the end of the recording")
    assert player.returncode == 0, played.read_text()
    live.until(lambda: bool(heard), "the instruction")
    assert heard == ["put the cube in the bin"]


@pytest.mark.integration
def test_live_observations_are_those_of_the_offline_walk(live: Live, recording: Path) -> None:
    """Subscribe as a node does, on simulation time, while the recording is played."""

    def synchroniser() -> Synchroniser:
        # Long waits and gates: only stamps may decide, however slow this machine is.
        return Synchroniser(
            ["front", "wrist"], joints=recordings.JOINTS,
            settings=SynchroniserSettings(
                wait_ns=10**10, image_max_age_ns=10**10, joint_max_age_ns=10**10, period_ns=100 * MS,
                catch_up_ns=10**10, step_ns=100 * MS, history_ns=5 * 10**9, future_tolerance_ns=10**9,
            ),
        )  # fmt: skip

    def summary(snapshot):
        observation = snapshot.build()
        return (
            observation.stamp_ns, observation.image_stamps_ns, observation.joints.stamp_ns,
            observation.joints.positions.tolist(), observation.instruction,
            {view: image.tobytes() for view, image in observation.images.items()},
            None if observation.previous is None else observation.previous.stamp_ns,
        )  # fmt: skip

    from rclpy.parameter import Parameter
    from sensor_msgs.msg import CompressedImage, Image, JointState
    from std_msgs.msg import String

    node = live.node("predictor", parameter_overrides=[Parameter("use_sim_time", value=True)])
    sync, taken, latched = synchroniser(), [], []

    def now() -> int:
        return node.get_clock().now().nanoseconds

    def kept(feed: Callable[..., bool], *arguments):
        def callback(message) -> None:
            feed(*arguments, message, received_ns=now())
            while (snapshot := sync.take(now())) is not None:
                taken.append(summary(snapshot))
            if len(taken) == 3 and not latched:
                # Late: the instruction was published long ago.
                node.create_subscription(
                    String,
                    "instruction",
                    lambda text: latched.append(text.data),
                    profile(reliable=True, latched=True, depth=1),
                )
                latched.append("subscribed")

        return callback

    sensor = profile(reliable=False, latched=False, depth=200)
    node.create_subscription(CompressedImage, "front/image_raw/compressed", kept(sync.add_image, "front"), sensor)
    node.create_subscription(Image, "wrist/image_raw", kept(sync.add_image, "wrist"), sensor)
    node.create_subscription(JointState, "joint_states", kept(sync.add_joint_state), sensor)
    node.create_subscription(
        String, "instruction", lambda text: sync.add_instruction(text.data, received_ns=now()),
        profile(reliable=True, latched=True, depth=1),
    )  # fmt: skip
    slowly = ("--rate", 1 / slowness(), *patiently())
    player, played = live.verb("play", recording, *slowly, "--clock", "--wait-for", *TOPICS)
    live.until(lambda: player.poll() is not None, "the end of the recording")
    assert player.returncode == 0, played.read_text()
    live.until(lambda: len(latched) == 2, "the latched instruction")
    assert latched[1] == "put the cube in the bin"
    assert sync.epoch == 0

    with BagReader(recording) as reader:
        topics = WalkTopics(views={"front": TOPICS[2], "wrist": TOPICS[3]})
        expected = [summary(snapshot) for snapshot in walk(reader, topics, synchroniser())]
    assert len(expected) >= 9 and expected[4][-1] is not None
    # The last one may still wait for a stream that has ended.
    assert taken == expected[: len(taken)] and len(taken) >= len(expected) - 1


@pytest.mark.integration
def test_signals_end_a_loop_at_once_and_recorders_cleanly(live: Live, recording: Path, tmp_path: Path) -> None:
    recorder, recorded = live.verb("record", tmp_path / "all", "--all", "--exclude", "wrist")
    player, played = live.verb("play", recording, "--rate", 20, "--loop", "--clock", "--wait-for", "/joint_states")
    live.until(lambda: "recording /joint_states" in recorded.read_text(), "recording")
    arrived = []
    kind = message_class("sensor_msgs/msg/JointState")
    sensor = profile(reliable=True, latched=False, depth=1000)
    live.node("viewer").create_subscription(kind, "joint_states", arrived.append, sensor)
    live.until(lambda: len(arrived) > 250, "three rounds")
    player.send_signal(signal.SIGINT)
    live.until(lambda: player.poll() is not None, "the end of the player", 5.0)
    assert player.returncode == 130 and "Traceback" not in played.read_text()
    recorder.send_signal(signal.SIGTERM)
    live.until(lambda: recorder.poll() is not None, "the end of the recorder", 10.0)
    assert recorder.returncode == 0 and "Traceback" not in recorded.read_text()
    with BagReader(tmp_path / "all") as reader:
        assert "/wrist/image_raw" not in reader.topics
        assert reader.topics["/joint_states"].count > 100 and reader.topics["/clock"].count > 10
        assert sum(1 for _ in reader.messages()) == reader.message_count


@pytest.mark.integration
def test_waiting_for_nobody_ends_in_one_line(recording: Path, monkeypatch, capsys) -> None:
    before = signal.getsignal(signal.SIGINT)
    with private_domain() as domain:
        for name, value in private_environment(domain).items():
            monkeypatch.setenv(name, value)
        for name in PROFILE_VARIABLES:
            monkeypatch.setenv(name, "")  # so that what the verb sets is undone
        assert main(["play", str(recording), "--wait-for", "/joint_states", "--wait-timeout", "0.1"]) == 2
    error = capsys.readouterr().err
    assert "nobody subscribed to /joint_states in 0.1 s" in error and error.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.integration
def test_pausing(live: Live, recording: Path) -> None:
    from std_srvs.srv import SetBool

    node = live.node("viewer")
    arrived = []
    kind = message_class("sensor_msgs/msg/JointState")
    node.create_subscription(kind, "joint_states", arrived.append, profile(reliable=True, latched=False, depth=500))
    client = node.create_client(SetBool, "/cosmos_ros_player/pause")
    paused = ("--start-paused", *patiently())
    player, played = live.verb("play", recording, *paused, "--wait-for", "joint_states", "--rate", 4)
    live.until(client.service_is_ready, "the service")
    asked = []

    def answered() -> bool:  # asked again after a second: a server answers before it knows who is to read it
        if not asked or again.passed():
            asked.append(client.call_async(SetBool.Request(data=True)))
            again.restart()
        return any(future.done() for future in asked)

    again = Deadline(1.0)
    live.until(answered, "the answer")
    assert next(future for future in asked if future.done()).result().message == "paused" and arrived == []
    client.call_async(SetBool.Request(data=False))
    live.until(lambda: player.poll() is not None, "the end of the recording")
    assert "161 messages" in played.read_text()
    live.until(lambda: len(arrived) == 100, "every joint state")


@pytest.mark.integration
def test_the_recorder_meets_publishers_as_they_come(live: Live, tmp_path: Path) -> None:
    from std_msgs.msg import String

    node = live.node("talker")
    recorder_node = live.node("recorder")
    lines: list[str] = []
    recorder = BagRecorder(recorder_node, tmp_path / "bag", topics=["/talk", "/later"], announce=lines.append)
    try:
        first = node.create_publisher(String, "talk", profile(reliable=True, latched=False, depth=10))
        live.until(lambda: recorder.discover() or "/talk" in recorder.topics, "the first subscription")
        live.until(lambda: first.get_subscription_count() == 1, "the match")
        assert recorder.missing == {"/later"}
        first.publish(String(data="reliable"))
        live.until(lambda: recorder.received.get("/talk") == 1, "the first message")
        weak = node.create_publisher(String, "talk", profile(reliable=False, latched=False, depth=10))
        live.until(lambda: recorder.discover() or weak.get_subscription_count() == 1, "the weaker match")
        weak.publish(String(data="best effort"))
        later = node.create_publisher(String, "later", profile(reliable=True, latched=True, depth=1))
        later.publish(String(data="latched"))
        live.until(lambda: recorder.discover() or later.get_subscription_count() == 1, "the later match")
        live.until(lambda: recorder.received == {"/talk": 2, "/later": 1}, "the other messages")
    finally:
        report = recorder.close()
    assert report.counts == {"/talk": 2, "/later": 1} and report.dropped == {}
    assert len(lines) == 2
    with BagReader(tmp_path / "bag") as reader:
        texts = [reader.decode(message).data for message in reader.messages()]
    assert sorted(texts) == ["best effort", "latched", "reliable"]


@pytest.mark.integration
def test_a_full_queue_drops_and_counts(live: Live, tmp_path: Path) -> None:
    from std_msgs.msg import String

    node = live.node("talker")
    recorder = BagRecorder(node, tmp_path / "bag", topics=["/talk"], queue_bytes=100)
    try:
        publisher = node.create_publisher(String, "talk", profile(reliable=True, latched=False, depth=10))
        live.until(lambda: recorder.discover() or publisher.get_subscription_count() == 1, "the match")
        publisher.publish(String(data="x" * 500))
        live.until(lambda: recorder.received == {"/talk": 1}, "the message")
    finally:
        report = recorder.close()
    assert report.dropped == {"/talk": 1} and report.counts == {"/talk": 0}


@pytest.mark.integration
def test_topics_that_cannot_be_recorded_are_named_once(live: Live, tmp_path: Path) -> None:
    from std_msgs.msg import Empty, String

    with pytest.raises(InputError, match="not a regular expression"):
        BagRecorder(live.node("a"), tmp_path / "x", exclude="(")
    node = live.node("talker")
    lines: list[str] = []
    recorder = BagRecorder(node, tmp_path / "bag", exclude="rosout|parameter", announce=lines.append)
    # One participant may not give a topic two types.
    contexts, talkers = [rclpy.Context(), rclpy.Context()], []
    try:
        for context, kind in zip(contexts, (String, Empty), strict=True):
            rclpy.init(context=context, domain_id=live.domain)
            talkers.append(rclpy.create_node(f"talker_{kind.__name__.lower()}", context=context))
            talkers[-1].create_publisher(kind, "both", 1)

        def has_two_types() -> bool:
            return any(name == "/both" and len(types) == 2 for name, types in node.get_topic_names_and_types())

        live.until(has_two_types, "both types")
        node.create_publisher(String, "_hidden", 1)
        node.create_publisher(String, "fine", 1)
        live.until(lambda: recorder.discover() or len(lines) >= 2, "the announcements")
        recorder.discover()
    finally:
        report = recorder.close()
        for talker in talkers:
            talker.destroy_node()
        for context in contexts:
            context.try_shutdown()
    assert recorder.close().counts == report.counts == {"/fine": 0}
    assert set(report.skipped) == {"/both"} and "std_msgs/msg/Empty and std_msgs/msg/String" in report.skipped["/both"]
    assert len(lines) == 2


@pytest.mark.integration
def test_a_disk_that_fails_while_recording_is_raised_at_the_end(live: Live, tmp_path: Path, monkeypatch) -> None:
    from std_msgs.msg import String

    from cosmos_ros.errors import CosmosRosError
    from cosmos_ros.recordings.writer import BagWriter

    def fail(*_: object) -> None:
        raise CosmosRosError("cannot be written: No space left on device", where="bag")

    node = live.node("talker")
    recorder = BagRecorder(node, tmp_path / "bag", topics=["talk"])
    publisher = node.create_publisher(String, "talk", 10)
    live.until(lambda: recorder.discover() or publisher.get_subscription_count() == 1, "the match")
    with monkeypatch.context() as patch:
        patch.setattr(BagWriter, "write", fail)
        publisher.publish(String(data="x"))
        live.until(lambda: recorder.error is not None, "the failure")
    with pytest.raises(CosmosRosError, match="No space left"):
        recorder.close()
    with BagReader(tmp_path / "bag") as reader:
        assert reader.message_count == 0


def test_definitions_of_installed_types_are_those_of_the_recordings() -> None:
    for name in (
        "sensor_msgs/msg/JointState",
        "visualization_msgs/msg/MarkerArray",
        "trajectory_msgs/msg/JointTrajectory",
    ):
        store = typestore_of(installed_definition(name), name)
        assert store.hash_rihs01(name) == default_typestore().hash_rihs01(name)
    with pytest.raises(InputError, match="not installed"):
        installed_definition("no_such_msgs/msg/Thing")


def test_message_classes() -> None:
    assert message_class("std_msgs/msg/String").__name__ == "String"
    for name in ("std_msgs/msg/Nope", "no_such_msgs/msg/Thing"):
        with pytest.raises(InputError, match="not installed"):
            message_class(name)
    for name in ("os.path/msg/join", "std_msgs.msg/String", "std_msgs/srv/X", ""):
        with pytest.raises(InputError, match="not the name of a message type"):
            message_class(name)


@pytest.mark.parametrize(
    ("topic", "reliable", "latched", "depth"),
    [
        (BagTopic("/cam", "sensor_msgs/msg/Image", 9, (qos(reliable=False),)), False, False, 10),
        (BagTopic("/cam", "sensor_msgs/msg/Image", 9), True, False, 10),
        (BagTopic("/a", "x", 9, (qos(reliable=False), qos(latched=True, depth=1))), True, True, 10),
        (BagTopic("/tf_static", "x", 40), True, True, 40),
        (BagTopic("/ns/instruction", "x", 1), True, True, 10),
        (BagTopic("/my_instruction", "x", 1), True, False, 10),
        (BagTopic("/a", "x", 9, (qos(depth=50_000),)), True, False, 1000),
    ],
)
def test_a_player_offers_what_was_recorded(topic, reliable, latched, depth) -> None:
    offered = offered_profile(topic)
    assert (offered.reliability == ReliabilityPolicy.RELIABLE) is reliable
    assert (offered.durability == DurabilityPolicy.TRANSIENT_LOCAL) is latched
    assert offered.depth == depth


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": -1.0}, {"clock": -1.0}, {"delay": 1e9}])
def test_play_options_are_bounded(wrong) -> None:
    with pytest.raises(ConfigError):
        PlayOptions(**wrong)
