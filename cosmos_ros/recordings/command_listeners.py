"""Who listens to the commands that a player would publish, and whether a guard is there. Needs ROS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cosmos_ros.recordings.topic_roles import moves_nothing

_GUARD_TOPICS = ("/would_send", "/verdict_json")


def guarded_controllers(node: Any, topics: Iterable[str]) -> str:
    """Return why commands must not be published, in one line: a controller listens and a guard is there.

    A listener that is not known to move nothing counts as a controller. A graph that does not name all of its nodes
    may hold a guard. Empty: nothing speaks against it, as far as the graph is discovered yet.

    Args:
        node: An ``rclpy`` node, which knows the graph.
        topics: Absolute names.
    """
    try:
        listeners = {
            topic: sorted(
                {
                    info.node_name
                    for info in node.get_subscriptions_info_by_topic(topic)
                    if not moves_nothing(info.node_name)
                }
            )
            for topic in topics
        }
        heard = [f"{', '.join(names)} on {topic}" for topic, names in listeners.items() if names]
        if not heard:
            return ""
        named = node.get_node_names()
        publishing = [name for name, _ in node.get_topic_names_and_types() if name.endswith(_GUARD_TOPICS)]
        nameless = [info for topic in topics for info in node.get_subscriptions_info_by_topic(topic) if _nameless(info)]
        if any(_nameless(name) for name in named) or nameless:
            return f"there may be a guard in the graph, and these listen: {'; '.join(heard)}"
        if "guard" in named or any(node.count_publishers(name) for name in publishing):
            return f"there is a guard, and these listen past it: {'; '.join(heard)}"
    except RuntimeError as error:  # what rclpy raises of the middleware
        return f"the graph cannot be read: {error}"
    return ""


def _nameless(entry: Any) -> bool:
    """Whether DDS knows an endpoint or a node and ROS does not (yet)."""
    name = entry if isinstance(entry, str) else entry.node_name
    return not name or name.startswith(("_NODE_NAME_UNKNOWN_", "_CREATED_BY_BARE_DDS_APP_"))
