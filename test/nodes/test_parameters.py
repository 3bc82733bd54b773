"""Parameter lists: what they refuse, and that the shipped YAML files say the same."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import yaml

from cosmos_ros.errors import ConfigError
from cosmos_ros.nodes.all_parameters import node_parameters
from cosmos_ros.nodes.predictor_parameters import sampler_settings
from cosmos_ros.observation.camera_topics import parse_cameras
from cosmos_ros.resources import resource
from cosmos_ros.settings import Setting

NODES = ("guard", "predictor", "rerun_viewer", "sim_robot", "visualizer")


def flat(parameters: dict, prefix: str = "") -> dict:
    """Return groups as dotted names, as rcl does."""
    found: dict = {}
    for key, value in parameters.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


@pytest.mark.parametrize("name", NODES)
def test_the_shipped_file_lists_every_parameter_with_its_default(name):
    settings = node_parameters()[name]
    document = yaml.safe_load(resource("config", f"{name}.yaml").read_text())
    assert list(document) == [f"/**/{name}"]
    listed = flat(document[f"/**/{name}"]["ros__parameters"])
    assert listed == {one.name: one.default for one in settings}
    assert {k: type(v) for k, v in listed.items()} == {one.name: type(one.default) for one in settings}
    for one in settings:
        assert one.problem(one.default) is None, one.name
        assert one.help.endswith("."), one.name


def test_what_is_committed_is_what_the_declarations_make():
    script = resource("scripts", "generate.py")
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    command = [sys.executable, str(script), "--check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("spec", "value", "problem"),
    [
        (Setting("rate", 2.0, "", 0.1, 10.0), 50.0, "50.0 is outside 0.1 to 10.0"),
        (Setting("rate", 2.0, "", 0.1, 10.0), math.nan, "must be a finite number"),
        (Setting("rate", 2.0, ""), "fast", "must be a finite number"),
        (Setting("steps", 3, "", 1, 5), 2.5, "must be a whole number"),
        (Setting("steps", 3, "", 1, 5), True, "must be a int"),
        (Setting("on", True, ""), 1, "must be a bool"),
        (Setting("mode", "a", "", choices=("a", "b")), "c", "'c' is not one of a, b"),
        (Setting("mode", "a", ""), 1, "must be a string"),
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
