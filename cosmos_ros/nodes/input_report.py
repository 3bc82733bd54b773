"""What the predictor's diagnostics say of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cosmos_ros.nodes.camera_input import CameraInput
from cosmos_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics
from cosmos_ros.observation import Synchroniser


def report_inputs(
    diagnostics: Diagnostics, synchroniser: Synchroniser, cameras: Sequence[CameraInput], now_ns: int
) -> None:
    """Set one status a camera, and one of all inputs with what is missing or stale."""
    for camera in cameras:
        problem = camera.update()
        how = {"transport": camera.transport, "topic": camera.topic}
        diagnostics.set(f"camera {camera.view}", WARN if problem else OK, problem or "connected", how)
    values = input_values(synchroniser, now_ns)
    problems = synchroniser.problems(now_ns)
    if problems:
        diagnostics.set("inputs", ERROR, f"holding: {problems[0]}", {**values, "all": "; ".join(problems)})
    else:
        diagnostics.set("inputs", OK, "fresh", values)


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
