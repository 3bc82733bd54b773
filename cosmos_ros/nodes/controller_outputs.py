"""What the guard sends to the controllers: joint trajectories on topics, or goals of control_msgs' actions.

An action tells how its goals fare; a topic does not. control_msgs is imported only where an action is used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.action.graph import get_action_client_names_and_types_by_node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.embodiment.controller_interfaces import CONTROL_MSGS_HINT, ControllerInterface, Interface, beside
from cosmos_ros.errors import ConfigError
from cosmos_ros.messages import joint_trajectory_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.clocks import steady_clock
from cosmos_ros.recordings.topic_roles import moves_nothing
from cosmos_ros.types import JointTrajectory as TrajectoryRecord

# What follows a trajectory starts on it, so none may be overtaken on its way.
_DEPTH = 20
_WATCH_PERIOD_S = 0.05
# A gripper is asked to move again only where it is to be moved by more than this, rad or m.
_GRIPPER_STEP = 5e-4
_FOLLOW_ERRORS = {
    -1: "INVALID_GOAL",
    -2: "INVALID_JOINTS",
    -3: "OLD_HEADER_TIMESTAMP",
    -4: "PATH_TOLERANCE_VIOLATED",
    -5: "GOAL_TOLERANCE_VIOLATED",
}


class ControllerOutputs:
    """The publishers and action clients of all controllers of a robot. Used by the executor's thread only.

    Args:
        node: The guard node.
        controllers: How each is reached.
        on_event: Called with one line that names the controller when one refuses a goal, gives it up, is stopped by
            somebody else, does not answer or goes away: what was sent is then not what is executed.
        on_note: Called with one line when a gripper did not reach its goal: something is between its fingers.
        gripper_max_effort: Largest effort in the goals of gripper actions, N or Nm; 0 leaves it to the gripper.
        answer_timeout: How long a controller may take to accept a goal, s.

    Raises:
        ConfigError: An action is asked for and control_msgs is not installed or does not have it.
    """

    def __init__(
        self,
        node: Any,
        controllers: Sequence[ControllerInterface],
        *,
        on_event: Callable[[str], None],
        on_note: Callable[[str], None],
        gripper_max_effort: float = 0.0,
        answer_timeout: float = 0.5,
    ) -> None:
        self._node = node
        self._sent = {
            one.controller: node.create_publisher(JointTrajectory, one.sent_topic, qos.reliable(_DEPTH))
            for one in controllers
        }
        self._outputs: list[_TopicOutput | _ActionOutput] = []
        for one in controllers:
            if one.interface is Interface.TOPIC:
                self._outputs.append(_TopicOutput(node, one))
            else:
                goals = _GOALS[one.interface](one, gripper_max_effort)
                self._outputs.append(_ActionOutput(node, one, goals, on_event, on_note, answer_timeout))

    def send(self, trajectory: TrajectoryRecord, begins_ns: int) -> None:
        """Send a trajectory of the whole robot: each controller whose joints it holds gets its part.

        Args:
            trajectory: As it goes out; its stamp may be 0, for one that begins when it arrives.
            begins_ns: When it begins, for those that follow what was sent: predictor, viewers and recordings.
        """
        for output in self._outputs:
            if set(output.controller.joints) <= set(trajectory.joint_names):
                part = trajectory.select(output.controller.joints)
                output.send(part)
                self._sent[output.controller.controller].publish(
                    joint_trajectory_message(replace(part, stamp_ns=begins_ns))
                )

    def close(self) -> None:
        """Let go of the actions; topics belong to the node."""
        for output in self._outputs:
            output.close()

    def listeners(self) -> dict[str, int]:
        """Return resolved topic or action name → how many could take what is sent there now."""
        return {output.name: output.listeners() for output in self._outputs}

    def others(self) -> dict[str, list[str]]:
        """Return resolved topic or action name → full names of other nodes that command the same controller."""
        return {name: names for output in self._outputs for name, names in output.others().items()}


class _TopicOutput:
    """A controller's topic."""

    def __init__(self, node: Any, controller: ControllerInterface) -> None:
        self.controller = controller
        self._node = node
        self._publisher = node.create_publisher(JointTrajectory, controller.name, qos.reliable(_DEPTH))
        self.name = str(self._publisher.topic_name)

    def close(self) -> None:
        """Nothing: the publisher belongs to the node."""

    def send(self, trajectory: TrajectoryRecord) -> None:
        self._publisher.publish(joint_trajectory_message(trajectory))

    def listeners(self) -> int:
        """Count subscribers, but for recorders, viewers and the like: hearing a command is not executing it."""
        infos = self._node.get_subscriptions_info_by_topic(self.name)
        observers = sum(1 for info in infos if moves_nothing(info.node_name))
        return max(0, int(self._publisher.get_subscription_count()) - observers)

    def others(self) -> dict[str, list[str]]:
        found = {self.name: other_publishers(self._node, self.name)}
        if self.name.endswith("/joint_trajectory"):
            # A JointTrajectoryController takes goals of an action, too.
            action = beside(self.name, "follow_joint_trajectory")
            found[action] = other_action_clients(self._node, action)
        return found


@dataclass
class _Goal:
    """The newest goal of an action."""

    sent: float
    answered: bool = False
    ended: bool = False


class _ActionOutput:
    """A controller's action. A new goal takes the place of the one before, whose end is then of no interest."""

    def __init__(
        self,
        node: Any,
        controller: ControllerInterface,
        goals: _Goals,
        on_event: Callable[[str], None],
        on_note: Callable[[str], None],
        answer_timeout: float,
    ) -> None:
        self.controller = controller
        self.name = str(node.resolve_topic_name(controller.name))
        self._node, self._goals, self._on_event, self._on_note = node, goals, on_event, on_note
        self._answer_timeout = answer_timeout
        self._client = ActionClient(node, goals.action, self.name)
        self._goal: _Goal | None = None
        self._missed = False
        node.create_timer(_WATCH_PERIOD_S, self._watch, clock=steady_clock())

    def close(self) -> None:
        """Let go of the action."""
        self._client.destroy()

    def send(self, trajectory: TrajectoryRecord) -> None:
        goal_message = self._goals.goal(trajectory, joint_trajectory_message(trajectory))
        if goal_message is None:
            return
        if not self._client.server_is_ready():
            self._goals.forget()
            if not self._missed:
                self._missed = True
                self._event("is not there: nothing takes a goal")
            return
        self._missed = False
        self._goal = goal = _Goal(time.monotonic())
        self._client.send_goal_async(goal_message).add_done_callback(partial(self._on_answer, goal))

    def listeners(self) -> int:
        return int(self._client.server_is_ready())

    def others(self) -> dict[str, list[str]]:
        found = {self.name: other_action_clients(self._node, self.name)}
        follows = self.controller.interface is Interface.FOLLOW_JOINT_TRAJECTORY
        if follows and self.name.endswith("/follow_joint_trajectory"):
            # A JointTrajectoryController listens on a topic, too.
            topic = beside(self.name, "joint_trajectory")
            found[topic] = other_publishers(self._node, topic)
        return found

    def _event(self, what: str) -> None:
        self._on_event(f"controller {self.controller.controller} ({self.name}) {what}")

    def _watch(self) -> None:
        goal = self._goal
        if goal is None or goal.ended:
            return
        if not self._client.server_is_ready():
            self._missed = True
            self._end(goal, "went away during a goal")
        elif not goal.answered and time.monotonic() - goal.sent > self._answer_timeout:
            self._end(goal, f"did not answer a goal within {self._answer_timeout:g} s")

    def _end(self, goal: _Goal, event: str) -> None:
        goal.ended = True
        if goal is self._goal and event:
            self._goals.forget()
            self._event(event)

    def _on_answer(self, goal: _Goal, future: Any) -> None:
        handle = future.result()
        if handle is None or goal.ended:
            return
        goal.answered = True
        if not handle.accepted:
            self._end(goal, "rejected a goal")
            return
        handle.get_result_async().add_done_callback(partial(self._on_result, goal))

    def _on_result(self, goal: _Goal, future: Any) -> None:
        answer = future.result()
        if answer is None or goal.ended or goal is not self._goal:
            return
        if answer.status == GoalStatus.STATUS_CANCELED:
            self._end(goal, "cancelled a goal that the guard did not take back")
            return
        problem = self._goals.problem(answer.status == GoalStatus.STATUS_SUCCEEDED, answer.result)
        if problem and self.controller.is_gripper:
            goal.ended = True
            self._on_note(f"controller {self.controller.controller} ({self.name}) {problem}")
        else:
            self._end(goal, problem)


class _Goals:
    """Makes the goals of one kind of action and reads their results."""

    def __init__(self, controller: ControllerInterface, max_effort: float) -> None:
        self.action = action_type(controller.interface)
        self._controller = controller
        self._max_effort = max_effort
        self._target = math.nan

    def goal(self, trajectory: TrajectoryRecord, message: Any) -> Any:
        """Return the goal for a trajectory of the controller's joints; None where nothing new is to be done."""
        return self.action.Goal(trajectory=message)

    def forget(self) -> None:
        """Forget what was asked for: it is not being done."""
        self._target = math.nan

    def problem(self, succeeded: bool, result: Any) -> str:
        """Return what went wrong with a goal that has ended; empty when nothing did."""
        code = int(result.error_code)
        if succeeded and code == 0:
            return ""
        text = f": {result.error_string[:200]}" if result.error_string else ""
        return f"gave up a goal, {_FOLLOW_ERRORS.get(code, 'error')} ({code}){text}"


class _GripperGoals(_Goals):
    """Where the gripper is to be at the trajectory's end; on its way there it has its own speed."""

    def goal(self, trajectory: TrajectoryRecord, message: Any) -> Any:
        target = float(trajectory.positions[-1, 0])
        if abs(target - self._target) <= _GRIPPER_STEP:
            return None
        self._target = target
        return self._goal(target)

    def _goal(self, target: float) -> Any:
        goal = self.action.Goal()
        goal.command.position = target
        goal.command.max_effort = self._max_effort
        return goal

    def problem(self, succeeded: bool, result: Any) -> str:
        if succeeded and result.reached_goal:
            return ""
        return "stalled before its goal" if result.stalled else "did not reach its goal"


class _ParallelGripperGoals(_GripperGoals):
    def _goal(self, target: float) -> Any:
        effort = [self._max_effort] if self._max_effort else []
        return self.action.Goal(
            command=JointState(name=list(self._controller.joints), position=[target], effort=effort)
        )


_GOALS: Mapping[Interface, type[_Goals]] = {
    Interface.FOLLOW_JOINT_TRAJECTORY: _Goals,
    Interface.GRIPPER_COMMAND: _GripperGoals,
    Interface.PARALLEL_GRIPPER_COMMAND: _ParallelGripperGoals,
}


def action_type(interface: Interface) -> Any:
    """Return control_msgs' action of that name.

    Raises:
        ConfigError: control_msgs is not installed, or too old to have it.
    """
    try:
        from control_msgs import action
    except ImportError as error:
        raise ConfigError(
            f"{interface.value} needs the package control_msgs, which cannot be imported ({error})",
            where="argument controllers",
            hint=CONTROL_MSGS_HINT,
        ) from None
    found = getattr(action, interface.value, None)
    if found is None:
        raise ConfigError(f"control_msgs is too old for {interface.value}", where="argument controllers")
    return found


def other_publishers(node: Any, topic: str) -> list[str]:
    """Return the full names of other nodes that publish on a topic, sorted."""
    me = (node.get_name(), node.get_namespace())
    owners = [(info.node_name, info.node_namespace) for info in node.get_publishers_info_by_topic(topic)]
    strangers = [full_name(name, space) for name, space in owners if (name, space) != me]
    own = sum(1 for publisher in node.publishers if publisher.topic_name == topic)
    return sorted([*strangers, *([f"another {me[0]}"] * max(0, owners.count(me) - own))])


def other_types(node: Any, topic: str, type_name: str) -> list[str]:
    """Return a line for each publisher of a topic that cannot be heard, for it publishes another type."""
    return sorted(
        f"{full_name(info.node_name, info.node_namespace)} publishes {topic} as {info.topic_type}, not {type_name}: it "
        "is not heard"
        for info in node.get_publishers_info_by_topic(topic)
        if info.topic_type != type_name
    )


def other_action_clients(node: Any, action: str) -> list[str]:
    """Return the full names of other nodes that are clients of an action, sorted."""
    me = (node.get_name(), node.get_namespace())
    strangers = []
    for name, space in node.get_node_names_and_namespaces():
        if (name, space) == me:
            continue
        try:
            clients = get_action_client_names_and_types_by_node(node, name, space)
        except Exception:  # noqa: S112 - rclpy raises several types for a node that has just gone
            continue
        if any(client == action for client, _ in clients):
            strangers.append(full_name(name, space))
    return sorted(strangers)


def full_name(name: str, namespace: str) -> str:
    """Return a node's full name; its endpoints may be discovered a moment before their node is."""
    return "a node whose name is not known yet" if "UNKNOWN" in name else f"{namespace.rstrip('/')}/{name}"
