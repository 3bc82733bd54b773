"""The shipped model in the whole chain, and how tasks done there are counted."""

from __future__ import annotations

import json

import pytest

from cosmos_ros.cli.main import main
from cosmos_ros.sim.rendering import CAN_RENDER
from cosmos_ros.sim.task import Verb

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
from training import chain
from training.chain import Drive, drive, measure_chain
from training.generate import SMALLEST_MEASURED

pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(not CAN_RENDER, reason="no off-screen OpenGL")]


def test_the_shipped_model_reaches_what_is_named_and_the_guard_has_nothing_to_change(tmp_path, capsys) -> None:
    out = tmp_path / "figures.json"
    command = ["bench", "compact", "--task", "reach", "--episodes", "4", "--processes", "1", "--json", str(out)]
    assert main(command) == 0
    figures = json.loads(out.read_text())["franka"]
    assert figures["chain_reach"]["n"] == 4 and figures["chain_reach"]["value"] >= 75.0
    assert figures["chain_guard_accept"]["value"] > 90.0 and figures["chain_guard_accept"]["n"] >= 12
    assert figures["chain_limits_broken"]["value"] == 0.0
    assert "chain_reach" in capsys.readouterr().out


def test_an_episode_is_the_same_again_and_another_thing_can_be_asked_for() -> None:
    first, second = (drive("", "franka", Verb.REACH, SMALLEST_MEASURED + 1, 2.0, False) for _ in range(2))
    assert first == second and first.seconds is None and sum(first.responses.values()) >= 2
    assert drive("", "franka", Verb.REACH, SMALLEST_MEASURED + 1, 0.6, True) is not None
    with pytest.raises(ValueError, match="seeds from 10000000"):
        drive("", "franka", Verb.REACH, 5, 1.0, False)


def test_failures_are_named_and_shares_have_intervals(monkeypatch) -> None:
    class Here:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> Here:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, function, *arguments):
            class Done:
                def result(self):
                    return function(*arguments)

            return Done()

    outcomes = {
        1: Drive(1, 3.0, {"accept": 5}, 0, 0),
        2: Drive(2, None, {"accept": 3, "reject": 2}, 4, 1),
        3: None,
        4: Drive(4, 5.0, {"accept": 10}, 0, 0),
    }
    monkeypatch.setattr(chain, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(chain, "drive", lambda folder, name, verb, seed, longest, swap: outcomes[seed])
    figures = measure_chain("", "franka", [Verb.LIFT], episodes=4, first_seed=1, processes=1, swap=True)
    share = figures["chain_lift_swapped"]
    assert share["n"] == 3 and share["failed_seeds"] == [2] and share["median_s"] == 4.0
    assert share["value"] == pytest.approx(200 / 3) and share["low"] < share["value"] < share["high"]
    assert figures["chain_answers_failed"]["value"] == 4.0
    assert figures["chain_guard_reject"]["value"] == 10.0 and figures["chain_limits_broken"]["value"] == 1.0
