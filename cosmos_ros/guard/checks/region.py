"""Where the tool may be: workspace box, keep-out boxes, table plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.guard_settings import Box
from cosmos_ros.guard.motion.crossing_search import Crossing, scan
from cosmos_ros.guard.motion.sampler import Points, Samples
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.types import FloatArray

# A dip of this depth may stay unseen between two looks, m.
RESOLUTION = 1e-4


def leaves(
    case: Case, samples: Samples, links: tuple[str, ...], clearance: Callable[[FloatArray], FloatArray]
) -> tuple[Crossing, FloatArray] | None:
    """Return where a link's origin first loses its clearance, and the origin there ``[3]``.

    Args:
        case: What is judged.
        samples: Kinematics along it.
        links: Links whose origins are held against the region.
        clearance: Of positions ``[M, 3]``: metres to violation, ``[M]``.
    """

    def every(points: Points) -> FloatArray:
        return beside([clearance(points.position(link)) for link in links])

    def rate(points: Points) -> FloatArray:
        return beside([points.rates(link).speed for link in links])

    crossing = scan(samples, every, rate, resolution=RESOLUTION, slack=case.config.slack, recovery=case.config.recovery)
    if crossing is None:
        return None
    at = Points(samples, np.array([crossing.segment]), np.array([crossing.u]), np.zeros(1))
    return crossing, at.position(links[crossing.column])[0]


def beside(columns: list[FloatArray]) -> FloatArray:
    """Return ``[M, K]`` of K columns ``[M]``."""
    return columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)


def inside(box: Box, margin: float, position: FloatArray) -> FloatArray:
    """Return the distance of positions ``[M, 3]`` to the nearest face from inside; negative outside."""
    low, high = np.array(box.minimum) + margin, np.array(box.maximum) - margin
    result: FloatArray = np.minimum(position - low, high - position).min(axis=1)
    return result


def beyond(box: Box, margin: float, position: FloatArray) -> FloatArray:
    """Return the distance of positions ``[M, 3]`` to a box from outside; negative inside."""
    low, high = np.array(box.minimum) - margin, np.array(box.maximum) + margin
    excess = np.maximum(low - position, position - high)
    outside = np.linalg.norm(np.maximum(excess, 0.0), axis=1)
    result: FloatArray = np.where(outside > 0.0, outside, excess.max(axis=1))
    return result


def _violation(
    case: Case, crossing: Crossing, name: str, link: str, value: float, bound: float, message: str
) -> Violation:
    motion = case.motion
    return Violation(
        limit=name,
        joint=None,
        step=motion.step_of(crossing.segment),
        time=motion.time_at(crossing.segment, crossing.u),
        value=value,
        bound=bound,
        margin=case.config.workspace_margin,
        message=f"{link} {message}",
        last_safe_point=motion.last_safe_point(crossing.segment, includes_start=crossing.u == 0.0),
    )


class Workspace:
    """The links' origins stay in a box. The value is the distance to its faces, positive inside."""

    name = "workspace"

    def __init__(self, links: tuple[str, ...], box: Box) -> None:
        self.links, self.box = links, box

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        margin = case.config.workspace_margin
        out = leaves(case, case.kinematics(), self.links, lambda p: inside(self.box, margin, p))
        if out is None:
            return []
        crossing, position = out
        value = float(inside(self.box, margin, position[None])[0])
        axis = int(np.argmin(np.minimum(position - self.box.minimum, np.array(self.box.maximum) - position)))
        message = f"leaves the box at {'xyz'[axis]} = {position[axis]:.3f} m"
        return [_violation(case, crossing, self.name, self.links[crossing.column], value, 0.0, message)]


class KeepOut:
    """The links' origins stay out of boxes. The value is the distance, negative inside."""

    name = "keep_out"

    def __init__(self, links: tuple[str, ...], boxes: tuple[Box, ...]) -> None:
        self.links, self.boxes = links, boxes

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        margin = case.config.workspace_margin
        found = []
        for index, box in enumerate(self.boxes):
            out = leaves(case, case.kinematics(), self.links, lambda p, box=box: beyond(box, margin, p))  # type: ignore[misc]
            if out is not None:
                crossing, position = out
                value = float(beyond(box, margin, position[None])[0])
                message = f"enters keep-out box {index}"
                found.append(_violation(case, crossing, self.name, self.links[crossing.column], value, 0.0, message))
        return found


class Plane:
    """The links' origins stay above a horizontal plane. Value and bound are heights."""

    name = "plane"

    def __init__(self, links: tuple[str, ...], height: float) -> None:
        self.links, self.height = links, height

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        bound = self.height + case.config.workspace_margin
        out = leaves(case, case.kinematics(), self.links, lambda p: p[:, 2] - bound)
        if out is None:
            return []
        crossing, position = out
        message = "goes below the plane"
        return [_violation(case, crossing, self.name, self.links[crossing.column], float(position[2]), bound, message)]
