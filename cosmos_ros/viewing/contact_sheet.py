"""Rows of frames side by side, with captions: what was predicted above what then happened."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.types import UInt8Array

_BACKGROUND = (24, 26, 30)
_TEXT = (225, 228, 232)
_FAINT = (150, 156, 164)
_MARGIN = 6
_CAPTION = 20
_ROLLOUT_COLUMNS = 6


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[UInt8Array | None]]],
    captions: Sequence[str],
    *,
    tile_width: int = 200,
    title: str = "",
) -> UInt8Array:
    """Return one image with a labelled row of tiles for each entry of ``rows``.

    Args:
        rows: Row label and its tiles, ``uint8 [H, W, 3]`` RGB of one aspect ratio; None leaves a gap.
        captions: One caption a column.
        tile_width: Width of a tile in pixels.
        title: Line above everything.

    Raises:
        InputError: No tile at all, or rows longer than the captions.
    """
    first = next((tile for _, tiles in rows for tile in tiles if tile is not None), None)
    if first is None:
        raise InputError("there is no frame to show", where="contact_sheet")
    columns = len(captions)
    if any(len(tiles) > columns for _, tiles in rows):
        raise InputError(f"a row has more tiles than the {columns} captions", where="contact_sheet")
    tile_height = max(1, round(tile_width * first.shape[0] / first.shape[1]))
    label_width = max([_text_width(label) for label, _ in rows] + [0]) + 2 * _MARGIN
    top = _CAPTION + _MARGIN + (_CAPTION + _MARGIN if title else 0)
    height = top + len(rows) * (tile_height + _MARGIN) + _MARGIN
    width = label_width + columns * (tile_width + _MARGIN)
    sheet: UInt8Array = np.empty((height, width, 3), dtype=np.uint8)
    sheet[:] = _BACKGROUND
    if title:
        _write(sheet, title, _MARGIN, _CAPTION - 4, _TEXT)
    for column, caption in enumerate(captions):
        _write(sheet, caption, label_width + column * (tile_width + _MARGIN) + 2, top - _MARGIN, _FAINT)
    for index, (label, tiles) in enumerate(rows):
        y = top + index * (tile_height + _MARGIN)
        _write(sheet, label, _MARGIN, y + tile_height // 2 + 5, _TEXT)
        for column, tile in enumerate(tiles):
            if tile is not None:
                x = label_width + column * (tile_width + _MARGIN)
                sheet[y : y + tile_height, x : x + tile_width] = cv2.resize(
                    tile, (tile_width, tile_height), interpolation=cv2.INTER_AREA
                )
    return sheet


def rollout_sheet(frames: UInt8Array, fps: float, *, title: str = "") -> UInt8Array:
    """Return a one-row contact sheet of a rollout's frames ``uint8 [T+1, H, W, 3]``, evenly chosen."""
    chosen = frame_choice(len(frames), _ROLLOUT_COLUMNS)
    return contact_sheet([("", [frames[i] for i in chosen])], [f"+{i / fps:.2f} s" for i in chosen], title=title)


def frame_choice(count: int, columns: int) -> list[int]:
    """Return up to ``columns`` evenly spaced indices of ``count`` frames, with the first and the last."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(columns, count))})


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0]) if text else 0


def _write(sheet: UInt8Array, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
