"""``cosmos-ros export-lerobot``: turn rosbag2 recordings into a LeRobot dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class ExportLerobot:
    """Turn rosbag2 recordings into one LeRobot v3 dataset, an episode each.

    It holds synchronised images as H.264 videos, joints as observation.state, the next row's joints as action, the tool
    pose, the instruction.

    For example: cosmos-ros export-lerobot out/run1 out/run2 out/dataset

    Attributes:
        paths: Recordings, and at last the folder to create.
        embodiment: Robot that was recorded: name or YAML file.
        fps: Rows per second; without it the embodiment's.
        instruction: Task text in place of the recordings'.
        image_topic: Images of a view, raw or /compressed.
        joint_topic: Joint states.
        instruction_topic: Instruction.
    """

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="BAG [BAG ...] OUT")]
    embodiment: str = "franka"
    fps: float | None = None
    instruction: str | None = None
    image_topic: str = "/{view}/image_raw"
    joint_topic: str = "/joint_states"
    instruction_topic: str = "/instruction"

    def run(self) -> int:
        """Export; one line an episode."""
        from cosmos_ros.embodiment import load_embodiment
        from cosmos_ros.errors import ConfigError
        from cosmos_ros.lerobot.exporting import ExportTopics, export_bags

        if len(self.paths) < 2:
            raise ConfigError("give at least one recording and the folder to create", where="arguments")
        *bags, out = self.paths
        report = export_bags(
            bags,
            out,
            load_embodiment(self.embodiment),
            fps=self.fps,
            topics=ExportTopics(self.image_topic, self.joint_topic, self.instruction_topic),
            instruction=self.instruction,
        )
        for episode in report["episodes"]:
            notes = [f"{episode['gaps']} gaps" if episode["gaps"] else ""]
            notes += [f"{count} messages of {topic} refused" for topic, count in episode["refused_messages"].items()]
            if episode["unsynchronised_images"]:
                notes.append(f"{episode['unsynchronised_images']} images without a partner")
            line = f"{episode['recording']}: {episode['rows']} rows at {report['fps']:g} Hz"
            print("; ".join([line, *(note for note in notes if note)]))
        print(f"{out}: {len(report['episodes'])} episode(s)")
        return 0


VERB = ExportLerobot
