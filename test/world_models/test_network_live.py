"""A live predictor and a server that dies, lies and comes back: the node lives, holds, says why, and goes on."""

from __future__ import annotations

import pytest
from live_predictor import live_predictor, write_small_robot
from machine import slowness
from stand_in_servers import VllmOmni

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def test_server_fails_and_comes_back(tmp_path):
    with VllmOmni(calm=True) as server:
        parameters = {
            "world_model": "vllm_omni",
            "model": server.url,
            "model_options": f"timeout={5 * slowness()},read_timeout={2 * slowness()}",
            "prediction_rate": 4.0,
        }
        with live_predictor(write_small_robot(tmp_path), parameters) as (watcher, _, _):
            watcher.wait_diagnostic("predictor: prediction", "predicting", 60.0)
            watcher.wait_new("predictor/action_trajectory")
            record = watcher.json("predictor/provenance")[-1]
            assert record["backend"] == "vllm_omni"
            assert record["server"] == server.url
            server.odd = "nan"
            watcher.wait_diagnostic("predictor: prediction", "actions[2, 3] is nan")
            # After three failures in a row the server is left alone for a while, and that is said.
            watcher.wait_diagnostic("predictor: prediction", "not asked after 3 failures in a row")
            before = len(watcher.messages["predictor/action_trajectory"])
            server.odd = "html"
            watcher.wait_diagnostic("predictor: prediction", "is not JSON but: <html>")
            assert len(watcher.messages["predictor/action_trajectory"]) == before  # it held
            server.odd = ""
            watcher.wait(
                lambda: watcher.diagnostics.get("predictor: prediction", (2, ""))[1].startswith("predicting"),
                "the predictor to go on",
            )
            watcher.wait_new("predictor/action_trajectory")


def test_dead_server_is_named_when_it_is_configured(tmp_path):
    with VllmOmni() as server:
        address = server.url
    parameters = {"world_model": "vllm_omni", "model": address}
    with live_predictor(write_small_robot(tmp_path), parameters) as (watcher, _, _):
        message = watcher.wait_diagnostic("predictor: state", "not configured", 60.0)
    assert f"{address}: cannot connect" in message
