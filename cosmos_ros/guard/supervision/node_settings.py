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

    embodiment: str = setting("franka", "Shipped embodiment or path of its YAML file.", read_only=True)
    cameras: str = setting(
        "",
        "Comma-separated view=topic pairs as the predictor has them; empty: every view at <view>/image_raw. The "
        "camera_info beside each is watched, once there is one.",
        read_only=True,
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
