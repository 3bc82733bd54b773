"""Message types of bags without a ROS installation, and the QoS that topics are recorded with."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from cosmos_ros.errors import InputError
from cosmos_ros.messages.stamps import split_ns
from cosmos_ros.types import FloatArray, JointTrajectory

_IDL_RULE = "=" * 80 + "\nIDL: "
_DEFAULT_TIME = QosTime(0, 0)


@lru_cache(maxsize=1)
def default_typestore() -> Typestore:
    """Return the types of ROS 2 Kilted; those this package uses are the same in Jazzy and Humble.

    One store for the process, because it generates its code on first use; nothing may be registered in it.
    """
    return get_typestore(Stores.ROS2_KILTED)


def typestore_of(definition: str, type_name: str) -> Typestore:
    """Return a store that holds one type and what it is made of, from the definition in a bag.

    Args:
        definition: ``ros2msg`` text with its dependencies, or ``ros2idl``.
        type_name: E.g. ``sensor_msgs/msg/Image``.

    Raises:
        InputError: The definition cannot be parsed.
    """
    store = get_typestore(Stores.EMPTY)
    try:
        if definition.startswith(_IDL_RULE):
            store.register(get_types_from_idl(definition))
        else:
            store.register(get_types_from_msg(definition, type_name))
    except Exception as error:  # the parser's own errors share no base class
        raise InputError(f"the definition of {type_name} cannot be parsed: {error}", where=type_name) from error
    return store


def qos(*, reliable: bool = True, latched: bool = False, depth: int = 10) -> Qos:
    """Return an offered QoS profile as it stands in a bag's metadata."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_DEFAULT_TIME,
        lifespan=_DEFAULT_TIME,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_DEFAULT_TIME,
        avoid_ros_namespace_conventions=False,
    )


class MessageFactory:
    """Builds messages of a rosbags store; for writing bags without ROS.

    Args:
        store: The types.
    """

    def __init__(self, store: Typestore) -> None:
        self._store = store

    def message(self, type_name: str, **fields: Any) -> Any:
        """Return a message with these fields; the others are zero, false or empty."""
        blank = {
            name: self._blank(definition)
            for name, definition in self._store.fielddefs[type_name][1]
            if name not in fields
        }
        return self._store.types[type_name](**blank, **fields)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """``std_msgs/msg/Header``."""
        sec, nanosec = split_ns(stamp_ns, where="stamp")
        stamp = self.message("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        return self.message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def compressed_image(self, payload: bytes, *, stamp_ns: int, frame_id: str, image_format: str = "jpeg") -> Any:
        """``sensor_msgs/msg/CompressedImage``."""
        return self.message(
            "sensor_msgs/msg/CompressedImage",
            header=self.header(stamp_ns, frame_id),
            format=image_format,
            data=np.frombuffer(payload, np.uint8),
        )

    def joint_state(
        self, names: tuple[str, ...], positions: FloatArray, velocities: FloatArray | None, *, stamp_ns: int
    ) -> Any:
        """``sensor_msgs/msg/JointState``."""
        return self.message(
            "sensor_msgs/msg/JointState",
            header=self.header(stamp_ns, ""),
            name=list(names),
            position=_doubles(positions),
            velocity=_doubles(velocities),
        )

    def joint_trajectory(self, trajectory: JointTrajectory) -> Any:
        """``trajectory_msgs/msg/JointTrajectory``."""
        points = []
        for k, time_ns in enumerate(trajectory.times_ns):
            sec, nanosec = split_ns(int(time_ns), where="time_from_start")
            point = self.message(
                "trajectory_msgs/msg/JointTrajectoryPoint",
                positions=_doubles(trajectory.positions[k]),
                velocities=_doubles(None if trajectory.velocities is None else trajectory.velocities[k]),
                accelerations=_doubles(None if trajectory.accelerations is None else trajectory.accelerations[k]),
                time_from_start=self.message("builtin_interfaces/msg/Duration", sec=sec, nanosec=nanosec),
            )
            points.append(point)
        return self.message(
            "trajectory_msgs/msg/JointTrajectory",
            header=self.header(trajectory.stamp_ns, ""),
            joint_names=list(trajectory.joint_names),
            points=points,
        )

    def point(self, xyz: FloatArray) -> Any:
        """``geometry_msgs/msg/Point``."""
        return self._store.types["geometry_msgs/msg/Point"](*(float(v) for v in xyz))

    def pose_stamped(self, xyz: FloatArray, quaternion: FloatArray, *, stamp_ns: int, frame_id: str) -> Any:
        """``geometry_msgs/msg/PoseStamped`` of a position and a quaternion x y z w."""
        rotation = self._store.types["geometry_msgs/msg/Quaternion"](*(float(v) for v in quaternion))
        pose = self.message("geometry_msgs/msg/Pose", position=self.point(xyz), orientation=rotation)
        return self.message("geometry_msgs/msg/PoseStamped", header=self.header(stamp_ns, frame_id), pose=pose)

    def string(self, text: str) -> Any:
        """``std_msgs/msg/String``."""
        return self.message("std_msgs/msg/String", data=text)

    def _blank(self, definition: Any) -> Any:
        kind, details = definition
        if kind is Nodetype.NAME:
            return self.message(details)
        if kind is Nodetype.BASE:
            name = details[0]
            return "" if name == "string" else np.dtype(name).type(0).item()
        element, size = details
        count = size if kind is Nodetype.ARRAY else 0
        if element[0] is Nodetype.BASE and element[1][0] != "string":
            return np.zeros(count, dtype=element[1][0])
        return [self._blank(element) for _ in range(count)]


def _doubles(values: FloatArray | None) -> FloatArray:
    return np.zeros(0) if values is None else np.ascontiguousarray(values, np.float64)
