"""How a robot's controllers are reached: the ``controllers`` argument of launch files and of the guard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from cosmos_ros.errors import ConfigError
from cosmos_ros.named_values import comma_separated, named_values

FORM = "controller=/topic or controller=ACTION:/action"
CONTROL_MSGS_HINT = "Install it (apt install ros-$ROS_DISTRO-control-msgs), or give the controller's topic."
# A relative, private or absolute ROS name.
_NAME = re.compile(r"~?/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*")


class Interface(str, Enum):
    """What a controller is sent.

    Attributes:
        TOPIC: ``trajectory_msgs/JointTrajectory`` messages.
        FOLLOW_JOINT_TRAJECTORY: Goals of control_msgs' action of that name.
        GRIPPER_COMMAND: Goals with one position and the largest effort.
        PARALLEL_GRIPPER_COMMAND: Goals with a joint state.
    """

    TOPIC = "topic"
    FOLLOW_JOINT_TRAJECTORY = "FollowJointTrajectory"
    GRIPPER_COMMAND = "GripperCommand"
    PARALLEL_GRIPPER_COMMAND = "ParallelGripperCommand"


def beside(name: str, other: str) -> str:
    """Return the name of what a controller offers beside one of its topics or actions: ``/arm/x`` → ``/arm/other``."""
    place, slash, _ = name.rpartition("/")
    return f"{place}{slash}{other}"


_GRIPPERS = (Interface.GRIPPER_COMMAND, Interface.PARALLEL_GRIPPER_COMMAND)


@dataclass(frozen=True)
class ControllerInterface:
    """One controller.

    Attributes:
        controller: Its name in the embodiment: the ``topic`` of its entry in ``robot.controllers``.
        joints: Joints it takes, in its order.
        interface: What it is sent.
        name: Topic or action it listens on.
    """

    controller: str
    joints: tuple[str, ...]
    interface: Interface
    name: str

    @property
    def is_gripper(self) -> bool:
        """Whether it takes one position a goal in place of trajectories."""
        return self.interface in _GRIPPERS

    @property
    def sent_topic(self) -> str:
        """Topic, as the guard names it, on which it says what it sent, and when that begins."""
        return f"~/sent/{self.controller}"


def parse_controllers(text: str, controllers: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[ControllerInterface, ...]:
    """Return how each controller of an embodiment is reached; one that the text leaves out, on its own topic.

    Args:
        text: Comma-separated pairs: ``joint_trajectory=/arm_controller/joint_trajectory`` for a topic,
            ``gripper_trajectory=GripperCommand:/gripper/gripper_cmd`` for an action.
        controllers: (topic, joint names) of each, as :attr:`Embodiment.controllers` lists them.

    Raises:
        ConfigError: A pair is malformed, a controller unknown or given twice, two controllers share one name, or a
            gripper action is given for several joints.
    """
    where = "argument controllers"
    names = [topic for topic, _ in controllers]
    given = named_values(comma_separated(text), where=where, form=FORM, names=names)
    found = []
    for topic, joints in controllers:
        kind, colon, name = given.get(topic, topic).partition(":")
        if not colon:
            kind, name = Interface.TOPIC.value, kind
        try:
            interface = Interface(kind.strip())
        except ValueError:
            actions = ", ".join(one.value for one in Interface if one is not Interface.TOPIC)
            raise ConfigError(f"{topic}={given[topic]}: {kind!r} is not one of {actions}", where=where) from None
        one = ControllerInterface(topic, tuple(joints), interface, name.strip())
        if not _NAME.fullmatch(one.name):
            raise ConfigError(f"{topic}={given.get(topic, topic)}: {one.name!r} is not a ROS name", where=where)
        if one.is_gripper and len(joints) != 1:
            raise ConfigError(
                f"{topic}={given[topic]}: {kind} takes one joint, the controller has {', '.join(joints)}", where=where
            )
        found.append(one)
    for one in found:
        same = [other.controller for other in found if other.name.lstrip("/") == one.name.lstrip("/")]
        if len(same) > 1:
            raise ConfigError(f"{', '.join(same)} all go to {one.name}", where=where)
    return tuple(found)
