"""Extrema and crossings of polynomials against dense sampling and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.trajectory.extrema import (
    breakpoints,
    control_points,
    derivative,
    evaluate,
    extrema,
    first_above,
    hull,
    unit_coefficients,
)

U = np.linspace(0.0, 1.0, 4001)


def sampled(unit: np.ndarray) -> np.ndarray:
    return np.stack([np.polynomial.polynomial.polyval(U, row) for row in unit])


@pytest.mark.parametrize("degree", range(6))
def test_extrema_are_never_passed_by_samples_and_are_reached(degree: int) -> None:
    rng = np.random.default_rng(degree)
    unit = rng.normal(size=(400, degree + 1)) * 10.0 ** rng.uniform(-3.0, 3.0, size=(400, degree + 1))
    unit[rng.random(unit.shape) < 0.25] = 0.0  # leading zeros too: a quintic that is really a line
    found, values = extrema(unit), sampled(unit)
    size = 1.0 + np.abs(unit).sum(axis=1)
    assert ((values.max(axis=1) - found.upper) / size).max() < 1e-12
    assert ((found.lower - values.min(axis=1)) / size).max() < 1e-12
    assert ((found.upper - values.max(axis=1)) / size).max() < 1e-5
    assert ((values.min(axis=1) - found.lower) / size).max() < 1e-5


@given(st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=6, max_size=6))
@settings(max_examples=100, deadline=None)
def test_hull_contains_the_exact_extrema(coefficients: list[float]) -> None:
    unit = np.array([coefficients])
    wide, exact = hull(unit[:, None]), extrema(unit)
    slack = 1e-9 * (1.0 + np.abs(unit).sum())
    assert wide.lower[0, 0] <= exact.lower[0] + slack
    assert wide.upper[0, 0] >= exact.upper[0] - slack


def test_known_quintic_peaks() -> None:
    """Rest to rest over h: velocity peaks at 1.875 d, acceleration at 5.7735 d/h."""
    position = np.array([[0.0, 0.0, 0.0, 10.0, -15.0, 6.0]])
    velocity = derivative(position)
    acceleration = derivative(velocity)
    assert extrema(velocity).upper[0] == pytest.approx(1.875, abs=1e-12)
    assert extrema(acceleration).upper[0] == pytest.approx(10.0 / np.sqrt(3.0), abs=1e-9)
    assert extrema(acceleration).lower[0] == pytest.approx(-10.0 / np.sqrt(3.0), abs=1e-9)


def test_double_and_triple_roots_of_the_derivative_are_found() -> None:
    flat = np.array([[0.0, 0.25, -1.0, 4.0 / 3.0 * 1.5, -1.0, 0.0]])
    triple = np.array([[0.125, -0.75, 1.5, -1.0, 0.0, 0.0]])  # -(u - 0.5)^3
    for unit in (flat, triple):
        assert extrema(unit).upper[0] >= sampled(unit).max() - 1e-12
        assert extrema(unit).lower[0] <= sampled(unit).min() + 1e-12


@pytest.mark.parametrize("degree", range(1, 6))
def test_first_crossing_is_the_first(degree: int) -> None:
    rng = np.random.default_rng(10 + degree)
    unit = rng.normal(size=(300, degree + 1))
    bound = rng.normal(size=300)
    u = first_above(unit, bound)
    values = sampled(unit)
    for row in range(300):
        above = np.flatnonzero(values[row] > bound[row] + 1e-9)
        if np.isnan(u[row]):
            assert not above.size
            continue
        at = evaluate(unit[row : row + 1], u[row : row + 1, None])[0, 0]
        assert at >= bound[row] - 1e-9
        if above.size:
            assert u[row] <= U[above[0]] + 1e-9
        before = u[row] - 1e-9 > U
        assert (values[row][before] <= bound[row] + 1e-9).all()


def test_not_a_number_counts_as_above() -> None:
    assert first_above(np.array([[np.nan, 1.0]]), np.array([1.0]))[0] == 0.0
    assert np.isnan(extrema(np.array([[np.nan, 1.0]])).upper[0])


def test_breakpoints_separate_monotone_pieces() -> None:
    rng = np.random.default_rng(3)
    unit = rng.normal(size=(100, 6))
    edges = breakpoints(unit)
    assert (edges[:, 0] == 0.0).all() and (edges[:, -1] == 1.0).all() and (np.diff(edges, axis=1) >= 0.0).all()
    slope = derivative(unit)
    for row in range(100):
        for a, b in zip(edges[row, :-1], edges[row, 1:], strict=True):
            if b - a > 1e-5:
                inner = np.linspace(a + 1e-6, b - 1e-6, 50)
                signs = np.sign(np.polynomial.polynomial.polyval(inner, slope[row]))
                assert len(set(signs[signs != 0.0])) <= 1


def test_unit_time_and_control_points() -> None:
    coefficients = np.array([[[1.0, 2.0, 3.0, 0.0, 0.0, 0.0]]])
    unit = unit_coefficients(coefficients, np.array([2.0]), 2)
    assert unit.tolist() == [[[1.0, 4.0, 12.0]]]
    assert control_points(unit)[0, 0].tolist() == [1.0, 3.0, 17.0]
    assert derivative(np.array([[5.0]])).tolist() == [[0.0]]
