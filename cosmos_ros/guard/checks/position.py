"""Joint position on the interpolated motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation


class Position:
    """Every joint stays inside its position bounds; one that starts outside may move inwards only."""

    name = "position"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, config = case.motion, case.config
        lower, upper, slack = motion.table.lower, motion.table.upper, config.slack
        margin = np.full(len(lower), config.position_margin)
        start = motion.positions[0]
        above, below = start > upper + slack, start < lower - slack
        if not config.recovery or not (above | below).any():
            return outside(motion, 0, lower, upper, limit=self.name, slack=slack, margin=margin)
        # Up to the segment at whose end a joint is back inside it must not move outwards; then its bounds hold.
        ends = motion.positions[1:] if len(motion.positions) > 1 else motion.positions
        back = (ends <= upper + slack) & (ends >= lower - slack)
        returned = np.where(back.any(axis=0), np.argmax(back, axis=0), len(ends))
        away = (np.arange(len(ends))[:, None] <= returned) & (above | below)
        found = outside(motion, 0, lower, upper, limit=self.name, slack=slack, margin=margin, judged=~away)
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
