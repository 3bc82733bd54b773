"""Reads action chunks and recorded states from JSON, npz and parquet files, with bounded size and no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.types import FloatArray

MAX_BYTES = 64 << 20
MAX_ROWS = 1_000_000

# Where servers and tools put a chunk in their JSON: tried in this order.
_ACTION_PLACES = (
    ("action", "data"),
    ("action",),
    ("actions", "data"),
    ("actions",),
    ("outputs", 0, "content", "action"),
    ("data", 0, "action", "data"),
    ("data", 0, "action", "values"),
    ("data", 0, "action"),
)


def read_actions(path: str | Path, column: str | None = None) -> FloatArray:
    """Return the action rows ``float64 [T, D]`` of a file.

    JSON: a nested list; ``{"action": {"data": rows}}`` or ``{"action": rows}`` as servers answer;
    ``{"actions": rows}``; cosmos-framework's ``sample_outputs.json``. npz: array ``actions`` or ``action``, or the only
    one. parquet: column ``actions`` or ``action`` of number lists, or the one named by ``column``.

    Args:
        path: The file; its ending tells the format.
        column: Array or column name, in place of the usual ones.

    Raises:
        InputError: The file cannot be read, is too large, or holds no rows of equal width; names the place.
        ConfigError: A parquet file, and pyarrow is not installed.
    """
    file = Path(path)
    if file.suffix == ".json":
        return as_rows(_find_actions(read_json(file), str(file)), str(file))
    table = read_table(file)
    if column is None:
        known: list[str] = [name for name in ("actions", "action") if name in table]
        if not known and len(table) == 1:
            known = list(table)
        if not known:
            raise InputError(f"no array named actions or action among {sorted(table)}", where=str(file))
        column = known[0]
    if column not in table:
        raise InputError(f"no array {column!r}; there are {sorted(table)}", where=str(file))
    return as_rows(table[column], f"{file}: {column}")


def read_json(path: Path) -> Any:
    """Return a JSON file's content; raises InputError."""
    text = _read(path).decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON: {error}", where=str(path)) from None


def read_table(path: Path) -> dict[str, Any]:
    """Return the named arrays of an npz or parquet file; raises InputError or ConfigError."""
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    raise InputError(f"unknown ending {path.suffix!r}; readable are .json, .npz, .parquet", where=str(path))


def as_rows(value: Any, where: str) -> FloatArray:
    """Return nested numbers as ``float64 [T, D]``; raises InputError naming the first row that does not fit."""
    rows = value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, list | tuple | np.ndarray) for row in rows):
        width = len(rows[0])
        for index, row in enumerate(rows):
            if len(row) != width:
                raise InputError(f"row {index} has {len(row)} numbers, row 0 has {width}", where=where)
    try:
        array = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("not rows of numbers", where=where) from None
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"expected [T, D] numbers, got shape {list(array.shape)}", where=where)
    if len(array) > MAX_ROWS:
        raise InputError(f"{len(array)} rows, at most {MAX_ROWS} are read", where=where)
    return array


def _find_actions(content: Any, where: str) -> Any:
    if isinstance(content, list):
        return content
    for place in _ACTION_PLACES:
        found = content
        for part in place:
            inside = isinstance(found, Mapping) if isinstance(part, str) else isinstance(found, list)
            if not inside or (part not in found if isinstance(part, str) else not found):
                break
            found = found[part]
        else:
            if isinstance(found, list):
                return found
    keys = sorted(content) if isinstance(content, Mapping) else type(content).__name__
    raise InputError(
        f"no action rows found in {keys}",
        where=where,
        hint='Give a nested list, {"action": {"data": rows}} or {"actions": rows}.',
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES} bytes", where=str(path))
    return data


def _read_npz(path: Path) -> dict[str, Any]:
    _read_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > 4 * MAX_BYTES:
            raise InputError(f"unpacks to {unpacked} bytes, at most {4 * MAX_BYTES} are read", where=str(path))
        with np.load(path, allow_pickle=False) as archive_arrays:
            return {name: archive_arrays[name] for name in archive_arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"not a readable npz file: {error}", where=str(path)) from None


def _read_parquet(path: Path) -> dict[str, Any]:
    _read_size(path)
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "reading parquet needs pyarrow", where=str(path), hint="pip install cosmos_ros[lerobot]"
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise InputError(f"{file.metadata.num_rows} rows, at most {MAX_ROWS} are read", where=str(path))
        table = file.read()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"not a readable parquet file: {error}", where=str(path)) from None
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _read_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    if size > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES} bytes", where=str(path))
