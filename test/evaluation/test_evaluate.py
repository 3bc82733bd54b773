"""Evaluations of recordings whose figures are known beforehand."""

from __future__ import annotations

import json
import math
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import evaluation_bags as eb
import numpy as np
import pytest

from cosmos_ros.cli.main import main
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.evaluation.chunks import SourceReport, chunk_jobs
from cosmos_ros.evaluation.compare import caveats, compare, read_side, table
from cosmos_ros.evaluation.components import prepare
from cosmos_ros.evaluation.evaluate import complete_chunk, evaluate
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.ray_engine import scored_by_ray
from cosmos_ros.evaluation.results_folder import iterate_records
from cosmos_ros.evaluation.scoring import Scorer
from cosmos_ros.prediction.pipeline import Pipeline
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.types import Mode, Rollout
from cosmos_ros.world_models.protocol import Capabilities


def options(bag: Path, out: Path, **keywords) -> EvaluationOptions:
    values = {
        "world_model": "persistence", "cameras": eb.CAMERAS, "baselines": ("constant_velocity",),
        "pictures": False, "annotate": False, **keywords,
    }  # fmt: skip
    return EvaluationOptions(bags=(bag,), out=out, **values)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return eb.write(tmp_path_factory.mktemp("evaluation") / "turning")


@pytest.fixture(scope="module")
def evaluated(bag: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("evaluated") / "out"
    return out, evaluate(options(bag, out, pictures=True, annotate=True))


def test_motion_figures_are_those_of_the_known_motion(evaluated) -> None:
    _, outcome = evaluated
    assert outcome.complete
    held, turned = (outcome.metrics["predictors"][name]["figures"] for name in ("model", "constant_velocity"))
    # 54 steps hold chunks at 0, 16, 32 and 48, of which the last has five steps to come.
    assert outcome.metrics["chunks"] == 4
    assert outcome.metrics["incomplete"] == {
        "chunks_without_all_frames": 1, "chunks_without_all_joint_states": 1, "motion_errors": {},
    }  # fmt: skip
    # 0.5 s is nearest to step 8 of 15 a second; the last chunk does not reach it.
    angle = math.degrees(eb.RATE * 8 / 15)
    figure = held["policy.tool.deg@0.5s"]
    assert figure["n"] == 3 and figure["mean"] == pytest.approx(angle, abs=1e-6)
    # The first chunk has no step before it to know a velocity from.
    assert turned["policy.tool.deg@0.5s"]["median"] == pytest.approx(0.0, abs=0.02)
    assert turned["policy.tool.deg@0.5s"]["mean"] == pytest.approx(angle / 3, abs=0.02)
    assert held["policy.tool.cm@0.5s"]["mean"] == pytest.approx(0.0, abs=1e-6)
    assert "policy.tool.deg@2s" not in held, "a chunk of 16 steps does not last two seconds"
    assert held["policy.gripper.accuracy"] == {"mean": 1.0, "ci95": [1.0, 1.0], "median": 1.0, "n": 4}
    by_step = outcome.metrics["predictors"]["model"]["by_step"]["policy.deg"]
    expected = [math.degrees(eb.RATE * k / 15) for k in range(1, 17)]
    np.testing.assert_allclose(by_step["mean"], expected, atol=1e-6)
    assert by_step["n"] == [4] * 5 + [3] * 11
    assert held["recorded.jerk"]["mean"] == pytest.approx(0.0, abs=1e-6)
    assert held["boundary.rad"]["n"] == 3
    assert held["boundary.rad"]["mean"] == pytest.approx(eb.RATE * 16 / 15, rel=1e-6)
    assert held["shadow.joint_rad"]["mean"] > 0.05


def test_frames_are_compared_with_what_was_recorded_then(evaluated) -> None:
    _, outcome = evaluated

    embodiment = load_embodiment("franka")

    def seen(k: int) -> np.ndarray:
        """The lower right quarter of the canvas; the rest is black and must not be counted."""
        black = np.zeros((eb.HEIGHT, eb.WIDTH, 3), np.uint8)
        canvas = embodiment.compose({"wrist": black, "exterior_1": black, "exterior_2": eb.picture(k)})
        return canvas[eb.HEIGHT :, eb.WIDTH // 2 :].astype(float)

    def by_hand(k: int) -> float:
        begins = [n for n in (0, 16, 32, 48) if n + k < 54]
        return np.mean([10 * math.log10(255**2 / np.mean((seen(n) - seen(n + k)) ** 2)) for n in begins])

    found = outcome.metrics["predictors"]["model"]["by_step"]["policy.psnr"]
    assert found["n"] == [4] * 5 + [3] * 11
    np.testing.assert_allclose(found["mean"], [by_hand(k) for k in range(1, 17)], rtol=1e-8)
    assert outcome.metrics["blank_views"] == ["exterior_1", "wrist"]
    assert "frames" not in next(iter(iterate_records(evaluated[0])))["predictors"]["constant_velocity"]["policy"]


def test_inverse_and_forward_dynamics_of_a_model_that_ignores_everything(evaluated) -> None:
    figures = evaluated[1].metrics["predictors"]["model"]["figures"]
    assert figures["forward_dynamics.gap.psnr"]["mean"] == 0.0
    assert figures["forward_dynamics.gap.psnr"]["n"] == 2, "the first chunk has no other actions, the last no end"
    angle = math.degrees(eb.RATE * 8 / 15)
    assert figures["inverse_dynamics.tool.deg@0.5s"]["mean"] == pytest.approx(angle, abs=1e-6)
    failures = evaluated[1].metrics["predictors"]["model"]["failures"]
    assert any("the recorded motion has a gap or ends" in text for text in failures)


class Seeing:
    """Knows how pictures move, and reads the actions that it is given."""

    name = "seeing"
    capabilities = Capabilities(modes=frozenset({Mode.POLICY, Mode.FORWARD_DYNAMICS}))

    def __init__(self) -> None:
        self.right: np.ndarray | None = None

    def load(self) -> None: ...

    def close(self) -> None: ...

    def predict(self, request):
        moves = request.actions is None or np.allclose(request.actions, self.right, atol=1e-5)
        frames = np.repeat(request.image[None], request.chunk_size + 1, axis=0)
        half, width = request.image.shape[0] * 2 // 3, request.image.shape[1] // 2
        for k in range(request.chunk_size + 1 if moves else 0):
            # The view lies in the lower right quarter, at half its size.
            source = eb.picture(self.number + k)
            frames[k, half:, width:] = self.embodiment.compose(
                {"wrist": np.zeros_like(source), "exterior_1": np.zeros_like(source), "exterior_2": source}
            )[half:, width:]
        actions = None if request.mode is Mode.FORWARD_DYNAMICS else np.repeat(request.hold_action[None], 16, axis=0)
        return Rollout(frames=frames, actions=actions)


def test_a_model_that_heeds_its_actions_shows_the_gap(bag: Path, tmp_path: Path) -> None:
    setup = prepare(options(bag, tmp_path / "out", baselines=()))
    model = Seeing()
    model.embodiment = setup.embodiment
    scorer = Scorer(
        setup.embodiment, {"model": Pipeline(setup.embodiment, model, setup.settings)}, setup.settings, setup.guard,
        modes=model.capabilities.modes, stride=16,
    )  # fmt: skip
    job = next(iter(chunk_jobs(bag, "turning", setup.embodiment, setup.source, SourceReport("turning"))))
    model.number = 0
    model.right = setup.embodiment.encode([state for state in job.joints if state is not None]).actions
    other = replace(job, other_actions=np.zeros_like(model.right))
    entry = scorer.compare_frames(other, scorer.predict(other)).record["predictors"]["model"]
    right, wrong = (entry[key]["frames"] for key in ("forward_dynamics", "forward_dynamics_shuffled"))
    assert right["psnr"] == [100.0] * 16 and right["ssim"] == [1.0] * 16
    assert max(wrong["psnr"]) < 45.0
    assert right["views"] == {"exterior_2": [100.0] * 16}


def test_two_runs_and_an_interrupted_one_give_the_same_bytes(bag: Path, evaluated, tmp_path: Path) -> None:
    whole = (evaluated[0] / "metrics.json").read_bytes()

    def stop(status) -> None:
        if status.chunks >= 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    outcome = evaluate(options(bag, out), stop)
    assert outcome.interrupted and not outcome.complete
    kept = json.loads((out / "metrics.json").read_text())
    assert kept["interrupted"] and 1 <= kept["chunks"] < 4
    with pytest.raises(ConfigError, match="there are results"):
        evaluate(options(bag, out))
    with pytest.raises(ConfigError, match="begun with other seed"):
        evaluate(options(bag, out, seed=3, resume=True))
    before = list(iterate_records(out))
    with (out / "chunks.jsonl").open("a") as file:
        file.write('{"bag": "turning", "epo')  # killed in the middle of a line
    resumed = evaluate(options(bag, out, resume=True))
    assert resumed.complete and list(iterate_records(out))[: len(before)] == before
    assert (out / "metrics.json").read_bytes() == whole
    assert evaluate(options(bag, out, resume=True)).metrics["chunks"] == 4
    assert (out / "metrics.json").read_bytes() == whole


def test_the_report_is_one_file_that_needs_no_network(evaluated) -> None:
    text = (evaluated[0] / "report.html").read_text()
    assert len(text) < 15_000_000
    references = re.findall(r"(?:src|href)=\"?([^\">\s]+)|url\(([^)]+)\)", text)
    assert references and all((a or b).startswith("data:image/jpeg;base64,") for a, b in references)
    for word in (
        "persistence on turning",
        "constant_velocity",
        "n 4",
        "No camera for exterior_1, wrist",
        "Worst",
        "LPIPS was not",
    ):
        assert word in text, word


def test_the_annotated_recording_holds_everything(bag: Path, evaluated) -> None:
    with BagReader(bag) as source, BagReader(evaluated[0] / "annotated") as annotated:
        for name, topic in source.topics.items():
            assert annotated.require(name, topic.type_name).count == topic.count
        assert annotated.require("/predictor/action_trajectory").count == 4
        assert annotated.require("/guard/verdict_json").count == 4
        assert annotated.require("/predictor/rollout/image/compressed").count == 64
        stamps, lines = [], []
        for entry in annotated.messages():
            message = annotated.decode(entry)
            stamps.append(entry.log_ns)
            if entry.topic == "/predictor/rollout/markers":
                lines.append({marker.ns: len(marker.points) for marker in message.markers})
            if entry.topic == "/predictor/action_trajectory":
                assert len(message.points) == 17 and message.joint_names[6] == "panda_joint7"
        assert stamps == sorted(stamps)
        assert lines[0] == {"panda_link8/predicted": 16, "panda_link8/actual": 17}
    assert not (evaluated[0] / "annotations").exists()


def test_another_driver_is_compared_with(tmp_path: Path) -> None:
    bag = eb.write(tmp_path / "driven", steps=20, command=0.05)
    evaluate(options(bag, tmp_path / "out"))
    record = next(iter(iterate_records(tmp_path / "out")))
    shadow = record["predictors"]["model"]["shadow"]
    # The model holds where the robot is; joint 1 was commanded 0.05 rad beside it, joint 7 stood.
    assert shadow["source"] == "commanded"
    assert shadow["by_joint_rad"][0] == pytest.approx(0.05, abs=1e-9)
    assert shadow["by_joint_rad"][1] == pytest.approx(0.0, abs=1e-9)


def test_gaps_are_counted_and_not_averaged_over(tmp_path: Path) -> None:
    bag = eb.write(
        tmp_path / "gaps", steps=36, skip_frames=range(5, 9), skip_joints=lambda seconds: 1.5 < seconds < 1.9
    )
    outcome = evaluate(options(bag, tmp_path / "out"))
    first, second = list(iterate_records(tmp_path / "out"))[:2]
    psnr = first["predictors"]["model"]["policy"]["frames"]["psnr"]
    assert [k + 1 for k, value in enumerate(psnr) if value is None] == [5, 6, 7, 8]
    assert first["frames_recorded"] == 12 and first["steps_recorded"] == 16
    assert second["steps_recorded"] < 8
    assert outcome.metrics["incomplete"]["chunks_without_all_joint_states"] >= 1
    assert outcome.metrics["predictors"]["model"]["figures"]["policy.tool.deg@1s"]["n"] == 1


def test_two_runs_in_one_recording(tmp_path: Path) -> None:
    bag = eb.write(tmp_path / "twice", steps=20, repeat_offset_ns=-60 * 10**9)
    outcome = evaluate(options(bag, tmp_path / "out"))
    records = list(iterate_records(tmp_path / "out"))
    assert [(r["epoch"], r["index"]) for r in records] == [(0, 0), (0, 1), (1, 2), (1, 3)]
    assert outcome.metrics["bags"][0]["clock_resets"] == 1
    # The first run's last chunk is not compared with the second run.
    assert [r["frames_recorded"] for r in records] == [16, 3, 16, 3]


def test_what_cannot_be_evaluated_is_named(tmp_path: Path, bag: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no topic /front"):
        evaluate(options(bag, out / "1", cameras={"wrist": "/front"}))
    with pytest.raises(ConfigError, match="front are not views of franka"):
        evaluate(options(bag, out / "2", cameras={"front": eb.TOPIC}))
    with pytest.raises(InputError, match="expected sensor_msgs/msg/Image"):
        evaluate(options(bag, out / "3", cameras={"wrist": "/joint_states"}))
    with pytest.raises(ConfigError, match="inverse_dynamics"):
        evaluate(options(bag, out / "4", world_model="flow", modes=frozenset({Mode.INVERSE_DYNAMICS})))
    with pytest.raises(InputError, match="no topic /camera/pose"):
        evaluate(options(bag, out / "5", embodiment="umi", cameras={"wrist": eb.TOPIC}, baselines=()))
    with pytest.raises(ConfigError, match="tool are not tracked: franka has joints"):
        evaluate(options(bag, out / "8", tool_poses={"tool": "/pose"}))
    strange = eb.write(tmp_path / "strange", steps=3, names=tuple(f"arm_{k}" for k in range(8)))
    with pytest.raises(InputError, match=r"no observation could be made.*lacks panda_joint1.*names arm_0"):
        evaluate(options(strange, out / "6"))
    with pytest.raises(InputError, match="no such recording"):
        evaluate(options(tmp_path / "nowhere", out / "7"))


def test_joint_states_may_come_on_another_topic(tmp_path: Path, evaluated) -> None:
    bag = eb.write(tmp_path / "turning", joint_topic="/arm/joint_states")
    with pytest.raises(InputError, match="no topic /joint_states"):
        evaluate(options(bag, tmp_path / "no"))
    found = evaluate(options(bag, tmp_path / "out", joint_states="/arm/joint_states"))
    assert found.metrics["predictors"] == evaluated[1].metrics["predictors"]


def test_ages_and_stale_inputs_are_told(tmp_path: Path) -> None:
    # Joint states end in the middle: images after that find no partner.
    bag = eb.write(tmp_path / "half", steps=40, skip_joints=lambda seconds: seconds > 1.0)
    timing = evaluate(options(bag, tmp_path / "out")).timing
    assert timing["input_age_ms"]["n"] >= 1 and 0.0 <= timing["input_age_ms"]["p99"] <= 100.0
    assert timing["stale_inputs"]["count"] > 0
    assert 0.0 < timing["stale_inputs"]["share"] < 1.0
    assert "stale inputs" in (tmp_path / "out" / "report.html").read_text()


def test_a_damaged_recording_does_not_cost_the_others(tmp_path: Path, bag: Path) -> None:
    broken = eb.write(tmp_path / "broken", steps=20)
    file = next(broken.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:2000])
    asked = replace(options(bag, tmp_path / "out"), bags=(broken, bag))
    outcome = evaluate(asked)
    assert not outcome.complete and outcome.metrics["chunks"] == 4
    assert list(outcome.metrics["unreadable"]) == ["broken"]
    assert "broken could not be read" in (tmp_path / "out" / "report.html").read_text()


def test_compare(evaluated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    side = read_side(evaluated[0])
    found = {c.metric.name: c for c in compare(side, side, predictor_b="constant_velocity")}
    turned = found["policy.tool.deg@0.5s"]
    assert turned.paired and turned.n_a == turned.n_b == 3
    assert turned.difference == pytest.approx(turned.b - turned.a) and turned.difference < 0
    assert turned.low <= turned.difference <= turned.high
    same = compare(side, side)
    assert all(c.difference == 0.0 and c.verdict == "no difference shown" for c in same)
    assert "no difference shown" in table(same)
    # Another recording of the same name and stamps shares no chunk: the sides are two samples.
    moved = replace(side, metrics={**side.metrics, "bags": [{"name": "turning", "seconds": 2.0}]})
    assert not compare(side, moved)[0].paired
    assert [note for note in caveats(side, moved) if "turning is not the same recording" in note]
    assert caveats(side, side) == []
    with pytest.raises(ConfigError, match="there is no flow"):
        compare(side, side, predictor_a="flow")
    assert main(["compare", str(evaluated[0]), str(evaluated[0]), "--json", str(tmp_path / "c.json")]) == 0
    assert json.loads((tmp_path / "c.json").read_text())["figures"]
    assert main(["compare", str(evaluated[0]), str(tmp_path)]) == 2
    assert "is no evaluation" in capsys.readouterr().err


def test_the_command(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(bag), "--world-model", "persistence", "--baselines", "", "--max-chunks", "1"]
    command += ["--cameras", f"{eb.VIEW}={eb.TOPIC}", "--no-pictures", "--no-annotate", "--modes", "policy"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "tool rotation error at 0.5 s" in printed and "(n 1)" in printed
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert main([*command, "--out", str(tmp_path / "o2"), "--cameras", "wrist"]) == 2
    assert "not NAME=VALUE" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "o3"), "--modes", "dreaming"]) == 2


@pytest.fixture(scope="module")
def ray():
    """A local Ray of two processes."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    root = str(Path(__file__).resolve().parents[2])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}})
    yield ray
    ray.shutdown()


def test_ray_gives_the_same_to_the_last_digit(ray, bag: Path, evaluated, tmp_path: Path) -> None:
    evaluate(options(bag, tmp_path / "out", engine="ray", ray_workers=1))
    assert (tmp_path / "out" / "metrics.json").read_bytes() == (evaluated[0] / "metrics.json").read_bytes()


def test_a_killed_worker_loses_nothing(ray, bag: Path, evaluated, tmp_path: Path) -> None:
    setup = prepare(options(bag, tmp_path / "out"), load=False)
    jobs = chunk_jobs(bag, "turning", setup.embodiment, setup.source, SourceReport("turning"))
    asked = replace(setup.options, ray_workers=1)
    killed = tmp_path / "killed"

    def complete(components, job):
        if job.index == 1 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return complete_chunk(components, job)

    records = [completed.record for _, completed in scored_by_ray(jobs, asked, complete)]
    assert killed.exists()
    expected = list(iterate_records(evaluated[0]))
    assert [{**r, "timing": {}} for r in records] == [{**r, "timing": {}} for r in expected]
