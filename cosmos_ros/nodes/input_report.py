"""What the predictor's diagnostics say of its inputs."""

from __future__ import annotations

from typing import Any

from cosmos_ros.observation import Synchroniser


def input_values(synchroniser: Synchroniser, now_ns: int) -> dict[str, Any]:
    """Return key → value of every stream: rate, age, count, and what was dropped and why."""
    values: dict[str, Any] = {}
    for stream in synchroniser.health(now_ns):
        values[f"{stream.name} rate [Hz]"] = f"{stream.rate_hz:.1f}"
        values[f"{stream.name} age [ms]"] = "never" if stream.age_ns is None else f"{stream.age_ns / 1e6:.0f}"
        values[f"{stream.name} received"] = stream.received
        if stream.invalid or stream.late or stream.duplicates:
            dropped = f"{stream.invalid} invalid, {stream.late} late, {stream.duplicates} duplicate"
            values[f"{stream.name} dropped"] = f"{dropped}; {stream.last_error}"
    return {**values, "used": synchroniser.references, "unsynchronised": synchroniser.unsynchronised}
