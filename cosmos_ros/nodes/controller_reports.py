"""What controllers say of themselves: where their motion is, and how far their speed is scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from std_msgs.msg import Float64

from cosmos_ros.embodiment.controller_interfaces import ControllerInterface, beside
from cosmos_ros.errors import InputError
from cosmos_ros.messages import ns_from_stamp
from cosmos_ros.nodes import qos
from cosmos_ros.types import FloatArray

_MOST_JOINTS = 1000


class ControllerReports:
    """Subscriptions to ``controller_state`` beside each controller's topic or action, and to ``speed_scaling``.

    Without the package control_msgs, controller states are not read. Used by the executor's thread only.

    Args:
        node: The guard node.
        controllers: How each is reached.
        on_reference: Called with joint names, the reference's positions ``[J]`` (rad or m) and the stamp, ns.
        on_speed_scaling: Called with the fraction of the commanded speed, 1 for full speed.
    """

    def __init__(
        self,
        node: Any,
        controllers: Iterable[ControllerInterface],
        *,
        on_reference: Callable[[Sequence[str], FloatArray, int], None],
        on_speed_scaling: Callable[[float], None],
    ) -> None:
        self._on_reference, self._on_speed_scaling = on_reference, on_speed_scaling
        # ur_robot_driver's speed_scaling_state_broadcaster publishes per cent.
        node.create_subscription(Float64, "speed_scaling", self._take_scaling, qos.sensor(1))
        try:
            from control_msgs.msg import JointTrajectoryControllerState
        except ImportError:
            return
        for one in controllers:
            if one.is_gripper:
                continue  # what stops a gripper says nothing about its controller
            # As a JointTrajectoryController names what it offers.
            topic = beside(one.name, "controller_state")
            node.create_subscription(JointTrajectoryControllerState, topic, self._take_state, qos.sensor(1))

    def _take_scaling(self, message: Any) -> None:
        self._on_speed_scaling(float(message.data) / 100.0)

    def _take_state(self, message: Any) -> None:
        names, positions = list(message.joint_names), message.reference.positions
        if not names or len(names) != len(positions) or len(names) > _MOST_JOINTS:
            return  # an inactive controller has no reference
        try:
            stamp = ns_from_stamp(message.header.stamp, where="header.stamp")
        except InputError:
            return
        self._on_reference(names, np.asarray(positions, dtype=np.float64), stamp)
