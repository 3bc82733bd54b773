"""The files of a LeRobot v3 dataset: tables, metadata and statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cosmos_ros.files import write_json
from cosmos_ros.lerobot.columns import POSE_COLUMN, POSE_NAMES
from cosmos_ros.lerobot.dataset import read_parquet_module
from cosmos_ros.lerobot.video import VideoWriter
from cosmos_ros.types import UInt8Array

VERSION = "v3.0"
_FILE = Path("chunk-000") / "file-000"
_CHUNK_SIZE = 1000
_SAMPLE_EVERY = 30


@dataclass
class EpisodeRows:
    """The rows of one episode while it is walked."""

    stamps_ns: list[int] = field(default_factory=list)
    states: list[list[float]] = field(default_factory=list)
    poses: list[list[float]] = field(default_factory=list)
    instruction: str = ""

    def append(self, stamp_ns: int, state: list[float], pose: list[float]) -> None:
        """Add one row."""
        self.stamps_ns.append(stamp_ns)
        self.states.append(state)
        self.poses.append(pose)

    def __len__(self) -> int:
        return len(self.stamps_ns)


class DatasetFiles:
    """Collects episodes and writes everything but the videos.

    Args:
        folder: Root of the dataset.
        fps: Rows per second.
        robot_type: Name of the robot.
        joints: Entries of ``observation.state`` and ``action``; () for none.
        poses: Whether there is a tool pose.
    """

    def __init__(self, folder: Path, fps: float, robot_type: str, joints: tuple[str, ...], poses: bool) -> None:
        self._parquet = read_parquet_module()
        self._folder = folder
        self._fps = int(fps) if float(fps).is_integer() else fps
        self._robot_type = robot_type
        self.joints = joints
        self._poses = poses and bool(joints)
        self._columns: dict[str, list[npt.NDArray[Any]]] = {}
        self._episodes: list[dict[str, Any]] = []
        self._tasks: dict[str, int] = {}
        self._views: list[str] = []
        self._pixels: dict[str, _PixelSums] = {}
        self._total = 0

    def video_path(self, view: str) -> Path:
        """Return the file for a view's frames of all episodes."""
        self._views.append(view)
        return self._folder / "videos" / video_key(view) / _FILE.with_suffix(".mp4")

    def sample(self, view: str, row: int, image: UInt8Array) -> None:
        """Count an image in the statistics; only some are."""
        if row % _SAMPLE_EVERY == 0:
            self._pixels.setdefault(view, _PixelSums()).add(image)

    def add_episode(self, number: int, rows: EpisodeRows, task: str) -> None:
        """Add a finished episode."""
        count = len(rows)
        index = np.arange(count)
        task_index = self._tasks.setdefault(task, len(self._tasks))
        columns: dict[str, npt.NDArray[Any]] = {
            "timestamp": (index / self._fps).astype(np.float32),
            "frame_index": index,
            "episode_index": np.full(count, number),
            "index": self._total + index,
            "task_index": np.full(count, task_index),
            "ros_stamp_ns": np.array(rows.stamps_ns, np.int64),
        }
        if self.joints:
            states = np.array(rows.states)
            columns["observation.state"] = states.astype(np.float32)
            columns["action"] = np.concatenate([states[1:], states[-1:]]).astype(np.float32)
        if self._poses:
            columns[POSE_COLUMN] = np.array(rows.poses)
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)
        entry: dict[str, Any] = {
            "episode_index": number,
            "tasks": [task],
            "length": count,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": self._total,
            "dataset_to_index": self._total + count,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        for view in self._views:
            prefix = f"videos/{video_key(view)}/"
            entry |= {
                f"{prefix}chunk_index": 0,
                f"{prefix}file_index": 0,
                f"{prefix}from_timestamp": self._total / self._fps,
                f"{prefix}to_timestamp": (self._total + count) / self._fps,
            }
        self._episodes.append(entry)
        self._total += count

    def finish(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Write the tables and metadata.

        Args:
            sizes: View → (height, width) of its frames before they were padded to even sizes.
        """
        import pyarrow

        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        table = pyarrow.table({name: _arrow(values) for name, values in columns.items()})
        self._write(table, Path("data") / _FILE.with_suffix(".parquet"))
        self._write(pyarrow.Table.from_pylist(self._episodes), Path("meta/episodes") / _FILE.with_suffix(".parquet"))
        self._write(_task_table(self._tasks), Path("meta/tasks.parquet"))
        features = {name: self._feature(name, values) for name, values in columns.items()}
        features |= {video_key(view): self._video_feature(size) for view, size in sizes.items()}
        info = {
            "codebase_version": VERSION,
            "robot_type": self._robot_type,
            "total_episodes": len(self._episodes),
            "total_frames": self._total,
            "total_tasks": len(self._tasks),
            "chunks_size": _CHUNK_SIZE,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 500,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            "features": features,
        }
        write_json(self._folder / "meta" / "info.json", info)
        statistics = {name: _statistics(values) for name, values in columns.items()}
        statistics |= {video_key(view): sums.statistics() for view, sums in self._pixels.items()}
        write_json(self._folder / "meta" / "stats.json", statistics)

    def _write(self, table: Any, path: Path) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self._parquet.write_table(table, target)

    def _feature(self, name: str, values: npt.NDArray[Any]) -> dict[str, Any]:
        names: list[str] | None = None
        if name in ("observation.state", "action"):
            names = list(self.joints)
        elif name == POSE_COLUMN:
            names = list(POSE_NAMES)
        shape = list(values.shape[1:]) or [1]
        return {"dtype": values.dtype.name, "shape": shape, "names": names}

    def _video_feature(self, size: tuple[int, int]) -> dict[str, Any]:
        height, width = (side + side % 2 for side in size)
        return {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": VideoWriter.codec,
                "video.pix_fmt": VideoWriter.pixel_format,
                "video.is_depth_map": False,
                "video.fps": self._fps,
                "video.channels": 3,
                "has_audio": False,
            },
        }


class _PixelSums:
    """Statistics of pixels a channel, in 0 to 1, shaped [3, 1, 1] as LeRobot keeps them."""

    def __init__(self) -> None:
        self._images = self._count = 0
        self._sum, self._squares = np.zeros(3), np.zeros(3)
        self._min, self._max = np.ones(3), np.zeros(3)

    def add(self, image: UInt8Array) -> None:
        pixels = image.reshape(-1, 3) / 255.0
        self._images += 1
        self._count += len(pixels)
        self._sum += pixels.sum(axis=0)
        self._squares += np.square(pixels).sum(axis=0)
        self._min = np.minimum(self._min, pixels.min(axis=0))
        self._max = np.maximum(self._max, pixels.max(axis=0))

    def statistics(self) -> dict[str, Any]:
        mean = self._sum / self._count
        std = np.sqrt(np.maximum(self._squares / self._count - np.square(mean), 0.0))
        shaped = {"min": self._min, "max": self._max, "mean": mean, "std": std}
        return {**{k: v.reshape(3, 1, 1).tolist() for k, v in shaped.items()}, "count": [self._images]}


def video_key(view: str) -> str:
    """Return the feature name of a view."""
    return f"observation.images.{view}"


def _arrow(values: npt.NDArray[Any]) -> Any:
    import pyarrow

    if values.ndim == 1:
        return pyarrow.array(values)
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1)), values.shape[1])


def _task_table(tasks: Mapping[str, int]) -> Any:
    """The tasks as pandas would write a frame that is indexed by them, which is how LeRobot reads it."""
    import pyarrow

    index = "__index_level_0__"
    table = pyarrow.table({"task_index": pyarrow.array(list(tasks.values())), index: pyarrow.array(list(tasks))})
    described = [
        {"name": name, "field_name": field_name, "pandas_type": kind, "numpy_type": dtype, "metadata": None}
        for name, field_name, kind, dtype in (
            ("task_index", "task_index", "int64", "int64"),
            (None, index, "unicode", "object"),
        )
    ]
    pandas = {"index_columns": [index], "column_indexes": [], "columns": described, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _statistics(values: npt.NDArray[Any]) -> dict[str, Any]:
    columns = values.astype(np.float64).reshape(len(values), -1)
    return {
        "min": columns.min(axis=0).tolist(),
        "max": columns.max(axis=0).tolist(),
        "mean": columns.mean(axis=0).tolist(),
        "std": columns.std(axis=0).tolist(),
        "count": [len(columns)],
    }
