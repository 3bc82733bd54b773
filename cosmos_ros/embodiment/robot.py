"""The robot behind an embodiment: model, limits with their sources, gripper joints, posture checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import degrees, inf, isfinite, pi, radians
from pathlib import Path

import numpy as np

from cosmos_ros.embodiment.spec import EmbodimentSpec
from cosmos_ros.embodiment.spec_action import PoseBlock
from cosmos_ros.embodiment.spec_robot import JointLimitSpec
from cosmos_ros.errors import ConfigError, CosmosRosError, InputError
from cosmos_ros.kinematics import GripperJoint, RobotModel
from cosmos_ros.limits import CartesianLimits, JointLimit, PositionDependentVelocity, RobotLimits
from cosmos_ros.types import JointState

# A measured joint is never this far outside its mechanical range, so such a number is in another unit.
OUTSIDE_RANGE = 0.5
# Fingers rest a little beyond their nominal ends; a gripper in another unit lies far beyond.
OPENING_SLACK = 0.15

# No joint of an arm turns three times to either side, nor as fast as this: rad (or m), and per second.
_FAR, _FAST = 6.0 * pi, 30.0


def load_robot(
    spec: EmbodimentSpec, urdf: str | Path | None, where: str, ur_calibration: str | Path | None = None
) -> RobotModel | None:
    """Return the robot model of an embodiment, checked against its file; None without a robot.

    Args:
        spec: The embodiment file.
        urdf: Path of the URDF, or XML text (``robot_description``).
        where: The file's name for messages.
        ur_calibration: Kinematics file of one particular Universal Robots arm.

    Raises:
        ConfigError: The URDF lacks a joint or link that the file names, or is itself wrong.
    """
    if spec.robot is None and urdf is not None:
        raise ConfigError(f"{spec.name} has no robot: it is tracked by tool poses alone", where="urdf")
    if spec.robot is None or urdf is None:
        if ur_calibration is not None:
            raise ConfigError(f"{spec.name} has no robot to calibrate", where="ur_calibration")
        return None
    try:
        model = RobotModel.from_urdf(urdf)
    except CosmosRosError as error:
        raise ConfigError(f"robot.urdf: {error}", where=where) from error
    if ur_calibration is not None:
        model = model.with_ur_calibration(ur_calibration)
    base = spec.robot.base_frame
    if base not in model.links:
        raise ConfigError(
            f"robot.base_frame: {base!r} is not in the URDF; take its root link, {model.root!r}, or one below it",
            where=where,
        )
    # A cell's own description has a world, a table or a pedestal above the robot.
    if model.root != base:
        model = model.rooted_at(base)
    _require(spec.robot.joints, model.joint_names, f"robot.joints below {base}", "joint", where)
    links = list(tool_links(spec))
    links += [body.link for body in spec.collision.capsules] if spec.collision else []
    links += [limit.link for limit in spec.limits.cartesian] if spec.limits else []
    _require(links, model.links, "action.layout, collision, limits.cartesian", "link", where)
    names = [*model.limits, *(joint.joint for joint in gripper_joints(spec).values())]
    _require(spec.robot.home, names, "robot.home", "joint", where)
    _require(spec.robot.nominal, names, "robot.nominal", "joint", where)
    _require(spec.limits.joints if spec.limits else (), names, "limits.joints", "joint", where)
    return model


def _require(
    wanted: Mapping[str, object] | list[str] | tuple[str, ...],
    known: tuple[str, ...] | list[str],
    field: str,
    what: str,
    where: str,
) -> None:
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{field}: the URDF has no {what} {name!r}; it has {', '.join(known)}", where=where)


def tool_links(spec: EmbodimentSpec) -> tuple[str, ...]:
    """Return the links tool poses are given for."""
    if spec.robot is not None and spec.robot.tool_links is not None:
        return tuple(spec.robot.tool_links)
    return tuple(block.pose for block in spec.action.layout if isinstance(block, PoseBlock))


def gripper_joints(spec: EmbodimentSpec) -> dict[str, GripperJoint]:
    """Return gripper name → its joint, for grippers that have one."""
    joints: dict[str, GripperJoint] = {}
    for name, gripper in spec.grippers.items():
        if gripper.joint is None or gripper.joint_range is None:
            continue
        speed = inf
        if gripper.speed is not None and gripper.width is not None:
            # Opening speed (m/s) to joint speed, by the ratio of the two strokes.
            stroke = abs(gripper.joint_range.open - gripper.joint_range.closed)
            speed = gripper.speed[1] * stroke / abs(gripper.width.open - gripper.width.closed)
        joints[name] = GripperJoint(
            joint=gripper.joint, closed=gripper.joint_range.closed, open=gripper.joint_range.open, max_velocity=speed
        )
    return joints


def robot_limits(spec: EmbodimentSpec, model: RobotModel | None, where: str) -> RobotLimits:
    """Return the limits of all joints that an embodiment commands, and of the mimic joints that follow them.

    The URDF's limits, with every number that the file gives in their place.

    Raises:
        ConfigError: A commanded joint has no position limits in either.
    """
    if spec.robot is None or model is None:
        return RobotLimits(joints={}, cartesian=_cartesian(spec))
    given = spec.limits.joints if spec.limits is not None else {}
    general = spec.limits.source if spec.limits is not None else ""
    grippers = [joint.joint for joint in gripper_joints(spec).values()]
    commanded = [*spec.robot.joints, *grippers]
    followers = [n for n, limit in model.limits.items() if limit.mimic is not None and limit.mimic.source in commanded]
    limits: dict[str, JointLimit] = {}
    for name in [*commanded, *followers]:
        limit = _merge(model.limits.get(name), given.get(name), general)
        if limit is None or (-inf in (limit.lower, -limit.upper) and not limit.continuous):
            raise ConfigError(
                f"limits.joints.{name}: neither the URDF nor this file gives its position limits", where=where
            )
        if not limit.lower < limit.upper:
            raise ConfigError(
                f"limits.joints.{name}: lower {limit.lower:g} is not below upper {limit.upper:g}, one of which is the "
                "URDF's",
                where=where,
            )
        if name in commanded:
            _check_units(name, model.limits.get(name), given.get(name), where)
        limits[name] = limit
    _check_inside(spec, limits, where)
    required = spec.limits.required_joints if spec.limits is not None else None
    return RobotLimits(
        joints=limits,
        cartesian=_cartesian(spec),
        required_joints=tuple(spec.robot.joints if required is None else required),
    )


def _check_units(name: str, urdf: JointLimit | None, given: JointLimitSpec | None, where: str) -> None:
    """Refuse numbers of a URDF that are degrees or millimetres by all appearance, unless the file repeats them.

    Raises:
        ConfigError: Such a number stands where the URDF's would hold.
    """
    if urdf is None:
        return
    bounds = (("lower", urdf.lower, _FAR), ("upper", urdf.upper, _FAR), ("velocity", urdf.velocity, _FAST))
    for field, value, most in bounds:
        if isfinite(value) and abs(value) > most and getattr(given, field, None) is None:
            raise ConfigError(
                f"limits.joints.{name}: the URDF's {field} is {value:g}: degrees or millimetres?",
                where=where,
                hint=f"Mend the URDF, or give {field} in the embodiment file (rad, m), also if the URDF is right.",
            )


def _check_inside(spec: EmbodimentSpec, limits: Mapping[str, JointLimit], where: str) -> None:
    """Refuse postures and gripper ranges that lie outside the joints' limits; raises ConfigError."""
    assert spec.robot is not None
    given = [(f"robot.home.{name}", name, value) for name, value in spec.robot.home.items()]
    given += [(f"robot.nominal.{name}", name, value) for name, value in spec.robot.nominal.items()]
    for gripper, joint in gripper_joints(spec).items():
        given += [(f"grippers.{gripper}.joint_range.closed", joint.joint, joint.closed)]
        given += [(f"grippers.{gripper}.joint_range.open", joint.joint, joint.open)]
    for field, name, value in given:
        limit = limits.get(name)
        if limit is None or limit.continuous or limit.lower - 1e-6 <= value <= limit.upper + 1e-6:
            continue
        raise ConfigError(
            f"{field}: {value:g} is outside the limits of {name}, {limit.lower:g} to {limit.upper:g}",
            where=where,
            hint="Give radians and metres.",
        )


def _merge(urdf: JointLimit | None, given: JointLimitSpec | None, general: str) -> JointLimit | None:
    if urdf is None and given is None:
        return None
    limit = urdf if urdf is not None else JointLimit()
    sources = [urdf.source if urdf is not None else ""]
    if given is not None:
        names = ("lower", "upper", "velocity", "acceleration", "jerk", "effort")
        values = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
        curve = given.position_dependent_velocity
        if curve is not None:
            values["position_dependent_velocity"] = PositionDependentVelocity(*curve.upper, *curve.lower)
        limit = replace(limit, **values)
    sources.append(given.source if given is not None and given.source else general)
    return replace(limit, source="; ".join(text for text in sources if text))


def _cartesian(spec: EmbodimentSpec) -> tuple[CartesianLimits, ...]:
    if spec.limits is None:
        return ()
    return tuple(
        CartesianLimits(
            tool_link=limit.link,
            linear_speed=limit.linear_speed or inf,
            angular_speed=limit.angular_speed or inf,
            linear_acceleration=limit.linear_acceleration or inf,
            angular_acceleration=limit.angular_acceleration or inf,
            source=limit.source or spec.limits.source,
        )
        for limit in spec.limits.cartesian
    )


def read_joints(state: JointState, names: tuple[str, ...], limits: RobotLimits) -> dict[str, float]:
    """Return joint → position (rad, m) of the named joints, checked to be plausible.

    Raises:
        InputError: A joint is missing, not finite, or so far outside its range that its unit must be wrong.
    """
    if np.shape(state.positions) != (len(state.names),) or len(set(state.names)) != len(state.names):
        raise InputError(
            f"{len(state.names)} names ({len(set(state.names))} different) with positions of shape "
            f"{list(np.shape(state.positions))}",
            where="joint_states",
        )
    values = dict(zip(state.names, state.positions.tolist(), strict=True))
    missing = [name for name in names if name not in values]
    if missing:
        raise InputError(
            f"joints {', '.join(missing)} are missing; it has {', '.join(state.names) or 'none'}",
            where="joint_states",
            hint="Check the joint names and their prefix.",
        )
    positions = {name: values[name] for name in names}
    for name, value in positions.items():
        check_position(name, value, limits.joints.get(name), "joint_states")
    return positions


def check_position(name: str, value: float, limit: JointLimit | None, where: str) -> None:
    """Refuse a position that is not finite or lies far outside the joint's range; raises InputError."""
    if not abs(value) < inf:
        raise InputError(f"joint {name} is {value}", where=where)
    if limit is None or limit.continuous or limit.lower - OUTSIDE_RANGE <= value <= limit.upper + OUTSIDE_RANGE:
        return
    message = f"joint {name} is at {value:g}, outside its range {limit.lower:g} to {limit.upper:g}"
    if limit.lower - 0.1 <= radians(value) <= limit.upper + 0.1:
        raise InputError(
            f"{message}; {value:g} degrees would be {radians(value):g} rad", where=where, hint="Give radians."
        )
    raise InputError(
        f"{message} ({degrees(limit.lower):.0f} to {degrees(limit.upper):.0f} degrees)",
        where=where,
        hint="Check the robot, the unit (rad, m) and the joint's zero.",
    )


def check_opening(name: str, opening: float, given: str, where: str) -> None:
    """Refuse an opening that lies far outside 0 (closed) to 1 (open); raises InputError."""
    if not -OPENING_SLACK <= opening <= 1.0 + OPENING_SLACK:
        raise InputError(
            f"gripper {name} ({given}) is an opening of {opening:.3g}, outside 0 (closed) to 1 (open)",
            where=where,
            hint="Check its unit and the gripper's range in the embodiment file.",
        )
