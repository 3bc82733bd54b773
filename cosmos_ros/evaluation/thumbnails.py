"""Thumbnails of evaluated chunks, on disk until the report has chosen among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cosmos_ros.evaluation.chunk_jobs import ChunkJob
from cosmos_ros.evaluation.frame_scores import Region, scale_to
from cosmos_ros.evaluation.metric_definitions import Record, mean
from cosmos_ros.evaluation.scoring import MODEL, ScoredChunk
from cosmos_ros.files import output_errors, write_bytes, write_json
from cosmos_ros.messages import compress
from cosmos_ros.types import UInt8Array

FOLDER = "pictures"
_TILE_WIDTH = 240
_MAX_CHUNKS = 240
_ACTUAL = "actual"
_JPEG_QUALITY = 82
_GREY = 40


@dataclass(frozen=True)
class ThumbnailStrip:
    """The frames of one chunk as one JPEG with a row a step and a column a panel.

    Attributes:
        panels: Column names: ``actual`` and predictors.
        steps: Rows.
        jpeg: The image.
    """

    panels: tuple[str, ...]
    steps: int
    jpeg: bytes


@dataclass(frozen=True)
class ExampleChunk:
    """A chunk that the report shows.

    Attributes:
        title: Best, median or worst.
        chunk: Which one: ``bag``, ``epoch``, ``index``, ``stamp_ns``.
        score: What it was chosen by.
        unit: Of the score.
        strip: Its frames.
    """

    title: str
    chunk: Record
    score: float
    unit: str
    strip: ThumbnailStrip


class ThumbnailStore:
    """Keeps the strips of a bounded number of chunks: the best, the worst, and an even choice between.

    Args:
        folder: Of the evaluation.
        enabled: Keep any at all.
    """

    def __init__(self, folder: Path, *, enabled: bool) -> None:
        self._folder = folder / FOLDER
        self._scores: dict[str, float] = {}
        if enabled and self._folder.is_dir():
            for path in sorted(self._folder.glob("*.json")):
                try:
                    self._scores[path.stem] = float(json.loads(path.read_text(encoding="utf-8"))["score"])
                except (ValueError, KeyError, TypeError):
                    path.unlink()  # the last run was killed while it wrote this

    def add(self, record: Record, strip: ThumbnailStrip | None) -> None:
        """Keep a chunk's strip, if it has one and a score.

        Raises:
            OutputError: The disk is full.
        """
        score = _score_of(record)
        if strip is None or score is None:
            return
        name = _name_of(record)
        with output_errors(self._folder):
            self._folder.mkdir(exist_ok=True)
        write_bytes(self._folder / f"{name}.jpg", strip.jpeg)
        side = {"score": score[0], "panels": list(strip.panels), "steps": strip.steps}
        write_json(self._folder / f"{name}.json", side)
        self._scores[name] = score[0]
        if len(self._scores) > _MAX_CHUNKS:
            self._thin()

    def examples(self, records: Iterable[Record]) -> list[ExampleChunk]:
        """Return the best, the median and the worst chunk of those kept, with different chunks for each."""
        by_name, scored = {}, []
        for record in records:
            name = _name_of(record)
            score = _score_of(record) if name in self._scores else None
            if score is not None:
                by_name[name] = {key: record[key] for key in ("bag", "epoch", "index", "stamp_ns")}
                scored.append((*score, name))
        if not scored:
            return []
        # The score is a PSNR, or an error: the sign says which is better.
        sign = 1.0 if scored[0][1] == "dB" else -1.0
        scored.sort(key=lambda item: (sign * item[0], item[2]))
        chosen = {"best": scored[-1], "median": scored[(len(scored) - 1) // 2], "worst": scored[0]}
        found: dict[str, ExampleChunk] = {}
        for title, (value, unit, name) in chosen.items():
            if name not in found:
                side = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
                jpeg = (self._folder / f"{name}.jpg").read_bytes()
                strip = ThumbnailStrip(tuple(side["panels"]), int(side["steps"]), jpeg)
                found[name] = ExampleChunk(title, by_name[name], value, unit, strip)
        return list(found.values())

    def _thin(self) -> None:
        ranked = sorted(self._scores, key=lambda name: (self._scores[name], name))
        for name in ranked[8:-8:2]:
            for suffix in (".jpg", ".json"):
                (self._folder / f"{name}{suffix}").unlink(missing_ok=True)
            del self._scores[name]


def _name_of(record: Record) -> str:
    return f"{record['bag']}_{record['epoch']}_{record['stamp_ns']}"


def _score_of(record: Record) -> tuple[float, str] | None:
    """Return what chunks are ranked by, and its unit: PSNR of the model's frames, or else its tool error."""
    entry: Mapping[str, Any] = record["predictors"].get(MODEL, {}).get("policy", {})
    value = mean(entry.get("frames", {}).get("psnr"))
    if value is not None:
        return value, "dB"
    value = mean(mean(tool["cm"]) for tool in entry.get("tools", {}).values())
    return None if value is None else (value, "cm")


def make_strip(job: ChunkJob, scored: ScoredChunk, regions: Mapping[str, Region]) -> ThumbnailStrip | None:
    """Return the strip of a chunk; None without predicted frames."""
    if not scored.frames or not any(canvas is not None for canvas in job.canvases):
        return None
    panels: dict[str, Sequence[UInt8Array | None]] = {_ACTUAL: job.canvases}
    panels.update({name: list(frames) for name, frames in scored.frames.items()})
    return ThumbnailStrip(tuple(panels), len(job.canvases), compress(_tiles(panels, regions), quality=_JPEG_QUALITY))


def _tiles(panels: Mapping[str, Sequence[UInt8Array | None]], regions: Mapping[str, Region]) -> UInt8Array:
    like = next(frame for frames in panels.values() for frame in frames if frame is not None)
    left = min(region.left for region in regions.values())
    top = min(region.top for region in regions.values())
    right = max(region.left + region.width for region in regions.values())
    bottom = max(region.top + region.height for region in regions.values())
    seen = Region(left, top, right - left, bottom - top)
    # Whole numbers of pixels are averaged several times as fast as fractions of them.
    divide = max(1, min(seen.width // _TILE_WIDTH, seen.height))
    width, height = seen.width // divide, seen.height // divide
    whole = replace(seen, width=width * divide, height=height * divide)
    steps = max(len(frames) for frames in panels.values())
    strip: UInt8Array = np.full((steps * height, len(panels) * width, 3), _GREY, dtype=np.uint8)
    for column, frames in enumerate(panels.values()):
        for row, frame in enumerate(frames):
            if frame is not None:
                tile = cv2.resize(whole.of(scale_to(frame, like)), (width, height), interpolation=cv2.INTER_AREA)
                strip[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return strip
