"""What the shipped layouts subscribe to, read from the files."""

from __future__ import annotations

import json
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


# What each Foxglove panel can show.
_IMAGES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
_ANYTHING: set[str] = set()


@dataclass(frozen=True)
class FoxglovePath:
    """A topic, the types that its panel takes (empty: any), and the field of the message that it shows."""

    topic: str
    types: frozenset[str]
    field: str = ""


def foxglove_paths(path: Path) -> list[FoxglovePath]:
    """Every message path of a Foxglove layout; fails on a panel that is not known here or not in the layout."""
    document = json.loads(path.read_text(encoding="utf-8"))
    placed: list[str] = []

    def place(node) -> None:
        if isinstance(node, str):
            placed.append(node)
        else:
            assert node["direction"] in ("row", "column")
            assert 0 < node["splitPercentage"] < 100
            place(node["first"])
            place(node["second"])

    place(document["layout"])
    assert sorted(placed) == sorted(document["configById"])
    found = []
    for panel, config in document["configById"].items():
        kind = panel.split("!")[0]
        if kind == "3D":
            assert all(topic["visible"] for topic in config["topics"].values())
            found += [(topic, {"visualization_msgs/msg/MarkerArray"}) for topic in config["topics"]]
        elif kind == "Image":
            found.append((config["imageMode"]["imageTopic"], _IMAGES))
        elif kind == "DiagnosticSummary":
            found.append((config["topicToRender"], {"diagnostic_msgs/msg/DiagnosticArray"}))
        elif kind == "RawMessages":
            found.append((config["topicPath"], _ANYTHING))
        else:
            assert kind == "Plot", panel
            found += [(path["value"], _ANYTHING) for path in config["paths"]]
    return [FoxglovePath(text.split(".")[0], frozenset(kinds), text.partition(".")[2]) for text, kinds in found]
