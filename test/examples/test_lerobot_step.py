"""The guard as a step in LeRobot's pipelines: LeRobot's own where it is installed, else a stand-in's."""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import cosmos_ros as cr
from cosmos_ros.errors import InputError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FPS = 15.0
PERIOD_NS = round(1e9 / FPS)


def installed():
    """Return LeRobot's own processors, and how to make an action from an array; else the stand-in's."""
    try:
        processor = importlib.import_module("lerobot.processor")
        converters = importlib.import_module("lerobot.processor.converters")
        torch = importlib.import_module("torch")
    except ImportError:
        stand_in = importlib.import_module("lerobot_stand_in")
        return stand_in, stand_in, lambda rows: np.asarray(rows, dtype=np.float32).view(stand_in.PolicyAction)
    return processor, converters, lambda rows: torch.tensor(np.asarray(rows, dtype=np.float32))


class Bench:
    """A guard step in LeRobot's pipelines, and time."""

    def __init__(self, example, processor, converters, tensor):
        self.example, self.processor, self.converters, self.tensor = example, processor, converters, tensor
        self.now = 10**9
        franka = cr.load_embodiment("franka")
        self.joints = franka.joint_names
        self.home = np.array([franka.home[joint] for joint in self.joints])
        self.limits = [franka.limits.joints[joint] for joint in self.joints]

    def step(self, **options):
        step = self.example.GuardStep("franka", fps=FPS, **options)
        step.clock = lambda: self.now
        return step

    def robot(self, step):
        """Return the pipeline between a policy's action with the robot's observation, and the robot."""
        return self.processor.RobotProcessorPipeline(
            steps=[step],
            to_transition=self.converters.robot_action_observation_to_transition,
            to_output=self.converters.transition_to_robot_action,
        )

    def policy(self, *steps):
        """Return a policy's preprocessor and postprocessor, with the steps in both."""
        after = self.processor.PolicyProcessorPipeline(
            steps=list(steps),
            to_transition=self.converters.policy_action_to_transition,
            to_output=self.converters.transition_to_policy_action,
        )
        return self.processor.PolicyProcessorPipeline(steps=list(steps)), after

    def state(self):
        return {"observation.state": self.tensor(self.home[None])}

    def entries(self, row):
        return {f"{joint}.pos": float(value) for joint, value in zip(self.joints, row, strict=True)}

    def row(self, action):
        return np.array([action[f"{joint}.pos"] for joint in self.joints])

    def drive(self, pipeline, targets):
        """Return the positions ``[T + 1, J]`` of an arm that goes where the pipeline says."""
        path = [self.home]
        for target in targets:
            self.now += PERIOD_NS
            path.append(self.row(pipeline((self.entries(target), self.entries(path[-1])))))
        return np.array(path)


@pytest.fixture
def bench(monkeypatch):
    processor, converters, tensor = installed()
    if processor.__name__ == "lerobot_stand_in":
        package = types.ModuleType("lerobot")
        package.processor = processor
        monkeypatch.setitem(sys.modules, "lerobot", package)
        monkeypatch.setitem(sys.modules, "lerobot.processor", processor)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "lerobot_policy_guard", raising=False)
    yield Bench(importlib.import_module("lerobot_policy_guard"), processor, converters, tensor)
    processor.ProcessorStepRegistry.unregister("cosmos_ros_guard")
    sys.modules.pop("lerobot_policy_guard", None)


def swing(bench, reach, count=30):
    """Return targets of a policy that swings joint 1 there and back again."""
    phase = np.pi * np.arange(1, count + 1) / 15
    return bench.home + reach * (1.0 - np.cos(phase))[:, None] * np.eye(7)[0]


def followable(bench, path):
    """Whether rows one period apart can be passed at legal speeds and accelerations."""
    speed = np.diff(path, axis=0) * FPS
    gain = np.diff(np.vstack((np.zeros(7), speed)), axis=0) * FPS
    most = np.array([[limit.velocity, limit.acceleration] for limit in bench.limits]) + 1e-3
    return (np.abs(speed) <= most[:, 0]).all() and (np.abs(gain) <= most[:, 1]).all()


def test_it_is_a_step_that_lerobot_knows_by_name(bench):
    step = bench.step()
    assert isinstance(step, bench.processor.ProcessorStep)
    assert bench.processor.ProcessorStepRegistry.get("cosmos_ros_guard") is type(step)
    config = json.loads(json.dumps(step.get_config()))
    again = type(step)(**config)
    assert again.get_config() == config and config["fps"] == FPS
    assert step.state_dict() == {} and step.transform_features({"a": 1}) == {"a": 1}


def test_what_a_robot_can_follow_passes_and_so_do_entries_that_are_not_its_joints(bench):
    targets = swing(bench, 0.3)
    step = bench.step()
    path = bench.drive(bench.robot(step), targets)
    assert np.allclose(path[1:], targets, atol=1e-6)
    assert step.last_verdict.response is cr.Response.ACCEPT
    action = {**bench.entries(targets[-1]), "gripper.pos": 0.3}
    bench.now += PERIOD_NS
    assert bench.robot(step)((action, bench.entries(targets[-1])))["gripper.pos"] == 0.3


@pytest.mark.parametrize("reach", [0.9, 1.2])
def test_a_policy_that_is_too_fast_is_followed_as_fast_as_the_arm_can(bench, reach):
    targets = swing(bench, reach)
    assert not followable(bench, np.vstack((bench.home, targets)))
    path = bench.drive(bench.robot(bench.step()), targets)
    assert followable(bench, path)
    assert np.ptp(path[:, 0]) > 0.5 * reach


def test_an_arm_in_motion_brakes_when_the_policy_answers_with_nonsense(bench):
    targets = swing(bench, 0.3)
    targets[10:] = np.nan
    step = bench.step()
    path = bench.drive(bench.robot(step), targets)
    assert np.allclose(path[1:11], targets[:10], atol=1e-6)
    assert step.last_verdict.response is cr.Response.REJECT
    assert followable(bench, path)  # it was moving, so it is not stopped dead
    assert np.all(path[-1] == path[-10]) and path[-1, 0] > path[10, 0]


def test_an_arm_stays_within_its_limits_whatever_is_asked(bench):
    path = bench.drive(bench.robot(bench.step()), np.tile(bench.home + 4.0 * np.eye(7)[0], (40, 1)))
    assert followable(bench, path)
    assert path[:, 0].max() <= bench.limits[0].upper


def test_after_a_pause_the_motion_begins_where_the_arm_is(bench):
    pipeline = bench.robot(bench.step())
    bench.drive(pipeline, swing(bench, 0.3)[:8])
    bench.now += 10**9  # the arm was moved meanwhile
    target = bench.home + 0.01 * np.eye(7)[3]
    bench.now += PERIOD_NS
    given = bench.row(pipeline((bench.entries(target), bench.entries(bench.home))))
    assert np.abs(given - bench.home).max() <= 0.01 + 1e-9


@pytest.mark.parametrize("shape", [(1, 7), (1, 16, 7)])
def test_in_a_policy_s_pipelines_it_remembers_the_state_and_keeps_the_kind_of_action(bench, shape):
    before, after = bench.policy(bench.step())
    assert before(bench.state())["observation.state"].shape == (1, 7)
    rows = np.broadcast_to(bench.home, shape).copy()
    rows[..., 0] += np.linspace(0.002, 0.03, rows[..., 0].size).reshape(rows[..., 0].shape)
    action = bench.tensor(rows)
    given = after(action)
    assert type(given) is type(action) and given.dtype == action.dtype and given.shape == action.shape
    assert np.allclose(given, rows, atol=1e-6)


def test_chunks_follow_one_another_without_a_jump(bench):
    before, after = bench.policy(bench.step())
    path = [bench.home]
    for chunk in swing(bench, 0.6, 60).reshape(4, 15, 7):
        before({"observation.state": bench.tensor(path[-1][None])})
        path += list(np.asarray(after(bench.tensor(chunk[None])), dtype=np.float64)[0])
        bench.now += 15 * PERIOD_NS
    assert followable(bench, np.array(path))
    assert np.ptp(np.array(path)[:, 0]) > 0.5


def test_without_an_observation_it_refuses(bench):
    step = bench.step()
    before, after = bench.policy(step)
    with pytest.raises(InputError, match="no observation"):
        after(bench.tensor(bench.home[None]))
    before(bench.state())
    after(bench.tensor(bench.home[None]))
    after.reset()
    assert step.last_verdict is None
    with pytest.raises(InputError, match="no observation"):
        after(bench.tensor(bench.home[None]))


@pytest.mark.parametrize("shape", [(1, 8), (2, 7), (1, 7, 8), (2, 16, 7)])
def test_columns_of_something_else_are_refused(bench, shape):
    before, after = bench.policy(bench.step())
    before(bench.state())
    with pytest.raises(InputError, match="panda_joint7"):
        after(bench.tensor(np.zeros(shape)))


def test_motors_have_names_and_units_of_their_own(bench):
    keys = [f"motor_{k}.pos" for k in range(7)]
    pipeline = bench.robot(bench.step(keys=keys, scale=[np.pi / 180] * 7))
    degrees = dict(zip(keys, np.degrees(bench.home).tolist(), strict=True))
    target = {**degrees, "motor_0.pos": degrees["motor_0.pos"] + 0.5}
    given = pipeline((target, degrees))
    assert given == pytest.approx(target, abs=1e-6)
    with pytest.raises(InputError, match="motor_3"):
        pipeline(({key: value for key, value in target.items() if key != "motor_3.pos"}, degrees))
