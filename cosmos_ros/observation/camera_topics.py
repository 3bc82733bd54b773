"""Which topic each view's images come from, as the ``cameras`` argument says it."""

from __future__ import annotations

from cosmos_ros.errors import ConfigError


def camera_info_topic(topic: str) -> str:
    """Return the topic of the ``camera_info`` that by convention comes beside an image topic's images."""
    namespace, slash, _ = topic.rpartition("/")
    return f"{namespace}{slash}camera_info"


def parse_cameras(text: str, views: tuple[str, ...]) -> dict[str, str]:
    """Return view → topic for the views that have a camera.

    Args:
        text: The ``cameras`` parameter.
        views: The embodiment's views, primary first.

    Raises:
        ConfigError: A pair is malformed, a view unknown or named twice.
    """
    if not text.strip():
        return {view: f"{view}/image_raw" for view in views}
    cameras: dict[str, str] = {}
    for pair in text.split(","):
        view, separator, topic = (part.strip() for part in pair.partition("="))
        if not separator or not view or not topic:
            raise ConfigError(f"'{pair.strip()}' is not view=topic", where="parameter cameras")
        if view not in views:
            raise ConfigError(f"view '{view}' is not one of {', '.join(views)}", where="parameter cameras")
        if view in cameras:
            raise ConfigError(f"view '{view}' is given twice", where="parameter cameras")
        cameras[view] = topic
    return cameras
