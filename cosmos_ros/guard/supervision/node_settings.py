"""The parameters of the guard node: its own, the guard's and the supervisor's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.supervision.supervisor_states import SupervisorSettings
from cosmos_ros.observation.measured_state import JointStateSettings
from cosmos_ros.settings import Setting, Value, declared, read_parameters_file, setting
from cosmos_ros.trajectory.following import FollowingSettings


@dataclass(frozen=True)
class GuardNodeSettings:
    """What the node needs to know besides how to judge."""

    autostart: bool = setting(True, "Configure and activate at start-up without a lifecycle manager.", read_only=True)
    embodiment: str = setting("franka", "Shipped embodiment or path of its YAML file.", read_only=True)
    robot_description: str = setting(
        "",
        "The robot's own URDF: topic, path (.urdf, .xml) or text. The tighter of its limits and the embodiment's hold, "
        "and its kinematics; empty: the embodiment alone.",
        read_only=True,
    )
    cameras: str = setting(
        "",
        "Comma-separated view=topic pairs as the predictor has them; empty: every view at <view>/image_raw. The "
        "camera_info beside each is watched, once there is one.",
        read_only=True,
    )
    controllers: str = setting(
        "",
        "Comma-separated controller=/topic pairs for the embodiment's controllers, or controller=ACTION:/action with "
        "FollowJointTrajectory, GripperCommand or ParallelGripperCommand; left out: the embodiment's topics.",
        read_only=True,
    )
    controller_timeout: float = setting(
        0.5, "How long a controller may take to accept an action's goal", unit="s", minimum=0.01, maximum=60.0,
        read_only=True,
    )  # fmt: skip
    gripper_max_effort: float = setting(
        0.0, "Largest effort in goals of gripper actions; 0 leaves it to the gripper", unit="N or Nm", minimum=0.0,
        maximum=1000.0, read_only=True,
    )  # fmt: skip
    arm_when_ready: bool = setting(
        False, "Arm once, as soon as nothing speaks against it; for simulated robots.", read_only=True
    )
    tick_rate: float = setting(
        50.0, "How often liveness is looked at", unit="1/s", minimum=10.0, maximum=500.0, read_only=True
    )


def guard_parameters() -> tuple[Setting, ...]:
    """Return the declarations of all parameters of the node."""
    own = declared(GuardNodeSettings, SupervisorSettings, FollowingSettings, JointStateSettings)
    return (*own, *GuardSettings.declared())


def read_guard_parameters(path: Path) -> dict[str, Value]:
    """Return what a parameter file gives the guard node, by name.

    Raises:
        ConfigError: See ``cosmos_ros.settings.read_parameters_file``.
    """
    return read_parameters_file(path, "guard", guard_parameters())
