"""Check a trajectory of tool poses, for robots that are commanded by pose or tracked without joints.

Between two poses the tool is taken to move in a straight line while it turns at an even rate, as a Cartesian
controller would run it; on that, speeds, box and plane are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cosmos_ros.guard.guard_settings import Box, GuardConfig
from cosmos_ros.guard.verdict import Violation, by_time
from cosmos_ros.limits import CartesianLimits
from cosmos_ros.se3 import pose_error
from cosmos_ros.types import NANOSECONDS, ActionChunk, FloatArray

# Largest deviation of a rotation matrix from orthonormal.
_ROTATION = 1e-6


@dataclass(frozen=True)
class PoseLimits:
    """What tool poses must keep to.

    Attributes:
        tools: Speed and acceleration bounds by link; a link without any is bounded by the surroundings alone.
        gripper_speed: Gripper → largest speed of its opening, fraction per second.
    """

    tools: tuple[CartesianLimits, ...] = ()
    gripper_speed: Mapping[str, float] | None = None


def check_poses(chunk: ActionChunk, limits: PoseLimits, config: GuardConfig) -> tuple[Violation, ...]:
    """Return what is wrong with a chunk of tool poses, sorted by time.

    Checked are: structure and finite numbers, rotations, times, speeds and accelerations of the tools, workspace box,
    keep-out boxes and plane, and the range and speed of the grippers. The enabled checks of ``config`` hold.

    Args:
        chunk: Poses in the base frame, with the poses it starts from.
        limits: Bounds on the tools' motion.
        config: Switches, margins, surroundings.
    """
    found = _structure(chunk)
    if found:
        return tuple(found)
    times = np.concatenate(([0.0], chunk.times_ns / NANOSECONDS))
    steps = np.diff(times)
    if not (steps > 0.0).all():
        step = int(np.argmin(steps > 0.0))
        return (Violation("timing", step=step, time=float(times[step + 1]), message="times do not increase"),)
    bounds = {tool.tool_link: tool for tool in limits.tools}
    for link, poses in chunk.poses.items():
        path = np.concatenate((chunk.start_poses[link][None], poses))
        found += _motion(link, path, times, bounds.get(link, CartesianLimits()), config)
        found += _places(link, path[:, :3, 3], times, config)
    if config.enabled("duration") and times[-1] > config.max_duration + config.slack:
        found.append(Violation("duration", time=float(times[-1]), value=float(times[-1]), bound=config.max_duration))
    for name, opening in chunk.grippers.items():
        found += _gripper(name, opening, times, (limits.gripper_speed or {}).get(name, np.inf), config)
    return by_time(found)


def _structure(chunk: ActionChunk) -> list[Violation]:
    count = len(chunk.times_ns)
    if not count or not chunk.poses:
        return [Violation("structure", message="no poses")]
    for link, poses in chunk.poses.items():
        if link not in chunk.start_poses:
            return [Violation("structure", joint=link, message="no pose to start from")]
        if poses.shape != (count, 4, 4):
            return [Violation("lengths", joint=link, message=f"shape {poses.shape}, expected {(count, 4, 4)}")]
        for step, pose in enumerate((chunk.start_poses[link], *poses)):
            time = float(chunk.times_ns[step - 1]) / NANOSECONDS if step else 0.0
            if not np.isfinite(pose).all():
                return [Violation("nonfinite", joint=link, step=step - 1, time=time)]
            off = np.abs(pose[:3, :3].T @ pose[:3, :3] - np.eye(3)).max()
            if off > _ROTATION or np.linalg.det(pose[:3, :3]) < 0.0 or not np.array_equal(pose[3], (0, 0, 0, 1)):
                return [Violation("structure", joint=link, step=step - 1, time=time, message="not a rigid transform")]
    for name, opening in chunk.grippers.items():
        if opening.shape != (count,):
            return [Violation("lengths", joint=name, message=f"{opening.shape} openings for {count} poses")]
        if not np.isfinite(opening).all():
            step = int(np.argmin(np.isfinite(opening)))
            return [Violation("nonfinite", joint=name, step=step, time=float(chunk.times_ns[step]) / NANOSECONDS)]
    return []


def _motion(
    link: str, path: FloatArray, times: FloatArray, bounds: CartesianLimits, config: GuardConfig
) -> list[Violation]:
    """Speeds of the steps; accelerations as changes of velocity over half of the two neighbouring steps."""
    steps = np.diff(times)
    velocity = np.diff(path[:, :3, 3], axis=0) / steps[:, None]
    turns = np.array([pose_error(a, b)[1] for a, b in pairwise(path)]) / steps
    scale = config.cartesian_scale
    checks = [
        ("cartesian_speed", np.linalg.norm(velocity, axis=1), bounds.linear_speed * scale, times[:-1]),
        ("rotational_speed", turns, bounds.angular_speed * scale, times[:-1]),
    ]
    if len(steps) > 1:
        change = 2.0 * np.diff(velocity, axis=0) / (times[2:] - times[:-2])[:, None]
        size = np.linalg.norm(change, axis=1)
        checks.append(("cartesian_acceleration", size, bounds.linear_acceleration * scale, times[1:-1]))
    found = []
    for name, values, bound, when in checks:
        over = np.flatnonzero(~(values <= bound + config.slack))
        if config.enabled(name) and over.size:
            k = int(over[0])
            found.append(
                Violation(
                    name, joint=link, step=k, time=float(when[k]), value=float(values.max()), bound=float(bound),
                    last_safe_point=k - 1,
                )
            )  # fmt: skip
    return found


def _places(link: str, points: FloatArray, times: FloatArray, config: GuardConfig) -> list[Violation]:
    """Where straight lines between points leave the box, enter a keep-out box, or pass the plane."""
    around, margin = config.surroundings, config.workspace_margin
    found = []
    if config.enabled("workspace") and around.workspace is not None:
        low, high = _faces(around.workspace, margin)
        clear = np.minimum(points - low, high - points).min(axis=1)
        found += _first(link, "workspace", clear + config.slack, times, "leaves the box", 0.0)
    if config.enabled("plane") and np.isfinite(around.minimum_z):
        bound = around.minimum_z + margin
        found += _first(link, "plane", points[:, 2] - bound + config.slack, times, "goes below the plane", bound)
    if config.enabled("keep_out"):
        for index, box in enumerate(around.keep_out):
            low, high = _faces(box, -margin)
            for k in range(len(points) - 1):
                entered = _enters(points[k], points[k + 1], low, high)
                if entered is not None:
                    time = float(times[k] + entered * (times[k + 1] - times[k]))
                    found.append(
                        Violation(
                            "keep_out", joint=link, step=k, time=time, value=0.0, bound=0.0, margin=margin,
                            message=f"enters keep-out box {index}", last_safe_point=k - 1,
                        )
                    )  # fmt: skip
                    break
    return found


def _first(
    link: str, name: str, clearance: FloatArray, times: FloatArray, message: str, bound: float
) -> list[Violation]:
    """A convex region: the lines are inside where their ends are."""
    bad = np.flatnonzero(clearance < 0.0)
    if not bad.size:
        return []
    k = int(bad[0])
    return [
        Violation(
            name, joint=link, step=k - 1, time=float(times[k]), bound=bound, message=message, last_safe_point=k - 2
        )
    ]


def _faces(box: Box, margin: float) -> tuple[FloatArray, FloatArray]:
    return np.array(box.minimum) + margin, np.array(box.maximum) - margin


def _enters(begin: FloatArray, end: FloatArray, low: FloatArray, high: FloatArray) -> float | None:
    """Return where along a line a box is entered, 0 to 1, by slabs; None where it is missed."""
    along = end - begin
    with np.errstate(all="ignore"):
        first, second = (low - begin) / along, (high - begin) / along
    still = along == 0.0
    if np.any(still & ((begin < low) | (begin > high))):
        return None
    enter = np.where(still, -np.inf, np.minimum(first, second)).max()
    leave = np.where(still, np.inf, np.maximum(first, second)).min()
    return float(max(enter, 0.0)) if enter <= leave and leave >= 0.0 and enter <= 1.0 else None


def _gripper(name: str, opening: FloatArray, times: FloatArray, bound: float, config: GuardConfig) -> list[Violation]:
    found = []
    outside = np.flatnonzero((opening < -config.slack) | (opening > 1.0 + config.slack))
    if config.enabled("position") and outside.size:
        k = int(outside[0])
        value = float(opening[k])
        found.append(
            Violation("position", joint=name, step=k, time=float(times[k + 1]), value=value, bound=float(value > 0.5))
        )
    speed = np.abs(np.diff(opening)) / np.diff(times[1:]) if len(opening) > 1 else np.zeros(0)
    fast = np.flatnonzero(~(speed <= bound + config.slack))
    if config.enabled("velocity") and fast.size:
        k = int(fast[0])
        found.append(
            Violation(
                "velocity", joint=name, step=k + 1, time=float(times[k + 1]), value=float(speed.max()), bound=bound
            )
        )
    return found
