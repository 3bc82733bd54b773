"""Disturbances of the executed motion: so that a learner sees states that only a worse driver gets into, and the way back.

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
    current: FloatArray,
    phase: int,
    scale: float,
    how: Disturbance,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return the motion that is executed in place of a plan.

    Args:
        poses, openings: ``[T, 4, 4]`` grasp poses and ``[T]`` openings of the plan.
        current: ``[4, 4]`` commanded grasp pose now.
        phase: The plan's first phase.
        scale: Size of things relative to a Franka's.
        how: How much.
        rng: Source of chance.
    """
    lag = int(rng.integers(0, how.lag + 1)) if how.lag else 0
    # A late plan is joined to what is being executed: what it has missed is made up for over some steps.
    missed = current[:3, 3] - poses[max(lag - 1, 0), :3, 3] if lag else np.zeros(3)
    poses, openings = poses[lag:].copy(), openings[lag:].copy()
    if lag:
        poses[:, :3, 3] += missed * np.clip(1.0 - np.arange(1, len(poses) + 1) / 5.0, 0.0, 1.0)[:, None]
    if rng.uniform() < how.share:
        size = how.shift * scale * (0.33 if phase in _CONTACT_PHASES else 1.0) * rng.uniform(0.1, 1.0)
        aside = rng.normal(size=3)
        aside *= size / np.linalg.norm(aside)
        aside[2] = abs(aside[2]) if phase in (Phase.LOWER, Phase.PUSH) else aside[2]
        angle = rng.uniform(-how.turn, how.turn) * (0.5 if phase in _CONTACT_PHASES else 1.0)
        ramp = 0.5 - 0.5 * np.cos(np.pi * np.clip(np.arange(1, len(poses) + 1) / rng.uniform(4.0, 10.0), 0.0, 1.0))
        poses[:, :3, 3] += ramp[:, None] * aside
        for index, share in enumerate(ramp):
            c, s = np.cos(share * angle), np.sin(share * angle)
            turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
            poses[index, :3, :3] = turn @ poses[index, :3, :3]
    if rng.uniform() < how.drop:
        start = int(rng.integers(0, max(1, len(openings) // 2)))
        openings[start : start + int(rng.integers(2, 8))] = rng.uniform(0.1, 0.92)
    return poses, openings
