"""The shared-memory profile for large images; must be set before the process loads ROS."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from importlib import metadata

from cosmos_ros.resources import resource

_OLD_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
PROFILE_VARIABLES = (_OLD_VARIABLE, _VARIABLE)
_TRANSPORTS_VARIABLE = "FASTDDS_BUILTIN_TRANSPORTS"
_OLD_DISTRIBUTIONS = frozenset({"humble", "iron", "jazzy"})
_FIRST_NEW_RCLPY = 9  # Kilted


def use_shared_memory_profile(environment: MutableMapping[str, str]) -> bool:
    """Point Fast DDS at ``config/fastdds.xml``, unless the user has chosen transports already.

    Takes effect in processes that start with this environment; in the running one only before rclpy is imported.

    Args:
        environment: Variables to add to, e.g. ``os.environ`` or a child's.

    Returns:
        Whether this package's profile is in use afterwards. It is not where another profile or
        ``FASTDDS_BUILTIN_TRANSPORTS`` is set, or where another DDS is selected.
    """
    path = str(resource("config", "fastdds.xml"))
    if "fastrtps" not in environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"):
        return False
    if environment.get(_TRANSPORTS_VARIABLE):
        return False
    if any(environment.get(name, path) not in ("", path) for name in PROFILE_VARIABLES):
        return False
    for name in profile_variables(environment):
        environment[name] = path
    return True


def profile_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that the ROS in use reads: Jazzy only knows the old one, Kilted warns about it."""
    distribution = environment.get("ROS_DISTRO")
    if distribution:
        return (_OLD_VARIABLE,) if distribution in _OLD_DISTRIBUTIONS else (_VARIABLE,)
    try:
        major = int(metadata.version("ros-rclpy").split(".", 1)[0])
    except (metadata.PackageNotFoundError, ValueError):
        return PROFILE_VARIABLES
    return (_VARIABLE,) if major >= _FIRST_NEW_RCLPY else (_OLD_VARIABLE,)
