"""From a prediction's trajectory, late by the model's latency, to one that the robot can go over to now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.limits import JointLimit
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.executing import ExecutingMotion
from cosmos_ros.trajectory.splice import MotionState, splice
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

# A standing arm trembles by less than this: rad (or m), and per second.
_AT_START = 0.01
_AT_REST = 0.02


@dataclass(frozen=True)
class JoinSettings(DeclaredSettings):
    """How a new trajectory takes over from the motion being executed."""

    join_lead: float = setting(
        0.05, "How far in the future a trajectory joins the executed motion: the way to the controller takes time",
        unit="s", minimum=0.0, maximum=1.0,
    )  # fmt: skip
    blend_time: float = setting(
        0.3, "Shortest time in which a new trajectory takes over from the old", unit="s", minimum=0.02, maximum=5.0
    )
    blend_acceleration: float = setting(
        0.4, "Share of the acceleration limits that taking over may use.", minimum=0.01, maximum=1.0
    )
    tracking_tolerance: float = setting(
        0.1, "Join the commanded motion while the arm is this close to it", unit="rad or m", minimum=0.0, maximum=3.0
    )
    shift_from_rest: bool = setting(
        True,
        "While the arm rests where it was observed, no time has passed for the plan: it starts from its first step. A "
        "model whose answer takes longer than its chunk lasts can only work so.",
    )

    @property
    def lead_ns(self) -> int:
        """``join_lead`` in nanoseconds."""
        return round(self.join_lead * NANOSECONDS)

    @property
    def blend_ns(self) -> int:
        """``blend_time`` in nanoseconds."""
        return round(self.blend_time * NANOSECONDS)


@dataclass(frozen=True)
class Joined:
    """A joined trajectory, or why there is none; ``record`` is JSON-serialisable and says what it took."""

    trajectory: JointTrajectory | None
    record: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """Why there is no trajectory; empty when there is one."""
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
        # With these, and what was being executed, a recording of the inputs gives the same join again.
        known = {
            "now_ns": now_ns,
            "measured_stamp_ns": measured.stamp_ns,
            "executing_stamps_ns": {name: sent.stamp_ns for name, sent in self.executing.sent.items()},
        }
        current, followed = self.executing.at(join_ns, measured, settings.tracking_tolerance)
        shifted = settings.shift_from_rest and self._rests_at_start(trajectory, current, measured)
        if shifted:
            trajectory = replace(trajectory, stamp_ns=join_ns)
        accelerations = np.array([self._limits[name].acceleration for name in trajectory.joint_names])
        result = splice(
            trajectory,
            current,
            join_ns,
            settings.blend_ns,
            settings.blend_acceleration * accelerations,
            monotone=self._gripper_joints,
        )
        if result is None:
            late = (join_ns - trajectory.stamp_ns) / NANOSECONDS
            reason = f"the prediction came {late:.2f} s after its observation, past its last step"
            return Joined(None, {**known, "held": reason})
        record = {
            **known,
            "stamp_ns": join_ns,
            "dropped_steps": result.dropped_steps,
            "error": result.join_error,
            "follows": list(followed),
            "shifted": shifted,
        }
        return Joined(result.trajectory, record)

    def _rests_at_start(self, trajectory: JointTrajectory, current: MotionState, measured: JointState) -> bool:
        """Whether the arm (grippers aside) stands still, by command and measurement, where the plan begins."""
        arm = [name for name in trajectory.joint_names if name not in self._gripper_joints]
        wanted = np.array([trajectory.positions[0, trajectory.joint_names.index(name)] for name in arm])
        order = [current.joint_names.index(name) for name in arm]
        seen = () if measured.velocities is None else measured.velocities[[measured.names.index(name) for name in arm]]
        return bool(
            np.max(np.abs(current.positions[order] - wanted)) < _AT_START
            and np.max(np.abs(current.velocities[order])) < _AT_REST
            and all(abs(rate) < _AT_REST for rate in seen)
        )
