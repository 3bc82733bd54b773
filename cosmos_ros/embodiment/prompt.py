"""The structured caption the action models were trained with, as a JSON string.

Field order, sentences and rounding follow cosmos-framework ``json_formatter.py`` and ``viewpoint_utils.py`` and
diffusers 0.42 ``Cosmos3OmniPipeline``; a stray space or another order would be a prompt the model never saw.
"""

from __future__ import annotations

import json
from typing import Any

from cosmos_ros.errors import ConfigError

FRAMING: dict[str, str] = {
    "ego_view": "This video is captured from a first-person perspective looking at the scene.",
    "third_person_view": "This video is captured from a third-person perspective looking towards the agent from the "
    "front.",
    "wrist_view": "This video is captured from a wrist-mounted camera.",
    "concat_view": "This video contains concatenated views from multiple camera perspectives.",
}

_ASPECT_RATIOS = ("1,1", "4,3", "3,4", "16,9", "9,16")


def build_prompt(
    instruction: str,
    *,
    view_point: str,
    frames: int,
    fps: float,
    height: int,
    width: int,
    view_description: str = "",
) -> str:
    """Return the caption of one request.

    Args:
        instruction: Task text; gets a full stop when it ends in none of ``. ! ?``.
        view_point: Key of ``FRAMING``.
        frames: Number of frames, T + 1.
        fps: Frame rate, 1/s.
        height, width: Padded canvas in pixels.
        view_description: Sentence after the framing sentence; empty for diffusers, which cannot add one.

    Raises:
        ConfigError: Unknown view point, or sizes that are not positive.
    """
    if view_point not in FRAMING:
        raise ConfigError(f"unknown view point {view_point!r}; allowed: {', '.join(FRAMING)}", where="view_point")
    if frames < 1 or fps <= 0.0 or height < 1 or width < 1:
        raise ConfigError(f"frames {frames}, fps {fps} and size {width}x{height} must be positive", where="prompt")
    framing = FRAMING[view_point]
    if view_description:
        framing = f"{framing} {view_description.rstrip()}"
    description = instruction.strip()
    if description and not description.endswith((".", "!", "?")):
        description = f"{description}."
    seconds = frames / fps
    minutes, rest = divmod(round(seconds), 60)
    action = {"time": f"0:00-{minutes}:{rest:02d}", "description": description}
    caption: dict[str, Any] = {
        "cinematography": {"framing": framing},
        "actions": [action],
        "duration": f"{int(seconds)}s",
        "fps": float(fps),
        "resolution": {"H": height, "W": width},
        "aspect_ratio": aspect_ratio(height, width),
    }
    return json.dumps(caption)


def aspect_ratio(height: int, width: int) -> str:
    """Return the nearest of the model's five aspect ratios as ``width,height``, e.g. ``4,3``."""

    def distance(name: str) -> float:
        w, h = (int(part) for part in name.split(","))
        return abs(w / h - width / height)

    return min(_ASPECT_RATIOS, key=distance)
