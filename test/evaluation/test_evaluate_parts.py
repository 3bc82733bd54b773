"""The recorded truth: canvases by time, joints between two states; and what stands between records and figures."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.evaluation.chunk_jobs import recorded_motion
from cosmos_ros.evaluation.components import prepare
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.frame_scores import CanvasRegions, Region, score_frames
from cosmos_ros.evaluation.ground_truth import GroundTruthWindow
from cosmos_ros.evaluation.metric_definitions import with_boundaries
from cosmos_ros.evaluation.report import render
from cosmos_ros.evaluation.report_plots import line_plot, nice_ticks
from cosmos_ros.evaluation.results_folder import ResultStore, iterate_records
from cosmos_ros.evaluation.summary import summarise_timing
from cosmos_ros.observation import Snapshot
from cosmos_ros.observation.rings import Item
from cosmos_ros.types import JointState

MS = 1_000_000


def window(gap_ms: int = 250) -> GroundTruthWindow:
    return GroundTruthWindow(load_embodiment("franka"), frozenset({"exterior_1", "exterior_2"}), gap_ms * MS)


def state(ms: float, value: float) -> JointState:
    return JointState(round(ms * MS), ("a", "b"), np.array([value, -value]))


def canvas(truth: GroundTruthWindow, stamp_ns: int) -> np.ndarray | None:
    return truth.canvases_at([stamp_ns], 20 * MS)[0]


def snapshot(ms: int, shade: int | None) -> Snapshot:
    image = np.full((20, 32, 3), shade, np.uint8) if shade is not None else object()
    return Snapshot(ms * MS, {"wrist": Item(ms * MS, ms * MS, image)}, None)


def test_joints_are_interpolated_but_not_across_a_gap() -> None:
    truth = window()
    for ms, value in ((100, 1.0), (200, 2.0), (600, 9.0)):
        truth.add_state(state(ms, value))
    assert truth.state_at(100 * MS).positions.tolist() == [1.0, -1.0]
    assert truth.state_at(125 * MS).positions == pytest.approx([1.25, -1.25])
    assert truth.state_at(400 * MS) is None, "half a second without a state"
    assert truth.state_at(99 * MS) is None and truth.state_at(601 * MS) is None
    assert truth.state_at(600 * MS).positions.tolist() == [9.0, -9.0]


def test_the_nearest_canvas_within_the_tolerance() -> None:
    truth = window()
    for ms, shade in ((100, 10), (133, 20), (166, None)):
        truth.add_snapshot(snapshot(ms, shade))
    assert canvas(truth, 110 * MS)[0, 0].tolist() == [10, 10, 10]
    assert canvas(truth, 120 * MS)[0, 0].tolist() == [20, 20, 20]
    assert canvas(truth, 60 * MS) is None
    assert canvas(truth, 166 * MS) is None and truth.undecodable == 1
    truth.forget_before(133 * MS)
    assert canvas(truth, 100 * MS) is None
    truth.clear()
    assert truth.newest_ns == 0


def test_regions_are_where_views_lie_and_blank_ones_do_not_count() -> None:
    embodiment = load_embodiment("franka")
    rng = np.random.default_rng(0)
    images = {view: rng.integers(0, 256, (40, 64, 3), dtype=np.uint8) for view in embodiment.views}
    images["exterior_1"][:] = 0
    regions = CanvasRegions(embodiment, frozenset({"exterior_1"})).of(images)
    assert regions == {"wrist": Region(0, 0, 64, 40), "exterior_2": Region(32, 40, 32, 20)}
    truth = embodiment.compose(images)
    predicted = truth.copy()
    predicted[:40] = np.clip(predicted[:40].astype(int) + 10, 0, 255)  # the wrist is wrong
    predicted[40:, :32] = 255  # what nobody sees may be anything
    scores = score_frames({"m": np.stack([truth, predicted])}, (truth, truth), regions, whole=False)["m"]
    assert scores["views"]["exterior_2"] == [100.0]
    wrist = np.mean((predicted[:40].astype(float) - truth[:40]) ** 2)
    pooled = wrist * (40 * 64) / (40 * 64 + 20 * 32)
    assert scores["psnr"] == [pytest.approx(10 * np.log10(255**2 / pooled), rel=1e-8)]
    assert scores["views"]["wrist"] == [pytest.approx(10 * np.log10(255**2 / wrist), rel=1e-8)]
    assert scores["dynamic_psnr"] == [None], "nothing moved"
    assert 0.5 < scores["ssim"][0] < 1.0


def test_frames_of_another_size_are_scaled_and_missing_truth_is_left_out() -> None:
    truth = np.full((20, 32, 3), 90, np.uint8)
    frames = np.full((3, 10, 16, 3), 90, np.uint8)
    regions = {"wrist": Region(0, 0, 32, 20)}
    scores = score_frames({"m": frames}, (truth, None, truth), regions, whole=True)["m"]
    assert scores["psnr"] == [None, 100.0] and scores["ssim"] == [None, 1.0]
    assert scores["dynamic_psnr"] == [None, None], "no frame before it to have moved from"


@pytest.mark.parametrize("name", ["franka", "agibot_g1", "widowx250s", "umi", "franka_robomind"])
@pytest.mark.parametrize("missing", [0, 1])
def test_images_cut_from_a_canvas_compose_to_it_again(name: str, missing: int) -> None:
    embodiment = load_embodiment(name)
    blank = frozenset(embodiment.views[: missing if len(embodiment.views) > missing else 0])
    rng = np.random.default_rng(5)
    items = {
        view: Item(MS, MS, rng.integers(0, 256, (720, 1280, 3), dtype=np.uint8))
        for view in embodiment.views
        if view not in blank
    }
    taken = Snapshot(MS, items, None)
    whole = {view: item.payload for view, item in items.items()}
    black = {view: np.zeros((720, 1280, 3), np.uint8) for view in blank}
    expected = embodiment.compose({**whole, **black})
    truth = GroundTruthWindow(embodiment, blank, 250 * MS)
    for _ in range(2):
        images = truth.images_of(taken)
        assert set(images) == set(embodiment.views)
        assert np.array_equal(embodiment.compose(images), expected)
        # Held now, so its images are not looked at again.
        truth.add_snapshot(taken)
        assert np.array_equal(canvas(truth, MS), expected)
        taken = Snapshot(MS, {view: Item(MS, MS, object()) for view in items}, None)
    assert sum(image.nbytes for image in images.values()) <= expected.nbytes
    broken = Snapshot(2 * MS, {view: Item(2 * MS, 2 * MS, object()) for view in items}, None)
    with pytest.raises(InputError):
        truth.images_of(broken)


def test_motion_ends_at_the_first_gap() -> None:
    embodiment = load_embodiment("franka")
    home = np.array([embodiment.home[name] for name in embodiment.all_joints])
    states = [JointState(k, embodiment.all_joints, home) for k in range(4)]
    motion = recorded_motion(embodiment, (states[0], states[1], None, states[3]))
    assert motion.steps == 1 and motion.actions.shape == (1, embodiment.action_dim)
    assert recorded_motion(embodiment, (None, states[1])) is None


def record(stamp_s: float, start: float, end: float, *, epoch: int = 0, bag: str = "a") -> dict:
    edge = {
        "stamp_ns": round(stamp_s * 1e9), "start": [[start], [0.5]], "end": [[end], [0.0]],
        "start_xyz": {"tool": [start, 0, 0]}, "end_xyz": {"tool": [end, 0, 0]},
    }  # fmt: skip
    return {
        "bag": bag, "epoch": epoch, "stamp_ns": edge["stamp_ns"], "predictors": {"model": {"policy": {"edge": edge}}}
    }  # fmt: skip


def test_jumps_only_between_chunks_that_follow_each_other() -> None:
    rows = [record(0, 0, 1), record(1, 1.2, 2), record(3, 9, 9), record(4, 9.5, 9, epoch=1), record(5, 0, 0, bag="b")]
    jumps = [r["predictors"]["model"].get("boundary") for r in with_boundaries(rows, 10**9)]
    assert jumps[0] is None and jumps[2:] == [None] * 3
    assert jumps[1] == {"rad": pytest.approx(0.2), "rad_s": 0.5, "cm": pytest.approx(20.0)}


def test_starved_steps_and_deadlines() -> None:
    def timed(total: float) -> dict:
        return {"predictors": {"model": {}}, "timing": {"model": {"total": total, "guard": 10.0}}}

    # 16 steps at 16 a second, a chunk every 8: half a second of reserve.
    records = [timed(90.0), timed(490.0), timed(690.0)]
    found = summarise_timing(records, fps=16, stride=8, steps=16, deadline_s=0.5)["predictors"]["model"]
    assert found["deadline_misses"] == 1 and found["starved_steps"] == 4  # 0.2 s late are 3.2 steps
    assert found["observation_to_guarded_ms"] == {"p50": 500.0, "p95": 680.0, "p99": 696.0, "n": 3}


def test_the_store_names_damage(tmp_path: Path) -> None:
    line = {"bag": "a", "epoch": 0, "stamp_ns": 5}
    with ResultStore(tmp_path / "out", {"seed": 0}, resume=True) as store:
        store.add(line)
    assert list(iterate_records(tmp_path / "out")) == [line]
    with (tmp_path / "out" / "chunks.jsonl").open("a") as file:
        file.write("rubbish\n")
    with pytest.raises(InputError, match="line 2 is damaged"):
        list(iterate_records(tmp_path / "out"))
    (tmp_path / "out" / "run.json").write_text("{")
    with pytest.raises(ConfigError, match=r"run\.json"), ResultStore(tmp_path / "out", {"seed": 0}, resume=True):
        pass


@pytest.mark.parametrize(
    "wrong",
    [{"bags": ()}, {"bags": (Path("a/x"), Path("b/x"))}, {"stride": -1}, {"deadline": -0.1}, {"engine": "cloud"}],
)
def test_wrong_options_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        EvaluationOptions(**{"bags": (Path("x"),), "out": Path("o"), **wrong})


def test_plots_and_escaping() -> None:
    assert nice_ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(3.0, 3.0)[0] < 3.0 < nice_ticks(3.0, 3.0)[-1]
    plot = line_plot("a<b", "cm", [1.0, 2.0, 3.0], {"x": [1.0, None, 3.0]}, {"x": "red"}, {"x": [4, 0, 3]})
    assert "a&lt;b" in plot and ">x, n 0–4<" in plot and plot.count("<circle") == 2 and "<polyline" not in plot
    assert line_plot("t", "", [1.0], {"x": [None]}, {"x": "red"}) == ""
    hostile = "<script>alert(1)</script>"
    metrics = {
        "options": {"world_model": "m", "embodiment": "franka", "instruction": hostile}, "bags": [], "chunks": 0,
        "steps": 16, "stride": 16, "fps": 15.0, "views": [], "blank_views": [], "interrupted": False, "scripted": True,
        "unreadable": {hostile: hostile}, "incomplete": {},
        "predictors": {
            "model": {"figures": {}, "by_step": {}, "by_dimension": {}, "guard": None, "answered": 0,
                "failures": {hostile: 1}}
        },
    }  # fmt: skip
    timing = {"evaluation_s": 1.0, "models_s": 0.5, "deadline_s": 1.0, "predictors": {}}
    text = render(json.loads(json.dumps(metrics)), timing, [])
    assert "<script" not in text and "SCRIPTED" in text


def test_an_evaluation_judges_with_the_parameter_file_of_the_guard(tmp_path) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text("/**/guard: {ros__parameters: {velocity_scale: 0.5, check: {self_collision: false}}}\n")
    one = EvaluationOptions(bags=(tmp_path / "bag",), out=tmp_path / "out", guard_config=file)
    guard = prepare(one, load=False).guard
    assert guard is not None
    assert guard.settings.differences() == {"velocity_scale": 0.5, "check.self_collision": False}
    assert guard.checker.limits.joints["panda_joint1"].velocity == pytest.approx(0.5 * 2.175)
    usual = replace(one, guard_config=None)
    assert usual.identity() != one.identity() and usual.identity()["guard_config"] == {}
    file.write_text("/**/guard: {ros__parameters: {velocity_scal: 0.5}}\n")
    with pytest.raises(ConfigError, match="meant velocity_scale"):
        prepare(one, load=False)


def test_a_driver_that_wraps_a_continuous_joint_is_no_jump_in_what_was_recorded(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "examples" / "own_robot", tmp_path / "arm")
    urdf = tmp_path / "arm" / "my_arm.urdf"
    urdf.write_text(urdf.read_text().replace('name="j6" type="revolute"', 'name="j6" type="continuous"'))
    arm = load_embodiment(str(tmp_path / "arm" / "my_arm.yaml"))
    assert arm.continuous_joints == {"j6"}
    truth = GroundTruthWindow(arm, frozenset(), 250 * MS)
    turned = np.linspace(2.6, 10.0, 50)
    for k, angle in enumerate(turned):
        wrapped_angle = (angle + np.pi) % (2 * np.pi) - np.pi
        truth.add_state(JointState(1000 * MS + 100 * k * MS, ("j1", "j6"), np.array([0.1, wrapped_angle])))
    between = [truth.state_at(1000 * MS + (100 * k + 50) * MS).position_of("j6") for k in range(49)]
    np.testing.assert_allclose(between, 0.5 * (turned[1:] + turned[:-1]), atol=1e-9)
