"""The shared-memory profile for large images; must be set before the process loads ROS."""

from __future__ import annotations

from collections.abc import MutableMapping

from cosmos_ros.resources import resource

# Jazzy reads the first, Kilted and later both.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
_OTHER_SETTINGS = ("FASTDDS_BUILTIN_TRANSPORTS",)


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
    if any(environment.get(name) for name in _OTHER_SETTINGS):
        return False
    if any(environment.get(name, path) not in ("", path) for name in PROFILE_VARIABLES):
        return False
    for name in PROFILE_VARIABLES:
        environment[name] = path
    return True
