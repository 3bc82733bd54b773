"""What is wrong with a recording, or with the disk, is counted and told; it ends nothing and spoils no figure."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import evaluation_bags as eb
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cosmos_ros.cli.main import main
from cosmos_ros.errors import ConfigError, CosmosRosError, InputError, ModelError
from cosmos_ros.evaluation.compare import caveats, compare, read_side
from cosmos_ros.evaluation.evaluate import evaluate
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.recordings.gaps import StreamGaps
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.world_models import NoOptions
from cosmos_ros.world_models.backends.persistence import Persistence

SECOND = 10**9


def options(bag: Path, out: Path, **keywords) -> EvaluationOptions:
    values = {
        "world_model": "persistence", "cameras": eb.CAMERAS, "baselines": (), "pictures": False, "annotate": False,
        **keywords,
    }  # fmt: skip
    return EvaluationOptions(bags=(bag,), out=out, **values)


def test_where_streams_hold_nothing_is_counted(tmp_path: Path) -> None:
    # Frames 20 to 34 are missing; joint states end a second before the images do.
    bag = eb.write(tmp_path / "gaps", steps=60, skip_frames=range(20, 35), skip_joints=lambda seconds: seconds > 3.0)
    evaluate(options(bag, tmp_path / "out"))
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["bags"][0]
    assert found["gaps"] == {
        "camera exterior_2": {"count": 1, "total_s": pytest.approx(16 / 15), "longest_s": pytest.approx(16 / 15)},
        "joint_states": {"count": 1, "total_s": pytest.approx(59 / 15 - 3.0), "longest_s": pytest.approx(59 / 15 - 3)},
    }
    assert "longest_s 1.06667" in (tmp_path / "out" / "report.html").read_text()


def test_runs_of_a_clock_that_went_back_are_looked_at_one_by_one() -> None:
    gaps = StreamGaps(SECOND)
    for stamp in (0, 1, 2):
        gaps.note("camera", stamp * SECOND, 0)
    gaps.note("joints", 2 * SECOND, 0)
    for stream, stamp in (("camera", 0), ("joints", 0), ("camera", 1), ("joints", 1), ("joints", 4)):
        gaps.note(stream, stamp * SECOND, 1)
    gaps.close()
    assert gaps.to_dict() == {
        "camera": {"count": 1, "total_s": 3.0, "longest_s": 3.0},
        "joints": {"count": 2, "total_s": 5.0, "longest_s": 3.0},
    }


def test_images_with_one_stamp_are_counted(tmp_path: Path) -> None:
    bag = eb.write(tmp_path / "twice", steps=20, shown=lambda number: number - number % 2)
    report = evaluate(options(bag, tmp_path / "out")).metrics["bags"][0]
    assert report["gaps"] == {}
    assert report["repeated_stamps"] == {"camera exterior_2": 10}


def test_images_that_change_their_size_are_compared_up_to_there(tmp_path: Path) -> None:
    def look(picture: np.ndarray, number: int) -> np.ndarray:
        return picture if number < 20 else cv2.resize(picture, (96, 96))

    bag = eb.write(tmp_path / "zoomed", look=look)
    outcome = evaluate(options(bag, tmp_path / "out", baselines=("flow",), pictures=True, annotate=True))
    assert outcome.metrics["bags"][0]["chunks_with_other_image_size"] == 1
    # Chunks begin at 0, 16, 32 and 48; the second sees three frames, the last has five.
    for predictor in outcome.metrics["predictors"].values():
        assert predictor["by_step"]["policy.psnr"]["n"] == [4, 4, 4, 3, 3] + [2] * 11


def test_an_annotated_recording_keeps_to_the_recorders_clock(tmp_path: Path) -> None:
    # Stamps of a simulator begin at zero; the recorder's clock does not.
    started = -eb.START + 5 * SECOND
    bag = eb.write(tmp_path / "simulated", steps=20, offset_ns=started, log_offset_ns=-started)
    evaluate(options(bag, tmp_path / "out", annotate=True))
    with BagReader(bag) as source, BagReader(tmp_path / "out" / "annotated") as annotated:
        assert annotated.duration_ns < source.duration_ns + 2 * SECOND
        seen = {}
        for entry in annotated.messages(["/predictor/rollout/markers", "/predictor/rollout/image/compressed"]):
            message = annotated.decode(entry)
            header = message.header if hasattr(message, "header") else message.markers[0].header
            # The recorder writes 2 ms after the stamp.
            assert entry.log_ns - ns_from_stamp(header.stamp, where="stamp") == -started + 2_000_000
            seen[entry.topic] = seen.get(entry.topic, 0) + 1
    assert seen == {"/predictor/rollout/markers": 2, "/predictor/rollout/image/compressed": 32}


def test_topics_without_a_definition_are_left_out_and_told(tmp_path: Path, capsys) -> None:
    bag = tmp_path / "humble"
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg("int32 a\n", "lab_msgs/msg/Own"))
    whole = eb.write(tmp_path / "turning", steps=20)
    with BagReader(whole) as source, Writer(bag, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        kinds = {name: topic.type_name for name, topic in source.topics.items()}
        connections = {n: writer.add_connection(n, kind, typestore=store) for n, kind in kinds.items()}
        own = writer.add_connection("/own", "lab_msgs/msg/Own", typestore=store)
        writer.write(own, eb.START, store.serialize_cdr(store.types["lab_msgs/msg/Own"](a=1), "lab_msgs/msg/Own"))
        for entry in source.messages():
            writer.write(connections[entry.topic], entry.log_ns, entry.data)
    # Recorders before Iron store no definitions.
    with sqlite3.connect(next(bag.glob("*.db3"))) as database:
        database.execute("delete from message_definitions")
    command = ["evaluate", str(bag), "--out", str(tmp_path / "out"), "--world-model", "persistence", "--baselines", ""]
    assert main([*command, "--cameras", f"{eb.VIEW}={eb.TOPIC}", "--no-pictures"]) == 0
    assert "annotated: without /own" in capsys.readouterr().out
    with BagReader(tmp_path / "out" / "annotated") as annotated:
        assert "/own" not in annotated.topics and annotated.require("/predictor/action_trajectory").count == 2


def test_what_was_annotated_is_annotated_again_under_another_name(tmp_path: Path) -> None:
    path = eb.write(tmp_path / "turning", steps=20)
    for prefix in ("", "/evaluation"):
        out = tmp_path / f"out{prefix.replace('/', '_')}"
        evaluate(options(path, out, annotate=True))
        path = out / "annotated"
        with BagReader(path) as annotated:
            assert annotated.require(f"{prefix}/predictor/action_trajectory").count == 2
    with pytest.raises(ConfigError, match="lies in it"):
        evaluate(options(path, path.parent, resume=True))


class Failing(Persistence):
    """Answers one request in a while."""

    every = 2
    asked = 0

    def predict(self, request):
        self.asked += 1
        if self.every and self.asked % self.every == 1:
            return super().predict(request)
        raise ModelError(f"refused request {self.asked}", where="failing")


@pytest.mark.parametrize("every", [0])
def test_chunks_that_the_model_does_not_answer(tmp_path: Path, monkeypatch, capsys, every: int) -> None:
    monkeypatch.setattr(Failing, "every", every)
    monkeypatch.setattr("cosmos_ros.evaluation.components.create_world_model", lambda name, **_: Failing(NoOptions()))
    monkeypatch.setattr("cosmos_ros.evaluation.summary.MAX_FAILURES_LISTED", 1)
    bag = eb.write(tmp_path / "turning")
    command = ["evaluate", str(bag), "--out", str(tmp_path / "out"), "--world-model", "failing", "--modes", "policy"]
    command += ["--cameras", f"{eb.VIEW}={eb.TOPIC}", "--baselines", "", "--no-annotate", "--no-pictures"]
    assert main(command) == (0 if every else 1)
    model = json.loads((tmp_path / "out" / "metrics.json").read_text())["predictors"]["model"]
    assert model["answered"] == (2 if every else 0)
    assert model["failures"]["of other kinds"] == 3 - model["answered"]
    assert f"failing answered {model['answered']} of 4 chunks" in (tmp_path / "out" / "report.html").read_text()
    assert ("answered none" in capsys.readouterr().err) is not bool(every)


def test_a_full_disk_is_told_and_what_was_done_is_kept(tmp_path: Path, monkeypatch) -> None:
    bag = eb.write(tmp_path / "turning", steps=20)
    write, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(CosmosRosError, match=r"pictures/turning_0_.*cannot be written: No space left"):
            evaluate(options(bag, tmp_path / "out", pictures=True))
    assert evaluate(options(bag, tmp_path / "out", pictures=True, resume=True)).metrics["chunks"] == 2
    evaluate(options(bag, tmp_path / "at_once", pictures=True))
    assert (tmp_path / "out" / "metrics.json").read_bytes() == (tmp_path / "at_once" / "metrics.json").read_bytes()


def test_an_image_topic_that_holds_nothing_is_named(tmp_path: Path) -> None:
    bag = eb.write(tmp_path / "dark", steps=20, skip_frames=range(20))
    with pytest.raises(InputError, match="/exterior_2/image_raw/compressed holds no message"):
        evaluate(options(bag, tmp_path / "out"))


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    evaluate(options(eb.write(folder / "turning", steps=20), folder / "out"))
    return folder / "out"


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"schema": 99}, "schema 99"),
        ({"steps": None}, "fps, steps"),
        ({"fps": 0}, "fps, steps"),
        ({"bags": [{}]}, "'name' is missing"),
        ({"predictors": []}, "predictors"),
    ],
)
def test_metrics_that_are_none_are_refused_by_name(side: Path, tmp_path: Path, wrong: Mapping, match: str) -> None:
    metrics = json.loads((side / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps({**metrics, **wrong}))
    with pytest.raises(InputError, match=match):
        read_side(tmp_path)


def test_what_makes_a_comparison_unfair_is_told(side: Path, tmp_path: Path, capsys) -> None:
    a = read_side(side)
    other = {**a.metrics["options"], "embodiment": "franka_fr3"}
    b = replace(a, metrics={**a.metrics, "complete": False, "views": ["wrist"], "options": other, "stride": 8})
    told = "\n".join(caveats(a, b))
    for text in ("B is not complete", "embodiment differs: 'franka' and 'franka_fr3'", "stride differs", "seen views"):
        assert text in told
    # Frames of other views are other pictures.
    assert not [c for c in compare(a, b) if ".frames." in c.metric.name]
    (tmp_path / "metrics.json").write_text(json.dumps({**a.metrics, "complete": False}))
    (tmp_path / "chunks.jsonl").write_bytes((side / "chunks.jsonl").read_bytes())
    assert main(["compare", str(side), str(tmp_path), "--json", str(tmp_path / "c.json")]) == 0
    assert "note: B is not complete" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "c.json").read_text())["notes"]) == 1
    (tmp_path / "chunks.jsonl").write_text('{"bag": "turning", "epoch": 0, "stamp_ns": 1}\n')
    with pytest.raises(InputError, match="line 1 holds nothing of model"):
        compare(a, read_side(tmp_path))
