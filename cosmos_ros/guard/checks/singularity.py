"""Distance from singular postures: the smallest singular value of the tool's Jacobian, and its condition number.

Near a singularity the arm may be no faster than a share of its velocity bounds, which falls from all of them at the
slow threshold to ``LEAST_SHARE`` at the halt threshold; beyond that one it may not go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, GuardedRobot, Limit
from cosmos_ros.guard.motion.crossing_search import Crossing, scan
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.guard.motion.sampler import Points
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import FloatArray

RESOLUTION = 1e-4
# Of the velocity bounds, at the halt threshold: enough to leave by.
LEAST_SHARE = 0.1
_SHARE_RESOLUTION = 1e-3


@dataclass(frozen=True)
class Thresholds:
    """Where to slow down and where to halt; the defaults do neither.

    Attributes:
        value, slow_value: Smallest singular value of the tool's 6×n Jacobian (m, rad, unweighted) to halt and slow at.
        condition, slow_condition: Its condition number, likewise.
    """

    value: float = 0.0
    slow_value: float = 0.0
    condition: float = inf
    slow_condition: float = inf

    @property
    def slows(self) -> bool:
        """Whether there is a region to be slow in."""
        return self.slow_value > self.value or self.slow_condition < self.condition

    @property
    def halts(self) -> bool:
        """Whether there is a region to stay out of."""
        return self.value > 0.0 or isfinite(self.condition)

    def share(self, least: FloatArray, most: FloatArray) -> FloatArray:
        """Return the share of the velocity bounds that may be used at singular values ``[M]``, ``[M]`` in (0, 1]."""
        share = np.ones_like(least)
        if self.slow_value > self.value:
            share = np.minimum(share, (least - self.value) / (self.slow_value - self.value))
        if self.slow_condition < self.condition:
            with np.errstate(all="ignore"):
                inverse = np.where(most > 0.0, least / most, 0.0)
            share = np.minimum(share, (inverse - 1.0 / self.condition) / self._inverse_width)
        return np.maximum(share, LEAST_SHARE)

    def steepness(self, most: FloatArray) -> FloatArray:
        """Return how much the share changes at most per change of the singular values, the largest being ``most``."""
        steep = np.zeros_like(most)
        if self.slow_value > self.value:
            steep += 1.0 / (self.slow_value - self.value)
        if self.slow_condition < self.condition:
            # d(l/m) = dl/m - l·dm/m², and l ≤ m.
            steep = np.maximum(steep, 2.0 / (np.maximum(most, 1e-9) * self._inverse_width))
        return steep

    @property
    def _inverse_width(self) -> float:
        return 1.0 / self.slow_condition - 1.0 / self.condition


def singular_values(square: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and largest singular value of Jacobians (m, rad, unweighted) from J·Jᵀ ``[M, 6, 6]``."""
    values = np.linalg.eigvalsh(square)
    return np.sqrt(np.maximum(values[:, 0], 0.0)), np.sqrt(np.maximum(values[:, -1], 0.0))


@dataclass(frozen=True)
class SingularitySettings(DeclaredSettings):
    """Where the arm is slowed down and where it is stopped."""

    minimum_singular_value: float = setting(
        0.02, "Smallest singular value of the tool's Jacobian (m, rad) that is let through.", minimum=0.0, maximum=1.0,
        read_only=True,
    )  # fmt: skip
    slow_singular_value: float = setting(
        0.05, "Smallest singular value of it from where on the arm must be slower; 0: never.", minimum=0.0, maximum=1.0,
        read_only=True,
    )  # fmt: skip
    maximum_condition_number: float = setting(
        0.0, "Largest condition number of it that is let through; 0: any.", minimum=0.0, maximum=1e6, read_only=True
    )
    slow_condition_number: float = setting(
        0.0, "Condition number of it from where on the arm must be slower; 0: never.", minimum=0.0, maximum=1e6,
        read_only=True,
    )  # fmt: skip

    @property
    def thresholds(self) -> Thresholds:
        """The same with infinity where a threshold is off."""
        return Thresholds(
            self.minimum_singular_value,
            self.slow_singular_value,
            self.maximum_condition_number or inf,
            self.slow_condition_number or inf,
        )


class Singularity(Limit):
    """The tool keeps away from singular postures, and is slower near them.

    The smallest singular value stays above a bound, the condition number below one.
    """

    name = "singularity"
    order = 140
    cure = Cure.STOPPING
    settings_type = SingularitySettings
    uses_kinematics = True

    def __init__(self, settings: SingularitySettings, link: str) -> None:
        super().__init__(settings)
        self.link, self.thresholds = link, settings.thresholds

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: SingularitySettings) -> Sequence[Singularity]:
        """See ``Check.for_robot``."""
        thresholds = settings.thresholds
        if not robot.links or not (thresholds.halts or thresholds.slows):
            return ()
        model = robot.model_for(cls.name)
        return tuple(cls(settings, link) for link in robot.links if _moves_freely(model, link))

    @classmethod
    def cures(cls) -> dict[str, Cure]:
        """See ``Check.cures``."""
        return {"singularity": Cure.STOPPING, "singularity_speed": Cure.SLOWING}

    def share(self, points: Points) -> FloatArray:
        """Return the share of the velocity bounds that may be used at points, ``[M]``."""
        return self.thresholds.share(*singular_values(points.square(self.link)))

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        thresholds = self.thresholds
        by_value = not isfinite(thresholds.condition) and not isfinite(thresholds.slow_condition)
        if by_value and self._clear(case):
            return []
        return (self._halt(case) if thresholds.halts else []) + (self._slow(case) if thresholds.slows else [])

    def _clear(self, case: Case) -> bool:
        """Whether the smallest singular value is certain to suffice for each segment's speed, without eigenvalues."""
        samples, thresholds = case.kinematics(), self.thresholds
        least = np.full(len(case.motion.durations), thresholds.value)
        if thresholds.slows:
            used = _usage(case.motion).at_most
            used[used <= LEAST_SHARE] = 0.0
            least += used.clip(0.0, 1.0) * (thresholds.slow_value - thresholds.value)
        grid = samples.grid
        change = grid.coarse_singular_rate(self.link) * grid.half_seconds
        if self._certain(grid, least[grid.segment] + change):
            return True
        return any(
            self._certain(look, least[look.segment] + look.singular_rate(self.link) * look.half_seconds)
            for look in samples.looks()
        )

    def _certain(self, points: Points, least: FloatArray) -> bool:
        """Whether J·Jᵀ - c² is positive definite at every point."""
        square = points.square(self.link).copy()
        np.einsum("mii->mi", square)[...] -= (least**2)[:, None]
        try:
            np.linalg.cholesky(square)
        except np.linalg.LinAlgError:
            return False
        return bool(np.isfinite(square).all())

    def _halt(self, case: Case) -> list[Violation]:
        """Return where a halt threshold is first passed."""
        minimum, condition = self.thresholds.value, self.thresholds.condition

        def clearance(points: Points) -> FloatArray:
            least, most = singular_values(points.square(self.link))
            columns = [least - minimum]
            if isfinite(condition):
                # Changes no faster than the singular values themselves.
                columns.append((condition * least - most) / (condition + 1.0))
            return np.stack(columns, axis=1)

        count = 2 if isfinite(condition) else 1
        crossing = scan(
            case.kinematics(), clearance,
            lambda points: np.repeat(points.singular_rate(self.link)[:, None], count, axis=1),
            resolution=RESOLUTION, slack=case.checking.slack, recovery=case.checking.recovery,
        )  # fmt: skip
        if crossing is None:
            return []
        least, most = (float(v[0]) for v in singular_values(_at(case, crossing).square(self.link)))
        if crossing.column == 1:
            value, bound, what = most / max(least, 1e-12), condition, "condition number"
        else:
            value, bound, what = least, minimum, "smallest singular value"
        return [self._violation(case, crossing, "singularity", value, bound, what)]

    def _slow(self, case: Case) -> list[Violation]:
        """Return where the arm is first too fast for how near it is to a singularity."""
        motion, samples = case.motion, case.kinematics()
        bound = samples.fill(motion.table.velocity[None], np.inf)[0]
        usage = _usage(motion)
        if (usage.at_most <= LEAST_SHARE).all():
            return []

        def used(points: Points) -> FloatArray:
            result: FloatArray = (np.abs(points.joints(1)) / bound).max(axis=1)
            return result

        def rate(points: Points) -> FloatArray:
            _, most = singular_values(points.square(self.link))
            change = points.singular_rate(self.link)
            steep = self.thresholds.steepness(most - change * points.half_seconds)
            return (steep * change + usage.rate[points.segment])[:, None]

        crossing = scan(
            samples, lambda points: (self.share(points) - used(points))[:, None], rate,
            resolution=_SHARE_RESOLUTION, slack=case.checking.slack,
        )  # fmt: skip
        if crossing is None:
            return []
        at = _at(case, crossing)
        value, share = float(used(at)[0]), float(self.share(at)[0])
        return [self._violation(case, crossing, "singularity_speed", value, share, "share of the velocity bounds")]

    def _violation(
        self, case: Case, crossing: Crossing, limit: str, value: float, bound: float, what: str
    ) -> Violation:
        motion = case.motion
        return Violation(
            limit=limit,
            step=motion.step_of(crossing.segment),
            time=motion.time_at(crossing.segment, crossing.u),
            value=value,
            bound=bound,
            message=f"{what} at {self.link}",
            last_safe_point=motion.last_safe_point(crossing.segment, includes_start=crossing.u == 0.0),
        )


@dataclass(frozen=True)
class _Usage:
    """Share of the velocity bounds that each segment uses at most, and how fast that changes, ``[S]`` each."""

    at_most: FloatArray
    rate: FloatArray


def _usage(motion: Motion) -> _Usage:
    def largest(order: int) -> FloatArray:
        if order > motion.degree:
            return np.zeros(len(motion.durations))
        hull = motion.hull(order)
        result: FloatArray = (np.maximum(-hull.lower, hull.upper) / motion.table.velocity).max(axis=1)
        return result

    return _Usage(largest(1), largest(2))


def _moves_freely(model: RobotModel, link: str) -> bool:
    """Whether a link has six degrees of freedom somewhere; one with fewer (a head) is singular everywhere."""
    postures = np.random.default_rng(0).uniform(-1.0, 1.0, (8, len(model.joint_names)))
    return any(np.linalg.matrix_rank(model.jacobian(posture, link), tol=1e-6) == 6 for posture in postures)


def _at(case: Case, crossing: Crossing) -> Points:
    return Points(case.kinematics(), np.array([crossing.segment]), np.array([crossing.u]), np.zeros(1))
