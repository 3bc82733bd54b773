"""The limits of the joints of one trajectory as arrays in its column order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.limits import MimicRule, PositionDependentVelocity, RobotLimits
from cosmos_ros.types import FloatArray


@dataclass(frozen=True)
class LimitTable:
    """Bounds, ``float64 [J]`` each; inf where there is none.

    Attributes:
        names: Column order.
        lower, upper: Position, rad or m; infinite for continuous joints.
        velocity, acceleration, jerk, effort: Symmetric bounds.
        continuous: ``bool [J]``.
        position_dependent: Column and parameters of joints whose velocity bound depends on position.
        mimics: Column of the mimic joint, column of its source, rule.
    """

    names: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    jerk: FloatArray
    effort: FloatArray
    continuous: np.ndarray[tuple[int], np.dtype[np.bool_]]
    position_dependent: tuple[tuple[int, PositionDependentVelocity], ...]
    mimics: tuple[tuple[int, int, MimicRule], ...]


def limit_table(names: tuple[str, ...], limits: RobotLimits) -> LimitTable:
    """Build the table for known joint names."""
    joints = [limits.joints[name] for name in names]
    continuous = np.array([j.continuous for j in joints], dtype=bool)

    def column(field: str) -> FloatArray:
        return np.array([getattr(j, field) for j in joints], dtype=np.float64)

    return LimitTable(
        names=names,
        lower=np.where(continuous, -np.inf, column("lower")),
        upper=np.where(continuous, np.inf, column("upper")),
        velocity=column("velocity"),
        acceleration=column("acceleration"),
        jerk=column("jerk"),
        effort=column("effort"),
        continuous=continuous,
        position_dependent=tuple(
            (k, j.position_dependent_velocity)
            for k, j in enumerate(joints)
            if j.position_dependent_velocity is not None
        ),
        mimics=tuple(
            (k, names.index(j.mimic.source), j.mimic)
            for k, j in enumerate(joints)
            if j.mimic is not None and j.mimic.source in names
        ),
    )
