"""URDF models, forward and inverse kinematics, and the joint trajectory of an action chunk."""

from __future__ import annotations

from cosmos_ros.kinematics.chunk_trajectory import chunk_to_trajectory
from cosmos_ros.kinematics.ik import InverseKinematics
from cosmos_ros.kinematics.records import GripperJoint, IkOptions, IkSolution, ResidualGate
from cosmos_ros.kinematics.robot_model import RobotModel

__all__ = [
    "GripperJoint",
    "IkOptions",
    "IkSolution",
    "InverseKinematics",
    "ResidualGate",
    "RobotModel",
    "chunk_to_trajectory",
]
