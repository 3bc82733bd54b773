"""``visualization_msgs/MarkerArray`` as plain shapes, for viewers that draw no markers. Reads any message object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosmos_ros.messages import matrix_from_message
from cosmos_ros.types import FloatArray, UInt8Array

# visualization_msgs/Marker's own numbers.
_CUBE, _SPHERE, _LINE_STRIP, _SPHERE_LIST = 1, 2, 4, 7
_ADD = 0
MAX_MARKERS = 10_000
MAX_POINTS = 200_000


@dataclass(frozen=True)
class MarkerBoxes:
    """``poses float64 [N, 4, 4]``, full ``sizes float64 [N, 3]`` in metres, ``colours uint8 [N, 4]`` RGBA."""

    poses: FloatArray
    sizes: FloatArray
    colours: UInt8Array


@dataclass(frozen=True)
class MarkerPoints:
    """``positions float64 [N, 3]`` and ``radii float64 [N]`` in metres, ``colours uint8 [N, 4]`` RGBA."""

    positions: FloatArray
    radii: FloatArray
    colours: UInt8Array


@dataclass(frozen=True)
class MarkerLines:
    """``segments float64 [N, 2, 3]`` and ``radii float64 [N]`` in metres, ``colours uint8 [N, 4]`` RGBA."""

    segments: FloatArray
    radii: FloatArray
    colours: UInt8Array


@dataclass
class MarkerShapes:
    """What an array shows, by namespace; markers of other kinds are left out."""

    boxes: dict[str, MarkerBoxes] = field(default_factory=dict)
    points: dict[str, MarkerPoints] = field(default_factory=dict)
    lines: dict[str, MarkerLines] = field(default_factory=dict)


def marker_shapes(message: Any) -> MarkerShapes:
    """Return the cubes, spheres and line strips of a MarkerArray that replaces the last one of its topic.

    Raises:
        InputError: A pose holds a number that is not finite or a rotation that is none.
    """
    groups: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    shapes = MarkerShapes()
    for index, marker in enumerate(message.markers):
        if marker.action != _ADD or index >= MAX_MARKERS or len(marker.points) > MAX_POINTS:
            continue
        pose = matrix_from_message(marker.pose, where=f"markers[{index}].pose")
        if marker.type == _CUBE:
            size = (marker.scale.x, marker.scale.y, marker.scale.z)
            groups.setdefault(("boxes", marker.ns), []).append((pose, size, _rgba(marker.color)))
        elif marker.type == _SPHERE:
            row = (pose[:3, 3], 0.5 * marker.scale.x, _rgba(marker.color))
            groups.setdefault(("points", marker.ns), []).append(row)
        elif marker.type == _SPHERE_LIST:
            rows = groups.setdefault(("points", marker.ns), [])
            for point, colour in zip(_positions(marker, pose), _colours(marker), strict=True):
                rows.append((point, 0.5 * marker.scale.x, colour))
        elif marker.type == _LINE_STRIP and len(marker.points) > 1:
            rows = groups.setdefault(("lines", marker.ns), [])
            points = _positions(marker, pose)
            for start, end, colour in zip(points, points[1:], _colours(marker)[1:], strict=False):
                rows.append((np.stack([start, end]), 0.5 * marker.scale.x, colour))
    for (kind, namespace), entries in groups.items():
        first, second, colours = zip(*entries, strict=True)
        arrays = (np.array(first, dtype=np.float64), np.array(second, dtype=np.float64), np.array(colours, np.uint8))
        if kind == "boxes":
            shapes.boxes[namespace] = MarkerBoxes(*arrays)
        elif kind == "points":
            shapes.points[namespace] = MarkerPoints(*arrays)
        else:
            shapes.lines[namespace] = MarkerLines(*arrays)
    return shapes


def _positions(marker: Any, pose: FloatArray) -> FloatArray:
    points: FloatArray = np.array([(p.x, p.y, p.z) for p in marker.points], dtype=np.float64).reshape(-1, 3)
    return points @ pose[:3, :3].T + pose[:3, 3]


def _colours(marker: Any) -> list[tuple[int, int, int, int]]:
    """Return one colour a point."""
    if len(marker.colors) == len(marker.points):
        return [_rgba(colour) for colour in marker.colors]
    return [_rgba(marker.color)] * len(marker.points)


def _rgba(colour: Any) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (
        round(255 * min(1.0, max(0.0, float(v)))) if np.isfinite(v) else 0
        for v in (colour.r, colour.g, colour.b, colour.a)
    )
    return red, green, blue, alpha
