"""Disturbances of the executed motion: a learner is to see states that only a worse driver gets into, and the way back.

Labels are never disturbed: they are the teacher's plan from the state that was really reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.sim.teacher import Phase
from cosmos_ros.types import FloatArray

_CONTACT_PHASES = (Phase.CLOSE, Phase.LOWER, Phase.OPEN, Phase.PUSH, Phase.WAIT)


@dataclass(frozen=True)
class Disturbance:
    """How much is disturbed.

    Attributes:
        share: Share of adopted plans that are pushed aside.
        shift: Largest shift in free motion, m at a Franka's size; beside contacts a third of it.
        turn: Largest turn about the vertical, rad.
        drop: Share of adopted plans in which the fingers do something else for a while.
        lag: Largest number of control steps by which a plan is late.
    """

    share: float = 0.3
    shift: float = 0.05
    turn: float = 0.25
    drop: float = 0.03
    lag: int = 3


NONE = Disturbance(0.0, 0.0, 0.0, 0.0, 0)


def disturbed(
    poses: FloatArray,
    openings: FloatArray,
    *,
    phase: int,
    scale: float,
    fastest: tuple[float, float],
    how: Disturbance,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return the motion that is executed in place of a plan.

    Args:
        poses, openings: ``[T, 4, 4]`` grasp poses and ``[T]`` openings of the plan.
        phase: The plan's first phase.
        scale: Size of things relative to a Franka's.
        fastest: Largest step of the teacher: m and rad.
        how: How much.
        rng: Source of chance.
    """
    poses, openings = poses.copy(), openings.copy()
    if rng.uniform() < how.share:
        beside_contact = 0.33 if phase in _CONTACT_PHASES else 1.0
        size = how.shift * scale * beside_contact * rng.uniform(0.1, 1.0)
        aside = rng.normal(size=3)
        aside *= size / np.linalg.norm(aside)
        if phase in (Phase.LOWER, Phase.PUSH):
            aside[2] = abs(aside[2])
        angle = rng.uniform(-how.turn, how.turn) * beside_contact
        # Both come on at no more than half the teacher's own speed.
        poses[:, :3, 3] += _ramp(len(poses), size / fastest[0], rng)[:, None] * aside
        for pose, turned in zip(poses, _ramp(len(poses), abs(angle) / fastest[1], rng) * angle, strict=True):
            c, s = np.cos(turned), np.sin(turned)
            pose[:3, :3] = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ pose[:3, :3]
    if rng.uniform() < how.drop:
        start = int(rng.integers(0, max(1, len(openings) // 2)))
        openings[start : start + int(rng.integers(2, 8))] = rng.uniform(0.1, 0.92)
    return poses, openings


def _ramp(steps: int, ratio: float, rng: np.random.Generator) -> FloatArray:
    """Return shares ``[steps]`` that rise from 0 to 1 in at least ``pi * ratio`` steps, along half a cosine."""
    length = max(float(rng.uniform(4.0, 10.0)), np.pi * ratio)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(np.arange(1, steps + 1) / length, 0.0, 1.0)))


def joined(poses: FloatArray, next_pose: FloatArray | None, start: FloatArray, fastest: float) -> FloatArray:
    """Return a late plan joined to what is being executed: the gap closes over five steps, none faster than allowed.

    Args:
        poses: ``[n, 4, 4]`` what is left of the plan.
        next_pose: Where the hand would go next without it; None where it stands.
        start: ``[4, 4]`` where it was last commanded to.
        fastest: Largest step, m.
    """
    result = poses.copy()
    if next_pose is not None:
        share = np.clip(1.0 - np.arange(len(poses)) / 5.0, 0.0, 1.0)[:, None]
        result[:, :3, 3] += share * (next_pose[:3, 3] - poses[0, :3, 3])
    at = start[:3, 3]
    for pose in result:
        step = pose[:3, 3] - at
        length = float(np.linalg.norm(step))
        if length > fastest:
            pose[:3, 3] = at + step * (fastest / length)
        at = pose[:3, 3]
    return result
