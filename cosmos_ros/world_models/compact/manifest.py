"""The manifest of a trained model: its files, what they must hash to, and what each robot's graphs are given."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cosmos_ros.errors import ConfigError, ModelError
from cosmos_ros.resources import share_directory
from cosmos_ros.world_models.compact.robot_inputs import RobotInputs, ViewInput
from cosmos_ros.world_models.compact.words import Vocabulary

FILE_NAME = "manifest.json"
FORMAT = "cosmos_ros compact world model"
FORMAT_VERSION = 1
# The operators that the graphs are made of; a runtime that does not know this opset says so itself.
OPSET = 18
# Graphs of one robot.
PARTS = ("encode", "act", "frames", "pairs")
MAX_FILES = 64
MAX_FILE_BYTES = 64 << 20
_MAX_MANIFEST_BYTES = 1 << 20
_HINT = "Give the folder of a model that `python -m training.compact` exported, unchanged."


@dataclass(frozen=True)
class ModelFile:
    """One file: SHA-256 (hex) and size."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a model's folder holds.

    Attributes:
        robots: Embodiment → what it is given.
        graphs: Embodiment → part → file name.
        files: File name → hash and size, of everything that is read.
        vocabulary: Words it knows.
        width: Width of memory and evidence.
        opening_classes: Number of classes of an opening.
        opset: ONNX opset of the graphs.
        trained: Facts about the training, for provenance.
    """

    robots: Mapping[str, RobotInputs]
    graphs: Mapping[str, Mapping[str, str]]
    files: Mapping[str, ModelFile]
    vocabulary: Vocabulary
    width: int
    opening_classes: int
    opset: int = OPSET
    trained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """Digest over all files, short."""
        text = ",".join(f"{name}={file.sha256}" for name, file in sorted(self.files.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the manifest's text."""
        return json.dumps(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "opset": self.opset,
                "width": self.width,
                "opening_classes": self.opening_classes,
                "robots": {name: asdict(robot) for name, robot in self.robots.items()},
                "graphs": {name: dict(parts) for name, parts in self.graphs.items()},
                "files": {name: asdict(file) for name, file in self.files.items()},
                "vocabulary": {
                    "numbers": dict(self.vocabulary.numbers),
                    "nouns": sorted(self.vocabulary.nouns),
                    "ignored": sorted(self.vocabulary.ignored),
                },
                "trained": dict(self.trained),
            },
            indent=1,
        )


def hash_of(path: Path) -> ModelFile:
    """Return hash and size of a file."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return ModelFile(digest.hexdigest(), size)


def shipped_folder() -> Path:
    """Return the folder of the package's own model.

    Raises:
        ConfigError: The installation holds none.
    """
    folder = share_directory() / "models" / "compact"
    if not (folder / FILE_NAME).is_file():
        raise ConfigError(
            f"this installation holds no trained model; {folder} is missing or empty",
            where="world_model compact",
            hint="Train and export one with `python -m training.compact`, and give its folder: model:=FOLDER.",
        )
    return folder


def read_manifest(folder: Path) -> Manifest:
    """Read and check a manifest; files are checked by :func:`check_files`.

    Raises:
        ConfigError: There is none.
        ModelError: It is damaged, of another program or version, or names files outside the folder.
    """
    path = folder / FILE_NAME
    where = str(path)
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=where, hint=_HINT) from error
    if len(text) > _MAX_MANIFEST_BYTES:
        raise ModelError(f"larger than {_MAX_MANIFEST_BYTES} bytes", where=where, hint=_HINT)
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError("it does not say that it is a compact world model")
        if data["format_version"] != FORMAT_VERSION or data["opset"] != OPSET:
            raise ValueError(
                f"format {data['format_version']}, opset {data['opset']}; this package reads format {FORMAT_VERSION}, "
                f"opset {OPSET}"
            )
        return _manifest(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"not a manifest that can be used: {what:.300}", where=where, hint=_HINT) from error


def _manifest(data: Mapping[str, Any]) -> Manifest:
    files = {str(name): ModelFile(str(f["sha256"]).lower(), int(f["bytes"])) for name, f in data["files"].items()}
    if not 0 < len(files) <= MAX_FILES:
        raise ValueError(f"{len(files)} files, between 1 and {MAX_FILES} are allowed")
    for name, file in files.items():
        if Path(name).name != name or name in (".", "..", FILE_NAME):
            raise ValueError(f"file name {name!r} is not a plain name")
        if not 0 < file.bytes <= MAX_FILE_BYTES:
            raise ValueError(f"{name} is said to have {file.bytes} bytes; at most {MAX_FILE_BYTES} are read")
    robots = {str(name): robot_from_json(entry) for name, entry in data["robots"].items()}
    graphs = {str(name): {str(k): str(v) for k, v in parts.items()} for name, parts in data["graphs"].items()}
    for name in robots:
        missing = [part for part in PARTS if graphs[name].get(part) not in files]
        if missing:
            raise ValueError(f"robot {name} lacks the graphs {missing}")
    words = data["vocabulary"]
    numbers = {str(word): int(number) for word, number in words["numbers"].items()}
    if not numbers or min(numbers.values()) < 1:
        raise ValueError("the vocabulary is empty or has numbers below 1")
    vocabulary = Vocabulary(numbers, frozenset(int(n) for n in words["nouns"]), frozenset(map(str, words["ignored"])))
    return Manifest(
        robots, graphs, files, vocabulary, int(data["width"]), int(data["opening_classes"]), int(data["opset"]),
        dict(data.get("trained", {})),
    )  # fmt: skip


def robot_from_json(entry: Mapping[str, Any]) -> RobotInputs:
    """Return what ``dataclasses.asdict`` made data of; ValueError when its numbers cannot be."""
    views = tuple(ViewInput(**view) for view in entry["views"])
    fixed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k != "views"}
    robot = RobotInputs(**fixed, views=views)
    numbers = (*robot.mean, *robot.std, *robot.scale, *robot.offset)
    if not all(math.isfinite(number) for number in numbers) or min(robot.std) <= 0.0:
        raise ValueError(f"robot {robot.embodiment} has statistics that are not finite or not positive")
    if len(robot.mean) != robot.state_size or len(robot.std) != robot.state_size:
        raise ValueError(f"robot {robot.embodiment} has statistics of another length than its state vector")
    if len(robot.scale) != robot.action_dim or len(robot.offset) != robot.action_dim:
        raise ValueError(f"robot {robot.embodiment} has action statistics of another width than its rows")
    if not views or any(min(view.width, view.height) < 16 or max(view.width, view.height) > 1024 for view in views):
        raise ValueError(f"robot {robot.embodiment} has views of impossible size")
    return robot


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file's size and SHA-256 with the manifest.

    Raises:
        ModelError: Names the first file that is missing or another one.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            if path.stat().st_size != expected.bytes:
                raise ModelError(
                    f"it has {path.stat().st_size} bytes, the manifest says {expected.bytes}",
                    where=str(path),
                    hint=_HINT,
                )
            found = hash_of(path)
        except OSError as error:
            raise ModelError(f"cannot be read: {error.strerror or error}", where=str(path), hint=_HINT) from error
        if found.sha256 != expected.sha256:
            raise ModelError(
                f"its SHA-256 is {found.sha256}, the manifest says {expected.sha256}", where=str(path), hint=_HINT
            )
