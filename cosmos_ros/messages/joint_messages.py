"""``sensor_msgs/JointState`` to the JointState record and back."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.messages.stamps import ns_from_stamp, stamp_message
from cosmos_ros.types import FloatArray, JointState

MAX_JOINTS = 512


def joint_state_from_message(
    message: Any, *, joints: Sequence[str] | None = None, topic: str = "joint_states"
) -> JointState:
    """Return a JointState record from a message whose names may stand in any order.

    A velocity of NaN, which joint_state_broadcaster writes for joints without a velocity interface, means that it is
    not measured and stays; when it is NaN for every chosen joint, or there are none, ``velocities`` is None.

    Args:
        message: Object with header, name, position and velocity.
        joints: Joints wanted, in the wanted order; others are ignored unread. None keeps the message's own.
        topic: Name for errors.

    Raises:
        InputError: Bad stamp, no or duplicate names, lengths that do not match, a wanted joint missing, a
            non-finite position or infinite velocity; names the joint.
    """
    stamp_ns = ns_from_stamp(message.header.stamp, where=f"{topic} header.stamp")
    names = check_names(message.name, where=f"{topic} name")
    positions = _column(message.position, len(names), f"{topic} position")
    if positions is None:
        raise InputError("there are no positions", where=f"{topic} position", hint="Publish positions.")
    velocities = _column(message.velocity, len(names), f"{topic} velocity")
    if joints is not None:
        index = {name: k for k, name in enumerate(names)}
        missing = [name for name in joints if name not in index]
        if missing:
            raise InputError(
                f"joints missing: {', '.join(missing)}",
                where=f"{topic} name",
                hint=f"The message holds: {', '.join(names)}.",
            )
        columns = [index[name] for name in joints]
        names = tuple(joints)
        positions = positions[columns]
        velocities = None if velocities is None else velocities[columns]
    _require_finite(positions, names, f"{topic} position")
    if velocities is not None:
        if len(names) > 0 and bool(np.isnan(velocities).all()):
            velocities = None
        else:
            _require_finite(np.where(np.isnan(velocities), 0.0, velocities), names, f"{topic} velocity")
    return JointState(stamp_ns=stamp_ns, names=names, positions=positions, velocities=velocities)


def joint_state_message(state: JointState) -> Any:
    """Return a ``sensor_msgs/msg/JointState``; needs ROS."""
    from sensor_msgs.msg import JointState as Message
    from std_msgs.msg import Header

    return Message(
        header=Header(stamp=stamp_message(state.stamp_ns)),
        name=list(state.names),
        position=doubles(state.positions),
        velocity=doubles(state.velocities),
    )


def doubles(values: FloatArray | None) -> array[float]:
    """Return an ``array('d')`` of the values, empty for None; the fast way into a ROS ``float64[]``."""
    result = array("d")
    if values is not None:
        result.frombytes(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return result


def check_names(raw: Any, *, where: str) -> tuple[str, ...]:
    """Return joint names as a tuple.

    Raises:
        InputError: None, too many, empty or duplicate names.
    """
    if len(raw) == 0:
        raise InputError("there are no joint names", where=where)
    if len(raw) > MAX_JOINTS:
        raise InputError(f"{len(raw)} joints are more than {MAX_JOINTS}", where=where)
    names = tuple(str(name) for name in raw)
    if len(set(names)) != len(names):
        duplicate = next(name for k, name in enumerate(names) if name in names[:k])
        raise InputError(f"joint {duplicate!r} is named twice", where=where)
    if "" in names:
        raise InputError(f"joint {names.index('')} has an empty name", where=where)
    return names


def _column(raw: Any, length: int, where: str) -> FloatArray | None:
    if len(raw) == 0:
        return None
    if len(raw) != length:
        raise InputError(f"{len(raw)} values for {length} joints", where=where)
    try:
        return np.array(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"not numbers: {error}", where=where) from error


def _require_finite(values: FloatArray, names: Sequence[str], where: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        k = int(np.argmin(finite))
        raise InputError(f"joint {names[k]!r} is {values[k]}", where=where, hint="Check the robot's driver.")
