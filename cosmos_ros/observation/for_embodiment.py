"""The synchroniser that an embodiment and a world model need: the same for the live node and for a recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cosmos_ros.observation.sync_settings import SynchroniserSettings, Timing
from cosmos_ros.observation.synchroniser import Synchroniser
from cosmos_ros.types import NANOSECONDS

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment


def synchroniser_for(
    embodiment: Embodiment,
    cameras: Mapping[str, str],
    timing: Timing,
    *,
    scene: bool = False,
    instruction: str = "",
) -> Synchroniser:
    """Return a fresh synchroniser.

    Args:
        embodiment: Says which joints are needed and how long a control step is.
        cameras: View → topic, for the views that have a camera; the first is the reference.
        timing: Tolerances, gates, waiting time and rate.
        scene: Whether object poses are needed.
        instruction: Task text until one arrives.
    """
    return Synchroniser(
        list(cameras),
        joints=embodiment.all_joints if embodiment.has_joints else (),
        scene=scene,
        instruction=instruction,
        bounds=embodiment.limits.joints if embodiment.has_joints else None,
        names={f"image:{view}": f"camera {view} ({topic})" for view, topic in cameras.items()},
        settings=SynchroniserSettings(
            image_tolerance_ns=_ns(timing.image_tolerance),
            joint_tolerance_ns=_ns(timing.joint_tolerance),
            image_max_age_ns=_ns(timing.max_image_age),
            joint_max_age_ns=_ns(timing.max_joint_age),
            wait_ns=_ns(timing.sync_wait),
            period_ns=_ns(1.0 / timing.prediction_rate),
            step_ns=_ns(1.0 / embodiment.fps),
        ),
    )


def _ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
