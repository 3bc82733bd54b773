"""Speed and acceleration of the tool, linear and angular, in the base frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, GuardedRobot, Limit
from cosmos_ros.guard.motion.crossing_search import scan
from cosmos_ros.guard.motion.kinematic_bounds import Rates
from cosmos_ros.guard.motion.sampler import Points, Samples
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import CartesianLimits, RobotLimits
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import FloatArray

# An excess below this, m/s or rad/s, may stay unseen between two looks; of an acceleration, this part of its bound.
RESOLUTION = 1e-3
ACCELERATION_RESOLUTION = 0.05


def exceeds(
    case: Case,
    samples: Samples,
    link: str,
    size: Callable[[Points], FloatArray],
    rate: Callable[[Points], FloatArray],
    ceiling: FloatArray,
    bound: float,
    *,
    limit: str,
    resolution: float = RESOLUTION,
) -> list[Violation]:
    """Return the first time at which a size ``[M]`` exceeds its bound.

    Args:
        case: What is judged.
        samples: Kinematics along it.
        link: The tool, for the report.
        size: Quantity at points.
        rate: How fast it can change over the interval of each point, per second, ``[M]``.
        ceiling: ``[S]`` what it is at most in each segment, known without looking.
        bound: Its bound; infinite for none.
        limit: Name for the violation.
        resolution: See ``scan``.
    """
    slack, motion = case.checking.slack, case.motion
    if not math.isfinite(bound) or (ceiling <= bound + slack).all():
        return []
    crossing = scan(
        samples, lambda points: (bound - size(points))[:, None], lambda points: rate(points)[:, None],
        resolution=resolution, slack=slack,
    )  # fmt: skip
    if crossing is None:
        return []
    at = Points(samples, np.array([crossing.segment]), np.array([crossing.u]), np.zeros(1))
    return [
        Violation(
            limit=limit,
            step=motion.step_of(crossing.segment),
            time=motion.time_at(crossing.segment, crossing.u),
            value=float(size(at)[0]),
            bound=bound,
            message=link,
            last_safe_point=motion.last_safe_point(crossing.segment, includes_start=False),
        )
    ]


def _too_fast(
    case: Case,
    limit: CartesianLimits,
    part: slice,
    rate: Callable[[Rates], FloatArray],
    ceiling: Callable[[Rates], FloatArray],
    bound: float,
    name: str,
) -> list[Violation]:
    """Return where a part of the tool's twist exceeds its bound.

    Args:
        case: What is judged.
        limit: The tool.
        part: Rows of the twist.
        rate, ceiling: How fast its norm can change, and what it is at most, of the chain's bounds.
        bound: Of the norm, m/s or rad/s.
        name: Of the limit.
    """
    samples, link = case.kinematics(), limit.tool_link

    def size(points: Points) -> FloatArray:
        result: FloatArray = np.linalg.norm(points.twist(link)[:, part], axis=1)
        return result

    return exceeds(
        case, samples, link, size, lambda points: rate(points.rates(link)),
        ceiling(samples.ceilings(samples.sampler.chains[link])), bound, limit=name,
    )  # fmt: skip


@dataclass(frozen=True)
class ToolMotionSettings(DeclaredSettings):
    """How much of the tool's bounds may be used."""

    cartesian_scale: float = setting(
        1.0, "Part of the bounds on the tool's speed and acceleration that may be used.", minimum=0.01, maximum=1.0,
        read_only=True,
    )  # fmt: skip


class _ToolMotion(Limit):
    """A bound on how the tools move."""

    cure = Cure.SLOWING
    settings_type = ToolMotionSettings
    uses_kinematics = True
    bounded: tuple[str, ...]

    def __init__(self, settings: ToolMotionSettings, limits: tuple[CartesianLimits, ...]) -> None:
        super().__init__(settings)
        self.limits = limits

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: ToolMotionSettings) -> Sequence[_ToolMotion]:
        """See ``Check.for_robot``."""
        tools = robot.limits.cartesian
        known = any(math.isfinite(getattr(tool, field)) for tool in tools for field in cls.bounded)
        return (cls(settings, tools),) if known else ()

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: ToolMotionSettings) -> RobotLimits:
        """See ``Check.tighten``."""
        tools = tuple(
            replace(tool, **{field: settings.cartesian_scale * getattr(tool, field) for field in cls.bounded})
            for tool in limits.cartesian
        )
        return replace(limits, cartesian=tools)


class CartesianSpeed(_ToolMotion):
    """The tool's origin is no faster than its linear speed bound."""

    name = "cartesian_speed"
    order = 100
    bounded = ("linear_speed",)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        found = []
        for tool in self.limits:
            found += _too_fast(
                case, tool, slice(0, 3), lambda r: r.acceleration, lambda r: r.speed, tool.linear_speed, self.name
            )
        return found


class RotationalSpeed(_ToolMotion):
    """The tool turns no faster than its angular speed bound."""

    name = "rotational_speed"
    order = 102
    bounded = ("angular_speed",)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        found = []
        for tool in self.limits:
            found += _too_fast(
                case, tool, slice(3, 6), lambda r: r.spin_rate, lambda r: r.spin, tool.angular_speed, self.name
            )
        return found


class CartesianAcceleration(_ToolMotion):
    """The tool accelerates no more than its linear and angular bounds; lines have no acceleration between knots."""

    name = "cartesian_acceleration"
    order = 104
    bounded = ("linear_acceleration", "angular_acceleration")

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        if case.motion.degree == 1:
            return []
        samples = case.kinematics()
        found = []
        for limit in self.limits:
            link = limit.tool_link
            ceilings = samples.ceilings(samples.sampler.chains[link])

            def linear(points: Points, link: str = link) -> FloatArray:
                result: FloatArray = np.linalg.norm(points.twist_rate(link)[:, :3], axis=1)
                return result

            def angular(points: Points, link: str = link) -> FloatArray:
                result: FloatArray = np.linalg.norm(points.twist_rate(link)[:, 3:], axis=1)
                return result

            def linear_rate(points: Points, link: str = link) -> FloatArray:
                return points.rates(link).jerk

            def angular_rate(points: Points, link: str = link) -> FloatArray:
                return points.rates(link).spin_jerk

            for size, rate, ceiling, bound in (
                (linear, linear_rate, ceilings.acceleration, limit.linear_acceleration),
                (angular, angular_rate, ceilings.spin_rate, limit.angular_acceleration),
            ):
                found += exceeds(
                    case, samples, link, size, rate, ceiling, bound,
                    limit=self.name, resolution=ACCELERATION_RESOLUTION * bound,
                )  # fmt: skip
        return found
