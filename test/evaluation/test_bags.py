from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import recordings
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.messages import decode_compressed, decode_image, joint_state_from_message
from cosmos_ros.recordings.message_types import default_typestore, qos
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.writer import BagWriter


def copy_as(source: Path, target: Path, plugin: StoragePlugin, mode: CompressionMode) -> Path:
    """The same messages in another storage and compression."""
    writer = Writer(target, version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with BagReader(source) as reader, writer:
        connections = {
            topic.name: writer.add_connection(
                topic.name, topic.type_name, typestore=default_typestore(), offered_qos_profiles=list(topic.qos)
            )
            for topic in reader.topics.values()
        }
        for message in reader.messages():
            writer.write(connections[message.topic], message.log_ns, message.data)
    return target


def test_what_is_written_is_read(recording: Path) -> None:
    with BagReader(recording) as reader:
        assert {name: topic.count for name, topic in reader.topics.items()} == {
            "/instruction": 1, "/joint_states": 100, "/front/image_raw/compressed": 30, "/wrist/image_raw": 30,
        }  # fmt: skip
        assert reader.message_count == 161
        assert reader.start_ns == recordings.START
        messages = list(reader.messages())
        assert [m.log_ns for m in messages] == sorted(m.log_ns for m in messages)
        assert reader.end_ns == messages[-1].log_ns and reader.went_back == 0
        assert reader.topics["/instruction"].qos == (qos(latched=True, depth=1),)
        states = [reader.decode(m) for m in messages if m.topic == "/joint_states"]
        state = joint_state_from_message(states[42])
        assert state.names == recordings.JOINTS and state.positions.tolist() == [42.0, -42.0, 0.04]
        images = [reader.decode(m) for m in messages if m.topic == "/wrist/image_raw"]
        np.testing.assert_array_equal(decode_image(images[7]), recordings.picture(7))
        images = [reader.decode(m) for m in messages if m.topic == "/front/image_raw/compressed"]
        np.testing.assert_array_equal(decode_compressed(images[29]), recordings.picture(29))


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize(
    "mode", [CompressionMode.NONE, CompressionMode.FILE, CompressionMode.MESSAGE, CompressionMode.STORAGE]
)
def test_every_storage_and_compression_reads_the_same(recording, tmp_path, plugin, mode) -> None:
    if plugin is StoragePlugin.SQLITE3 and mode is CompressionMode.STORAGE:
        pytest.skip("sqlite3 has no compression of its own")
    other = copy_as(recording, tmp_path / "other", plugin, mode)
    with BagReader(recording) as ours, BagReader(other) as theirs:
        assert list(ours.messages()) == list(theirs.messages())
        assert {n: t.qos for n, t in ours.topics.items()} == {n: t.qos for n, t in theirs.topics.items()}


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_without_its_folder_reads_too(tmp_path: Path, compress: bool) -> None:
    folder = recordings.write(tmp_path / "whole", compress=compress)
    with BagReader(folder) as reader:
        expected = list(reader.messages())
    with BagReader(folder / "whole.mcap") as reader:
        assert list(reader.messages()) == expected
    (folder / "metadata.yaml").unlink()
    with BagReader(folder) as reader:
        assert list(reader.messages()) == expected and reader.message_count == 161


def test_selection_by_topic_and_time(recording: Path) -> None:
    with BagReader(recording) as reader:
        begin, end = recordings.START + 200 * recordings.MS, recordings.START + 300 * recordings.MS
        chosen = list(reader.messages(["/joint_states"], start_ns=begin, end_ns=end))
        assert len(chosen) == 10 and all(begin <= m.log_ns < end and m.topic == "/joint_states" for m in chosen)


def test_requirements_name_what_is_there(recording: Path) -> None:
    with BagReader(recording) as reader:
        assert reader.require("/joint_states", "sensor_msgs/msg/JointState").count == 100
        with pytest.raises(InputError, match=r"no topic /joint_state.*/joint_states"):
            reader.require("/joint_state")
        with pytest.raises(InputError, match="is sensor_msgs/msg/JointState, expected sensor_msgs/msg/Image"):
            reader.require("/joint_states", "sensor_msgs/msg/Image")
        with pytest.raises(InputError, match="no topic /nope"):
            list(reader.messages(["/nope"]))


def test_empty_topics_and_recordings(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "empty") as bag:
        bag.add_topic("/a", "std_msgs/msg/String")
    with BagReader(tmp_path / "empty") as reader:
        assert (reader.message_count, reader.start_ns, reader.end_ns, list(reader.messages())) == (0, 0, 0, [])
        with pytest.raises(InputError, match="holds no message"):
            reader.require("/a")


def test_missing_recordings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recording"), BagReader(tmp_path / "nowhere"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"neither metadata.yaml nor"), BagReader(tmp_path / "folder"):
        pass
    (tmp_path / "bag.txt").write_text("hello")
    with pytest.raises(InputError, match="cannot be opened"), BagReader(tmp_path / "bag.txt"):
        pass


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_truncated_recordings_are_named_errors_wherever_they_end(recording, tmp_path, plugin) -> None:
    whole = copy_as(recording, tmp_path / "whole", plugin, CompressionMode.NONE)
    file = next(p for p in whole.iterdir() if p.suffix != ".yaml")
    data = file.read_bytes()
    for share in (0.0, 0.001, 0.1, 0.5, 0.9, 0.999):
        file.write_bytes(data[: int(len(data) * share)])
        count = 0
        try:
            with BagReader(whole) as reader:
                for _ in reader.messages():
                    count += 1
        except InputError as error:
            assert str(whole) in str(error)
        else:
            # The last page of a database may hold nothing but free space.
            assert (plugin, count) == (StoragePlugin.SQLITE3, 161)


@pytest.mark.parametrize("compress", [False, True])
def test_damaged_bytes_end_in_a_named_error_or_in_whole_messages(tmp_path: Path, compress: bool) -> None:
    folder = recordings.write(tmp_path / "bag", 0.5, compress=compress)
    file = folder / "bag.mcap"
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(40):
        broken = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(0, len(broken), 8)
        broken[places] = rng.integers(0, 256, len(places))
        file.write_bytes(broken.tobytes())
        try:
            with BagReader(file) as reader:
                for message in reader.messages():
                    try:
                        reader.decode(message)
                    except InputError:
                        outcomes.add("message")
            outcomes.add("read")
        except InputError:
            outcomes.add("recording")
    assert "recording" in outcomes


def test_messages_before_the_damage_are_kept(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/a", "std_msgs/msg/String")
        for k in range(400):
            bag.write_message("/a", recordings.START + k, bag.factory.string(str(k) * 10_000))
    file = tmp_path / "bag" / "bag.mcap"
    data = bytearray(file.read_bytes())
    # The record length of the first message of a later chunk.
    place = data.index(b"300300300")
    start = data.rindex(b"\x06", 0, place - 100_000)
    data[start + 9 : start + 49] = b"\xff" * 40
    for offset in range(place - 60, place - 20):
        data[offset] = 0xFF
    file.write_bytes(data)
    kept = []
    with BagReader(file) as reader, pytest.raises(InputError, match="is damaged after") as caught:
        for message in reader.messages():
            kept.append(message)
    assert 100 < len(kept) < 400
    assert f"damaged after {len(kept)} messages" in str(caught.value)


def test_a_message_that_does_not_fit_its_type(recording: Path) -> None:
    with BagReader(recording) as reader:
        message = next(reader.messages(["/joint_states"]))
        broken = type(message)(message.topic, message.type_name, message.log_ns, message.data[:30])
        with pytest.raises(InputError, match="do not hold a sensor_msgs/msg/JointState") as caught:
            reader.decode(broken)
        assert "/joint_states" in caught.value.where
        unknown = type(message)("/x", "my_msgs/msg/Own", 0, b"")
        with pytest.raises(InputError, match="definition of my_msgs/msg/Own"):
            reader.decode(unknown)


def test_types_of_ones_own_come_with_their_definition(tmp_path: Path) -> None:
    definition = (
        "geometry_msgs/Point place\nfloat64[] weights\n"
        + "=" * 80
        + ("\nMSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n")
    )
    from cosmos_ros.recordings.message_types import typestore_of

    store = typestore_of(definition, "my_msgs/msg/Own")
    point = store.types["geometry_msgs/msg/Point"](x=1.0, y=2.0, z=3.0)
    own = store.types["my_msgs/msg/Own"](place=point, weights=np.array([0.5]))
    with BagWriter(tmp_path / "bag") as bag:
        with pytest.raises(InputError, match="definition of my_msgs/msg/Own is not known"):
            bag.add_topic("/own", "my_msgs/msg/Own")
        bag.add_topic("/own", "my_msgs/msg/Own", definition=definition)
        bag.write("/own", 5, store.serialize_cdr(own, "my_msgs/msg/Own"))
    with BagReader(tmp_path / "bag") as reader:
        read = reader.decode(next(reader.messages()))
        assert (read.place.y, read.weights.tolist()) == (2.0, [0.5])
    with pytest.raises(InputError, match="cannot be parsed"):
        typestore_of("%% 1 = [", "my_msgs/msg/Own")


def test_time_going_back_between_files_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for number, offset in enumerate((0, -5 * 10**9)):
        with BagWriter(tmp_path / f"part{number}") as bag:
            recordings.fill(bag, 0.2, offset_ns=offset)
        shutil.copy(tmp_path / f"part{number}" / f"part{number}.mcap", folder / f"split_{number}.mcap")
    with BagReader(folder) as reader:
        assert len(list(reader.messages())) == reader.message_count == 2 * (1 + 20 + 6 + 6)
        assert reader.went_back == 1
        assert reader.topics["/joint_states"].count == 40


def test_one_topic_with_two_types_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for number, kind in enumerate(("std_msgs/msg/String", "std_msgs/msg/Empty")):
        with BagWriter(tmp_path / f"part{number}") as bag:
            bag.add_topic("/a", kind)
        shutil.copy(tmp_path / f"part{number}" / f"part{number}.mcap", folder / f"split_{number}.mcap")
    with (
        pytest.raises(InputError, match="recorded as std_msgs/msg/String and as std_msgs/msg/Empty"),
        BagReader(folder),
    ):
        pass


def test_an_error_while_writing_leaves_a_readable_recording(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), BagWriter(tmp_path / "bag") as bag:
        recordings.fill(bag, 0.2)
        raise ZeroDivisionError
    with BagReader(tmp_path / "bag") as reader:
        assert reader.message_count == 33


def test_the_writer_refuses_what_would_be_lost(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/a", "std_msgs/msg/String")
        bag.add_topic("/a", "std_msgs/msg/String")
        with pytest.raises(InputError, match="not announced"):
            bag.write("/b", 0, b"")
        with pytest.raises(InputError, match="is std_msgs/msg/String, not"):
            bag.add_topic("/a", "std_msgs/msg/Empty")
    with pytest.raises(CosmosRosError, match="not open"):
        bag.write("/a", 0, b"")
    with pytest.raises(InputError, match="exists already"), BagWriter(tmp_path / "bag"):
        pass


def test_a_full_disk_is_told_and_what_was_written_stays_readable(tmp_path: Path, monkeypatch) -> None:
    import errno

    with BagWriter(tmp_path / "bag") as bag:
        recordings.fill(bag, 0.2)
        with monkeypatch.context() as patch:
            full = OSError(errno.ENOSPC, "No space left on device")
            patch.setattr(Writer, "write", lambda *arguments: (_ for _ in ()).throw(full))
            with pytest.raises(CosmosRosError, match="No space left on device"):
                bag.write("/instruction", recordings.START, b"x")
    with BagReader(tmp_path / "bag") as reader:
        assert sum(1 for _ in reader.messages()) == 33
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "close", lambda writer: (_ for _ in ()).throw(full))
        with pytest.raises(CosmosRosError, match="cannot be finished"), BagWriter(tmp_path / "other"):
            pass
    (tmp_path / "file").write_text("")
    with pytest.raises(CosmosRosError, match="cannot be written"), BagWriter(tmp_path / "file" / "bag"):
        pass
