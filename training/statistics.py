"""Intervals of shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def wilson(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's score (Wilson 1927)."""
    if trials == 0:
        return 0.0, 1.0
    share = hits / trials
    middle = share + z * z / (2 * trials)
    spread = z * ((share * (1 - share) + z * z / (4 * trials)) / trials) ** 0.5
    scale = 1 + z * z / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def share_done(outcomes: Mapping[int, bool]) -> dict[str, Any]:
    """Return the share of tasks done as a figure: value, n, 95 % interval (Wilson), unit and the seeds that failed.

    Args:
        outcomes: Seed → done.
    """
    done, count = sum(outcomes.values()), len(outcomes)
    low, high = wilson(done, count)
    return {
        "value": 100.0 * done / count if count else None, "low": 100.0 * low, "high": 100.0 * high, "n": count,
        "unit": "% done", "failed_seeds": [seed for seed, ok in outcomes.items() if not ok],
    }  # fmt: skip
