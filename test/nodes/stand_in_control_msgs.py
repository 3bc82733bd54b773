"""control_msgs' actions as far as the guard uses them, and a client whose server is a test: needs neither in ROS.

Fields and constants are those of control_msgs 6.8. ``test/guard/test_controller_actions.py`` runs the same against the
real ones, where they are installed.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from typing import Any, ClassVar

from action_msgs.msg import GoalStatus
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory


@dataclass
class _Command:
    position: float = 0.0
    max_effort: float = 0.0


@dataclass
class _FollowGoal:
    trajectory: Any = field(default_factory=JointTrajectory)


@dataclass
class _FollowResult:
    error_code: int = 0
    error_string: str = ""


@dataclass
class _GripperGoal:
    command: Any = field(default_factory=_Command)


@dataclass
class _ParallelGoal:
    command: Any = field(default_factory=JointState)


@dataclass
class _GripperResult:
    stalled: bool = False
    reached_goal: bool = False


class FollowJointTrajectory:
    Goal, Result = _FollowGoal, _FollowResult


class GripperCommand:
    Goal, Result = _GripperGoal, _GripperResult


class ParallelGripperCommand:
    Goal, Result = _ParallelGoal, _GripperResult


class Answer:
    """A future that the test completes."""

    def __init__(self) -> None:
        self._callbacks: list[Any] = []

    def add_done_callback(self, callback: Any) -> None:
        self._callbacks.append(callback)

    def complete(self, value: Any) -> None:
        self._value = value
        for callback in self._callbacks:
            callback(self)

    def result(self) -> Any:
        return self._value


class Handle:
    """One goal at the server; the test accepts or rejects and ends it."""

    def __init__(self, goal: Any) -> None:
        self.goal, self.accepted = goal, False
        self.answer, self._result = Answer(), Answer()

    def get_result_async(self) -> Answer:
        return self._result

    def accept(self) -> None:
        self.accepted = True
        self.answer.complete(self)

    def reject(self) -> None:
        self.answer.complete(self)

    def end(self, status: int = GoalStatus.STATUS_SUCCEEDED, result: Any = None) -> None:
        self._result.complete(types.SimpleNamespace(status=status, result=result))


class Client:
    """In place of rclpy's ActionClient."""

    made: ClassVar[dict[str, Client]] = {}

    def __init__(self, node: Any, action: Any, name: str) -> None:
        self.action, self.ready = action, True
        self.handles: list[Handle] = []
        Client.made[name] = self

    def server_is_ready(self) -> bool:
        return self.ready

    def send_goal_async(self, goal: Any) -> Answer:
        self.handles.append(Handle(goal))
        return self.handles[-1].answer
