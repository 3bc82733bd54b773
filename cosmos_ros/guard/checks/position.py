"""Joint position on the interpolated motion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits
from cosmos_ros.settings import DeclaredSettings, setting


@dataclass(frozen=True)
class PositionSettings(DeclaredSettings):
    """How far joints are kept off their bounds."""

    position_margin: float = setting(
        0.0, "Kept off every position bound", unit="rad or m", minimum=0.0, maximum=1.0, read_only=True
    )


class Position(Limit):
    """Every joint stays inside its position bounds; one that starts outside may move inwards only."""

    name = "position"
    order = 40
    cure = Cure.STOPPING
    settings_type = PositionSettings

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: PositionSettings) -> RobotLimits:
        """See ``Check.tighten``."""
        margin = settings.position_margin
        joints = {
            name: replace(joint, lower=joint.lower + margin, upper=joint.upper - margin)
            for name, joint in limits.joints.items()
        }
        return replace(limits, joints=joints)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, slack = case.motion, case.checking.slack
        lower, upper = motion.table.lower, motion.table.upper
        margin = np.full(len(lower), self.settings.position_margin)
        start = motion.positions[0]
        above, below = start > upper + slack, start < lower - slack
        if not case.checking.recovery or not (above | below).any():
            return outside(motion, 0, lower, upper, limit=self.name, slack=slack, margin=margin)
        # A joint above its bound may only come down until it is inside; the bound on the other side holds all along.
        ends = motion.positions[1:] if len(motion.positions) > 1 else motion.positions
        inside = (~above | (ends <= upper + slack)) & (~below | (ends >= lower - slack))
        returned = np.where(inside.any(axis=0), np.argmax(inside, axis=0), len(ends))
        away = (np.arange(len(ends))[:, None] <= returned) & (above | below)
        found = outside(motion, 0, lower, upper, limit=self.name, slack=slack, margin=margin, judged=~away)
        other_lower, other_upper = np.where(above, lower, -np.inf), np.where(below, upper, np.inf)
        found += outside(motion, 0, other_lower, other_upper, limit=self.name, slack=slack, margin=margin, judged=away)
        outward = outside(
            motion, 1, np.where(below, 0.0, -np.inf), np.where(above, 0.0, np.inf),
            limit=self.name, slack=slack, margin=margin, judged=away,
        )  # fmt: skip
        for violation in outward:
            column = motion.names.index(violation.joint or "")
            bound = upper[column] if above[column] else lower[column]
            found.append(
                replace(
                    violation,
                    value=float(start[column]),
                    bound=float(bound),
                    message="it starts outside its bound and may only move inwards",
                    last_safe_point=-1,
                )
            )
        return found
