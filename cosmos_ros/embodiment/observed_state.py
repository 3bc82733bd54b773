"""What an observation says about the tools and the grippers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosmos_ros.embodiment.robot import check_position, read_joints
from cosmos_ros.errors import InputError
from cosmos_ros.se3 import check_poses
from cosmos_ros.types import FloatArray, JointState, Observation

if TYPE_CHECKING:
    from cosmos_ros.embodiment.adapter import Embodiment

# Fingers rest a little beyond their nominal ends; a gripper in another unit lies far beyond.
OPENING_SLACK = 0.15


def tool_poses(embodiment: Embodiment, source: Observation | JointState) -> dict[str, FloatArray]:
    """Return tool link → pose ``float64 [4, 4]``; see ``Embodiment.tool_poses``."""
    if embodiment.robot is None:
        tracked = source.tool_poses if isinstance(source, Observation) else {}
        missing = [link for link in embodiment.tool_links if link not in tracked]
        if missing:
            raise InputError(
                f"poses of {', '.join(missing)} are missing; there are {', '.join(tracked) or 'none'}",
                where="tool_poses",
                hint=f"Embodiment {embodiment.name} has no joints: publish its tool poses.",
            )
        return {link: check_poses(tracked[link], f"tool_poses[{link}]") for link in embodiment.tool_links}
    joints = read_joints(_joints(source), embodiment.joint_names, embodiment.limits)
    return {link: embodiment.robot.fk(joints, link) for link in embodiment.tool_links}


def gripper_openings(embodiment: Embodiment, source: Observation | JointState) -> dict[str, float]:
    """Return gripper → opening of the grippers that are observed; see ``Embodiment.gripper_openings``."""
    openings: dict[str, float] = {}
    state = source.joints if isinstance(source, Observation) else source
    widths = source.gripper_widths if isinstance(source, Observation) else {}
    for name, gripper in embodiment.spec.grippers.items():
        joint = embodiment.gripper_joints.get(name)
        if name in widths and gripper.width is not None:
            opening = (float(widths[name]) - gripper.width.closed) / (gripper.width.open - gripper.width.closed)
            check_opening(name, opening, f"{widths[name]:g} m", f"gripper_widths[{name}]")
        elif joint is not None and state is not None and joint.joint in state.names:
            position = state.position_of(joint.joint)
            check_position(joint.joint, position, embodiment.limits.joints.get(joint.joint), "joint_states")
            opening = float(joint.fraction(position))
            check_opening(name, opening, f"{joint.joint} at {position:g}", "joint_states")
        else:
            continue
        openings[name] = min(1.0, max(0.0, opening))
    return openings


def check_opening(name: str, opening: float, given: str, where: str) -> None:
    """Refuse an opening that lies far outside 0 (closed) to 1 (open); raises InputError."""
    if not -OPENING_SLACK <= opening <= 1.0 + OPENING_SLACK:
        raise InputError(
            f"gripper {name} ({given}) is an opening of {opening:.3g}, outside 0 (closed) to 1 (open)",
            where=where,
            hint="Check its unit and the gripper's range in the embodiment file.",
        )


def _joints(source: Observation | JointState) -> JointState:
    state = source.joints if isinstance(source, Observation) else source
    if state is None:
        raise InputError("there is no joint state", where="joint_states", hint="Check the joint_states topic.")
    return state
