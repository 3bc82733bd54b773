"""Exact extrema and first crossings of piecewise polynomials, many segments at once.

A segment is written in the unit time u = t/h of its duration h. Two tools work together: the control points of the
Bernstein form enclose the polynomial (convex hull property), which certifies most segments in one matrix product;
the rest is solved exactly by walking up the chain of derivatives: between two neighbouring roots of p' the polynomial
p is monotone, so that bisection cannot miss a root of p. Nothing is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np

from cosmos_ros.types import FloatArray

# Places stationary points to 1e-9 of a segment; the value there is off by the square of that.
_HALVINGS = 30


@dataclass(frozen=True)
class Extrema:
    """Smallest and largest value of each segment, ``float64 [S, J]`` each."""

    lower: FloatArray
    upper: FloatArray


def unit_coefficients(coefficients: FloatArray, durations: FloatArray, degree: int) -> FloatArray:
    """Return ascending coefficients in unit time, ``float64 [S, J, degree + 1]``.

    Args:
        coefficients: ``[S, J, P]`` ascending powers of seconds since the segment's start, ``P > degree``.
        durations: ``[S]`` seconds; 0 gives a constant.
        degree: Highest power that can be nonzero.
    """
    powers = durations[:, None, None] ** np.arange(degree + 1)
    result: FloatArray = coefficients[..., : degree + 1] * powers
    return result


@lru_cache(maxsize=16)
def _bernstein_matrix(degree: int) -> FloatArray:
    """``[degree+1, degree+1]``: power coefficients (rows) to Bernstein control points (columns)."""
    matrix = np.zeros((degree + 1, degree + 1))
    for power in range(degree + 1):
        for control in range(power, degree + 1):
            matrix[power, control] = comb(control, power) / comb(degree, power)
    return matrix


def control_points(unit: FloatArray) -> FloatArray:
    """Return the Bernstein control points, same shape as ``unit``; their hull contains the polynomial on [0, 1]."""
    result: FloatArray = unit @ _bernstein_matrix(unit.shape[-1] - 1)
    return result


def hull(unit: FloatArray) -> Extrema:
    """Return bounds that contain every segment: never too narrow, exact for lines."""
    points = control_points(unit)
    return Extrema(points.min(axis=-1), points.max(axis=-1))


def evaluate(unit: FloatArray, u: FloatArray) -> FloatArray:
    """Evaluate polynomials ``[..., P]`` at ``u [..., K]`` (Horner); returns ``[..., K]``."""
    value = np.repeat(unit[..., -1:], u.shape[-1], axis=-1)
    for power in range(unit.shape[-1] - 2, -1, -1):
        value = value * u + unit[..., power, None]
    return value


def derivative(unit: FloatArray) -> FloatArray:
    """Return the coefficients of d/du, one fewer; a constant gives one zero."""
    if unit.shape[-1] == 1:
        return np.zeros_like(unit)
    result: FloatArray = unit[..., 1:] * np.arange(1, unit.shape[-1])
    return result


def breakpoints(unit: FloatArray) -> FloatArray:
    """Return sorted points of [0, 1], with both ends, between which each polynomial is monotone.

    Args:
        unit: ``[M, P]``.

    Returns:
        ``[M, K]``: every stationary point is among them; points that are not stationary may be too.
    """
    inner = _roots(derivative(unit))
    ends = np.ones((len(unit), 1))
    return np.sort(np.concatenate((0.0 * ends, inner, ends), axis=1), axis=1)


def _roots(unit: FloatArray) -> FloatArray:
    """Return points of [0, 1] that contain every sign change of the polynomials ``[M, P]`` there."""
    degree = unit.shape[1] - 1
    if degree == 0:
        return np.empty((len(unit), 0))
    with np.errstate(all="ignore"):
        if degree == 1:
            return _into_unit(-unit[:, :1] / unit[:, 1:2])
        if degree == 2:
            # The stable form: the larger root by addition, the other by Vieta.
            c, b, a = unit[:, 0], unit[:, 1], unit[:, 2]
            half = -0.5 * (b + np.copysign(np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0)), b))
            return _into_unit(np.stack((half / a, c / half), axis=1))
        edges = breakpoints(unit)
        left, right = edges[:, :-1].copy(), edges[:, 1:].copy()
        rising = evaluate(unit, right) > evaluate(unit, left)
        for _ in range(_HALVINGS):
            middle = 0.5 * (left + right)
            above = (evaluate(unit, middle) > 0.0) == rising
            left, right = np.where(above, left, middle), np.where(above, middle, right)
        return 0.5 * (left + right)


def _into_unit(roots: FloatArray) -> FloatArray:
    # A root that is not a number (0/0: the polynomial is constant) or outside is replaced by an end, which is harmless.
    return np.clip(np.nan_to_num(roots, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)


def extrema(unit: FloatArray) -> Extrema:
    """Return the exact extrema of polynomials ``[M, P]`` on [0, 1], ``[M]`` each; NaN where a coefficient is NaN."""
    with np.errstate(all="ignore"):
        values = evaluate(unit, breakpoints(unit))
    return Extrema(values.min(axis=1), values.max(axis=1))


def first_above(unit: FloatArray, bound: FloatArray) -> FloatArray:
    """Return the first u in [0, 1] at which each polynomial exceeds its bound, ``[M]``; NaN where it never does.

    Args:
        unit: ``[M, P]``.
        bound: ``[M]``.
    """
    with np.errstate(all="ignore"):
        return _first_above(unit, bound)


def _first_above(unit: FloatArray, bound: FloatArray) -> FloatArray:
    edges = breakpoints(unit)
    values = evaluate(unit, edges)
    # Written so that a NaN counts as being above.
    above = ~(values <= bound[:, None])
    anywhere = above.any(axis=1)
    k = np.argmax(above, axis=1)
    rows = np.arange(len(unit))
    right = edges[rows, k]
    left = np.where(k == 0, right, edges[rows, np.maximum(k - 1, 0)])
    for _ in range(45):
        middle = 0.5 * (left + right)
        over = ~(evaluate(unit, middle[:, None])[:, 0] <= bound)
        left, right = np.where(over, left, middle), np.where(over, middle, right)
    return np.where(anywhere, right, np.nan)
