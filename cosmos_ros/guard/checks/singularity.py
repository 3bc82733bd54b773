"""Distance from singular postures: the smallest singular value of the tool's Jacobian, and its condition number."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.kinematics import Points
from cosmos_ros.guard.scan import scan
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.types import FloatArray

RESOLUTION = 1e-4


def singular_values(square: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and largest singular value of Jacobians (m, rad, unweighted) from J·Jᵀ ``[M, 6, 6]``."""
    values = np.linalg.eigvalsh(square)
    return np.sqrt(np.maximum(values[:, 0], 0.0)), np.sqrt(np.maximum(values[:, -1], 0.0))


class Singularity:
    """The smallest singular value stays above a threshold, the condition number below one."""

    name = "singularity"

    def __init__(self, link: str, minimum: float, condition: float) -> None:
        self.link, self.minimum, self.condition = link, minimum, condition

    def _clearance(self, points: Points) -> FloatArray:
        least, most = singular_values(points.square(self.link))
        columns = [least - self.minimum]
        if np.isfinite(self.condition):
            # Changes no faster than the singular values themselves.
            columns.append((self.condition * least - most) / (self.condition + 1.0))
        return np.stack(columns, axis=1)

    def _certain(self, points: Points, allowance: FloatArray) -> bool:
        """Whether J·Jᵀ - c² is positive definite at every point: cheaper than its eigenvalues."""
        square = points.square(self.link).copy()
        np.einsum("mii->mi", square)[...] -= ((self.minimum + allowance) ** 2)[:, None]
        try:
            np.linalg.cholesky(square)
        except np.linalg.LinAlgError:
            return False
        return bool(np.isfinite(square).all())

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        samples, motion = case.kinematics(), case.motion
        if not np.isfinite(self.condition):
            grid = samples.grid
            if self._certain(grid, grid.coarse_singular_rate(self.link) * grid.half_seconds):
                return []
            for grid in samples.looks():
                if self._certain(grid, grid.singular_rate(self.link) * grid.half_seconds):
                    return []
        columns = 2 if np.isfinite(self.condition) else 1
        crossing = scan(
            samples, self._clearance,
            lambda points: np.repeat(points.singular_rate(self.link)[:, None], columns, axis=1),
            resolution=RESOLUTION, slack=case.config.slack, recovery=case.config.recovery,
        )  # fmt: skip
        if crossing is None:
            return []
        at = Points(samples, np.array([crossing.segment]), np.array([crossing.u]), np.zeros(1))
        least, most = (float(v[0]) for v in singular_values(at.square(self.link)))
        by_condition = crossing.column == 1
        return [
            Violation(
                limit=self.name,
                step=motion.step_of(crossing.segment),
                time=motion.time_at(crossing.segment, crossing.u),
                value=most / max(least, 1e-12) if by_condition else least,
                bound=self.condition if by_condition else self.minimum,
                message=f"{'condition number' if by_condition else 'smallest singular value'} at {self.link}",
                last_safe_point=motion.last_safe_point(crossing.segment, includes_start=crossing.u == 0.0),
            )
        ]
