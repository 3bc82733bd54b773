"""Scores of predicted frames against recorded ones, by horizon step and view."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.evaluation.frame_metrics import WINDOW, SsimReference, mean_squared_error, moving_pixels, psnr_of
from cosmos_ros.evaluation.lpips import Lpips
from cosmos_ros.types import UInt8Array

# Equal frames have an infinite PSNR, which has no mean; this is beyond what 8 bits can distinguish.
PSNR_CAP = 100.0


@dataclass(frozen=True)
class Region:
    """A rectangle of the canvas, pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def of(self, image: UInt8Array) -> UInt8Array:
        """Return this part of an image."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def cut(self, image: UInt8Array) -> UInt8Array:
        """Return this part of an image as a contiguous array."""
        return np.ascontiguousarray(self.of(image))


class CanvasRegions:
    """Where each view lies on the canvas. Views without a camera are black in truth and prediction alike; counting them
    would flatter every model, so only the others are scored.
    """

    def __init__(self, embodiment: Embodiment, blank: frozenset[str]) -> None:
        self._embodiment = embodiment
        self._blank = blank
        self._known: dict[tuple[tuple[str, tuple[int, ...]], ...], dict[str, Region]] = {}

    def of(self, images: Mapping[str, UInt8Array]) -> dict[str, Region]:
        """Return seen view → region, for images of these sizes."""
        key = tuple(sorted((view, image.shape) for view, image in images.items()))
        if key not in self._known:
            self._known[key] = {view: self._find(images, view) for view in sorted(images) if view not in self._blank}
        return self._known[key]

    def _find(self, images: Mapping[str, UInt8Array], view: str) -> Region:
        lit = {name: np.full_like(image, 255 if name == view else 0) for name, image in images.items()}
        canvas = self._embodiment.compose(lit)
        return Region(*cv2.boundingRect(np.ascontiguousarray(canvas[..., 0])))


def score_frames(
    candidates: Mapping[str, UInt8Array],
    canvases: tuple[UInt8Array | None, ...],
    regions: Mapping[str, Region],
    *,
    whole: bool,
    lpips: Lpips | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the scores of several rollouts against the same truth.

    Args:
        candidates: Name → frames ``uint8 [T+1, H, W, 3]``; frame 0 is the observation and is not scored. Frames of
            another size are scaled to the truth's.
        canvases: T + 1 true canvases; None where there is none.
        regions: Seen view → where it lies.
        whole: The regions cover the canvas: SSIM is that of the whole frame, not the mean of the views'.
        lpips: Computes LPIPS, of the same areas as SSIM; None leaves it out.

    Returns:
        Name → ``psnr``, ``dynamic_psnr``, ``ssim`` (lists of T numbers or None), ``lpips`` (where asked for) and
        ``views`` (view → PSNR list).
    """
    steps: list[dict[str, dict[str, Any]]] = []
    for k in range(1, len(canvases)):
        truth = canvases[k]
        frames_k = {name: frames[k] for name, frames in candidates.items()}
        scores = {} if truth is None else _score_step(frames_k, truth, canvases[k - 1], regions, whole, lpips)
        steps.append(scores)
    keys = ("psnr", "dynamic_psnr", "ssim", *(("lpips",) if lpips is not None else ()))
    return {
        name: {
            **{figure: [found[name][figure] if found else None for found in steps] for figure in keys},
            "views": {view: [found[name]["views"][view] if found else None for found in steps] for view in regions},
        }
        for name in candidates
    }


def _score_step(
    candidates: Mapping[str, UInt8Array],
    truth: UInt8Array,
    before: UInt8Array | None,
    regions: Mapping[str, Region],
    whole: bool,
    lpips: Lpips | None,
) -> dict[str, dict[str, Any]]:
    if len(regions) == 1 and not whole:
        # Of a canvas with one seen view only that part is processed, as a canvas of its own.
        ((view, region),) = regions.items()
        part = {view: Region(0, 0, region.width, region.height)}
        shown = {name: region.cut(scale_to(frame, truth)) for name, frame in candidates.items()}
        earlier = None if before is None else region.cut(before)
        return _score_step(shown, region.cut(truth), earlier, part, True, lpips)
    parts = {view: region.cut(truth) for view, region in regions.items()}
    sizes = {view: part.shape[0] * part.shape[1] for view, part in parts.items()}
    moving: UInt8Array | None = None
    if before is not None:
        moving = moving_pixels(before, truth) if whole else _moving_within(before, truth, regions)
    if moving is not None and sum(sizes.values()) < moving.size:
        seen = np.zeros(truth.shape[:2], dtype=np.uint8)
        for region in regions.values():
            region.of(seen)[:] = 255
        moving &= seen
    areas = [Region(0, 0, truth.shape[1], truth.shape[0])] if whole else list(regions.values())
    areas = [area for area in areas if min(area.size) >= WINDOW]
    weights = [area.width * area.height for area in areas]
    references = [SsimReference(area.cut(truth)) for area in areas]
    found = {}
    for name, frame in candidates.items():
        fitted = scale_to(frame, truth)
        errors = {view: mean_squared_error(region.of(fitted), parts[view]) for view, region in regions.items()}
        pooled = sum(errors[view] * sizes[view] for view in regions) / sum(sizes.values())
        dynamic = None if moving is None else psnr_of(mean_squared_error(fitted, truth, moving))
        cuts = [area.cut(fitted) for area in areas]
        similar = [reference.compare(cut) for reference, cut in zip(references, cuts, strict=True)]
        found[name] = {
            "psnr": rounded(_capped(psnr_of(pooled))),
            "dynamic_psnr": None if dynamic is None else rounded(_capped(dynamic)),
            "ssim": rounded(float(np.average(similar, weights=weights))) if similar else None,
            "views": {view: rounded(_capped(psnr_of(error))) for view, error in errors.items()},
        }
        if lpips is not None:
            apart = [lpips.distance(cut, reference.truth) for reference, cut in zip(references, cuts, strict=True)]
            found[name]["lpips"] = rounded(float(np.average(apart, weights=weights))) if apart else None
    return found


def _moving_within(before: UInt8Array, truth: UInt8Array, regions: Mapping[str, Region]) -> UInt8Array | None:
    """Return the fifth of the seen pixels that moves most, not of the whole canvas."""
    strips = [[r.cut(image).reshape(1, -1, 3) for r in regions.values()] for image in (before, truth)]
    found = moving_pixels(np.concatenate(strips[0], axis=1), np.concatenate(strips[1], axis=1))
    if found is None:
        return None
    mask = np.zeros(truth.shape[:2], dtype=np.uint8)
    begin = 0
    for region in regions.values():
        size = region.width * region.height
        region.of(mask)[:] = found[0, begin : begin + size].reshape(region.height, region.width)
        begin += size
    return mask


def scale_to(frame: UInt8Array, like: UInt8Array) -> UInt8Array:
    """Return a frame scaled to another's size; itself when it fits."""
    if frame.shape == like.shape:
        return frame
    height, width = like.shape[:2]
    shrink = frame.shape[0] > height or frame.shape[1] > width
    scaled = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return np.asarray(scaled, dtype=np.uint8)


def _capped(decibels: float) -> float:
    """Return a PSNR of at most ``PSNR_CAP``."""
    return min(decibels, PSNR_CAP)


def rounded(value: float) -> float | None:
    """Return a number with nine significant digits; None for one that is not finite (JSON has none)."""
    return float(f"{value:.9g}") if math.isfinite(value) else None
