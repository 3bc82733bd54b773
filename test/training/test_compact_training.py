"""The compact model from nothing to answers: every stage on a tiny scale, and what each promises."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from cosmos_ros.errors import ModelError
from cosmos_ros.sim.rendering import CAN_RENDER
from cosmos_ros.sim.task import Verb
from cosmos_ros.types import Mode
from cosmos_ros.world_models import check_rollout, create_world_model
from cosmos_ros.world_models.compact.frames import predicted_view
from cosmos_ros.world_models.compact.manifest import read_manifest
from cosmos_ros.world_models.compact.words import default_vocabulary

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-cosmos3` installs it")
pytest.importorskip("onnxscript", reason="onnxscript is not installed; `make test-cosmos3` installs it")
pytest.importorskip("safetensors", reason="safetensors is not installed; `make test-cosmos3` installs it")
from training import closed_loop  # noqa: E402
from training.checkpoints import about_checkpoint, latest_checkpoint, network_of  # noqa: E402
from training.compact import Maker, main, tiny_plan, view_shard  # noqa: E402
from training.dagger import dagger_round  # noqa: E402
from training.dataset import load_robot  # noqa: E402
from training.generate import DataOptions, make_shard  # noqa: E402
from training.heads import compose_frames, enlarged  # noqa: E402
from training.learner import Learner  # noqa: E402
from training.losses import Batch, committed_targets, losses  # noqa: E402
from training.model import TINY, CompactNet, Sizes  # noqa: E402
from training.questions import Asker  # noqa: E402
from training.robots import EYES, TINY_EYES, inputs_of, raw_states, with_views  # noqa: E402
from training.rows import write_shard  # noqa: E402
from training.train import TrainOptions, train  # noqa: E402

pytestmark = [
    pytest.mark.cosmos3,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CAN_RENDER, reason="no off-screen OpenGL"),
]
CPU = torch.device("cpu")
BATCH = Batch(16, 8, 2, 2, jitter=0.0, unknown=0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a whole tiny run, by the one command."""
    folder = tmp_path_factory.mktemp("made")
    assert main([str(folder), "--tiny", "--processes", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def data(made):
    return load_robot(
        inputs_of("franka", TINY_EYES["franka"]),
        [made / "data" / "franka"],
        default_vocabulary(),
        device=CPU,
        gigabytes=1.0,
    )


def network(robot, seed: int = 0) -> CompactNet:
    torch.manual_seed(seed)
    return CompactNet([robot], default_vocabulary().size, TINY)


def test_one_command_leaves_a_model_that_answers_as_a_world_model(made) -> None:
    shard = make_shard(DataOptions(verbs=("reach",), episodes=1, longest=3.0, width=96), 0)
    asker = Asker("franka", shard)
    model = create_world_model("compact", model=str(made / "model"))
    row = asker.rows(16, 5)[0]
    for mode in Mode:
        request = asker.request(row, mode, actions=asker.executed(row) if mode is Mode.FORWARD_DYNAMICS else None)
        rollout = model.predict(request)
        check_rollout("compact", request, rollout, model.capabilities)
        assert rollout.uncertainty.shape == (16,)
    committed = asker.executed(row)[:4]
    assert np.array_equal(model.predict(asker.request(row, Mode.POLICY, committed=committed)).actions[:4], committed)
    with pytest.raises(ModelError, match="no observation"):
        model.predict(replace(asker.request(row, Mode.POLICY), observation=None))
    model.close()


def test_figures_and_card_hold_what_was_measured(made) -> None:
    figures = json.loads((made / "figures.json").read_text())["franka"]
    assert {"forward_psnr", "inverse_rotation", "seam_share", "chunk_with_frames", "closed_loop_reach"} <= set(figures)
    assert all(figure["n"] > 0 for figure in figures.values())
    card = (made / "model" / "MODEL_CARD.md").read_text()
    assert f"{figures['forward_psnr']['value']:.3g} dB" in card and read_manifest(made / "model").revision in card


def test_a_second_run_makes_nothing_again(made) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.suffix in (".npz", ".safetensors")}
    assert main([str(made), "--tiny", "--processes", "1", "--stages", "generate,train,dagger"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert about_checkpoint(latest_checkpoint(made / "run"))["step"] == tiny_plan().train.steps


def test_what_was_exported_is_the_checkpoint_in_half_precision(made) -> None:
    differences = json.loads((made / "differences.json").read_text())
    assert set(differences) == {f"franka_{part}" for part in ("encode", "act", "frames", "pairs")}
    assert max(differences.values()) < 1e-4
    names = {path.name for path in (made / "model").iterdir()}
    assert names == {*read_manifest(made / "model").files, "manifest.json", "MODEL_CARD.md"}


def test_a_few_rows_are_learned_by_heart(data, tmp_path) -> None:
    options = TrainOptions(steps=160, batch=BATCH, rate=2e-3, warm_up=10, report=40, checkpoint=160)
    train(network(data.robot), {"franka": data}, {}, tmp_path, options)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    log = [line for line in log if "rows" in line]
    for part in ("rows", "inverse_rows", "classes"):
        assert log[-1][part] < 0.6 * log[0][part], part
    assert log[-1]["frames"] < log[0]["frames"]
    assert log[-1]["spread"] < log[0]["spread"]


def test_a_run_that_was_stopped_goes_on_as_one_that_was_not(data, tmp_path) -> None:
    options = TrainOptions(steps=12, batch=BATCH, warm_up=2, report=4, checkpoint=6)
    whole = train(network(data.robot), {"franka": data}, {}, tmp_path / "whole", options)
    train(network(data.robot), {"franka": data}, {}, tmp_path / "parts", options, stop_at=6)
    parts = train(network(data.robot, seed=9), {"franka": data}, {}, tmp_path / "parts", options)
    a, b = (network_of(path, CPU).state_dict() for path in (whole, parts))
    # Checkpoints are of half precision.
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 5e-3
    again = network_of(train(network(data.robot), {"franka": data}, {}, tmp_path / "again", options), CPU).state_dict()
    assert all(torch.equal(a[k], again[k]) for k in a)


def test_a_checkpoint_that_travelled_as_its_average_goes_on(data, tmp_path) -> None:
    options = TrainOptions(steps=8, batch=BATCH, warm_up=2, report=4, checkpoint=4)
    first = train(network(data.robot), {"franka": data}, {}, tmp_path, options, stop_at=4)
    for name in ("weights", "moment1", "moment2"):
        (first / f"{name}.safetensors").unlink()
    last = train(network(data.robot, seed=5), {"franka": data}, {}, tmp_path, options)
    assert about_checkpoint(last)["step"] == 8


class Oracle(Learner):
    """Answers with the teacher's plan, encoded as the network's rows are."""

    def __call__(self, lock, plans, hands, due):
        self.plans, self.due = plans, due
        self.seen = getattr(self, "seen", [])
        return super().__call__(lock, plans, hands, due)

    def _answers(self, observed, episodes, given, is_given):
        rows = np.zeros_like(given)
        for number, (index, e) in enumerate(zip(self.due, episodes, strict=True)):
            self.seen.append((e.seed, e.steps, observed[number][1][0], observed[number][0]))
            rows[number] = self._rows(e, observed[number][2], self.plans.poses[index, 1:], self.plans.openings[index])
        return np.where(is_given[..., None] > 0, given, rows)


@pytest.mark.parametrize("name", ["franka", "umi", "agibot_g1"])
def test_the_learners_way_through_the_simulator_loses_nothing(name) -> None:
    """With the teacher's answers in place of the network's, by the same rows and decoding, tasks get done."""
    robot = inputs_of(name, TINY_EYES[name])
    robot = replace(robot, mean=(0.0,) * robot.state_size, std=(1.0,) * robot.state_size)
    driver = Oracle(network(robot), name, default_vocabulary(), TINY_EYES[name].canvas, 0, committed=(0, 1))
    options = DataOptions(embodiment=name, verbs=("reach", "lift"), episodes=4, first_seed=10_000_000, width=0)
    shard = make_shard(options, 0, driver, measuring=True)
    driver.close()
    assert shard["episode_done"].all()
    swapping = Oracle(
        network(robot), name, default_vocabulary(), TINY_EYES[name].canvas, 0, committed=(0, 1), swap=True
    )
    swapped = make_shard(replace(options, verbs=("reach",)), 0, swapping, measuring=True)
    swapping.close()
    # Judged by the other object: the plans of the first step are still for the first one, the later ones are not.
    assert bool(swapping.swapped) == (name != "agibot_g1")  # whose other things lie before the other arm
    assert swapped["episode_done"][np.isin(swapped["episode_seed"], list(swapping.swapped))].all()
    # What it saw is what the rows say, but for the row that led there, which it does not know.
    first, last = robot.flag_groups()["past"]
    trained = robot.state(*raw_states(robot, shard))
    starts = dict(zip(shard["episode_seed"].tolist(), shard["episode_start"].tolist(), strict=True))
    assert len(driver.seen) > 20
    for seed, step, state, _ in driver.seen:
        truth = trained[starts[seed] + step]
        assert np.allclose(np.delete(state, np.s_[first:last]), np.delete(truth, np.s_[first:last]), atol=2e-5)
        assert (state[first:last] == 0.0).all()


def test_the_learner_is_shown_the_pictures_of_the_rows() -> None:
    eyes = TINY_EYES["franka"]
    robot = inputs_of("franka", eyes)
    robot = replace(robot, mean=(0.0,) * robot.state_size, std=(1.0,) * robot.state_size)
    driver = Oracle(network(robot), "franka", default_vocabulary(), eyes.canvas, 0)
    shard = make_shard(DataOptions(verbs=("reach",), episodes=2, longest=2.0, width=eyes.canvas), 0, driver)
    driver.close()
    shard = with_views(shard, robot)
    starts = dict(zip(shard["episode_seed"].tolist(), shard["episode_start"].tolist(), strict=True))
    assert len(driver.seen) > 6
    for seed, step, _, pictures in driver.seen:
        for view, picture in zip(robot.views, pictures, strict=True):
            assert np.array_equal(picture, shard[f"view_{view.name}"][starts[seed] + step])


def test_the_closed_loop_counts_what_is_done(monkeypatch, tmp_path) -> None:
    robot = inputs_of("franka", TINY_EYES["franka"])
    robot = replace(robot, mean=(0.0,) * robot.state_size, std=(1.0,) * robot.state_size)

    @contextmanager
    def oracle(options, index, checkpoint, *, canvas, swap):
        yield Oracle(network(robot), "franka", default_vocabulary(), canvas, 0, committed=(0, 1), swap=swap)

    monkeypatch.setattr(closed_loop, "learner_of", oracle)
    figure = closed_loop.measure(tmp_path, "franka", Verb.REACH, episodes=3, processes=1, width=96)
    assert (figure["value"], figure["n"], figure["failed_seeds"]) == (100.0, 3, [])
    assert (
        closed_loop.measure(tmp_path, "franka", Verb.REACH, episodes=2, processes=1, width=96, longest=0.5)["value"]
        == 0.0
    )


def test_committed_rows_are_continued_by_the_plan_from_where_they_lead(data) -> None:
    rows = data.draw(64, torch.Generator().manual_seed(0), rows_after=16)
    target, given = committed_targets(data, rows, Batch(committed=(1.0, 8)), torch.Generator().manual_seed(1))
    count = given.sum(dim=1).long()
    assert (count >= 1).all() and (count <= 8).all()
    for row, one, k in zip(rows.tolist(), target, count.tolist(), strict=True):
        plan = data.labels[row].float()
        done = torch.cat((data.executed[row : row + k].float(), data.labels[row + k, : 16 - k].float()))
        assert torch.equal(one, plan) or torch.equal(one, done)


def test_frames_are_composed_as_the_runtime_composes_them() -> None:
    source = np.random.default_rng(0)
    first = source.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    fields = source.normal(size=(3, 6, 6, 8)).astype(np.float32) * 0.1
    fields[:, 2] = source.uniform(0, 1, (3, 6, 8))
    wanted = predicted_view(first, fields)
    pictures = torch.from_numpy(first).float().permute(2, 0, 1)[None] / 127.5 - 1.0
    made = compose_frames(pictures, torch.from_numpy(fields)[None])[0]
    found = ((made.permute(0, 2, 3, 1) + 1.0) * 127.5).clamp(0, 255).numpy()
    assert np.abs(found - wanted).mean() < 1.0
    assert np.quantile(np.abs(found - wanted), 0.99) < 5.0


def test_fields_are_enlarged_as_interpolate_does() -> None:
    fields = torch.randn(2, 6, 23, 40, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.interpolate(fields, size=(90, 160), mode="bilinear", align_corners=False)
    assert torch.allclose(enlarged(fields, 90, 160), wanted, atol=1e-5)


def test_what_is_seen_and_where_count_alike_at_first() -> None:
    """A trunk without norms between its strides lets the difference between pictures fade beside the places' codes."""
    robot = inputs_of("franka", EYES["franka"])
    torch.manual_seed(0)
    net = CompactNet([robot], default_vocabulary().size, Sizes()).eval()
    pictures = torch.zeros(6, 3, 90, 160)
    for number, picture in enumerate(pictures):  # a small red thing somewhere else in each
        picture[0, 20 + 10 * number : 28 + 10 * number, 40 + 15 * number : 48 + 15 * number] = 1.0
    with torch.no_grad():
        words = torch.from_numpy(np.stack([default_vocabulary().encode("reach the red cube")[0]] * 6))
        memory = net.encode("franka", [pictures] * 3, torch.zeros(6, robot.state_size), words).memory[:, :60]
    across_pictures, across_places = memory.std(dim=0).amax(), memory.mean(dim=0).std(dim=0).mean()
    assert across_pictures > 0.5 * across_places


def test_losses_do_not_depend_on_what_is_masked(data) -> None:
    net = network(data.robot)
    for part in losses(net, data, BATCH, torch.Generator().manual_seed(3)).values():
        assert torch.isfinite(part)
    memory = torch.randn(1, 5, TINY.width)
    noise, nothing = torch.randn(1, 16, 10), torch.zeros(1, 16, TINY.width)
    free = torch.zeros(1, 16)
    a = net.sample("franka", memory, noise, torch.zeros(1, 16, 10), free, nothing)[0]
    b = net.sample("franka", memory, noise, torch.ones(1, 16, 10), free, nothing)[0]
    assert torch.equal(a, b)


def test_seeds_that_are_kept_for_measuring_are_refused(tmp_path) -> None:
    robot = inputs_of("franka", TINY_EYES["franka"])
    options = DataOptions(verbs=("reach",), episodes=1, longest=1.5, width=96)
    shard = view_shard(options, 0, robot)
    shard["episode_seed"] = np.array([10_000_000])
    write_shard(tmp_path / "shard_00000.npz", shard)
    load = partial(load_robot, robot, [tmp_path], default_vocabulary(), device=CPU, gigabytes=1.0)
    with pytest.raises(ValueError, match="kept for measuring"):
        load()
    shard["episode_seed"] = np.array([3_950_000])
    write_shard(tmp_path / "shard_00000.npz", shard)
    assert len(load(validation=True)) == len(shard["phase"])
    with pytest.raises(ValueError, match="no rows"):
        load()
    with pytest.raises(ValueError, match="seeds from 10000000"):
        make_shard(options, 0, measuring=True)
    with pytest.raises(ValueError, match="no seeds of its own"):
        dagger_round(tmp_path, options, tmp_path, 2, rows=1, processes=1, gigabytes=1.0, seconds=1.0)


def test_memory_is_bounded(made) -> None:
    robot = inputs_of("franka", TINY_EYES["franka"])
    load = partial(load_robot, robot, [made / "data" / "franka"], default_vocabulary(), device=CPU)
    with pytest.raises(ValueError, match="no rows"):
        load(gigabytes=1e-6)
    whole = load(gigabytes=1.0)
    first = next(iter(sorted((made / "data" / "franka").glob("*.npz"))))
    with np.load(first) as archive:
        enough = 1.01 * sum(archive[f"view_{v.name}"].nbytes for v in robot.views) / 1e9
    assert 0 < len(load(gigabytes=enough)) < len(whole)


def test_stages_say_what_they_lack(tmp_path, capsys) -> None:
    for stage in ("export", "evaluate"):
        with pytest.raises(FileNotFoundError, match="run the stage"):
            getattr(Maker(tmp_path, tiny_plan(), 1), stage)()
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--stages", "dance"])
    assert "no such stages: dance" in capsys.readouterr().err
