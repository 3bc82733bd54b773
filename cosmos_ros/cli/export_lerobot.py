"""``cosmos-ros export-lerobot``: recordings to a LeRobot dataset."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "export-lerobot",
        help="turn rosbag2 recordings into a LeRobot dataset",
        description=(
            "Turn rosbag2 recordings into one LeRobot v3 dataset, an episode each: synchronised images as H.264 "
            "videos, joints as observation.state, the next row's joints as action, the tool pose, the instruction."
        ),
    )
    parser.add_argument("bags", nargs="+", type=Path, help="recordings")
    parser.add_argument("out", type=Path, help="folder to create")
    parser.add_argument("--embodiment", default="franka", help="robot that was recorded (default: %(default)s)")
    parser.add_argument("--fps", type=float, help="rows per second (default: the embodiment's)")
    parser.add_argument("--instruction", help="task text in place of the recordings'")
    parser.add_argument("--image-topic", default="/{view}/image_raw", help="default: %(default)s, raw or /compressed")
    parser.add_argument("--joint-topic", default="/joint_states", help="default: %(default)s")
    parser.add_argument("--instruction-topic", default="/instruction", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export; one line an episode."""
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.lerobot.exporting import ExportTopics, export_bags

    report = export_bags(
        arguments.bags,
        arguments.out,
        load_embodiment(arguments.embodiment),
        fps=arguments.fps,
        topics=ExportTopics(arguments.image_topic, arguments.joint_topic, arguments.instruction_topic),
        instruction=arguments.instruction,
    )
    for episode in report["episodes"]:
        notes = [f"{episode['gaps']} gaps" if episode["gaps"] else ""]
        notes += [f"{count} messages of {topic} refused" for topic, count in episode["refused_messages"].items()]
        if episode["unsynchronised_images"]:
            notes.append(f"{episode['unsynchronised_images']} images without a partner")
        line = f"{episode['recording']}: {episode['rows']} rows at {report['fps']:g} Hz"
        print("; ".join([line, *(note for note in notes if note)]))
    print(f"{arguments.out}: {len(report['episodes'])} episode(s)")
    return 0
