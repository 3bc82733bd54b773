"""Which topic each view's images come from, as the ``cameras`` argument says it."""

from __future__ import annotations

from cosmos_ros.named_values import comma_separated, named_values


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
    return named_values(comma_separated(text), where="parameter cameras", form="view=topic", names=views)
