"""Reading LeRobot v3 datasets, one episode at a time: the standard layout, or a folder with one episode's files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.types import FloatArray, Int64Array

MAX_ROWS = 2_000_000
MAX_JSON_BYTES = 64 * 1024 * 1024
_KEY = re.compile(r"^[A-Za-z0-9_.\-]+$")
_FLAT_TABLE = "episode.parquet"
_IMAGE_PREFIX = "observation.images."
# A timestamp this close to frame_index / fps is that number, stored in single precision.
_TIMESTAMP_ROUNDING_S = 1e-3


@dataclass(frozen=True)
class VideoSegment:
    """Where one episode's frames of one camera are.

    Attributes:
        key: Feature name, e.g. ``observation.images.wrist``.
        path: MP4 file; may hold other episodes too.
        from_s: Time of the episode's first frame in the file.
    """

    key: str
    path: Path
    from_s: float = 0.0


@dataclass(frozen=True)
class LeRobotEpisode:
    """One episode.

    Attributes:
        index: Its number.
        fps: Rows per second.
        times_ns: ``int64 [N]`` time of each row from the episode's start.
        columns: Numeric columns: ``float64 [N]`` or ``[N, K]``.
        names: Column → names of its K entries, where the dataset gives them.
        videos: Cameras that are there.
        task: Instruction; may be empty.
        findings: What reading noticed.
    """

    index: int
    fps: float
    times_ns: Int64Array
    columns: Mapping[str, FloatArray]
    names: Mapping[str, tuple[str, ...]]
    videos: tuple[VideoSegment, ...]
    task: str = ""
    findings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times_ns)


class LeRobotDataset:
    """A LeRobot dataset on disk.

    Args:
        path: A folder with ``meta/info.json`` (v3.x), or with one ``episode.parquet`` and its ``*.mp4``.

    Raises:
        InputError: Neither layout, another version, or metadata that are damaged.
        ConfigError: pyarrow is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.flat = False
        self._info: dict[str, Any] = {}
        self._episodes: list[dict[str, Any]] = []
        self._tasks: dict[int, str] = {}
        if not self.path.is_dir():
            raise InputError("there is no such folder", where=str(self.path))
        if (self.path / "meta" / "info.json").is_file():
            self._open_standard()
        elif (self.path / _FLAT_TABLE).is_file():
            self.flat = True
        else:
            raise InputError(
                f"the folder holds neither meta/info.json nor {_FLAT_TABLE}",
                where=str(self.path),
                hint="Give the root of a LeRobot v3 dataset.",
            )

    @property
    def episode_count(self) -> int:
        """Number of episodes."""
        return 1 if self.flat else len(self._episodes)

    def episode(self, index: int) -> LeRobotEpisode:
        """Read one episode's table and find its videos.

        Raises:
            InputError: There is no such episode, or its table is damaged.
        """
        if not 0 <= index < self.episode_count:
            raise InputError(f"there is no episode {index}; it has {self.episode_count}", where=str(self.path))
        return self._flat_episode() if self.flat else self._standard_episode(index)

    # -- one episode's files in one folder ---------------------------------------------------------------------

    def _flat_episode(self) -> LeRobotEpisode:
        table = self.path / _FLAT_TABLE
        columns = _numeric_columns(_read_table(table), table)
        videos = tuple(VideoSegment(_IMAGE_PREFIX + path.stem, path) for path in sorted(self.path.glob("*.mp4")))
        times, fps, findings = _times(columns, None, table)
        return LeRobotEpisode(0, fps, times, columns, {}, videos, findings=findings)

    # -- the standard layout -----------------------------------------------------------------------------------

    def _open_standard(self) -> None:
        where = self.path / "meta" / "info.json"
        self._info = _read_json(where)
        version = str(self._info.get("codebase_version", ""))
        if not version.startswith("v3."):
            raise InputError(
                f"codebase_version is {version!r}, this reads v3.x",
                where=str(where),
                hint="Convert it: python -m lerobot.datasets.v30.convert_dataset_v21_to_v30.",
            )
        if not isinstance(self._info.get("features"), dict):
            raise InputError("features are missing", where=str(where))
        fps = self._info.get("fps")
        if not isinstance(fps, int | float) or not 0 < fps <= 1000:
            raise InputError(f"fps is {fps!r}", where=str(where))
        for path in sorted((self.path / "meta" / "episodes").glob("chunk-*/file-*.parquet")):
            self._episodes += _read_table(path).to_pylist()
        if not self._episodes:
            raise InputError("there are no episodes", where=str(self.path / "meta" / "episodes"))
        self._episodes.sort(key=lambda entry: int(entry["episode_index"]))
        tasks = self.path / "meta" / "tasks.parquet"
        if tasks.is_file():
            for entry in _read_table(tasks).to_pylist():
                text = entry.get("task", entry.get("__index_level_0__", ""))
                self._tasks[int(entry["task_index"])] = str(text)

    def _standard_episode(self, index: int) -> LeRobotEpisode:
        entry = self._episodes[index]
        number = int(entry["episode_index"])
        table = self.path / "data" / _chunk(entry, "data/", ".parquet", self.path)
        columns = _numeric_columns(_read_table(table, episode=number), table)
        features: dict[str, Any] = self._info["features"]
        videos, missing = [], []
        for key, feature in features.items():
            if not isinstance(feature, dict) or feature.get("dtype") != "video":
                continue
            if not _KEY.match(key):
                raise InputError(f"feature name {key!r} is not a plain name", where=str(self.path))
            with suppress(InputError):
                path = self.path / "videos" / key / _chunk(entry, f"videos/{key}/", ".mp4", self.path)
                if path.is_file():
                    videos.append(VideoSegment(key, path, float(entry.get(f"videos/{key}/from_timestamp") or 0.0)))
                    continue
            missing.append(f"the video of {key} is missing")
        names = {key: _names(feature) for key, feature in features.items() if isinstance(feature, dict)}
        times, fps, findings = _times(columns, float(self._info["fps"]), table)
        return LeRobotEpisode(
            index=number,
            fps=fps,
            times_ns=times,
            columns=columns,
            names={key: names for key, names in names.items() if names},
            videos=tuple(videos),
            task=self._task(entry, columns),
            findings=(*findings, *missing),
        )

    def _task(self, entry: Mapping[str, Any], columns: Mapping[str, FloatArray]) -> str:
        tasks = entry.get("tasks")
        if isinstance(tasks, list) and tasks:
            text = str(tasks[0])
        else:
            indices = columns.get("task_index")
            text = self._tasks.get(int(indices[0]), "") if indices is not None and len(indices) else ""
        # Some datasets join the fields of an empty annotation with separators.
        return text if re.search(r"\w", text) else ""


def read_parquet_module() -> Any:
    """Return ``pyarrow.parquet``.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "pyarrow is not installed", where="LeRobot datasets", hint="Install it: pip install pyarrow."
        ) from error
    return pyarrow.parquet


def _read_table(path: Path, episode: int | None = None) -> Any:
    parquet = read_parquet_module()
    try:
        rows = parquet.read_metadata(path).num_rows
        if rows > MAX_ROWS:
            raise InputError(f"{rows} rows are more than {MAX_ROWS}", where=str(path))
        filters = None if episode is None else [("episode_index", "=", episode)]
        return parquet.read_table(path, filters=filters)
    except InputError:
        raise
    except Exception as error:  # pyarrow's errors share no base class with OSError
        raise InputError(f"the table cannot be read: {error}", where=str(path)) from error


def _numeric_columns(table: Any, path: Path) -> dict[str, FloatArray]:
    columns: dict[str, FloatArray] = {}
    if table.num_rows == 0:
        raise InputError("the episode has no rows", where=str(path))
    for name in table.column_names:
        try:
            values = np.array(table.column(name).to_pylist(), dtype=np.float64)
        except (TypeError, ValueError):
            continue  # text, images inside the table, or rows of unequal length: nothing to replay
        if values.ndim in (1, 2):
            columns[name] = values
    return columns


def _times(
    columns: Mapping[str, FloatArray], fps: float | None, path: Path
) -> tuple[Int64Array, float, tuple[str, ...]]:
    """Row times in nanoseconds from the episode's start, the rate, and findings."""
    seconds = columns.get("timestamp")
    if seconds is None or seconds.ndim != 1:
        raise InputError("there is no timestamp column", where=str(path))
    if not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any() or seconds[0] < 0:
        raise InputError("timestamps must be finite, increasing and from 0 on", where=str(path))
    findings = []
    if fps is None:
        if len(seconds) < 2:
            raise InputError("the rate cannot be known from one row", where=str(path))
        fps = round(float(1.0 / np.median(np.diff(seconds))), 3)
    frames = columns.get("frame_index")
    if frames is not None and np.abs(seconds - frames / fps).max() <= _TIMESTAMP_ROUNDING_S:
        times = frames * 1e9 / fps
    else:
        times = seconds * 1e9
        findings.append("timestamps are not frame_index / fps; taken as they are")
    return np.rint(times).astype(np.int64), fps, tuple(findings)


def _chunk(entry: Mapping[str, Any], prefix: str, suffix: str, path: Path) -> Path:
    chunk, file = entry.get(f"{prefix}chunk_index"), entry.get(f"{prefix}file_index")
    if chunk is None or file is None:
        raise InputError(f"episode {entry.get('episode_index')} has no {prefix}chunk_index", where=str(path))
    return Path(f"chunk-{int(chunk):03d}") / f"file-{int(file):03d}{suffix}"


def _names(feature: Mapping[str, Any]) -> tuple[str, ...]:
    names = feature.get("names")
    if isinstance(names, dict):  # some datasets group them: {"motors": [...]}
        names = next((value for value in names.values() if isinstance(value, list)), None)
    return tuple(str(name) for name in names) if isinstance(names, Sequence) and not isinstance(names, str) else ()


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError("the file is absurdly large", where=str(path))
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", where=str(path))
    return value
