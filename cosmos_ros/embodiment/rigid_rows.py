"""Normalised action rows whose rotation columns are those of a rotation.

A network's columns are so nearly, and clamping to [-1, 1] column by column takes it away from a turn that is too fast
for the domain's range. Rows made for a model or by one are put right here; rows of others are judged as they are.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_ros.embodiment.action_layout import Layout
from cosmos_ros.embodiment.normaliser import Normaliser
from cosmos_ros.se3 import matrix_from_rotation_6d, rotation_6d_from_matrix
from cosmos_ros.types import Float32Array, FloatArray

# Largest error that clamping may leave in a rotation's columns; decoders refuse rows from 0.05 on.
_CLAMPED = 0.005
_HALVINGS = 12


def rigid_rows(rows: FloatArray | Float32Array, layout: Layout, normaliser: Normaliser) -> FloatArray:
    """Return rows whose rotation columns are those of the nearest rotation.

    Where the domain clamps, too fast a turn is made slower about the same axis, and all columns are clamped.

    Args:
        rows: ``[T, D]`` normalised, before any clamp or after.
        layout: Says where rotations are.
        normaliser: Of the rows.

    Raises:
        DecodeError: Columns that are not finite or have no direction.
    """
    result = np.array(rows, dtype=np.float64)
    for block in layout.poses:
        columns = slice(block.start + 3, block.start + 9)
        scale, offset = normaliser.scale[columns], normaliser.offset[columns]
        turns = Rotation.from_matrix(matrix_from_rotation_6d(result[:, columns] * scale + offset)).as_rotvec()
        if normaliser.clamped:
            turns *= _fitting_share(turns, scale, offset)[:, None]
        result[:, columns] = (_columns(turns) - offset) / scale
    return normaliser.clamp(result)[0]


def _fitting_share(turns: FloatArray, scale: FloatArray, offset: FloatArray) -> FloatArray:
    """Return ``[T]`` the largest share of each rotation vector ``[T, 3]`` that clamping leaves nearly as it is."""
    low, high = np.zeros(len(turns)), np.ones(len(turns))
    share = high
    for _ in range(_HALVINGS):
        columns = _columns(turns * share[:, None])
        clamped = np.clip((columns - offset) / scale, -1.0, 1.0) * scale + offset
        fits = np.abs(clamped - columns).max(axis=1) <= _CLAMPED
        if share is high and fits.all():
            return share
        low, high = np.where(fits, share, low), np.where(fits, high, share)
        share = 0.5 * (low + high)
    return low


def _columns(turns: FloatArray) -> FloatArray:
    """Return the rotation columns ``[T, 6]`` of rotation vectors ``[T, 3]`` in rad."""
    return rotation_6d_from_matrix(Rotation.from_rotvec(turns).as_matrix())
