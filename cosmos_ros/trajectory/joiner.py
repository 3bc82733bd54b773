"""From a prediction's trajectory, late by the model's latency, to one that the robot can go over to now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_ros.limits import JointLimit
from cosmos_ros.trajectory.executing import ExecutingMotion
from cosmos_ros.trajectory.splice import splice
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory


@dataclass(frozen=True)
class JoinSettings:
    """How trajectories take over.

    Attributes:
        lead_ns: How far ahead of now they join the executed motion: the way to the controller takes time.
        blend_ns: Shortest time of taking over.
        acceleration_share: Share of the acceleration limits that taking over may use.
        tracking_tolerance: Join the commanded motion while the arm is this close to it, rad or m.
    """

    lead_ns: int
    blend_ns: int
    acceleration_share: float
    tracking_tolerance: float


@dataclass(frozen=True)
class Joined:
    """A joined trajectory, or why there is none; ``record`` is JSON-serialisable and says what it took."""

    trajectory: JointTrajectory | None
    record: Mapping[str, Any]

    @property
    def held(self) -> str:
        """Why nothing is published; empty when something is."""
        return str(self.record.get("held", ""))


class Joiner:
    """Knows what the controllers execute, and joins trajectories to it."""

    def __init__(self, limits: Mapping[str, JointLimit], gripper_joints: Collection[str]) -> None:
        self.executing = ExecutingMotion()
        self._limits = limits
        self._gripper_joints = frozenset(gripper_joints)

    def join(
        self, trajectory: JointTrajectory, now_ns: int, measured: JointState | None, settings: JoinSettings
    ) -> Joined:
        """Drop the steps that have passed and join the rest to the executed motion."""
        if measured is None:
            return Joined(None, {"held": "there is no joint state to join"})
        join_ns = now_ns + settings.lead_ns
        current, followed = self.executing.at(join_ns, measured, settings.tracking_tolerance)
        accelerations = np.array([self._limits[name].acceleration for name in trajectory.joint_names])
        result = splice(
            trajectory,
            current,
            join_ns,
            settings.blend_ns,
            settings.acceleration_share * accelerations,
            monotone=self._gripper_joints,
        )
        if result is None:
            late = (join_ns - trajectory.stamp_ns) / NANOSECONDS
            return Joined(None, {"held": f"the prediction came {late:.2f} s after its observation, past its last step"})
        record = {
            "stamp_ns": join_ns,
            "dropped_steps": result.dropped_steps,
            "error": result.join_error,
            "follows": list(followed),
        }
        return Joined(result.trajectory, record)
