"""Parameter lists: what they refuse, and that the shipped YAML files say the same."""

from __future__ import annotations

import importlib
import math

import pytest
import yaml

from cosmos_ros.errors import ConfigError
from cosmos_ros.nodes.parameters import Parameter
from cosmos_ros.nodes.predictor_parameters import parse_cameras, sampler_settings
from cosmos_ros.resources import resource

NODES = {
    "predictor": ("cosmos_ros.nodes.predictor_parameters", "parameters"),
    "guard": ("cosmos_ros.nodes.guard_parameters", "parameters"),
    "rerun_viewer": ("cosmos_ros.nodes.rerun_viewer", "PARAMETERS"),
    "sim_robot": ("cosmos_ros.nodes.sim_robot", "PARAMETERS"),
    "visualizer": ("cosmos_ros.nodes.visualizer", "PARAMETERS"),
}


def specs_of(name: str) -> list[Parameter]:
    module, attribute = NODES[name]
    found = getattr(importlib.import_module(module), attribute)
    return list(found() if callable(found) else found)


def flat(parameters: dict, prefix: str = "") -> dict:
    """Return groups as dotted names, as rcl does."""
    found: dict = {}
    for key, value in parameters.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


@pytest.mark.parametrize("name", sorted(NODES))
def test_the_shipped_file_lists_every_parameter_with_its_default(name):
    specs = specs_of(name)
    document = yaml.safe_load(resource("config", f"{name}.yaml").read_text())
    assert list(document) == [f"/**/{name}"]
    listed = flat(document[f"/**/{name}"]["ros__parameters"])
    assert listed == {spec.name: spec.default for spec in specs}
    assert {k: type(v) for k, v in listed.items()} == {spec.name: type(spec.default) for spec in specs}
    for spec in specs:
        assert spec.problem(spec.default) is None, spec.name
        assert spec.description.endswith((".", "m", "s")), spec.name


@pytest.mark.parametrize(
    ("spec", "value", "problem"),
    [
        (Parameter("rate", 2.0, "", 0.1, 10.0), 50.0, "50.0 is outside 0.1 to 10.0"),
        (Parameter("rate", 2.0, "", 0.1, 10.0), math.nan, "must be a finite number"),
        (Parameter("rate", 2.0, ""), "fast", "must be a finite number"),
        (Parameter("steps", 3, "", 1, 5), 2.5, "must be a whole number"),
        (Parameter("steps", 3, "", 1, 5), True, "must be a int"),
        (Parameter("on", True, ""), 1, "must be a bool"),
        (Parameter("mode", "a", "", choices=("a", "b")), "c", "'c' is not one of a, b"),
        (Parameter("mode", "a", ""), 1, "must be a string"),
    ],
)
def test_a_wrong_value_is_refused_with_the_range(spec, value, problem):
    assert spec.problem(value) == problem
    assert spec.problem(spec.default) is None


VIEWS = ("wrist", "exterior_1", "exterior_2")


def test_cameras_default_to_every_view():
    assert parse_cameras("", VIEWS) == {view: f"{view}/image_raw" for view in VIEWS}


def test_cameras_can_be_named():
    assert parse_cameras(" exterior_2 = /zed/left , wrist=/w", VIEWS) == {"exterior_2": "/zed/left", "wrist": "/w"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wrist", "not view=topic"),
        ("top=/a", "not one of wrist"),
        ("wrist=/a,wrist=/b", "given twice"),
        ("=", "not view"),
    ],
)
def test_wrong_cameras_are_named(text, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_cameras(text, VIEWS)


def test_only_settings_that_were_set_reach_the_sampler():
    values = {"num_inference_steps": 4, "guidance_scale": 0.0, "flow_shift": 5.0, "system_prompt": "auto"}
    assert sampler_settings(values) == {"num_inference_steps": 4, "flow_shift": 5.0}
    assert sampler_settings({**values, "system_prompt": "on"})["use_system_prompt"] is True
    assert sampler_settings({**values, "system_prompt": "off"})["use_system_prompt"] is False
