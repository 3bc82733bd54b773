"""The demo's results: a table, a contact sheet of predicted above actual, a plot of joints with their limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from cosmos_ros.demo.demo_options import DemoOptions
from cosmos_ros.demo.live_recording import LiveRecording, read_images, read_recording
from cosmos_ros.files import write_json
from cosmos_ros.types import NANOSECONDS, UInt8Array
from cosmos_ros.viewing.contact_sheet import contact_sheet, frame_choice
from cosmos_ros.viewing.joint_plot import joint_plot

_MOVED_RAD = 0.05
_COLUMNS = 5


def report(console: Console, bag: Path, options: DemoOptions) -> int:
    """Read the bag, write the images and ``summary.json``, print the table; return the exit status."""
    recording = read_recording(bag, (options.launch or {}).get("embodiment", options.embodiment))
    figures = summarise(recording, options)
    out = bag.parent
    write_json(out / "summary.json", figures)
    sheet = _predicted_above_actual(recording)
    if sheet is not None:
        cv2.imwrite(str(out / "contact_sheet.png"), sheet[..., ::-1])
    joint_plot(
        out / "joints.png",
        recording.embodiment,
        recording.joint_stamps,
        recording.joint_positions,
        [t for trajectories in recording.sent.values() for t in trajectories],
    )
    _print(console, figures)
    console.print(f"results are in {out}: bag, contact_sheet.png, joints.png, summary.json")
    for failure in figures["failures"]:
        console.print(f"[red]failed: {failure}[/]")
    return 1 if figures["failures"] else 0


def summarise(recording: LiveRecording, options: DemoOptions) -> dict[str, Any]:
    """Return the figures of a run, and why it failed, if it did."""
    predictions, verdicts = recording.predictions, recording.verdicts
    stamps = recording.joint_stamps
    seconds = float(stamps[-1] - stamps[0]) / NANOSECONDS if len(stamps) > 1 else 0.0
    deadlines = _observation_to_trajectory(recording)
    chunk = recording.embodiment.chunk_size / recording.embodiment.fps
    gate = chunk if options.deadline is None else options.deadline
    late = [value for value in deadlines if value > gate * 1e3]
    starved = sum(1 for p in predictions if p["join"].get("held"))
    physical = recording.task.get("limit_violations", {})
    figures: dict[str, Any] = {
        "world_model": predictions[0]["backend"] if predictions else None,
        "scripted": bool(predictions and predictions[0]["scripted"]),
        "seconds": round(seconds, 2),
        "cycles": len(predictions),
        "rates_hz": {
            "predictions": _rate(len(predictions), seconds),
            "joint_states": _rate(len(stamps), seconds),
            **{f"camera {view}": _rate(len(s), seconds) for view, s in sorted(recording.image_stamps.items())},
        },
        "latencies_ms": {
            **{stage: _quantiles([p["latencies_ms"][stage] for p in predictions]) for stage in _stages(predictions)},
            "observation to guarded trajectory": _quantiles(deadlines),
            "guard": _quantiles([v["elapsed_ms"] for v in verdicts]),
        },
        "verdicts": dict(recording.responses()),
        "sent": {topic: len(trajectories) for topic, trajectories in recording.sent.items()},
        "rejected_by_controllers": recording.task.get("rejected"),
        "travel_rad": round(recording.travel(), 4),
        "broken_position_limits": recording.broken_limits(),
        "broken_physical_limits": physical.get("total"),
        "deadline_ms": round(gate * 1e3),
        "deadlines_missed": len(late) + starved,
        "task": recording.task.get("task"),
        "task_done": bool(recording.task.get("done")),
    }
    figures["failures"] = _failures(figures)
    return figures


def _failures(figures: dict[str, Any]) -> list[str]:
    failures = []
    if figures["travel_rad"] < _MOVED_RAD:
        failures.append(f"the arm did not move: largest joint travel {figures['travel_rad']} rad")
    if figures["broken_position_limits"] or figures["broken_physical_limits"]:
        failures.append(
            f"limits were broken: {figures['broken_position_limits']}, {figures['broken_physical_limits']} samples"
        )
    if figures["broken_physical_limits"] is None:
        failures.append("the simulator did not say whether limits were broken")
    if figures["rejected_by_controllers"]:
        failures.append(f"controllers rejected {figures['rejected_by_controllers']} trajectories")
    if figures["deadlines_missed"]:
        failures.append(f"{figures['deadlines_missed']} deadlines were missed (gate {figures['deadline_ms']:.0f} ms)")
    return failures


def _observation_to_trajectory(recording: LiveRecording) -> list[float]:
    """Return, for each guarded trajectory, milliseconds from its observation's stamp to its publication."""
    observed = {p["join"]["stamp_ns"]: p["stamp_ns"] for p in recording.predictions if "stamp_ns" in p["join"]}
    return [
        (v["published_ns"] - observed[v["stamp_ns"]]) / 1e6
        for v in recording.verdicts
        if v.get("published_ns") and v["stamp_ns"] in observed
    ]


def _predicted_above_actual(recording: LiveRecording) -> UInt8Array | None:
    """Return a contact sheet of one prediction in the middle of the run and of what the cameras then saw."""
    embodiment = recording.embodiment
    views = embodiment.views
    if any(view not in recording.image_stamps for view in views):
        return None
    horizon = round(embodiment.chunk_size * NANOSECONDS / embodiment.fps)
    last = min(max(stamps) for stamps in recording.image_stamps.values())
    whole = [p for p in recording.predictions if p["digests"]["frames"] and p["stamp_ns"] + horizon <= last]
    if not whole:
        return None
    rows: list[tuple[str, Sequence[UInt8Array | None]]] = []
    chosen = frame_choice(embodiment.chunk_size + 1, _COLUMNS)
    record = whole[len(whole) // 2]
    times = [record["stamp_ns"] + round(i * NANOSECONDS / embodiment.fps) for i in chosen]
    predicted = read_images(recording.bag, "/predictor/rollout/image/compressed", set(times))
    actual: list[dict[str, UInt8Array]] = [{} for _ in times]
    for view in views:
        stamps = np.array(recording.image_stamps[view])
        nearest = [int(stamps[np.argmin(np.abs(stamps - time))]) for time in times]
        found = read_images(recording.bag, f"/{view}/image_raw/compressed", set(nearest))
        for row, stamp in zip(actual, nearest, strict=True):
            row[view] = found[stamp]
    rows.append(("predicted", [predicted.get(time) for time in times]))
    rows.append(("actual", [embodiment.compose(images) for images in actual]))
    source = "scripted expert" if record["scripted"] else f"world model {record['backend']}"
    captions = [f"+{i / embodiment.fps:.2f} s" for i in chosen]
    return contact_sheet(rows, captions, tile_width=250, title=f"{source}: {record['embodiment']}, one chunk")


def _print(console: Console, figures: dict[str, Any]) -> None:
    table = Table(show_header=False, title="cosmos_ros demo")
    scripted = " (SCRIPTED, not predicted)" if figures["scripted"] else ""
    table.add_row("world model", f"{figures['world_model']}{scripted}")
    table.add_row("cycles", f"{figures['cycles']} in {figures['seconds']:.1f} s")
    table.add_row("rates", ", ".join(f"{name} {rate:.1f} Hz" for name, rate in figures["rates_hz"].items()))
    for stage, quantiles in figures["latencies_ms"].items():
        if quantiles:
            table.add_row(f"latency {stage}", f"p50 {quantiles['p50']:.1f} ms   p99 {quantiles['p99']:.1f} ms")
    table.add_row("guard", ", ".join(f"{count} {name}" for name, count in sorted(figures["verdicts"].items())))
    table.add_row("largest joint travel", f"{figures['travel_rad']:.3f} rad")
    table.add_row("broken limits", str(figures["broken_physical_limits"] or "none"))
    table.add_row("missed deadlines", f"{figures['deadlines_missed']} (gate {figures['deadline_ms']:.0f} ms)")
    table.add_row("task", f"{figures['task']}: {'done' if figures['task_done'] else 'not done'}")
    console.print(table)


def _stages(predictions: list[dict[str, Any]]) -> list[str]:
    return [s for s in predictions[0]["latencies_ms"] if "/" not in s] if predictions else []


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 2) if seconds else 0.0


def _quantiles(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "n": len(values)}
