"""The guard: no trajectory leaves that the robot could not, or should not, follow."""

from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard import Guard
from cosmos_ros.guard.guard_settings import Box, Capsule, GuardConfig, Surroundings
from cosmos_ros.guard.verdict import Response, Verdict, Violation

__all__ = [
    "Box",
    "Capsule",
    "Guard",
    "GuardConfig",
    "GuardContext",
    "Response",
    "Surroundings",
    "Verdict",
    "Violation",
]
