"""A recording read with ROS's rosbag2_py, here a stand-in, is the one that rosbags reads."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed; it writes the recordings")
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.recordings import recording
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.rosbag2_reader import Rosbag2Reader
from cosmos_ros.recordings.writer import BagWriter

# The real one where it is installed.
INSTALLED = importlib.util.find_spec("rosbag2_py") is not None


@pytest.fixture(autouse=True)
def bindings(monkeypatch):
    if not INSTALLED:
        monkeypatch.syspath_prepend(str(Path(__file__).parent / "rosbag2_py_stand_in"))
    yield
    if not INSTALLED:
        sys.modules.pop("rosbag2_py", None)


@pytest.fixture
def bag(tmp_path) -> Path:
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        for topic in ("/instruction", "/other", "/silent"):
            writer.add_topic(topic, "std_msgs/msg/String")
        kind = writer.types.types["std_msgs/msg/String"]
        for k in range(20):
            writer.write_message(
                ("/instruction", "/other")[k % 2], 1_000_000_000 + 50_000_000 * k, kind(data=f"text {k}")
            )
    return path


def test_both_readers_say_the_same(bag) -> None:
    for path in (bag, next(bag.glob("*.mcap"))):
        with BagReader(path) as one, Rosbag2Reader(path) as other:
            assert {t.name: (t.type_name, t.count) for t in one.topics.values()} == {
                t.name: (t.type_name, t.count) for t in other.topics.values()
            }
            assert (one.start_ns, one.end_ns, one.duration_ns) == (other.start_ns, other.end_ns, other.duration_ns)
            window = {"start_ns": 1_200_000_000, "end_ns": 1_700_000_000}
            for wanted, times in ((None, {}), ({"/other"}, {}), ({"/other"}, window), (set(), {}), (None, window)):
                assert list(one.messages(wanted, **times)) == list(other.messages(wanted, **times)), (wanted, times)
            assert len(list(other.messages())) == 20


def test_what_cannot_be_read_is_named(bag, tmp_path) -> None:
    with pytest.raises(InputError, match="there is no such recording"), Rosbag2Reader(tmp_path / "none"):
        pass
    with Rosbag2Reader(bag) as reader:
        with pytest.raises(InputError, match=r"there is no topic /instructions.*/instruction"):
            list(reader.messages(["/instructions"]))
        with pytest.raises(InputError, match="/silent holds no message"):
            reader.require("/silent")
    file = next(bag.glob("*.mcap"))
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="the recording cannot be opened"), Rosbag2Reader(file):
        pass


@pytest.mark.parametrize(
    ("there", "kind"), [({"rosbags", "rosbag2_py"}, BagReader), ({"rosbag2_py"}, Rosbag2Reader), (set(), None)]
)
def test_what_is_installed_reads(bag, monkeypatch, there, kind) -> None:
    monkeypatch.setattr(recording.importlib.util, "find_spec", lambda name: name if name in there else None)
    if kind is None:
        with pytest.raises(ConfigError, match=r"Install the ROS package rosbag2_py, or: pip install rosbags"):
            recording.open_recording(bag)
    else:
        assert type(recording.open_recording(bag)) is kind


def test_the_player_needs_no_rosbags() -> None:
    """What a replay imports in a workspace where pip has added nothing."""
    pytest.importorskip("rclpy", reason="the player needs ROS 2")
    import subprocess

    code = (
        "import sys; sys.modules['rosbags'] = None; sys.modules['tyro'] = None; "
        "import cosmos_ros.recordings.player, cosmos_ros.recordings.play_bag, cosmos_ros.bringup.player_process, "
        "cosmos_ros.recordings.rosbag2_reader, cosmos_ros.recordings.ros_message_types"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
