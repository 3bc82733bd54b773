"""The shipped RViz configuration for another robot and other cameras."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

_IMAGE = "rviz_default_plugins/Image"


def adapted(config: Mapping[str, Any], base_frame: str, cameras: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration with this fixed frame and one image panel a camera.

    Args:
        config: The parsed ``rollout.rviz``. Its image displays of topics outside ``predictor/`` are its cameras.
        base_frame: Frame of all markers.
        cameras: View → image topic.
    """
    new = copy.deepcopy(dict(config))
    manager = new["Visualization Manager"]
    manager["Global Options"]["Fixed Frame"] = base_frame
    shown = [d for d in manager["Displays"] if _is_camera(d)]
    manager["Displays"] = [d for d in manager["Displays"] if not _is_camera(d)]
    geometry = new["Window Geometry"]
    for index, (view, topic) in enumerate(cameras.items()):
        display = copy.deepcopy(shown[min(index, len(shown) - 1)])
        old, display["Name"], display["Topic"]["Value"] = display["Name"], view, topic
        manager["Displays"].append(display)
        if index < len(shown):
            geometry.pop(old, None)
            # The panel takes the place of the one that it replaces; more panels than shipped float.
            state = geometry["QMainWindow State"]
            geometry["QMainWindow State"] = state.replace(_qt_string(old), _qt_string(view))
        geometry[view] = {"collapsed": False}
    for display in shown[len(cameras) :]:
        geometry.pop(display["Name"], None)
    return new


def _is_camera(display: Mapping[str, Any]) -> bool:
    return display["Class"] == _IMAGE and not display["Topic"]["Value"].startswith("predictor/")


def _qt_string(text: str) -> str:
    """Return the hexadecimal form of a QString in a QDataStream: length in bytes, then UTF-16 (big endian)."""
    data = text.encode("utf-16-be")
    return (len(data).to_bytes(4, "big") + data).hex()
