"""Bring-ups: arguments are checked, nodes get their parameters, every shipped file exists."""

from __future__ import annotations

import importlib.util

import pytest

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.bringup.processes import node_command
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource


@pytest.mark.parametrize("name", sorted(BRINGUPS))
def test_every_bringup_resolves_with_its_defaults(name, tmp_path):
    bringup = BRINGUPS[name]
    arguments = bringup.arguments()
    values = resolve(arguments, {"bag": "x"} if name == "replay" else {})
    for argument in arguments:
        assert argument.description.endswith("."), argument.name
        assert not argument.choices or argument.default in argument.choices, argument.name
    specs = bringup.nodes(values)
    assert {"predictor", "guard"} <= {spec.name for spec in specs}
    for spec in specs:
        assert resource("config", spec.config).is_file()
        assert importlib.util.find_spec(spec.module) is not None
        command = node_command(spec, tmp_path, namespace="/left/")
        assert "__ns:=/left" in command
    assert resource("launch", f"{name}.launch.py").is_file()


def test_dry_run_and_sim_time_reach_the_guard():
    bringup = BRINGUPS["predict"]
    values = resolve(bringup.arguments(), {"dry_run": "true", "use_sim_time": "true"})
    guard = next(spec for spec in bringup.nodes(values) if spec.name == "guard")
    assert guard.parameters["dry_run"] is True
    assert guard.parameters["use_sim_time"] is True


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"world_modle": "flow"}, "world_modle is not known; meant world_model\\? Known are: embodiment"),
        ({"world_model": "magic"}, "world_model:=magic is not one of: flow, persistence"),
        ({"use_sim_time": "yes"}, "not one of: true, false"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(given, problem):
    with pytest.raises(ConfigError, match=problem):
        resolve(BRINGUPS["predict"].arguments(), given)


def test_replay_needs_a_bag_and_demo_a_whole_seed():
    replay, demo = BRINGUPS["replay"], BRINGUPS["demo"]
    with pytest.raises(ConfigError, match="bag is empty"):
        replay.nodes(resolve(replay.arguments(), {}))
    with pytest.raises(ConfigError, match="seed:=two is not a whole number"):
        demo.nodes(resolve(demo.arguments(), {"seed": "two"}))
