"""One JSON line a prediction, with everything that is needed to make it again.

Small arrays stand in the line. Images are kept beside it, as PNG files named by their digest, so that an image
that was asked about twice is kept once.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.prediction.bound_model import ask
from cosmos_ros.prediction.provenance import digest, to_json
from cosmos_ros.types import ActionLayout, Float32Array, Mode, Request, Rollout, UInt8Array
from cosmos_ros.world_models.protocol import WorldModel

FORMAT = 1
_IMAGES = ("image", "previous_image", "video")
_ROWS = ("actions", "state", "past_action", "hold_action", "committed", "commanded")
# Field → a text, or the largest number that is read back.
_PLAIN: dict[str, str | int | float] = {
    "domain_name": "",
    "domain_id": 1 << 16,
    "fps": 1000.0,
    "chunk_size": 4096,
    "action_dim": 4096,
    "instruction": "",
    "prompt": "",
    "negative_prompt": "",
    "view_point": "",
    "resolution_tier": 4096,
    "seed": 2**63 - 1,
}
_LONGEST_LINE = 64 << 20
_LARGEST_IMAGE = 1 << 30  # bytes, decoded


def request_to_record(request: Request) -> dict[str, Any]:
    """Return a request as JSON-serialisable data; images by digest and shape.

    ``observation`` is left out: models that need it cannot be asked again from a line.
    """
    record: dict[str, Any] = {"mode": request.mode.value}
    record |= {name: getattr(request, name) for name in _PLAIN}
    record |= {name: dict(getattr(request, name)) for name in ("settings", "recommended_settings")}
    for name in _ROWS:
        rows = getattr(request, name)
        record[name] = None if rows is None else _exact(rows)
    for name in _IMAGES:
        image = getattr(request, name)
        record[name] = None if image is None else {"digest": digest(image), "shape": list(image.shape)}
    layout = request.layout
    record["layout"] = None
    if layout is not None:
        record["layout"] = {
            "scale": layout.scale.tolist(),
            "offset": layout.offset.tolist(),
            "pose_columns": list(layout.pose_columns),
            "gripper_columns": list(layout.gripper_columns),
            "clamp": layout.clamp,
        }
    record["needs_observation"] = request.observation is not None
    return record


def request_from_record(record: Mapping[str, Any], read_image: Callable[[str], UInt8Array]) -> Request:
    """Return the request of a record.

    Args:
        record: As :func:`request_to_record` made it.
        image: Returns the image of a digest.

    Raises:
        InputError: A field is missing or wrong, or an image is not the one that was recorded.
    """
    if record.get("needs_observation"):
        raise InputError("this model read the observation itself, which a line does not hold", where="request")
    try:
        fields: dict[str, Any] = {name: _checked(name, record[name]) for name in _PLAIN}
        fields["mode"] = Mode(record["mode"])
        fields |= {name: dict(record.get(name) or {}) for name in ("settings", "recommended_settings")}
        for name in _ROWS:
            rows = record.get(name)
            fields[name] = None if rows is None else np.array(rows, dtype=np.float32)
        for name in _IMAGES:
            fields[name] = None if record.get(name) is None else _image(record[name], read_image, name)
        layout = record.get("layout")
        if layout is not None:
            fields["layout"] = ActionLayout(
                scale=np.array(layout["scale"], dtype=np.float64),
                offset=np.array(layout["offset"], dtype=np.float64),
                pose_columns=tuple(layout["pose_columns"]),
                gripper_columns=tuple(layout["gripper_columns"]),
                clamp=bool(layout["clamp"]),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the line's request is malformed: {type(error).__name__}: {error}", where="request"
        ) from error
    return Request(**fields)


def _checked(name: str, value: Any) -> Any:
    """Return a plain field of a request; ValueError for another type, and for sizes that no request has."""
    default = _PLAIN[name]
    if isinstance(default, str):
        fine = isinstance(value, str)
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fine = number and 0 <= value <= default and isinstance(value, type(default) | int)
    if not fine:
        raise ValueError(f"{name} is {value!r:.80}")
    return value


class PredictionLog:
    """Appends one line a prediction to a file, and keeps the images in a folder beside it.

    Args:
        path: The file; the folder is ``<path>.pictures``.
        images: Keep the images; without them a line cannot be asked again unless the images are elsewhere.
        max_image_bytes: Keep no further images beyond this size of the folder.

    Raises:
        InputError: The file cannot be opened.
    """

    def __init__(self, path: str | Path, *, images: bool = True, max_image_bytes: int = 4 << 30) -> None:
        self.path = Path(path).expanduser()
        self._keep_images = images
        self._room = max_image_bytes
        self._folder = image_folder(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = self.path.open("a", encoding="utf-8")
            if images:
                self._folder.mkdir(exist_ok=True)
                self._room -= sum(file.stat().st_size for file in self._folder.glob("*.png"))
        except OSError as error:
            raise InputError(str(error), where=f"prediction log {path}") from error

    def write(self, record: Mapping[str, Any], request: Request, rollout: Rollout) -> str:
        """Append one prediction and return its line.

        Args:
            record: Provenance. ``world_model`` with ``name`` and ``options`` is what
                :func:`replay` needs besides.
            request, rollout: The question and the answer.

        Raises:
            InputError: Line or images cannot be written, as on a full disk.
        """
        failure: OSError | None = None
        kept = self._keep_images and self._room > 0
        try:
            for name in _IMAGES if kept else ():
                self._write_image(getattr(request, name))
        except OSError as error:  # the line is worth more than its images
            kept, failure = False, error
        line = to_json(
            {
                "format": FORMAT,
                **record,
                "request": request_to_record(request),
                "actions": None if rollout.actions is None else _exact(rollout.actions),
                "pictures": kept,
            }
        )
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            failure = error
        if failure is not None:
            raise InputError(f"cannot be written: {failure}", where=f"prediction log {self.path}") from failure
        return line

    def close(self) -> None:
        """Close the file; may be called twice."""
        with contextlib.suppress(OSError):  # what could not be written has been said
            self._file.close()

    def _write_image(self, image: UInt8Array | None) -> None:
        if image is None:
            return
        path = self._folder / f"{digest(image)}.png"
        if path.exists():
            return
        # A clip becomes one tall image; its shape stands in the line.
        tall = image.reshape(-1, *image.shape[-2:])
        data = cv2.imencode(".png", cv2.cvtColor(tall, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        # A image that is there is taken to be whole.
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(data.tobytes())
        unfinished.replace(path)
        self._room -= len(data)


def image_folder(log: Path) -> Path:
    """Return the folder that holds the images of a prediction log."""
    return log.with_name(log.name + ".pictures")


def read_line(source: str, number: int | None = None) -> tuple[dict[str, Any], Path | None]:
    """Return one prediction's record and the log file it came from.

    Args:
        source: The line itself (it begins with ``{``), or a log file.
        number: Which line of the file, from 1; negative counts from the end; None is the last.

    Raises:
        InputError: No such file or line, or it is not a prediction.
    """
    path = None
    text = source
    if not source.lstrip().startswith("{"):
        path = Path(source).expanduser()
        text = _line_of(path, -1 if number is None else number)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the line is not JSON: {error}", where=str(path or "line")) from error
    if not isinstance(record, dict) or not isinstance(record.get("request"), dict):
        raise InputError("the line holds no request; it is not from a prediction log", where=str(path or "line"))
    for name in ("world_model", "digests"):
        if not isinstance(record.setdefault(name, {}), dict):
            raise InputError(f"its {name} is not an object", where=str(path or "line"))
    if record.get("format") != FORMAT:
        raise InputError(f"the line has format {record.get('format')}, known is {FORMAT}", where=str(path or "line"))
    return record, path


@dataclass(frozen=True)
class Replay:
    """What came out when a recorded request was asked again.

    Attributes:
        rollout: The new answer.
        same: The actions are equal, bit by bit (and the frames, where their digest was recorded).
        same_expected: The model is deterministic, and nothing in the surroundings differs.
        largest_difference: Largest absolute difference of the actions, in the rows' own numbers.
        changed: What differs in the surroundings, e.g. ``device: A → B``.
    """

    rollout: Rollout
    same: bool
    same_expected: bool
    largest_difference: float
    changed: tuple[str, ...]


def replay(record: Mapping[str, Any], model: WorldModel, images: Path) -> Replay:
    """Ask a loaded world model what a line recorded.

    Raises:
        InputError: The line or an image is missing or malformed.
        CapabilityError, ModelError: As the model's ``predict``.
    """
    request = request_from_record(record["request"], lambda name: _read_image(images, name))
    rollout = ask(model, request)
    difference, same = 0.0, True
    recorded = record.get("actions")
    if recorded is not None and rollout.actions is not None:
        try:
            before: Float32Array = np.array(recorded, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"the line's actions are no rows of numbers: {error}", where="actions") from error
        if before.shape != rollout.actions.shape:
            raise InputError(f"the line's actions have shape {list(before.shape)}", where="actions")
        difference = float(np.abs(before - rollout.actions).max(initial=0.0))
        same = bool(np.array_equal(before, rollout.actions))
    frames = record.get("digests", {}).get("frames")
    compared = recorded is not None and rollout.actions is not None
    if frames is not None and rollout.frames is not None:
        same = same and digest(rollout.frames) == frames
        compared = True
    if not compared:
        raise InputError("the line holds neither actions nor the frames' digest to compare with", where="line")
    now = rollout.provenance
    watched = ("model", "revision", "fingerprint", "device", "dtype", "torch", "diffusers", "server", "dialect")
    changed = tuple(f"{k}: {record[k]} → {now[k]}" for k in watched if k in record and k in now and record[k] != now[k])
    expected = model.capabilities.deterministic and not changed
    return Replay(rollout, same, expected, difference, changed)


def _exact(rows: Any) -> Any:
    """Return an array as nested lists of the shortest decimals that read back as the same float32."""
    return np.asarray(rows, dtype=np.float32).astype(np.float64).tolist()


def _line_of(path: Path, number: int) -> str:
    try:
        if path.stat().st_size > 16 * _LONGEST_LINE:
            raise InputError("the file is too large", where=str(path), hint="Give the line itself.")
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    if number == 0 or not -len(lines) <= number <= len(lines):
        raise InputError(f"there is no line {number}; it has {len(lines)}", where=str(path))
    return lines[number - 1 if number > 0 else number]


def _image(record: Mapping[str, Any], read_image: Callable[[str], UInt8Array], name: str) -> UInt8Array:
    shape = tuple(int(n) for n in record["shape"])
    if len(shape) not in (3, 4) or shape[-1] != 3 or min(shape) < 1 or math.prod(shape) > _LARGEST_IMAGE:
        raise ValueError(f"{name} has shape {shape}")
    found = read_image(str(record["digest"]))
    if found.size != math.prod(shape) or digest(found.reshape(shape)) != record["digest"]:
        raise InputError(f"the kept image {record['digest']} is not the one that was recorded", where=name)
    return found.reshape(shape)


def _read_image(folder: Path, name: str) -> UInt8Array:
    if not name.isalnum():
        raise InputError(f"'{name[:40]}' is no digest", where="request")
    path = folder / f"{name}.png"
    if not path.is_file():
        raise InputError(
            "the image that was asked about is not there", where=str(path), hint="Name its folder with --pictures."
        )
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError("the image cannot be decoded", where=str(path))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
