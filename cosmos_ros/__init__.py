"""ROS 2 nodes and library that let a world model meet a robot: observe, predict, decode, guard, publish."""

from __future__ import annotations

__version__ = "0.1.0"
