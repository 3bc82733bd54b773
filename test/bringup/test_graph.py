"""Bring-ups: arguments are checked, nodes get their parameters, every shipped file exists."""

from __future__ import annotations

import importlib.util

import pytest

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.checks import check_arguments
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


def nodes(name, **given):
    """Return the specs of a bring-up by node name, with all its arguments checked."""
    bringup = BRINGUPS[name]
    values = resolve(bringup.arguments(), given)
    check_arguments(values)
    return {spec.name: spec for spec in bringup.nodes(values)}


def test_the_robot_s_topics_reach_every_node_that_needs_them():
    specs = nodes(
        "predict",
        controllers="joint_trajectory=/arm/joint_trajectory",
        joint_states="/arm/joint_states",
        instruction="/task",
        e_stop="/stop",
        speed_scaling="/slider",
        viewer="markers",
    )
    for name in ("predictor", "guard", "visualizer"):
        assert ("joint_states", "/arm/joint_states") in specs[name].remappings, name
    for name in ("predictor", "visualizer"):  # the guard has them as a parameter
        assert ("joint_trajectory", "guard/sent/joint_trajectory") in specs[name].remappings, name
    assert specs["guard"].parameters["controllers"] == "joint_trajectory=/arm/joint_trajectory"
    assert ("e_stop", "/stop") in specs["guard"].remappings
    assert ("speed_scaling", "/slider") in specs["guard"].remappings
    assert ("instruction", "/task") in specs["predictor"].remappings
    assert "instruction" not in specs["predictor"].parameters
    text = nodes("predict", instruction="put the cup on the plate")["predictor"]
    assert text.parameters["instruction"] == "put the cup on the plate"
    assert "instruction" not in dict(text.remappings)


def test_an_arm_behind_an_action_is_followed_where_the_guard_says_what_it_sent(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    specs = nodes("predict", controllers="joint_trajectory=FollowJointTrajectory:/arm/follow_joint_trajectory")
    assert ("joint_trajectory", "guard/sent/joint_trajectory") in specs["predictor"].remappings


def test_actions_without_control_msgs_are_refused_before_anything_starts(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="FollowJointTrajectory needs the package control_msgs"):
        nodes("predict", controllers="joint_trajectory=FollowJointTrajectory:/arm/follow_joint_trajectory")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"embodiment": "toaster"}, "no embodiment 'toaster'"),
        ({"cameras": "wirst=/x"}, "'wirst' is not one of wrist"),
        ({"controllers": "arm=/x"}, "'arm' is not one of joint_trajectory"),
        ({"model_options": "foo=1"}, "foo is not known"),
        ({"joint_states": "/joint states"}, "not a topic"),
        ({"params_file": "/nowhere/guard.yaml"}, "no such file"),
        ({"robot_description": "/nowhere/robot.urdf"}, "no such file"),
    ],
)
def test_what_is_wrong_is_found_before_anything_starts(given, problem):
    with pytest.raises(ConfigError, match=problem):
        nodes("predict", **given)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("/**/guard: {ros__parameters: {max_stat_age: 0.2}}", "max_stat_age is not known; meant max_state_age"),
        ("/r1/guard: {ros__parameters: {max_state_age: -1.0}}", "max_state_age"),
        ("/**/gaurd: {ros__parameters: {max_state_age: 0.2}}", "holds parameters for none of predictor, guard"),
        ("[1, 2", "cannot be read"),
    ],
)
def test_a_parameter_file_that_the_guard_would_ignore_is_refused(tmp_path, text, problem):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        nodes("predict", params_file=str(file))


def test_parameter_files_for_some_nodes_or_for_all_are_taken(tmp_path):
    for text in ("/**: {ros__parameters: {seed: 3}}", "/**/predictor: {ros__parameters: {seed: 3}}"):
        (tmp_path / "mine.yaml").write_text(text)
        assert "guard" in nodes("predict", params_file=str(tmp_path / "mine.yaml"))


def test_only_the_demo_arms_by_itself():
    assert nodes("demo", arm="true")["guard"].parameters["arm_when_ready"] is True
    assert nodes("demo")["guard"].parameters["arm_when_ready"] is False
    assert "arm" not in {argument.name for argument in BRINGUPS["predict"].arguments()}
