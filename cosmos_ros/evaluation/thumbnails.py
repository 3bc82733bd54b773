"""Small pictures of evaluated chunks, kept on disk until the report has chosen among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.evaluation.chunk_jobs import ChunkJob
from cosmos_ros.evaluation.figure_definitions import Record, mean
from cosmos_ros.evaluation.frame_scores import Region, fit
from cosmos_ros.evaluation.scoring import MODEL, Scored
from cosmos_ros.messages import compress
from cosmos_ros.types import UInt8Array

FOLDER = "pictures"
TILE_WIDTH = 240
MOST = 240
_ACTUAL = "actual"
_QUALITY = 82
_GREY = 40


@dataclass(frozen=True)
class Strip:
    """A picture with a row a step and a column a panel, as JPEG."""

    panels: tuple[str, ...]
    steps: int
    jpeg: bytes


@dataclass(frozen=True)
class Keepsake:
    """A strip of one chunk: a row a step, a column a panel.

    Attributes:
        title: Best, median or worst.
        chunk: Which one: ``bag``, ``epoch``, ``index``, ``stamp_ns``.
        score: What it was chosen by.
        unit: Of the score.
        panels: Column names: ``actual`` and predictors.
        steps: Rows.
        jpeg: The strip.
    """

    title: str
    chunk: Record
    score: float
    unit: str
    panels: tuple[str, ...]
    steps: int
    jpeg: bytes


class Keepsakes:
    """Keeps strips of at most ``MOST`` chunks: the best, the worst, and an even choice between.

    Args:
        folder: Of the evaluation.
        pictures: Keep any at all.
    """

    def __init__(self, folder: Path, *, pictures: bool = True) -> None:
        self._folder = folder / FOLDER
        self._scores: dict[str, float] = {}
        if pictures and self._folder.is_dir():
            for path in sorted(self._folder.glob("*.json")):
                try:
                    self._scores[path.stem] = float(json.loads(path.read_text(encoding="utf-8"))["score"])
                except (ValueError, KeyError, TypeError):
                    path.unlink()  # the last run was killed while it wrote this

    def add(self, record: Record, strip: Strip | None) -> None:
        """Keep a chunk's strip, if it has one and a score.

        Raises:
            CosmosRosError: The disk is full.
        """
        score = score_of(record)
        if strip is None or score is None:
            return
        name = name_of(record)
        side = {"score": score[0], "panels": list(strip.panels), "steps": strip.steps}
        try:
            self._folder.mkdir(exist_ok=True)
            (self._folder / f"{name}.jpg").write_bytes(strip.jpeg)
            (self._folder / f"{name}.json").write_text(json.dumps(side), encoding="utf-8")
        except OSError as error:
            raise CosmosRosError(f"cannot be written: {error.strerror}", where=str(self._folder)) from error
        self._scores[name] = score[0]
        if len(self._scores) > MOST:
            self._thin()

    def chosen(self, records: Iterable[Record]) -> list[Keepsake]:
        """Return the best, the median and the worst chunk of those kept, with different chunks for each."""
        by_name, scored = {}, []
        for record in records:
            name = name_of(record)
            score = score_of(record) if name in self._scores else None
            if score is not None:
                by_name[name] = {key: record[key] for key in ("bag", "epoch", "index", "stamp_ns")}
                scored.append((*score, name))
        if not scored:
            return []
        # The score is a PSNR, or an error: the sign says which is better.
        better_high = scored[0][1] == "dB"
        scored.sort(key=lambda item: (item[0] if better_high else -item[0], item[2]))
        places = {"worst": 0, "median": (len(scored) - 1) // 2, "best": len(scored) - 1}
        found, used = [], set()
        for title in ("best", "median", "worst"):
            value, unit, name = scored[places[title]]
            if name in used:
                continue
            used.add(name)
            side = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
            jpeg = (self._folder / f"{name}.jpg").read_bytes()
            panels = tuple(side["panels"])
            found.append(Keepsake(title, by_name[name], value, unit, panels, int(side["steps"]), jpeg))
        return found

    def _thin(self) -> None:
        ranked = sorted(self._scores, key=lambda name: (self._scores[name], name))
        for name in ranked[8:-8:2]:
            for suffix in (".jpg", ".json"):
                (self._folder / f"{name}{suffix}").unlink(missing_ok=True)
            del self._scores[name]


def name_of(record: Record) -> str:
    """Return a file name for a chunk."""
    return f"{record['bag']}_{record['epoch']}_{record['stamp_ns']}"


def score_of(record: Record) -> tuple[float, str] | None:
    """Return what chunks are ranked by, and its unit: PSNR of the model's frames, or else its tool error."""
    entry: Mapping[str, Any] = record["predictors"].get(MODEL, {}).get("policy", {})
    value = mean(entry.get("frames", {}).get("psnr"))
    if value is not None:
        return value, "dB"
    errors = [mean(tool["cm"]) for tool in entry.get("tools", {}).values()]
    value = mean(errors)
    return None if value is None else (value, "cm")


def make_strip(job: ChunkJob, scored: Scored, regions: Mapping[str, Region]) -> Strip | None:
    """Return the strip of a chunk; None without predicted frames."""
    if not scored.frames or not any(canvas is not None for canvas in job.canvases):
        return None
    panels: dict[str, Sequence[UInt8Array | None]] = {_ACTUAL: job.canvases}
    panels.update({name: list(frames) for name, frames in scored.frames.items()})
    return Strip(tuple(panels), len(job.canvases), compress(_strip(panels, regions), quality=_QUALITY))


def _strip(panels: Mapping[str, Sequence[UInt8Array | None]], regions: Mapping[str, Region]) -> UInt8Array:
    like = next(frame for frames in panels.values() for frame in frames if frame is not None)
    left = min(region.left for region in regions.values())
    top = min(region.top for region in regions.values())
    right = max(region.left + region.width for region in regions.values())
    bottom = max(region.top + region.height for region in regions.values())
    seen = Region(left, top, right - left, bottom - top)
    # Whole numbers of pixels are averaged several times as fast as fractions of them.
    divide = max(1, min(seen.width // TILE_WIDTH, seen.height))
    width, height = seen.width // divide, seen.height // divide
    whole = replace(seen, width=width * divide, height=height * divide)
    steps = max(len(frames) for frames in panels.values())
    strip: UInt8Array = np.full((steps * height, len(panels) * width, 3), _GREY, dtype=np.uint8)
    for column, frames in enumerate(panels.values()):
        for row, frame in enumerate(frames):
            if frame is not None:
                tile = cv2.resize(whole.of(fit(frame, like)), (width, height), interpolation=cv2.INTER_AREA)
                strip[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return strip
