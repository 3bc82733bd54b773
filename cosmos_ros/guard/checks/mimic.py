"""Mimic joints follow their source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, Limit
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.extrema import extrema, first_above


@dataclass(frozen=True)
class MimicSettings(DeclaredSettings):
    """How exactly mimic joints follow."""

    mimic_tolerance: float = setting(
        1e-3, "Largest deviation of a mimic joint", unit="rad or m", minimum=0.0, maximum=1.0, read_only=True
    )


class Mimic(Limit):
    """Mimic joints follow their source.

    ``q = multiplier · q_source + offset`` at every point, and between points of a polynomial.
    """

    name = "mimic"
    order = 80
    settings_type = MimicSettings

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, tolerance = case.motion, self.settings.mimic_tolerance
        found = []
        for column, source, rule in motion.table.mimics:
            error = motion.positions[:, column] - rule.multiplier * motion.positions[:, source] - rule.offset
            bad = np.flatnonzero(~(np.abs(error[motion.offset :]) <= tolerance + case.checking.slack))
            if bad.size:
                point = int(bad[0])
                time, value, safe = motion.times[point + motion.offset], error[point + motion.offset], point - 1
            else:
                # The error of two splines on common knots is itself a spline.
                unit = motion.unit(0)[:, column] - rule.multiplier * motion.unit(0)[:, source]
                unit[:, 0] -= rule.offset
                between = extrema(unit)
                size = np.maximum(np.abs(between.lower), np.abs(between.upper))
                rows = np.flatnonzero(~(size[motion.offset :] <= tolerance + case.checking.slack))
                if not rows.size:
                    continue
                segment = int(rows[0]) + motion.offset
                side = 1.0 if between.upper[segment] >= -between.lower[segment] else -1.0
                bound = np.array([tolerance + case.checking.slack])
                u = float(first_above(side * unit[segment : segment + 1], bound)[0])
                time, value, point = motion.time_at(segment, u), size[segment], motion.step_of(segment)
                safe = motion.last_safe_point(segment, includes_start=False)
            found.append(
                Violation(
                    limit=self.name,
                    joint=motion.names[column],
                    step=point,
                    time=float(time),
                    value=float(abs(value)),
                    bound=tolerance,
                    last_safe_point=safe,
                )
            )
        return found
