"""The live chain, armed, with a model that continues what is executed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live import Cameras, JointRelay, processes
from machine import slowness
from plugin import announce
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_msgs.msg import String

from cosmos_ros.bringup.arguments import predict_arguments, resolve
from cosmos_ros.bringup.graph import NodeSpec, predict_nodes
from cosmos_ros.embodiment import load_embodiment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
WANDERER = Path(__file__).parents[1] / "prediction"


def test_while_a_motion_is_executed_the_model_is_told_it_and_answers_join_it_without_a_step(tmp_path):
    """The model takes 0.3 s, and the next images are there when it has answered: before the guard has."""
    announce(tmp_path, "wanderer", wanderer="wandering:BACKEND")
    with processes(sim_time=True) as (watcher, group, environment, lines):
        environment["PYTHONPATH"] = f"{tmp_path}:{WANDERER}:{environment['PYTHONPATH']}"
        Cameras(watcher, load_embodiment("franka").views)
        relay = JointRelay(watcher)
        watcher.listen(String, "predictor/provenance")
        robot = NodeSpec(
            "sim_robot", "cosmos_ros.nodes.sim_robot", "sim_robot", "sim_robot.yaml",
            {"cameras": "", "publish_clock": True, "real_time_factor": 1.0 / slowness()},
            (("joint_states", "sim/joint_states"),),
        )  # fmt: skip
        specs = {spec.name: spec for spec in predict_nodes(resolve(predict_arguments(), {"use_sim_time": "true"}))}
        predictor = specs["predictor"]
        told = {**predictor.parameters, "world_model": "wanderer", "prediction_rate": 60.0, "committed_rows": True}
        nodes = [robot, replace(predictor, parameters=told), specs["guard"]]
        group.start_nodes(nodes, {}, environment)
        try:
            first = watcher.wait(lambda: watcher.json("predictor/provenance"), "a prediction", 60.0)[0]
            assert first["committed"] == {} and first["committed_rows"] == 0

            def answers(rows: bool, count: int) -> list[dict[str, Any]]:
                """Wait for so many answers of a moving arm that were given rows, or none."""
                begin = len(watcher.messages["predictor/provenance"])

                def found() -> list[dict[str, Any]]:
                    records = watcher.json("predictor/provenance")[begin:]
                    return [r for r in records if bool(r["committed_rows"]) == rows and "error" in r["join"]]

                watcher.wait(lambda: len(found()) >= count, f"{count} answers, told rows: {rows}", 60.0)
                return found()

            watcher.call_until_success("guard/arm", 40.0)
            given = answers(True, 20)
            for record in given:
                assert record["committed"]["rows"] == record["committed_rows"] <= 8
                assert record["committed"]["expected_delay"] > 0.05
                assert record["committed"]["executing_stamps_ns"]
            off = Parameter(name="committed_rows", value=ParameterValue(type=ParameterType.PARAMETER_BOOL))
            request = SetParameters.Request(parameters=[off])
            assert watcher.ask(SetParameters, "predictor/set_parameters", request).results[0].successful
            free = [record for record in answers(False, 20) if not record["join"]["shifted"]]
            errors = [float(np.median([r["join"]["error"] for r in records])) for records in (given, free)]
            print(f"joins are {errors[0] * 1e3:.2f} mrad apart with rows, {errors[1] * 1e3:.2f} mrad without")
            assert errors[0] < 0.3 * errors[1]
            assert relay.received and group.ended() == {}
        finally:
            print("\n".join(lines[-60:]))
