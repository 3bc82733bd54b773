"""Recordings to one LeRobot v3 dataset: an episode a recording."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.files import output_errors, write_json
from cosmos_ros.lerobot.dataset_files import DatasetFiles, EpisodeRows
from cosmos_ros.lerobot.video import VideoWriter
from cosmos_ros.observation.sync_settings import SynchroniserSettings
from cosmos_ros.observation.synchroniser import Synchroniser
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.replay import WalkReport, WalkTopics, find_view_topic, walk
from cosmos_ros.se3 import euler_xyz_extrinsic_from_matrix
from cosmos_ros.types import NANOSECONDS, Observation

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

_MS = 1_000_000
_RATE_TOLERANCE = 0.1
# Offline nothing is late: every stream is waited for as long as the recording goes on.
_MAX_WAIT_NS = 3_600 * NANOSECONDS


@dataclass(frozen=True)
class ExportTopics:
    """Where the streams are; ``{view}`` stands for the view's name."""

    image: str = "/{view}/image_raw"
    joints: str = "/joint_states"
    instruction: str = "/instruction"


@dataclass
class _ExportSource:
    """One opened recording and what it holds of the embodiment."""

    reader: BagReader
    views: dict[str, str]
    joints: tuple[str, ...]
    report: WalkReport = field(default_factory=WalkReport)


def export_bags(
    bags: Sequence[Path],
    out: Path,
    embodiment: Embodiment,
    *,
    fps: float | None = None,
    topics: ExportTopics | None = None,
    instruction: str | None = None,
) -> dict[str, Any]:
    """Write recordings as a LeRobot v3 dataset and return the report, which is in ``meta/export_report.json``.

    Rows are the synchronised observations at the primary view's images, one every 1/fps. ``observation.state`` holds
    the joints (arm, then gripper), ``action`` the joints of the next row (the last row's own at the end),
    ``observation.state.cartesian_position`` the tool pose by forward kinematics, ``ros_stamp_ns`` the stamp.

    Args:
        bags: Recordings, an episode each.
        out: Folder to create.
        embodiment: The robot.
        fps: Rows per second; the embodiment's by default.
        topics: Where the streams are.
        instruction: Task text in place of the recordings'.

    Raises:
        InputError: The folder exists; a recording lacks images or joints, has another rate or other views and sizes
            than the first, or is damaged.
        ConfigError: pyarrow or PyAV is not installed.
        OutputError: The dataset cannot be written; nothing of it stays.
    """
    topics = topics or ExportTopics()
    rate = embodiment.fps if fps is None else fps
    if not 0 < rate <= 1000:
        raise InputError(f"{rate} rows per second", where="fps")
    if out.exists():
        raise InputError("exists already", where=str(out), hint="Choose another folder, or remove it.")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with output_errors(out):
            report = _export(bags, partial, embodiment, rate, topics, instruction)
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def _export(
    bags: Sequence[Path],
    folder: Path,
    embodiment: Embodiment,
    fps: float,
    topics: ExportTopics,
    instruction: str | None,
) -> dict[str, Any]:
    files: DatasetFiles | None = None
    episodes = []
    with ExitStack() as stack:
        videos: dict[str, VideoWriter] = {}
        for number, path in enumerate(bags):
            with BagReader(path) as reader:
                source = _open(reader, embodiment, topics)
                if files is None:
                    files = DatasetFiles(folder, fps, embodiment.name, source.joints, bool(embodiment.tool_links))
                    videos = {
                        view: stack.enter_context(VideoWriter(files.video_path(view), fps)) for view in source.views
                    }
                elif set(videos) != set(source.views) or files.joints != source.joints:
                    raise InputError(
                        f"has views {sorted(source.views)} and joints {list(source.joints)}, the first recording has "
                        f"{sorted(videos)} and {list(files.joints)}",
                        where=str(path),
                    )
                rows = _walk_rows(source, embodiment, fps, topics, videos, files)
                text = rows.instruction if instruction is None else instruction
                files.add_episode(number, rows, text)
                episodes.append(_episode_report(path, source, rows, fps, text))
        sizes = {view: video.size for view, video in videos.items()}
    if files is None:
        raise InputError("no recordings were given", where="export-lerobot")
    files.finish({view: size for view, size in sizes.items() if size is not None})
    report = {"embodiment": embodiment.name, "fps": fps, "action": "joints of the next row", "episodes": episodes}
    write_json(folder / "meta" / "export_report.json", report)
    return report


def _open(reader: BagReader, embodiment: Embodiment, topics: ExportTopics) -> _ExportSource:
    views: dict[str, str] = {}
    for view in embodiment.views:
        topic = topics.image.format(view=view)
        if any(name in reader.topics for name in (topic, f"{topic}/compressed")):
            views[view] = find_view_topic(reader, topic)
    if not views:
        wanted = ", ".join(topics.image.format(view=view) for view in embodiment.views)
        raise InputError(f"there are no images on {wanted}", where=str(reader.path), hint="Give --image-topic.")
    joints: tuple[str, ...] = ()
    if embodiment.has_joints:
        reader.require(topics.joints, "sensor_msgs/msg/JointState")
        named: set[str] = set()
        # Arm and gripper may be published apart; the first second holds both.
        end = reader.start_ns + NANOSECONDS
        for message in reader.messages([topics.joints], end_ns=end):
            named.update(str(name) for name in reader.decode(message).name)
        missing = [name for name in embodiment.joint_names if name not in named]
        if missing:
            raise InputError(f"{topics.joints} lacks {', '.join(missing)}", where=str(reader.path))
        joints = tuple(name for name in embodiment.all_joints if name in named)
    return _ExportSource(reader, views, joints)


def _walk_rows(
    source: _ExportSource,
    embodiment: Embodiment,
    fps: float,
    topics: ExportTopics,
    videos: Mapping[str, VideoWriter],
    files: DatasetFiles,
) -> EpisodeRows:
    period = round(NANOSECONDS / fps)
    synchroniser = Synchroniser(
        list(source.views),
        joints=source.joints,
        bounds=embodiment.limits.joints if embodiment.has_joints else None,
        settings=SynchroniserSettings(
            image_tolerance_ns=2 * period,
            joint_tolerance_ns=max(100 * _MS, period),
            image_max_age_ns=_MAX_WAIT_NS,
            joint_max_age_ns=_MAX_WAIT_NS,
            wait_ns=_MAX_WAIT_NS,
            period_ns=period,
            history_ns=4 * period + 500 * _MS,
        ),
    )
    where = WalkTopics(
        views=source.views, joints=topics.joints if source.joints else None, instruction=topics.instruction
    )
    rows = EpisodeRows()
    for snapshot in walk(source.reader, where, synchroniser, report=source.report):
        observation = snapshot.build()
        for view, image in observation.images.items():
            videos[view].write(image)
            files.sample(view, len(rows), image)
        rows.append(observation.stamp_ns, _state(observation), _tool_pose(observation, embodiment))
        rows.instruction = rows.instruction or observation.instruction
    if source.report.damaged:
        raise CosmosRosError(source.report.damaged, where=str(source.reader.path))
    if source.report.resets:
        raise InputError(
            "stamps go back: it holds more than one run", where=str(source.reader.path), hint="Split the recording."
        )
    _check_rate(rows, fps, source)
    return rows


def _check_rate(rows: EpisodeRows, fps: float, source: _ExportSource) -> None:
    if len(rows) < 2:
        raise InputError(
            f"gives {len(rows)} synchronised row(s)",
            where=str(source.reader.path),
            hint="Look at stamps and rates of its topics.",
        )
    actual = NANOSECONDS / float(np.median(np.diff(rows.stamps_ns)))
    if abs(actual / fps - 1) > _RATE_TOLERANCE:
        raise InputError(
            f"gives {actual:.1f} rows per second, not {fps:g}",
            where=str(source.reader.path),
            hint=f"Give --fps {actual:.0f}, or a rate that the cameras' is a multiple of.",
        )


def _state(observation: Observation) -> list[float]:
    return [] if observation.joints is None else observation.joints.positions.tolist()


def _tool_pose(observation: Observation, embodiment: Embodiment) -> list[float]:
    if observation.joints is None or not embodiment.tool_links:
        return []
    pose = embodiment.tool_poses(observation)[embodiment.tool_links[0]]
    return [*pose[:3, 3].tolist(), *np.asarray(euler_xyz_extrinsic_from_matrix(pose[:3, :3])).tolist()]


def _episode_report(path: Path, source: _ExportSource, rows: EpisodeRows, fps: float, text: str) -> dict[str, Any]:
    steps = np.diff(rows.stamps_ns)
    return {
        "recording": str(path),
        "rows": len(rows),
        "instruction": text,
        "views": source.views,
        "gaps": int((steps > 1.5 * NANOSECONDS / fps).sum()),
        "longest_step_s": float(steps.max()) / NANOSECONDS,
        "unsynchronised_images": source.report.unsynchronised,
        "refused_messages": source.report.refused,
        "errors": source.report.errors,
    }
