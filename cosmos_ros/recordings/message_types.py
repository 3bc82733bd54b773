"""Message types of bags without a ROS installation, and the QoS that topics are recorded with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from cosmos_ros.errors import InputError
from cosmos_ros.messages.stamps import split_ns
from cosmos_ros.types import FloatArray

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
        self._types: Mapping[str, Any] = store.types

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """``std_msgs/msg/Header``."""
        sec, nanosec = split_ns(stamp_ns, where="stamp")
        stamp = self._types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def compressed_image(self, payload: bytes, *, stamp_ns: int, frame_id: str, image_format: str = "jpeg") -> Any:
        """``sensor_msgs/msg/CompressedImage``."""
        return self._types["sensor_msgs/msg/CompressedImage"](
            header=self.header(stamp_ns, frame_id), format=image_format, data=np.frombuffer(payload, np.uint8)
        )

    def joint_state(
        self, names: tuple[str, ...], positions: FloatArray, velocities: FloatArray | None, *, stamp_ns: int
    ) -> Any:
        """``sensor_msgs/msg/JointState``."""
        return self._types["sensor_msgs/msg/JointState"](
            header=self.header(stamp_ns, ""),
            name=list(names),
            position=np.ascontiguousarray(positions, np.float64),
            velocity=np.zeros(0) if velocities is None else np.ascontiguousarray(velocities, np.float64),
            effort=np.zeros(0),
        )

    def pose_stamped(self, xyz: FloatArray, quaternion: FloatArray, *, stamp_ns: int, frame_id: str) -> Any:
        """``geometry_msgs/msg/PoseStamped`` of a position and a quaternion x y z w."""
        point = self._types["geometry_msgs/msg/Point"](*(float(v) for v in xyz))
        rotation = self._types["geometry_msgs/msg/Quaternion"](*(float(v) for v in quaternion))
        return self._types["geometry_msgs/msg/PoseStamped"](
            header=self.header(stamp_ns, frame_id),
            pose=self._types["geometry_msgs/msg/Pose"](position=point, orientation=rotation),
        )

    def string(self, text: str) -> Any:
        """``std_msgs/msg/String``."""
        return self._types["std_msgs/msg/String"](data=text)
