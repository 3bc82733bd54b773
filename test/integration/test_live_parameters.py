"""Parameters of the running nodes, as ``ros2 param`` sees and sets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from live import Watcher, processes
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from std_msgs.msg import String

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.nodes import qos

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


class Client:
    """Calls the parameter services of the nodes."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def call(self, node: str, kind: Any, service: str, request: Any) -> Any:
        return self.watcher.ask(kind, f"{node}/{service}", request, 40.0)

    def set(self, node: str, name: str, value: float | str) -> Any:
        kinds = {float: ParameterType.PARAMETER_DOUBLE, str: ParameterType.PARAMETER_STRING}
        given = ParameterValue(type=kinds[type(value)])
        if isinstance(value, float):
            given.double_value = value
        else:
            given.string_value = value
        request = SetParameters.Request(parameters=[Parameter(name=name, value=given)])
        return self.call(node, SetParameters, "set_parameters", request).results[0]

    def get(self, node: str, name: str) -> Any:
        return self.call(node, GetParameters, "get_parameters", GetParameters.Request(names=[name])).values[0]

    def describe(self, node: str, name: str) -> Any:
        request = DescribeParameters.Request(names=[name])
        return self.call(node, DescribeParameters, "describe_parameters", request).descriptors[0]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    bringup = BRINGUPS["demo"]
    values = resolve(bringup.arguments(), {"world_model": "flow"})
    specs = bringup.nodes(values)
    for spec in specs:
        if spec.name == "sim_robot":
            spec.parameters["cameras"] = ""  # no GL is needed to ask for parameters
    with processes() as (watcher, group, environment, lines):
        group.start_nodes(specs, values, environment)
        try:
            yield Client(watcher)
        finally:
            print("\n".join(lines[-30:]))
        assert group.ended() == {}


@pytest.mark.parametrize(
    ("node", "name", "good", "bad", "reason"),
    [
        ("predictor", "max_image_age", 0.4, 500.0, "Min: 0.01, Max: 60.0"),
        ("predictor", "prediction_rate", 4.0, 0.0, "Min: 0.02, Max: 60.0"),
        ("predictor", "instruction", "wipe the table", 1.0, "type"),
        ("guard", "velocity_scale", 0.5, 2.0, "Min: 0.01, Max: 1.0"),
        ("sim_robot", "task", "put the blue cube on the green pad", "make tea", ""),
    ],
)
def test_a_parameter_can_be_set_within_its_range_only(client: Client, node, name, good, bad, reason):
    refused = client.set(node, name, bad)
    assert not refused.successful
    assert reason in refused.reason
    assert client.set(node, name, good).successful
    value = client.get(node, name)
    assert good in (value.double_value, value.string_value)
    assert client.describe(node, name).description.endswith((".", "s", "m"))


@pytest.mark.parametrize(("node", "name"), [("predictor", "world_model"), ("guard", "embodiment")])
def test_what_must_not_change_is_read_only(client: Client, node, name):
    assert client.describe(node, name).read_only
    refused = client.set(node, name, "persistence")
    assert not refused.successful
    assert "read-only" in refused.reason


def test_the_guard_publishes_the_settings_that_it_judges_with(client: Client):
    watcher, topic = client.watcher, "guard/settings"
    watcher.listen(String, topic, qos.latched())
    watcher.wait(lambda: watcher.messages[topic], "the latched settings")
    assert watcher.json(topic)[-1]["parameters"]["embodiment"] == "franka"
    assert client.set("guard", "max_camera_age", 0.7).successful
    watcher.wait(lambda: watcher.json(topic)[-1]["parameters"]["max_camera_age"] == 0.7, "the changed settings")
