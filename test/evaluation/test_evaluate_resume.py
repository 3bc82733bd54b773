"""An evaluation that was killed goes on as if it had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import evaluation_bags as eb
import pytest

from cosmos_ros.evaluation.evaluate import evaluate
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.results_folder import CHUNKS, iterate_records, key_of
from cosmos_ros.recordings.annotation_log import AnnotationLog, log_path, read_entries, truncate_log
from cosmos_ros.recordings.reader import BagReader

CHUNKS_IN_ALL = 10


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return eb.write(tmp_path_factory.mktemp("resume") / "turning", steps=16 * CHUNKS_IN_ALL)


def options(bag: Path, out: Path, *, resume: bool = False) -> EvaluationOptions:
    return EvaluationOptions(
        bags=(bag,), out=out, world_model="persistence", cameras=eb.CAMERAS, baselines=("constant_velocity",),
        resume=resume,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert evaluate(options(bag, out)).metrics["chunks"] == CHUNKS_IN_ALL
    return out


def contents(recording: Path) -> Counter:
    """Every message; the order of those at one time is not said."""
    with BagReader(recording) as reader:
        return Counter((entry.topic, entry.log_ns, entry.data) for entry in reader.messages())


def lines(out: Path) -> int:
    path = out / CHUNKS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_kills_lose_nothing(bag: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cosmos_ros.cli", "evaluate", str(bag), "--out", str(out), "--world-model"]
    command += ["persistence", "--baselines", "constant_velocity", "--cameras", f"{eb.VIEW}={eb.TOPIC}", "--resume"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    counts = [0]
    for wanted in (2, 5):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60.0
        while lines(out) < wanted:
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        counts.append(lines(out))
    assert 0 < counts[1] < counts[2] <= CHUNKS_IN_ALL
    before = list(iterate_records(out))[: counts[2]]
    assert evaluate(options(bag, out, resume=True)).complete
    assert list(iterate_records(out))[: len(before)] == before
    assert (out / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    assert contents(out / "annotated") == contents(whole / "annotated")
    assert {path.name for path in (out / "pictures").iterdir()} == {
        path.name for path in (whole / "pictures").iterdir()
    }
    assert (out / "report.html").stat().st_size > 10_000
    assert not log_path(out, "turning").exists()


def test_what_a_kill_leaves_half_written(bag: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(status) -> None:
        if status.chunks >= 4:
            raise KeyboardInterrupt

    evaluate(options(bag, out), stop)
    log = log_path(out, "turning")
    assert [key for key, _ in read_entries(log)] == [key_of(record) for record in iterate_records(out)]
    # The annotation of a chunk whose line was not written any more, a torn entry, a torn line, a torn picture.
    following = AnnotationLog(log)
    following.add(("turning", 0, 1), [(1, "/x", b"1234")])
    following.close()
    with log.open("ab") as file:
        file.write(json.dumps({"key": ["turning", 0, 2], "events": [[5, "/x", 100]]}).encode() + b"\nshort")
    with (out / CHUNKS).open("a") as file:
        file.write('{"bag": "tur')
    (out / "pictures" / "turning_0_7.json").write_text("")
    assert [key for key, _ in read_entries(log)][-1] == ("turning", 0, 1)
    evaluate(options(bag, out, resume=True))
    assert contents(out / "annotated") == contents(whole / "annotated")
    assert (out / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    assert not (out / "pictures" / "turning_0_7.json").exists()
    # And by itself.
    again = tmp_path / "again.log"
    for number in range(3):
        entries = AnnotationLog(again)
        entries.add(("turning", 0, number), [(number, "/x", b"\n{}\n" * number)])
        entries.close()
    assert [(key[2], events[0][2]) for key, events in read_entries(again)] == [(n, b"\n{}\n" * n) for n in range(3)]
    truncate_log(again, {("turning", 0, 0), ("turning", 0, 2)})
    assert [key[2] for key, _ in read_entries(again)] == [0]
