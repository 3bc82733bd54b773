"""Action rows that are made rigid motions, for every robot's own layout and statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cosmos_ros.embodiment import load_embodiment, rigid_rows
from cosmos_ros.errors import DecodeError
from cosmos_ros.se3 import matrix_from_rotation_6d, rotation_6d_residual

ROBOTS = ("franka", "ur5e", "widowx250s", "agibot_g1", "umi")


def turns_of(rows, normaliser, columns):
    physical = rows[:, columns] * normaliser.scale[columns] + normaliser.offset[columns]
    return physical, Rotation.from_matrix(matrix_from_rotation_6d(physical)).as_rotvec()


@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("name", ROBOTS)
def test_too_fast_a_turn_is_slowed_about_its_axis_and_others_stay(name, size) -> None:
    embodiment = load_embodiment(name)
    layout, normaliser = embodiment.layout, replace(embodiment.normaliser, clamped=True)
    rows = np.random.default_rng(3).normal(scale=size, size=(64, embodiment.action_dim))
    found = rigid_rows(rows, layout, normaliser)
    assert np.abs(found).max() <= 1.0
    for block in layout.poses:
        assert np.array_equal(
            found[:, block.start : block.start + 3], rows[:, block.start : block.start + 3].clip(-1, 1)
        )
        columns = slice(block.start + 3, block.start + 9)
        physical, turned = turns_of(found, normaliser, columns)
        assert rotation_6d_residual(physical).max() < 0.012
        _, wanted = turns_of(rows, normaliser, columns)
        share = (turned * wanted).sum(1) / (wanted**2).sum(1)
        assert (share < 1.01).all()
        assert np.abs(turned - wanted * share[:, None]).max() < 0.012
        fits = np.abs((matrix_columns(wanted) - normaliser.offset[columns]) / normaliser.scale[columns]).max(1) <= 1.0
        assert np.allclose(turned[fits], wanted[fits], atol=1e-9)


def matrix_columns(turns):
    matrices = Rotation.from_rotvec(turns).as_matrix()
    return np.concatenate((matrices[:, :, 0], matrices[:, :, 1]), axis=1)


def test_rows_are_only_made_rigid_where_the_domain_does_not_clamp() -> None:
    embodiment = load_embodiment("franka")
    normaliser = replace(embodiment.normaliser, clamped=False)
    rows = np.random.default_rng(4).normal(scale=3.0, size=(16, 10))
    found = rigid_rows(rows, embodiment.layout, normaliser)
    physical, turned = turns_of(found, normaliser, slice(3, 9))
    assert rotation_6d_residual(physical).max() < 1e-9
    assert np.allclose(turned, turns_of(rows, normaliser, slice(3, 9))[1], atol=1e-9)
    assert np.array_equal(found[:, :3], rows[:, :3])
    assert np.array_equal(found[:, 9], rows[:, 9])


def test_columns_without_a_direction_are_refused() -> None:
    embodiment = load_embodiment("franka")
    rows = np.zeros((2, 10))
    rows[1, 4] = np.nan
    with pytest.raises(DecodeError, match="finite"):
        rigid_rows(rows, embodiment.layout, embodiment.normaliser)
