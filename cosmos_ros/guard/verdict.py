"""What the guard says: violations as data, the response, and one line for people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cosmos_ros.types import NANOSECONDS, JointTrajectory


class Response(str, Enum):
    """What was done with a trajectory, in order of preference."""

    ACCEPT = "accept"
    SLOW_DOWN = "slow_down"
    TRUNCATE = "truncate"
    REJECT = "reject"


@dataclass(frozen=True)
class Violation:
    """One limit that one joint (or the tool, or the whole trajectory) breaks.

    Attributes:
        limit: Kind of limit, e.g. ``position`` or ``self_collision``; the names of the checks.
        joint: Joint or link; None where the limit concerns the whole.
        step: Index of the trajectory point at which, or on the way to which, it happens.
        time: Seconds of time_from_start of the first violation.
        value: Worst value for limits of joints, value at ``time`` for the others (SI, rad).
        bound: The bound that was in force, margin already taken off.
        margin: What was taken off the robot's own bound.
        message: One sentence, where the numbers do not say it all.
        last_safe_point: Index of the last trajectory point that can be executed despite it; -1 for none.
    """

    limit: str
    joint: str | None = None
    step: int | None = None
    time: float | None = None
    value: float | None = None
    bound: float | None = None
    margin: float = 0.0
    message: str = ""
    last_safe_point: int = -1

    def __str__(self) -> str:
        parts = [self.limit]
        if self.joint:
            parts.append(self.joint)
        if self.value is not None and self.bound is not None:
            parts.append(f"{self.value:.4g} against {self.bound:.4g}")
        if self.time is not None:
            parts.append(f"at {self.time:.3f} s")
        if self.message:
            parts.append(f"({self.message})")
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data; numbers that are not finite become strings."""
        return {
            "limit": self.limit,
            "joint": self.joint,
            "step": self.step,
            "time": json_number(self.time),
            "value": json_number(self.value),
            "bound": json_number(self.bound),
            "margin": self.margin,
            "message": self.message,
        }


def json_number(value: float | None) -> float | str | None:
    """Return a number that JSON has; the name of one that it has not."""
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else str(number)


def by_time(violations: list[Violation]) -> tuple[Violation, ...]:
    """Return violations sorted by time, those of the whole trajectory first."""
    return tuple(sorted(violations, key=lambda v: -math.inf if v.time is None else v.time))


@dataclass(frozen=True)
class Verdict:
    """The guard's answer to one trajectory.

    Attributes:
        response: What is to be done.
        trajectory: What may be sent to the controller; None when nothing may.
        violations: What was wrong with the trajectory as it came, sorted by time.
        notes: What else was done to it (a braking tail, a lead-in).
        time_scale: Duration of what is sent over the duration of what came (1 for an accepted trajectory).
        stopped_at: Seconds of the original trajectory at which a truncated one stops; None otherwise.
        stamp_ns: Stamp of the trajectory that was judged.
        elapsed_ms: Time the judgement took.
    """

    response: Response
    trajectory: JointTrajectory | None
    violations: tuple[Violation, ...] = ()
    notes: tuple[str, ...] = ()
    time_scale: float = 1.0
    stopped_at: float | None = None
    stamp_ns: int = 0
    elapsed_ms: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether something may be sent."""
        return self.trajectory is not None

    @property
    def first(self) -> Violation | None:
        """The earliest violation."""
        return self.violations[0] if self.violations else None

    @property
    def last_safe_point(self) -> int:
        """Index of the last point of the original trajectory that can be executed; -1 for none."""
        return min((v.last_safe_point for v in self.violations), default=-1)

    @property
    def summary(self) -> str:
        """One line for people."""
        text = self.response.value.replace("_", " ")
        if self.response is Response.SLOW_DOWN:
            text += f" by {self.time_scale:.3f}"
        elif self.response is Response.TRUNCATE and self.stopped_at is not None:
            text += f" at {self.stopped_at:.3f} s"
        if self.violations:
            text += f": {self.violations[0]}"
            if len(self.violations) > 1:
                text += f" and {len(self.violations) - 1} more"
        if self.notes:
            text += " [" + "; ".join(self.notes) + "]"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-serialisable data, without the trajectory's numbers."""
        sent = self.trajectory
        return {
            "response": self.response.value,
            "summary": self.summary,
            "stamp_ns": self.stamp_ns,
            "time_scale": json_number(self.time_scale),
            "stopped_at": json_number(self.stopped_at),
            "elapsed_ms": round(self.elapsed_ms, 4),
            "notes": list(self.notes),
            "violations": [v.to_dict() for v in self.violations],
            "sent": None
            if sent is None
            else {
                "stamp_ns": sent.stamp_ns,
                "joint_names": list(sent.joint_names),
                "points": len(sent.times_ns),
                "duration_s": float(sent.times_ns[-1]) / NANOSECONDS,
            },
        }
