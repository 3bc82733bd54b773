"""``cosmos-ros import-lerobot``: turn LeRobot episodes into rosbag2 recordings."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional


@dataclass(frozen=True)
class ImportLerobot:
    """Turn episodes of a LeRobot v3 dataset into rosbag2 recordings (mcap).

    They hold JPEG images, joint states, tool pose and instruction. Joints that are missing or damaged are found by
    inverse kinematics of the recorded poses. import_report.json in each recording says what was used, ignored and
    missing.

    For example: cosmos-ros import-lerobot dataset out/bags --episodes 0-9

    Attributes:
        source: Dataset: meta/info.json inside, or episode.parquet and *.mp4.
        out: Recording to create; a folder of recordings for several episodes.
        embodiment: Robot that was recorded: name or YAML file.
        episodes: E.g. 3, 0-9, 0,4,7 or all.
        instruction: Task text in place of the dataset's.
        map: Dataset map: a shipped name (droid) or a YAML file; without it by the columns.
        start: Stamp of the first row, s; without it 1700000000.
        jpeg_quality: 1 to 100.
    """

    source: Positional[Path]
    out: Positional[Path]
    embodiment: str = "franka"
    episodes: str = "0"
    instruction: str | None = None
    map: str | None = None
    start: float | None = None
    jpeg_quality: int = 95

    def run(self) -> int:
        """Import the episodes; one line each."""
        from cosmos_ros.embodiment import load_embodiment
        from cosmos_ros.errors import ConfigError
        from cosmos_ros.lerobot.columns import load_map
        from cosmos_ros.lerobot.dataset import LeRobotDataset
        from cosmos_ros.lerobot.importing import DEFAULT_START_NS, import_episode

        if self.start is not None and not 0 < self.start < 2**31:
            raise ConfigError(f"{self.start} is not between 0 and 2147483648 s", where="--start")
        start_ns = DEFAULT_START_NS if self.start is None else round(self.start * 1e9)
        dataset = LeRobotDataset(self.source)
        numbers = parse_episodes(self.episodes, dataset.episode_count)
        embodiment = load_embodiment(self.embodiment)
        mapping = load_map(self.map) if self.map else None
        for number in numbers:
            out = self.out if len(numbers) == 1 else self.out / f"episode_{number:06d}"
            report = import_episode(
                dataset.episode(number),
                out,
                embodiment,
                mapping=mapping,
                instruction=self.instruction,
                start_ns=start_ns,
                jpeg_quality=self.jpeg_quality,
                progress=_progress if sys.stderr.isatty() else None,
            )
            print(summary(report, out))
        return 0


def parse_episodes(text: str, count: int) -> list[int]:
    """Return episode numbers of ``3``, ``0-9``, ``0,4,7`` or ``all``, in order and once each.

    Raises:
        ConfigError: Not such a list, or a number that is not there.
    """
    from cosmos_ros.errors import ConfigError

    if text == "all":
        return list(range(count))
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ConfigError(f"{part!r} is neither a number nor a range", where="--episodes")
        low, high = int(first), int(last or first)
        if low > high or high >= count:
            raise ConfigError(f"{part} is outside 0 to {count - 1}", where="--episodes")
        numbers.update(range(low, high + 1))
    return sorted(numbers)


def summary(report: dict[str, Any], out: Path) -> str:
    """Return a few lines on what was imported."""
    lines = [f"{out}: {report['rows']} rows at {report['fps']:g} Hz, {report['duration_s']:.1f} s"]
    lines += [f"  {topic}: {count}" for topic, count in report["topics"].items()]
    joints = report["joints"]
    line = f"  joints: {joints['source']}"
    if "position_residual_max_mm" in joints:
        line += (
            f", residual at most {joints['position_residual_max_mm']:.2g} mm and "
            f"{joints['rotation_residual_max_deg']:.2g} degrees"
        )
    lines.append(line)
    lines.append(f"  gripper: {report['gripper']['source']}")
    lines += [f"  ignored: {entry['column']} {entry['reason']}" for entry in report["ignored_columns"]]
    if report["views_missing"]:
        lines.append(f"  not in the dataset: {', '.join(report['views_missing'])}")
    lines += [f"  note: {finding}" for finding in report["findings"]]
    return "\n".join(lines)


def _progress(done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"\r{done}/{total} rows", end="\n" if done == total else "", file=sys.stderr, flush=True)


VERB = ImportLerobot
