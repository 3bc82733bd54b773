"""``predict``, ``rollout``, ``infer-action``, ``replay-request`` and ``world-models``, as a user runs them."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from world_model_scenes import textured

from cosmos_ros.cli.main import main
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.prediction import scenes
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.world_models import create_world_model
from cosmos_ros.world_models.compatibility import check_embodiment, refusals
from cosmos_ros.world_models.mp4 import decode_video, encode_video, sample_video

START = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def franka():
    return load_embodiment("franka")


@pytest.fixture
def wrist(tmp_path):
    path = tmp_path / "wrist.png"
    cv2.imwrite(str(path), textured(90, 160)[..., ::-1])
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory, franka):
    """Two seconds: a wrist camera at 15 Hz, joints at 60 Hz that turn the first joint, an instruction."""
    path = tmp_path_factory.mktemp("bag") / "recording"
    with BagWriter(path) as writer:
        writer.add_topic("/wrist/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        writer.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        writer.add_topic("/instruction", "std_msgs/msg/String")
        events = [(START, "/instruction", writer.factory.string("open the drawer"))]
        names = franka.all_joints
        home = np.array([franka.home[name] for name in names])
        for k in range(121):
            stamp = START + round(k * 1e9 / 60)
            turned = home + np.eye(len(names))[0] * 0.001 * k
            message = writer.factory.joint_state(names, turned, None, stamp_ns=stamp)
            events.append((stamp, "/joint_states", message))
        scene = textured(90, 240, seed=3)
        for k in range(31):
            stamp = START + round(k * 1e9 / 15)
            data = cv2.imencode(".png", scene[:, 2 * k : 2 * k + 160, ::-1])[1].tobytes()
            image = writer.factory.compressed_image(data, stamp_ns=stamp, frame_id="wrist", image_format="png")
            events.append((stamp, "/wrist/image_raw/compressed", image))
        for stamp, topic, message in sorted(events, key=lambda event: event[0]):
            writer.write_message(topic, stamp, message)
    return path


def run(*words):
    return main([str(word) for word in words])


def result_of(folder):
    return json.loads((folder / "prediction.json").read_text())


def test_predict_from_a_picture(wrist, tmp_path, capsys, franka):
    out = tmp_path / "out"
    status = run("predict", "--world-model", "persistence", "--image", wrist, "--instruction", "wait", "--out", out)
    assert status == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(out / n) for n in ("frames.mp4", "prediction.json", "predictions.jsonl")]
    assert "assumed: black images for exterior_1, exterior_2" in printed.err
    assert "assumed: home posture" in printed.err
    frames, rate = decode_video(out / "frames.mp4", where="test", max_frames=100)
    assert (len(frames), rate) == (17, 15.0)
    found = result_of(out)
    assert found["assumed"] == ["black images for exterior_1, exterior_2", "home posture"]
    trajectory = found["trajectory"]
    assert trajectory["joint_names"] == list(franka.all_joints)
    home = [franka.home[name] for name in franka.all_joints]
    np.testing.assert_allclose(trajectory["positions"], [home] * len(trajectory["times"]), atol=1e-4)
    assert found["decoded"]["times"][-1] == pytest.approx(16 / 15)
    assert found["chunks"][0]["backend"] == "persistence"


def test_predict_from_a_recording_and_replay(bag, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("predict", "--world-model", "flow", "--bag", bag, "--at", "1.0", "--out", out) == 0
    found = result_of(out)
    assert found["assumed"] == []
    log = out / "predictions.jsonl"
    record = json.loads(log.read_text())
    assert record["request"]["instruction"] == "open the drawer"
    assert record["has_previous_image"] is True
    assert record["has_past_action"] is True
    told = {"backend": "flow", "mode": "policy", "domain_name": "droid_lerobot", "seed": 0, "fps": 15.0, "first_row": 0}
    assert {name: record[name] for name in told} == told
    assert record["canvas"] == [135, 160]
    assert json.loads(record["prompt"])["actions"][0]["description"] == "open the drawer."
    assert record["image_stamps_ns"] == {"wrist": record["stamp_ns"]}
    assert START + 0.9e9 < record["joint_stamp_ns"] <= record["stamp_ns"]
    assert set(record["digests"]) == {"canvas", "actions", "frames"}
    assert record["latencies_ms"]
    start = found["trajectory"]["positions"][0]
    assert start[0] == pytest.approx(0.06, abs=0.005)  # where the recording was at 1 s
    # The tool goes on around the base the way it did.
    places = np.array(found["decoded"]["tools"]["panda_link8"]["positions"])
    assert places[-1, 1] > places[0, 1] + 0.004
    np.testing.assert_allclose(np.linalg.norm(places[:, :2], axis=1), np.linalg.norm(places[0, :2]), atol=1e-3)
    capsys.readouterr()
    assert run("replay-request", log) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["same"] is True
    assert again["same_expected"] is True
    assert run("replay-request", log, "--option", "damping=0.1") == 1
    again = json.loads(capsys.readouterr().out)
    assert again["same"] is False
    assert again["same_expected"] is False
    assert again["largest_difference"] > 0.01
    line = log.read_text().splitlines()[0]
    assert run("replay-request", line) == 2
    assert "Give --pictures" in capsys.readouterr().err
    assert run("replay-request", line, "--pictures", out / "predictions.jsonl.pictures") == 0


def test_forward_dynamics_from_given_actions(wrist, tmp_path):
    rows = np.tile([0, 0, 0.5, 1, 0, 0, 0, 1, 0, 1.0], (20, 1))
    actions = tmp_path / "actions.json"
    actions.write_text(json.dumps(rows.tolist()))
    out = tmp_path / "out"
    assert run("predict", "--world-model", "persistence", "--image", wrist, "--actions", actions, "--out", out) == 0
    found = result_of(out)
    assert (found["steps"], found["seams"], found["frames"][0]) == (20, [16], 21)
    heights = [pose[2] for pose in found["decoded"]["tools"]["panda_link8"]["positions"]]
    assert heights[-1] < heights[0] - 0.05  # the tool's z points down at home


def test_rollout_and_infer_action(bag, wrist, tmp_path, capsys):
    out = tmp_path / "long"
    assert run("rollout", "--image", f"wrist={wrist}", "--horizon", 40, "--out", out) == 0
    assert result_of(out)["seams"] == [16, 32]
    assert len(decode_video(out / "frames.mp4", where="test", max_frames=100)[0]) == 41
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 3
    inferred = tmp_path / "inferred"
    assert run("infer-action", "--bag", bag, "--at", "0.2", "--steps", 20, "--out", inferred) == 0
    assert result_of(inferred)["steps"] == 20
    capsys.readouterr()
    assert run("infer-action", "--bag", bag, "--at", "1.5", "--steps", 20, "--out", inferred) == 2
    assert "whole observations from 1.5 s on, wanted are 21" in capsys.readouterr().err


def test_infer_action_resamples_a_video(tmp_path, capsys, franka):
    frames = np.stack([np.full((72, 64, 3), 4 * k, np.uint8) for k in range(31)])
    (tmp_path / "clip.mp4").write_bytes(encode_video(frames, 30.0))
    out = tmp_path / "out"
    assert run("infer-action", "--video", tmp_path / "clip.mp4", "--out", out) == 0
    assert result_of(out)["steps"] == 15
    assert run("infer-action", "--video", f"wrist={tmp_path / 'clip.mp4'}", "--steps", 4, "--out", out) == 0
    assert result_of(out)["steps"] == 4
    assert result_of(out)["assumed"] == [
        "black images for exterior_1, exterior_2",
        "home posture at the first frame",
    ]
    assert "assumed: black images" in capsys.readouterr().err
    assert run("infer-action", "--video", tmp_path / "clip.mp4", "--steps", 16, "--out", out) == 2
    assert "the video has 15 steps, asked for 16" in capsys.readouterr().err
    (tmp_path / "slow.mp4").write_bytes(encode_video(frames, 5.0))
    capsys.readouterr()
    assert run("infer-action", "--video", tmp_path / "slow.mp4", "--out", out) == 2
    assert "5 frames a second, the embodiment needs 15" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--world-model", "oracle"], "'oracle' is not a known world model"),
        (["--embodiment", "ur99"], "no embodiment 'ur99'"),
        (["--world-model", "flow", "--option", "damping=2"], r"damping: 2.0 is outside 0.0 to 1.0"),
        (["--world-model", "flow", "--option", "color=red"], "option color is not known"),
        (["--world-model", "flow", "--setting", "steps"], "'steps' is not NAME=VALUE"),
        (["--world-model", "flow", "--setting", "steps=4"], "['steps'] are not known"),
        (["--world-model", "openpi", "--model", "ws://localhost:1"], "takes joint positions"),
        (
            ["--world-model", "nim", "--model", "http://h:1", "--embodiment", "ur5e"],
            "does not know domain",
        ),
        pytest.param(
            ["--world-model", "cosmos3", "--model", "/no/such/place"],
            "there is no such directory",
            marks=pytest.mark.cosmos3,
        ),
        (["--world-model", "vllm_omni", "--model", "http://127.0.0.1:9"], "cannot connect"),
        (["--seed", "-1"], "--seed: -1 must be 0 to 2147483647"),
        (["--seed", "99999999999999999999"], "must be 0 to 2147483647"),
        (["--out", "/dev/null/here"], "nothing can be written there"),
        (["--joints", "1,2"], "2 numbers for 7 joints"),
        (["--joints", "a"], "'a' is not a list of numbers"),
    ],
)
def test_mistakes_end_in_one_line(wrist, tmp_path, capsys, words, message):
    if "cosmos3" in words:
        pytest.importorskip("torch", reason="torch is not installed")
    assert run("predict", "--out", tmp_path / "out", "--image", wrist, *words) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("assumed")]
    assert len(error) == 1
    assert message in error[0]


def test_unreadable_inputs(tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    for source in (["--image", tmp_path / "text.png"], ["--canvas", tmp_path / "none.png"], ["--bag", tmp_path]):
        assert run("predict", *source, "--out", tmp_path / "out") == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert run("predict", "--image", "left=x.png", "--out", tmp_path / "out") == 2
    assert "'left' is not one of wrist, exterior_1, exterior_2" in capsys.readouterr().err


def test_what_cannot_be_kept_is_said_before_it_is_computed(wrist, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cosmos_ros.world_models.backends.flow.Flow.load", lambda _: pytest.fail("was loaded"))
    (tmp_path / "file").write_text("")
    assert run("predict", "--image", wrist, "--out", tmp_path / "file") == 2
    assert "nothing can be written there" in capsys.readouterr().err


@pytest.mark.parametrize("at", ["nan", "inf", "-1"])
def test_times_into_a_recording_are_times(bag, tmp_path, capsys, at):
    assert run("predict", "--bag", bag, f"--at={at}", "--out", tmp_path / "out") == 2
    assert "s into a recording" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"world_model": "flow"}, "world_model is not an object"),
        ({"world_model": {"name": "flow", "options": [1]}}, "options is not an object"),
        ({"world_model": {"name": "nim", "options": {"model": 5, "timeout": "x"}}}, "timeout is 'x', must be a number"),
        ({"world_model": {"name": "nim", "options": {"model": 5}}}, "'5' is not a server address"),
        ({"request": [], "world_model": {"name": "flow"}}, "holds no request"),
    ],
)
def test_odd_lines_end_in_one_line(tmp_path, capsys, line, message):
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"format": 1, "request": {}, **line}))
    assert run("replay-request", log) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert message in error


@pytest.mark.parametrize("rate", [30.0, 25.0, 29.97, 15.0])
def test_frames_are_those_nearest_in_time(tmp_path, rate):
    count = round(2 * rate)
    frames = np.stack([np.full((32, 32, 3), 4 * k % 256, np.uint8) for k in range(count)])
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_video(frames, rate, lossless=True))
    sampled = sample_video(path, 15.0)
    nearest = np.rint(np.arange(len(sampled)) * rate / 15.0)
    assert len(sampled) == int((count - 1) * 15.0 / rate + 0.02) + 1
    off = np.abs(sampled[:, 0, 0, 0] / 4.0 - nearest % 64)
    assert off.max() <= 1.0  # two frames may be equally near
    assert (off == 0).mean() > 0.6
    np.testing.assert_array_equal(sample_video(path, 15.0, wanted=5), sampled[:5])


def test_unevenly_spaced_frames_are_taken_by_their_times(tmp_path):
    path = tmp_path / "clip.mkv"
    shown_at_ms = [0, 20, 40, 500, 520, 540, 1000]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width = stream.height = 32
        stream.pix_fmt = "bgr0"
        for k, shown_at in enumerate(shown_at_ms):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * k, np.uint8), format="rgb24")
            frame.pts, frame.time_base = shown_at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert sample_video(path, 4.0)[:, 0, 0, 0].tolist() == [0, 20, 30, 50, 60]  # at 0, 250, 500, 750, 1000 ms


def test_long_videos_are_not_held_whole(tmp_path, monkeypatch):
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_video(np.zeros((60, 64, 64, 3), np.uint8), 30.0))
    monkeypatch.setattr("cosmos_ros.world_models.mp4.MAX_PIXELS", 10 * 64 * 64)
    assert len(sample_video(path, 15.0, wanted=10)) == 10
    with pytest.raises(InputError, match="Take fewer steps"):
        sample_video(path, 15.0)


def test_canvas_is_split_so_that_composing_gives_it_back(franka):
    canvas = textured(540, 640)
    views = scenes.split_canvas(franka, canvas)
    assert {view: image.shape for view, image in views.items()} == {
        "wrist": (360, 640, 3),
        "exterior_1": (180, 320, 3),
        "exterior_2": (180, 320, 3),
    }
    np.testing.assert_array_equal(franka.compose(views), canvas)
    from cosmos_ros.errors import InputError

    with pytest.raises(InputError, match="cannot be divided"):
        scenes.split_canvas(franka, textured(541, 640))


def test_compatibility_matches_what_the_backends_refuse(franka, make_request):
    """The table is computed from the same declarations that predict enforces."""
    joint = load_embodiment("franka_joint")
    openpi = create_world_model("openpi", model="ws://localhost:1").capabilities
    assert set(refusals(openpi, franka)) == {"policy", "forward_dynamics", "inverse_dynamics"}
    assert set(refusals(openpi, joint)) == {"forward_dynamics", "inverse_dynamics"}
    cosmos3 = create_world_model("cosmos3", model="nvidia/Cosmos3-Nano")
    can = cosmos3.capabilities
    assert refusals(can, franka) == {}
    assert "joint positions" in refusals(can, joint)["policy"]
    assert "chunks of 10 steps" in refusals(can, franka, chunk_size=10)["policy"]
    check_embodiment(cosmos3, franka, ["policy"])


def test_world_models_prints_the_table(capsys):
    assert run("world-models", "--embodiment", "franka") == 0
    table = capsys.readouterr().out
    assert "| franka | P F | P F I | P F I | P F I | P F | P F I | – (1) | – (1) | P F I |" in table
