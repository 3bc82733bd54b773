"""The guard node's own settings; its parameters are these, the guard's and the supervisor's."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.guard import GuardSettings
from cosmos_ros.guard.supervision.supervisor_states import SupervisorSettings
from cosmos_ros.settings import Setting, declared, setting


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


def parameters() -> tuple[Setting, ...]:
    """Return the declarations of all parameters of the node."""
    return (*declared(GuardNodeSettings, SupervisorSettings), *GuardSettings.declared())
