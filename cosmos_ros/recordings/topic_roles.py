"""What a recorded topic is to a running system: something that nodes hear, their own output, or a command."""

from __future__ import annotations

import re
from enum import Enum

# Names of this package's nodes that publish while they run beside a replay.
LIVE_NODES = frozenset({"predictor", "guard", "visualizer", "rerun_viewer"})
# Names of nodes that hear commands and move nothing, and how the names begin of those that add a number of their own.
_OBSERVERS = LIVE_NODES | {"cosmos_ros_recorder", "rosbag2_recorder", "foxglove_bridge", "rosbridge_websocket"}
_OBSERVERS_BEGIN = ("_ros2cli_", "rqt_", "rviz", "plotjuggler")


def moves_nothing(node_name: str) -> bool:
    """Return whether a node of this name, though it hears what controllers are sent, is known to move nothing."""
    return node_name in _OBSERVERS or node_name.startswith(_OBSERVERS_BEGIN)


class Role(Enum):
    """What a topic is.

    Attributes:
        INPUT: Sensors, instruction, transforms, time and whatever is neither of the others.
        OUTPUT: What the nodes of this package, or ROS itself, publish while they run.
        COMMAND: What moves a robot, or lets it move.
    """

    INPUT = "input"
    OUTPUT = "output of live nodes"
    COMMAND = "command"


# Commands by their type, whatever the topic is called.
_COMMAND_TYPES = re.compile(
    r"^(trajectory_msgs/msg/\w+|std_msgs/msg/Float(32|64)MultiArray|geometry_msgs/msg/(Twist|TwistStamped|Wrench))$"
    r"|/\w*(Command|Cmd|Setpoint|Goal|Target|Trajectory|Jog|Joy|Drive)(?![a-z])(?!\w*(State|Status|Feedback|Result))"
)
# Commands by their name, of the types that commands and measurements share (JointState, Float64, PoseStamped, Bool).
# A recorded e-stop counts: its "released" must not contradict a button that is pressed now.
_COMMAND_NAMES = re.compile(
    r"(^|[/_])(command|cmd|setpoint|goal|target|reference|trajector(y|ies)|jog|e_?stop)s?([/_]|$)"
)
# Types that only ever show or measure; a camera may be called target.
_NEVER_COMMANDS = re.compile(
    r"^(sensor_msgs/msg/(?!JointState$)|visualization_msgs/|tf2_msgs/|rosgraph_msgs/|diagnostic_msgs/)"
)
_OUTPUT_TYPES = re.compile(r"^(diagnostic_msgs|rcl_interfaces|lifecycle_msgs|action_msgs)/msg/|_Event$")
_OUTPUT_NAMES = re.compile(
    r"/(provenance|action_poses|inferred_poses|would_send|verdict|verdict_json|(rollout|next_state)/\w+(/compressed)?)$"
)


def role_of(name: str, type_name: str) -> Role:
    """Return what a recorded topic is.

    Commands are known by their types first, so that neither a remapping nor a namespace hides one.

    Args:
        name: Absolute topic name.
        type_name: E.g. ``trajectory_msgs/msg/JointTrajectory``.
    """
    if _COMMAND_TYPES.search(type_name):
        return Role.COMMAND
    *folders, _ = parts = name.strip("/").split("/")
    # A namespace may be called anything; the command stands in the last two parts, as in gripper/command/position.
    if not _NEVER_COMMANDS.match(type_name) and _COMMAND_NAMES.search("/".join(parts[-2:])):
        return Role.COMMAND
    from_node = LIVE_NODES.intersection(folders) or "_action" in folders
    if from_node or _OUTPUT_NAMES.search(f"/{'/'.join(parts)}") or _OUTPUT_TYPES.search(type_name):
        return Role.OUTPUT
    return Role.INPUT
