"""Reads action chunks and recorded states from JSON, npz and parquet files, with bounded size and no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.types import FloatArray

MAX_BYTES = 64 << 20
MAX_ROWS = 1_000_000
MAX_VALUES = 1 << 24

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


@dataclass(frozen=True)
class ActionFile:
    """Action rows, and what their file says about them.

    Attributes:
        rows: ``float64 [T, D]``.
        scale: ``normalised`` or ``physical`` where the file says so, as ``cosmos-ros actions encode`` writes it.
        domain_name: Action domain of the rows where the file says so.
        where: The file, for messages.
    """

    rows: FloatArray
    scale: str | None
    domain_name: str | None
    where: str

    def check(self, domain_name: str, scale: str | None) -> None:
        """Refuse a file that says of itself that it is of another domain or, unless None, in another scale.

        Raises:
            InputError: It does.
        """
        if self.domain_name not in (None, domain_name):
            raise InputError(
                f"the actions are of domain {self.domain_name}, not {domain_name}",
                where=self.where,
                hint="Take an embodiment of that domain: columns and statistics differ.",
            )
        if scale is not None and self.scale not in (None, scale):
            raise InputError(
                f"the file says that its numbers are {self.scale}, not {scale}",
                where=self.where,
                hint=f"Read it as {self.scale}, or encode it as {scale}.",
            )


def read_action_file(path: str | Path, column: str | None = None) -> ActionFile:
    """Return the action rows of a file, and what it says about them.

    JSON: a nested list; ``{"action": {"data": rows}}`` or ``{"action": rows}`` as servers answer;
    ``{"actions": rows}``; cosmos-framework's ``sample_outputs.json``. npz: array ``actions`` or ``action``, or the only
    one. parquet: column ``actions`` or ``action`` of number lists, or the one named by ``column``.

    Args:
        path: The file; its ending tells the format.
        column: Array or column name of npz and parquet, in place of the usual ones.

    Raises:
        InputError: The file cannot be read, is too large, or holds no rows of equal width; names the place.
        ConfigError: A parquet file, and pyarrow is not installed.
    """
    file = Path(path)
    where = str(file)
    if file.suffix == ".json":
        if column is not None:
            raise InputError(f"JSON has no column {column!r}; columns are for npz and parquet", where=where)
        content = read_json(file)
        says = content if isinstance(content, Mapping) else {}
        scale, domain = says.get("scale"), says.get("domain_name")
        if scale not in (None, "normalised", "physical"):
            raise InputError(f"scale is {str(scale)[:60]!r}; allowed: normalised, physical", where=where)
        rows = as_rows(_find_actions(content, where), where)
        return ActionFile(rows, scale, domain if isinstance(domain, str) else None, where)
    table = read_table(file)
    if column is None:
        known: list[str] = [name for name in ("actions", "action") if name in table]
        if not known and len(table) == 1:
            known = list(table)
        if not known:
            raise InputError(f"no array named actions or action among {sorted(table)}", where=where)
        column = known[0]
    if column not in table:
        raise InputError(f"no array {column!r}; there are {sorted(table)}", where=where)
    return ActionFile(as_rows(table[column], f"{file}: {column}"), None, None, where)


def read_actions(path: str | Path, column: str | None = None) -> FloatArray:
    """Return the action rows ``float64 [T, D]`` of a file in whatever scale they are; see ``read_action_file``."""
    return read_action_file(path, column).rows


def read_json(path: Path) -> Any:
    """Return a JSON file's content; raises InputError."""
    text = _read(path).decode("utf-8-sig", errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON: {error}", where=str(path)) from None


def read_table(path: Path) -> Mapping[str, Any]:
    """Return the named arrays of an npz or parquet file; raises InputError or ConfigError."""
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    raise InputError(f"unknown ending {path.suffix!r}; readable are .json, .npz, .parquet", where=str(path))


def as_rows(value: Any, where: str) -> FloatArray:
    """Return nested numbers as ``float64 [T, D]``; raises InputError naming the first row that does not fit."""
    if isinstance(value, list | tuple) and value and all(isinstance(row, list | tuple) for row in value):
        width = len(value[0])
        for index, row in enumerate(value):
            if len(row) != width:
                raise InputError(f"row {index} has {len(row)} numbers, row 0 has {width}", where=where)
    array = as_numbers(value, "rows of numbers", where)
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"expected [T, D] numbers, got shape {list(array.shape)}", where=where)
    if len(array) > MAX_ROWS:
        raise InputError(f"{len(array)} rows, at most {MAX_ROWS} are read", where=where)
    return array


def as_numbers(value: Any, what: str, where: str) -> FloatArray:
    """Return nested lists or an array as ``float64``; raises InputError unless all of it are real numbers.

    Text, truth values, dates and complex numbers are refused: numpy would turn each into some number.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"not {what}", where=where) from None
    if array.dtype.kind not in "iuf" and array.size:
        strange = _strange(value if array.dtype == object else array.tolist())
        raise InputError(f"not {what}{'' if strange is None else f': {strange}'}", where=where)
    with np.errstate(over="ignore"):
        return array.astype(np.float64)


def _strange(value: Any) -> str | None:
    """Return the first thing in nested lists that is no number, shortened; None where there is none."""
    if isinstance(value, list | tuple | np.ndarray):
        found = (_strange(part) for part in value)
        return next((text for text in found if text is not None), None)
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63):
        return None
    return repr(value)[:40]


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
    except InputError:
        raise
    except Exception as error:
        # A damaged file makes zipfile, its decompressors, numpy and Python's tokenizer raise some ten types.
        raise InputError(f"not a readable npz file: {error}", where=str(path)) from None


def _read_parquet(path: Path) -> Mapping[str, Any]:
    _read_size(path)
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "reading parquet needs pyarrow", where=str(path), hint="Install it: pip install 'pyarrow>=14'."
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"not a readable parquet file: {error}", where=str(path)) from None
    if file.metadata.num_rows > MAX_ROWS:
        raise InputError(f"{file.metadata.num_rows} rows, at most {MAX_ROWS} are read", where=str(path))
    return _ParquetTable(path, file)


class _ParquetTable(Mapping[str, Any]):
    """Columns of a parquet file, read when they are asked for: data sets carry images beside the numbers."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path = path
        self._file = file
        self._names: list[str] = file.schema_arrow.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        # Runs of equal numbers are stored as one, so a small file may hold very many.
        values = 0
        for group in range(self._file.metadata.num_row_groups):
            chunks = self._file.metadata.row_group(group)
            for index in range(chunks.num_columns):
                chunk = chunks.column(index)
                if chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}."):
                    values += chunk.num_values
        if values > MAX_VALUES:
            raise InputError(f"column {name} has {values} values, at most {MAX_VALUES} are read", where=str(self._path))
        import pyarrow

        try:
            return self._file.read(columns=[name]).column(name).to_pylist()
        except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
            raise InputError(f"column {name} cannot be read: {error}", where=str(self._path)) from None


def _read_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    if size > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES} bytes", where=str(path))
