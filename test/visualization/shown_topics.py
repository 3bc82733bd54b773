"""What the shipped layouts subscribe to, read from the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

# The message type that each RViz display class takes.
RVIZ_TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
}
RVIZ_WITHOUT_TOPIC = {"rviz_default_plugins/Grid"}


@dataclass(frozen=True)
class Shown:
    topic: str
    type: str
    reliable: bool = False
    latched: bool = False


def rviz_topics(path: Path) -> list[Shown]:
    """Every topic of an RViz configuration; fails on a display class that is not known here."""
    shown = []
    for display in yaml.safe_load(path.read_text(encoding="utf-8"))["Visualization Manager"]["Displays"]:
        if display["Class"] in RVIZ_WITHOUT_TOPIC:
            continue
        topic = display["Topic"]
        shown.append(
            Shown(
                topic["Value"],
                RVIZ_TYPES[display["Class"]],
                topic["Reliability Policy"] == "Reliable",
                topic["Durability Policy"] == "Transient Local",
            )
        )
        assert display["Enabled"] is display["Value"] is True, display["Name"]
    return shown
