"""``cosmos-ros import-lerobot``: a LeRobot dataset to rosbag2."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "import-lerobot",
        help="turn LeRobot episodes into rosbag2 recordings",
        description=(
            "Turn episodes of a LeRobot v3 dataset into rosbag2 recordings (mcap) with JPEG images, joint states, tool "
            "pose and instruction. Joints that are missing or damaged are found by inverse kinematics of the "
            "recorded poses. import_report.json in each recording says what was used, ignored and missing."
        ),
    )
    parser.add_argument("source", type=Path, help="dataset: meta/info.json inside, or episode.parquet and *.mp4")
    parser.add_argument("out", type=Path, help="recording to create; a folder of recordings for several episodes")
    parser.add_argument("--embodiment", default="franka", help="robot that was recorded (default: %(default)s)")
    parser.add_argument("--episodes", default="0", help="e.g. 3, 0-9, 0,4,7 or all (default: %(default)s)")
    parser.add_argument("--instruction", help="task text in place of the dataset's")
    parser.add_argument("--map", help="dataset map: a shipped name (droid) or a YAML file; default: by the columns")
    parser.add_argument("--start", type=float, help="stamp of the first row, seconds (default: 1700000000)")
    parser.add_argument("--jpeg-quality", type=int, default=95, help="1 to 100 (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import the episodes; one line each."""
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.errors import ConfigError
    from cosmos_ros.lerobot.columns import load_map
    from cosmos_ros.lerobot.dataset import LeRobotDataset
    from cosmos_ros.lerobot.importing import DEFAULT_START_NS, import_episode

    if arguments.start is not None and not 0 < arguments.start < 2**31:
        raise ConfigError(f"{arguments.start} is not between 0 and 2147483648 s", where="--start")
    start_ns = DEFAULT_START_NS if arguments.start is None else round(arguments.start * 1e9)
    dataset = LeRobotDataset(arguments.source)
    numbers = parse_episodes(arguments.episodes, dataset.episode_count)
    embodiment = load_embodiment(arguments.embodiment)
    mapping = load_map(arguments.map) if arguments.map else None
    for number in numbers:
        out = arguments.out if len(numbers) == 1 else arguments.out / f"episode_{number:06d}"
        report = import_episode(
            dataset.episode(number),
            out,
            embodiment,
            mapping=mapping,
            instruction=arguments.instruction,
            start_ns=start_ns,
            jpeg_quality=arguments.jpeg_quality,
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
