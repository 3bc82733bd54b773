"""The guard: no trajectory leaves that the robot could not, or should not, follow."""

from cosmos_ros.guard.checks.base import GuardedRobot
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard import Guard
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.surroundings import Box, Capsule, Surroundings
from cosmos_ros.guard.verdict import Response, Verdict, Violation

__all__ = [
    "Box",
    "Capsule",
    "Guard",
    "GuardContext",
    "GuardSettings",
    "GuardedRobot",
    "Response",
    "Surroundings",
    "Verdict",
    "Violation",
]
