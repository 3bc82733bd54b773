"""What ``examples/lerobot_policy_guard.py`` meets of ``lerobot.processor``, for machines without LeRobot and torch.

Keys, abstract methods, registry and the contents of transitions are those of LeRobot 0.4.4 and 0.6.1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar

import numpy as np


class TransitionKey(str, Enum):
    OBSERVATION = "observation"
    ACTION = "action"
    REWARD = "reward"
    DONE = "done"
    TRUNCATED = "truncated"
    INFO = "info"
    COMPLEMENTARY_DATA = "complementary_data"


class PolicyAction(np.ndarray):
    """What the step asks of a torch tensor."""

    def new_tensor(self, data):
        return np.asarray(data, dtype=self.dtype).view(PolicyAction)


class ProcessorStepRegistry:
    _registry: ClassVar[dict[str, type]] = {}

    @classmethod
    def register(cls, name):
        def decorator(step_class):
            if name in cls._registry:
                raise ValueError(f"{name} is already registered")
            cls._registry[name] = step_class
            return step_class

        return decorator

    @classmethod
    def get(cls, name):
        return cls._registry[name]

    @classmethod
    def unregister(cls, name):
        cls._registry.pop(name, None)


class ProcessorStep(ABC):
    @abstractmethod
    def __call__(self, transition): ...

    def get_config(self):
        return {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        return None

    def reset(self):
        return None

    @abstractmethod
    def transform_features(self, features): ...


def _transition(observation=None, action=None):
    return {
        TransitionKey.OBSERVATION: observation, TransitionKey.ACTION: action, TransitionKey.REWARD: 0.0,
        TransitionKey.DONE: False, TransitionKey.TRUNCATED: False, TransitionKey.INFO: {},
        TransitionKey.COMPLEMENTARY_DATA: {},
    }  # fmt: skip


def robot_action_observation_to_transition(action_observation):
    action, observation = action_observation
    return _transition(observation, action)


def policy_action_to_transition(action):
    if not isinstance(action, PolicyAction):
        raise ValueError(f"not a PolicyAction: {type(action)}")
    return _transition(action=action)


def batch_to_transition(batch):
    found = {key: value for key, value in batch.items() if key.startswith("observation.")}
    return _transition(found or None, batch.get("action"))


def transition_to_robot_action(transition):
    action = transition.get(TransitionKey.ACTION)
    if not isinstance(action, dict):
        raise ValueError(f"not a RobotAction: {type(action)}")
    return action


def transition_to_policy_action(transition):
    action = transition.get(TransitionKey.ACTION)
    if not isinstance(action, PolicyAction):
        raise ValueError(f"not a PolicyAction: {type(action)}")
    return action


def transition_to_batch(transition):
    return {"action": transition.get(TransitionKey.ACTION), **(transition.get(TransitionKey.OBSERVATION) or {})}


class DataProcessorPipeline:
    def __init__(self, steps, to_transition=batch_to_transition, to_output=transition_to_batch):
        for step in steps:
            if not isinstance(step, ProcessorStep):
                raise TypeError(f"{type(step).__name__} must inherit from ProcessorStep")
        self.steps, self.to_transition, self.to_output = steps, to_transition, to_output

    def __call__(self, data):
        transition = self.to_transition(data)
        for step in self.steps:
            transition = step(transition)
        return self.to_output(transition)

    def reset(self):
        for step in self.steps:
            step.reset()


RobotProcessorPipeline = PolicyProcessorPipeline = DataProcessorPipeline
