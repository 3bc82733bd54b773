"""The arguments of each bring-up, and the reading of their values."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from cosmos_ros.errors import ConfigError
from cosmos_ros.settings import Setting, declared

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
BOOLEANS = ("true", "false")
SCENES = ("plain", "varied")
VIEWERS = ("none", "rerun", "markers")
RERUN_OUTPUTS = ("window", "web", "connect", "file")
ON_EXIT = ("shutdown", "respawn")


@dataclass(frozen=True)
class Argument:
    """One launch argument. ``choices`` empty means any text."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


def _embodiments() -> tuple[str, ...]:
    from cosmos_ros.embodiment import list_embodiments

    return tuple(list_embodiments())


def _world_models() -> tuple[str, ...]:
    from cosmos_ros.world_models import world_model_names

    return tuple(world_model_names())


def _image_conversion() -> Setting:
    from cosmos_ros.messages.cv_bridge_images import ImageConversion

    (one,) = declared(ImageConversion)
    return one


def common_arguments() -> list[Argument]:
    """Return the arguments that every bring-up has."""
    return [
        Argument("namespace", "", "Namespace of all nodes and relative topics."),
        Argument("use_sim_time", "false", "Take the time from /clock.", BOOLEANS),
        Argument("log_level", "info", "Least severity that is logged.", LOG_LEVELS),
        Argument(
            "on_exit",
            "shutdown",
            "When a node ends: shutdown ends the others too, respawn starts it again (the guard then is disarmed).",
            ON_EXIT,
        ),
        Argument("rviz", "false", "Open RViz with the shipped view of cameras, rollout, paths and robot.", BOOLEANS),
        Argument(
            "viewer",
            "none",
            "rerun: show everything in Rerun (rerun_output says where). "
            "markers: publish robot, paths and violations for RViz or Foxglove elsewhere (rviz:=true implies it).",
            VIEWERS,
        ),
        Argument(
            "rerun_output",
            "window",
            "With viewer:=rerun: see the parameters of config/rerun_viewer.yaml.",
            RERUN_OUTPUTS,
        ),
    ]


def model_arguments(*, embodiment: str = "franka", world_model: str = "flow", dry_run: str = "false") -> list[Argument]:
    """Return the arguments that choose robot, world model, cameras and what is let through."""
    return [
        Argument("embodiment", embodiment, f"Shipped embodiment ({', '.join(_embodiments())}) or path of a YAML file."),
        Argument("world_model", world_model, "World model that predicts.", _world_models()),
        Argument("model", "", "Checkpoint directory, hub id or server address of the world model."),
        Argument("model_options", "", "Comma-separated option=value pairs of the world model, e.g. device=cuda:1."),
        Argument(
            "cameras",
            "",
            "Comma-separated view=topic pairs, e.g. wrist=/wrist_cam/image_raw. Views that are left out are black. "
            "Empty: every view of the embodiment at <view>/image_raw.",
        ),
        Argument("image_converter", "auto", _image_conversion().help, _image_conversion().choices),
        Argument("dry_run", dry_run, "Never let the guard be armed: it only says what it would have sent.", BOOLEANS),
        Argument("e_stop", "", "Topic of the emergency stop (std_msgs/Bool). Empty: e_stop."),
        Argument("speed_scaling", "", "Topic of the robot's speed slider (std_msgs/Float64, %). Empty: speed_scaling."),
        Argument("params_file", "", "YAML file with parameters that override the shipped ones."),
    ]


def robot_arguments() -> list[Argument]:
    """Return the arguments that say where the robot is."""
    return [
        Argument(
            "controllers",
            "",
            "Comma-separated pairs for the controllers of the embodiment: controller=/topic, or "
            "controller=ACTION:/action with FollowJointTrajectory, GripperCommand or ParallelGripperCommand, e.g. "
            "joint_trajectory=/joint_trajectory_controller/joint_trajectory. Empty: the embodiment's own topics.",
        ),
        Argument("joint_states", "", "Topic of the joint states. Empty: joint_states."),
        Argument(
            "instruction", "", "Text of the task, or, where it begins with /, the topic that brings it. "
            "Empty: the topic instruction.",
        ),
        Argument(
            "robot_description",
            "",
            "Topic of the robot's own URDF, e.g. /robot_description, or its path: compared with the embodiment, the "
            "tighter limits and the robot's calibration hold. Empty: the embodiment alone.",
        ),
    ]  # fmt: skip


def predict_arguments() -> list[Argument]:
    """Return the arguments of predict.launch.py."""
    return [*model_arguments(), *robot_arguments(), *common_arguments()]


def demo_arguments() -> list[Argument]:
    """Return the arguments of demo.launch.py."""
    return [
        *model_arguments(world_model="expert"),
        Argument("task", "put the red cube on the green pad", "Instruction; the simulator watches whether it is done."),
        Argument("arm", "false", "Arm the guard as soon as it may be; only the simulated robot is moved.", BOOLEANS),
        Argument("seed", "0", "Seed of the simulated scene."),
        Argument("image_width", "320", "Width of the simulated cameras' images in pixels."),
        Argument("image_height", "0", "Their height; 0: as the embodiment's cameras have it for the width."),
        Argument("scene", "plain", "varied: the task's objects among others; colours and light of the seed.", SCENES),
        *common_arguments(),
    ]


def replay_arguments() -> list[Argument]:
    """Return the arguments of replay.launch.py."""
    return [
        Argument("bag", "", "rosbag2 directory or file to play into the live nodes."),
        Argument("rate", "1.0", "Playback rate."),
        Argument("loop", "false", "Start again at the end.", BOOLEANS),
        Argument(
            "include_commands",
            "false",
            "Play also recorded commands and outputs of the live nodes; refused while a controller listens.",
            BOOLEANS,
        ),
        *model_arguments(dry_run="true"),
        *robot_arguments(),
        *[a for a in common_arguments() if a.name != "use_sim_time"],
        Argument("use_sim_time", "true", "Take the time from the bag's /clock.", BOOLEANS),
    ]


def resolve(arguments: list[Argument], given: Mapping[str, str]) -> dict[str, str]:
    """Return every argument's value, checked.

    Raises:
        ConfigError: An unknown argument or a value that is not among the choices.
    """
    known = {argument.name: argument for argument in arguments}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"argument {name} is not known" + (f"; meant {near[0]}?" if near else "")
                + f" Known are: {', '.join(known)}", where="launch",
            )  # fmt: skip
        choices = known[name].choices
        if choices and value not in choices:
            raise ConfigError(f"argument {name}:={value} is not one of: {', '.join(choices)}", where="launch")
    return {name: given.get(name, argument.default) for name, argument in known.items()}


def whole_number(values: Mapping[str, str], name: str) -> int:
    """Return an argument as a whole number; ConfigError when it is none."""
    try:
        return int(values[name])
    except ValueError:
        raise ConfigError(f"argument {name}:={values[name]} is not a whole number", where="launch") from None
