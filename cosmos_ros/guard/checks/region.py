"""Where the tool may be: workspace box, keep-out boxes, table plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, GuardedRobot, Limit
from cosmos_ros.guard.motion.crossing_search import Crossing, scan
from cosmos_ros.guard.motion.sampler import Points, Samples
from cosmos_ros.guard.surroundings import Box, parse_boxes
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting
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

    crossing = scan(
        samples, every, rate, resolution=RESOLUTION, slack=case.checking.slack, recovery=case.checking.recovery
    )
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


@dataclass(frozen=True)
class RegionSettings(DeclaredSettings):
    """How far links are kept off the bounds of space, and where they may not be."""

    workspace_margin: float = setting(
        0.0, "Kept off workspace box, keep-out boxes and table", unit="m", minimum=0.0, maximum=1.0, read_only=True
    )
    keep_out: str = setting(
        "",
        "Boxes in the base frame that the links stay out of, besides those of the embodiment: "
        "'x0 y0 z0 x1 y1 z1' in metres, the smallest and the largest corner; several are separated by ';'.",
        read_only=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_boxes(self.keep_out)


class _Region(Limit):
    """A bound on where the links' origins are."""

    cure = Cure.STOPPING
    settings_type = RegionSettings
    uses_kinematics = True

    def __init__(self, settings: RegionSettings, links: tuple[str, ...]) -> None:
        super().__init__(settings)
        self.links, self.margin = links, settings.workspace_margin

    def violation(self, case: Case, crossing: Crossing, value: float, bound: float, message: str) -> Violation:
        """Return the violation at a crossing."""
        motion = case.motion
        return Violation(
            limit=self.name,
            step=motion.step_of(crossing.segment),
            time=motion.time_at(crossing.segment, crossing.u),
            value=value,
            bound=bound,
            margin=self.margin,
            message=f"{self.links[crossing.column]} {message}",
            last_safe_point=motion.last_safe_point(crossing.segment, includes_start=crossing.u == 0.0),
        )


class Workspace(_Region):
    """The links' origins stay in the workspace box. The value is the distance to its faces, positive inside."""

    name = "workspace"
    order = 110

    def __init__(self, settings: RegionSettings, links: tuple[str, ...], box: Box) -> None:
        super().__init__(settings, links)
        self.box = box

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: RegionSettings) -> Sequence[Workspace]:
        """See ``Check.for_robot``."""
        box = robot.surroundings.workspace
        return () if box is None else (cls(settings, robot.links, box),)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        out = leaves(case, case.kinematics(), self.links, lambda p: inside(self.box, self.margin, p))
        if out is None:
            return []
        crossing, position = out
        value = float(inside(self.box, self.margin, position[None])[0])
        axis = int(np.argmin(np.minimum(position - self.box.minimum, np.array(self.box.maximum) - position)))
        message = f"leaves the box at {'xyz'[axis]} = {position[axis]:.3f} m"
        return [self.violation(case, crossing, value, 0.0, message)]


class KeepOut(_Region):
    """The links' origins stay out of the keep-out boxes. The value is the distance, negative inside."""

    name = "keep_out"
    order = 120

    def __init__(self, settings: RegionSettings, links: tuple[str, ...], boxes: tuple[Box, ...]) -> None:
        super().__init__(settings, links)
        self.boxes = boxes

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: RegionSettings) -> Sequence[KeepOut]:
        """See ``Check.for_robot``."""
        boxes = (*robot.surroundings.keep_out, *parse_boxes(settings.keep_out))
        return (cls(settings, robot.links, boxes),) if boxes else ()

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        found = []
        for index, box in enumerate(self.boxes):
            out = leaves(case, case.kinematics(), self.links, lambda p, box=box: beyond(box, self.margin, p))  # type: ignore[misc]
            if out is not None:
                crossing, position = out
                value = float(beyond(box, self.margin, position[None])[0])
                found.append(self.violation(case, crossing, value, 0.0, f"enters keep-out box {index}"))
        return found


class Plane(_Region):
    """The links' origins stay above a horizontal plane. Value and bound are heights."""

    name = "plane"
    order = 130

    def __init__(self, settings: RegionSettings, links: tuple[str, ...], height: float) -> None:
        super().__init__(settings, links)
        self.height = height

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: RegionSettings) -> Sequence[Plane]:
        """See ``Check.for_robot``."""
        height = robot.surroundings.minimum_z
        return (cls(settings, robot.links, height),) if isfinite(height) else ()

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        bound = self.height + self.margin
        out = leaves(case, case.kinematics(), self.links, lambda p: p[:, 2] - bound)
        if out is None:
            return []
        crossing, position = out
        return [self.violation(case, crossing, float(position[2]), bound, "goes below the plane")]
