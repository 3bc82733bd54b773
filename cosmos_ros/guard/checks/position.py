"""Joint position on the interpolated motion."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation


class Position:
    """Every joint stays inside its position bounds; a start outside may be left inwards only."""

    name = "position"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, config = case.motion, case.config
        table = motion.table
        lower, upper = table.lower, table.upper
        start = motion.positions[0]
        margin = np.full(len(lower), config.position_margin)
        away = (start > upper + config.slack) | (start < lower - config.slack)
        if config.recovery and away.any():
            # Never further out than it already is; `Recovery` sees to the direction.
            lower, upper = np.minimum(lower, start), np.maximum(upper, start)
            return outside(
                motion, 0, lower, upper, limit=self.name, slack=config.slack, margin=margin
            ) + self._returning(case, away)
        return outside(motion, 0, lower, upper, limit=self.name, slack=config.slack, margin=margin)

    def _returning(self, case: Case, away: np.ndarray) -> list[Violation]:
        motion, config = case.motion, case.config
        found: list[Violation] = []
        enclosures, speeds = motion.hull(0), motion.hull(1)
        for joint in np.flatnonzero(away):
            above = motion.positions[0, joint] > motion.table.upper[joint]
            bound = motion.table.upper[joint] if above else motion.table.lower[joint]
            inside = False
            for segment in range(len(motion.durations)):
                if inside:
                    break
                outward = speeds.upper[segment, joint] if above else -speeds.lower[segment, joint]
                end = motion.positions[min(segment + 1, len(motion.positions) - 1), joint]
                inside = end <= bound if above else end >= bound
                if not outward <= config.slack:
                    found.append(
                        Violation(
                            limit=self.name,
                            joint=motion.names[joint],
                            step=motion.step_of(segment),
                            time=motion.time_at(segment, 0.0),
                            value=float(motion.positions[segment, joint]),
                            bound=float(bound),
                            margin=config.position_margin,
                            message="outside its bound, a joint may only move inwards",
                            last_safe_point=motion.last_safe_point(segment, includes_start=False),
                        )
                    )
                    break
            else:
                continue
            if inside:
                rest = slice(segment, None)
                extreme = enclosures.upper[rest, joint].max() if above else -enclosures.lower[rest, joint].min()
                limit = bound if above else -bound
                if extreme > limit + config.slack and not found:
                    later = np.full(len(away), len(motion.durations))
                    later[joint] = segment
                    found += outside(
                        motion, 0, motion.table.lower, motion.table.upper,
                        limit=self.name, slack=config.slack, first_segment=later,
                    )  # fmt: skip
        return found
