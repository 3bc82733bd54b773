"""Metrics of predicted motion: actions, tool poses, grippers, jerk."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cosmos_ros.errors import InputError
from cosmos_ros.types import FloatArray


def action_errors(predicted: FloatArray, truth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean squared and mean absolute error by dimension, ``float64 [D]`` each, of action rows ``[T, D]``.

    Raises:
        InputError: The shapes differ, or there is no row.
    """
    difference = _difference(predicted, truth, 2)
    return np.mean(difference**2, axis=0), np.mean(np.abs(difference), axis=0)


def pose_errors(predicted: FloatArray, truth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distance in cm and the angle in degrees, ``float64 [T]`` each, between poses ``[T, 4, 4]``.

    The angle is that of the relative rotation: ``2 asin(|Ra - Rb| / (2 sqrt 2))`` with the Frobenius norm, which is
    exact for small angles too.
    """
    difference = _difference(predicted, truth, 3)
    if difference.shape[1:] != (4, 4):
        raise InputError(f"poses have shape {list(difference.shape)}, expected [T, 4, 4]", where="poses")
    centimetres = 100.0 * np.linalg.norm(difference[:, :3, 3], axis=-1)
    chord = np.linalg.norm(difference[:, :3, :3], axis=(-2, -1)) / (2.0 * math.sqrt(2.0))
    return centimetres, np.degrees(2.0 * np.arcsin(np.clip(chord, 0.0, 1.0)))


def step_at(seconds: float, fps: float, steps: int) -> int | None:
    """Return the index of the action row that is due ``seconds`` after the observation; None beyond the chunk.

    Row i is due at ``(i + 1) / fps``; the nearest row counts.
    """
    index = round(seconds * fps) - 1
    return index if 0 <= index < steps else None


def gripper_agreement(predicted: FloatArray, truth: FloatArray) -> npt.NDArray[np.bool_]:
    """Return ``bool [T]``: both openings (0 closed, 1 open) are on the same side of one half."""
    _difference(predicted, truth, 1)
    agree: npt.NDArray[np.bool_] = (np.asarray(predicted) > 0.5) == (np.asarray(truth) > 0.5)
    return agree


def jerk_rms(positions: FloatArray, step: float) -> float:
    """Return the root mean square of the third difference quotient of ``float64 [N, J]`` positions, rad/s³ or m/s³.

    Args:
        positions: One row every ``step`` seconds.
        step: Seconds.

    Returns:
        NaN for fewer than four rows.
    """
    if len(positions) < 4:
        return math.nan
    return float(np.sqrt(np.mean((np.diff(positions, n=3, axis=0) / step**3) ** 2)))


def shuffled_rows(actions: FloatArray, seed: int) -> FloatArray:
    """Return action rows ``[T, D]`` in another order, the same for the same seed."""
    return actions[np.random.default_rng(seed).permutation(len(actions))]


def _difference(predicted: FloatArray, truth: FloatArray, dimensions: int) -> FloatArray:
    a, b = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != b.shape or a.ndim != dimensions or not len(a):
        raise InputError(f"shapes {list(a.shape)} and {list(b.shape)} cannot be compared", where="metrics")
    difference: FloatArray = a - b
    return difference
