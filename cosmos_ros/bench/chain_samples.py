"""What a run of the live chain gathered, and the stages of one prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WATCHED = ("predictor", "guard")


@dataclass
class ChainSamples:
    """What one run gathered; times in milliseconds, memory in MiB."""

    latency: list[float] = field(default_factory=list)
    transport: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WATCHED})
    sent: int = 0
    received: dict[str, int] = field(default_factory=dict)

    def lost(self) -> int:
        """Return how many images of all cameras did not arrive."""
        return sum(self.sent - count for count in self.received.values())

    def growth(self, name: str) -> float:
        """Return MiB between the second and the last fifth of the run (the first is warm-up)."""
        values = np.array(self.memory[name])
        fifth = max(1, len(values) // 5)
        return float(np.median(values[-fifth:]) - np.median(values[fifth : 2 * fifth])) if len(values) > 2 else 0.0


def stages_of(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, float]:
    """Return stage → milliseconds from the last image's arrival to the guard's published trajectory, without the model.

    They add up to the whole, but for the time taken off for the model.

    Args:
        record: What the predictor says of one prediction on ``~/provenance``.
        verdict: What the guard says of its trajectory on ``~/verdict_json``.
    """
    laps = record["latencies_ms"]
    worked = laps["wait"] + laps["images"] + laps["total"]
    laid = sum(laps[stage] for stage in ("request", "model", "decode", "kinematics"))
    return {
        "worker picks up": laps["wait"],
        "images": laps["images"],
        "request": laps["request"],
        "decode": laps["decode"],
        "kinematics": laps["kinematics"] + laps["total"] - laid,
        "executor picks up": (record["joined_ns"] - record["received_ns"]) / 1e6 - worked,
        "join, publish": (record["published_ns"] - record["joined_ns"]) / 1e6,
        "to the guard": (verdict["context"]["now_ns"] - record["published_ns"]) / 1e6,
        "judge, publish": (verdict["published_ns"] - verdict["context"]["now_ns"]) / 1e6,
    }
