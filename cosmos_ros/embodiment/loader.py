"""Reads embodiment files: YAML with ``extends``, validated, every error naming file, field and allowed values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cosmos_ros.embodiment.spec import EmbodimentSpec
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource
from cosmos_ros.schema import RecordError, plain, read

MAX_FILE_BYTES = 1 << 20
MAX_URDF_BYTES = 8 << 20
MAX_EXTENDS = 8
MAX_DEPTH = 20
# Fields of `robot` that name files, relative to the file they stand in.
_FILES = ("urdf", "ur_calibration")


@dataclass(frozen=True)
class LoadedSpec:
    """A validated embodiment file.

    Attributes:
        spec: The resolved file.
        path: The file it was read from.
        urdf_path: The URDF beside it, or None.
        config_hash: SHA-256 (hex) of the resolved specification, the URDF's bytes and those of a calibration.
        ur_calibration_path: The calibration beside it, or None.
    """

    spec: EmbodimentSpec
    path: Path
    urdf_path: Path | None
    config_hash: str
    ur_calibration_path: Path | None = None

    def hash_with(self, urdf: str | Path | None, ur_calibration: str | Path | None = None) -> str:
        """Return ``config_hash``, or the one with another URDF (path or XML text) and a calibration file."""
        if urdf is None and ur_calibration is None:
            return self.config_hash
        text = str(urdf or self.urdf_path or "")
        data = text.encode() if text.lstrip("\ufeff \t\r\n").startswith("<") else _read_bounded(Path(text), "urdf")
        calibration = ur_calibration or self.ur_calibration_path
        if calibration is not None:
            data += b"\0" + _read_bounded(Path(calibration), "ur_calibration")
        return _config_hash(self.spec, data)


def list_embodiments() -> list[str]:
    """Return the names of the shipped embodiments, sorted."""
    return sorted(path.stem for path in resource("embodiments").glob("*.yaml"))


def find_file(name_or_path: str | Path) -> Path:
    """Return the file of a shipped embodiment's name or of a path.

    Raises:
        ConfigError: Neither exists; names the shipped ones.
    """
    given = str(name_or_path)
    path = Path(given).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_absolute() or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError("no such embodiment file", where=str(path))
        return path.resolve()
    names = list_embodiments()
    if given not in names:
        raise ConfigError(
            f"there is no embodiment {given!r}; shipped are {', '.join(names)}",
            where="embodiment",
            hint="Give one of them, or the path of a YAML file.",
        )
    return resource("embodiments", f"{given}.yaml").resolve()


def load_spec(name_or_path: str | Path) -> LoadedSpec:
    """Read, resolve and validate an embodiment file.

    Args:
        name_or_path: Name of a shipped embodiment, or path of a YAML file.

    Raises:
        ConfigError: Names the file, the field and what is allowed.
    """
    path = find_file(name_or_path)
    data, origins = _resolve(path, [])
    try:
        spec = read(EmbodimentSpec, data)
    except RecordError as error:
        raise ConfigError(str(error), where=str(path)) from None
    if spec.name != path.stem:
        raise ConfigError(f"name: {spec.name!r} must be the file's name, {path.stem!r}", where=str(path))
    files: dict[str, Path] = {}
    data_of_files: list[bytes] = []
    for field in _FILES:
        name = getattr(spec.robot, field, None)
        if name is None:
            continue
        files[field] = (origins.get(f"robot.{field}", path).parent / name).resolve()
        if not files[field].is_file():
            raise ConfigError(f"robot.{field}: no such file: {files[field]}", where=str(path))
        data_of_files.append(_read_bounded(files[field], f"{path}: robot.{field}"))
    return LoadedSpec(
        spec=spec,
        path=path,
        urdf_path=files.get("urdf"),
        config_hash=_config_hash(spec, b"\0".join(data_of_files)),
        ur_calibration_path=files.get("ur_calibration"),
    )


def _read_bounded(path: Path, where: str) -> bytes:
    """Return a file's bytes; ConfigError when it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_URDF_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error}", where=where) from None
    if len(data) > MAX_URDF_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_URDF_BYTES} bytes", where=where)
    return data


def _config_hash(spec: EmbodimentSpec, urdf: bytes) -> str:
    """Return the SHA-256 (hex) of everything that decides what the embodiment does; file names do not."""
    resolved = plain(spec)
    if resolved["robot"] is not None:
        for field in _FILES:
            del resolved["robot"][field]
    hasher = hashlib.sha256(json.dumps(resolved, sort_keys=True).encode())
    hasher.update(urdf)
    return hasher.hexdigest()


def _resolve(path: Path, seen: list[Path]) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return the merged mapping and, for the fields that name files, the file they stand in."""
    if path in seen or len(seen) >= MAX_EXTENDS:
        chain = " -> ".join(p.name for p in [*seen, path])
        raise ConfigError(f"extends: goes round in a circle or too deep: {chain}", where=str(path))
    data = read_yaml(path)
    robot = data.get("robot")
    own = {f"robot.{field}": path for field in _FILES if isinstance(robot, dict) and field in robot}
    base_name = data.pop("extends", None)
    if base_name is None:
        return data, own
    if not isinstance(base_name, str):
        raise ConfigError(f"extends: expected a file name, got {base_name!r}", where=str(path))
    base_path = (path.parent / base_name).resolve()
    if not base_path.is_file() and len(Path(base_name).parts) == 1:
        # A user's file elsewhere may extend a shipped one by its name.
        shipped = resource("embodiments") / base_name
        base_path = shipped.resolve() if shipped.is_file() else base_path
    if not base_path.is_file():
        raise ConfigError(f"extends: no such file: {base_path}", where=str(path))
    base, origins = _resolve(base_path, [*seen, path])
    return merge(base, data), {**origins, **own}


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes``: mappings are merged key by key, anything else replaces; null removes."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _check_events(text: str, path: Path) -> None:
    """Refuse aliases, and keys given twice, which YAML forbids and PyYAML lets pass.

    A few aliases of aliases expand to gigabytes; an embodiment file has no use for them.
    """
    # Per open collection: the keys of a mapping so far (None for a sequence), and whether a key comes next.
    stack: list[tuple[set[str] | None, bool]] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError("aliases (*name) are not allowed", where=place)
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        keys, key_next = stack[-1] if stack else (None, False)
        if keys is not None:
            if key_next and isinstance(event, yaml.ScalarEvent):
                if event.value in keys:
                    raise ConfigError(f"key {event.value!r} is given twice", where=place)
                keys.add(event.value)
            stack[-1] = (keys, not key_next)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(stack) >= MAX_DEPTH:
                raise ConfigError(f"nested deeper than {MAX_DEPTH} levels", where=place)
            stack.append((set(), True) if isinstance(event, yaml.MappingStartEvent) else (None, False))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with bounded size, no aliases, no duplicate keys.

    Raises:
        ConfigError: Names the file and, where the parser knows it, line and column.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ConfigError(f"the file has {size} bytes, at most {MAX_FILE_BYTES} are read", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from None
    try:
        _check_events(text, path)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        raise ConfigError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where=place) from None
    except ValueError as error:  # a date that is none, a number of thousands of digits
        raise ConfigError(f"a value cannot be read: {str(error)[:200]}", where=str(path)) from None
    if not isinstance(data, dict):
        raise ConfigError(f"expected a mapping of fields, got {type(data).__name__}", where=str(path))
    return data
