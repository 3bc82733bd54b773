"""The metrics of an evaluation: what each is, and where it stands in a chunk's record."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_ros.evaluation.motion_metrics import step_at
from cosmos_ros.trajectory.executing import wrapped

HORIZONS = (0.5, 1.0, 2.0)
Record = Mapping[str, Any]
Value = Callable[[Record, Record], float | None]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Stable key, e.g. ``policy.frames.psnr``.
        label: For people.
        unit: Of the value.
        better: ``higher``, ``lower`` or empty where neither is.
        value: The chunk's value from its predictor entry and the record; None where it has none.
    """

    name: str
    label: str
    unit: str
    better: str
    value: Value

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


def metric_definitions(fps: float, views: Sequence[str]) -> tuple[Metric, ...]:
    """Return every metric of an embodiment with this rate (control steps a second) and these seen views."""
    found: list[Metric] = []
    for mode, text in (
        ("policy", "policy"),
        ("forward_dynamics", "forward dynamics"),
        ("forward_dynamics_shuffled", "other actions"),
    ):
        for key, label, unit, better in (
            ("psnr", "PSNR", "dB", "higher"),
            ("dynamic_psnr", "PSNR where it moves", "dB", "higher"),
            ("ssim", "SSIM", "", "higher"),
            ("lpips", "LPIPS", "", "lower"),
        ):
            found.append(Metric(f"{mode}.frames.{key}", f"{label}, {text}", unit, better, _mean(mode, "frames", key)))
    for view in views:
        value = _mean("policy", "frames", "views", view)
        found.append(Metric(f"policy.frames.psnr.{view}", f"PSNR of {view}", "dB", "higher", value))
    for key, label in (("psnr", "PSNR"), ("dynamic_psnr", "PSNR where it moves")):
        name = f"forward_dynamics.gap.{key}"
        found.append(Metric(name, f"{label} lost with other actions", "dB", "higher", _gap(key)))
    for mode, text in (("policy", "policy"), ("inverse_dynamics", "inverse dynamics")):
        for key in ("mse", "mae"):
            value = _mean(mode, "actions", f"{key}_by_dimension")
            found.append(Metric(f"{mode}.actions.{key}", f"action {key.upper()}, {text}", "", "lower", value))
        for seconds in HORIZONS:
            for unit, what in (("cm", "position"), ("deg", "rotation")):
                label = f"tool {what} error at {seconds:g} s, {text}"
                value = _tool(mode, unit, seconds, fps)
                found.append(Metric(f"{mode}.tool.{unit}@{seconds:g}s", label, unit, "lower", value))
        found.append(Metric(f"{mode}.gripper.accuracy", f"gripper accuracy, {text}", "", "higher", _gripper(mode)))
    found += [
        Metric("policy.joint_rad", "worst joint error, mean over steps", "rad", "lower", _mean("policy", "joint_rad")),
        Metric("policy.jerk", "joint jerk, RMS", "rad/s³", "lower", _number("policy", "jerk")),
        Metric("recorded.jerk", "recorded joint jerk, RMS", "rad/s³", "", lambda _, r: _at(r, "recorded", "jerk")),
        Metric("boundary.rad", "joint jump between chunks", "rad", "lower", _number("boundary", "rad")),
        Metric("boundary.rad_s", "joint velocity jump between chunks", "rad/s", "lower", _number("boundary", "rad_s")),
        Metric("boundary.cm", "tool jump between chunks", "cm", "lower", _number("boundary", "cm")),
        Metric("guard.violating_before", "chunks that break a limit", "", "lower", _violating("before")),
        Metric("guard.violating_after", "guarded chunks that break a limit", "", "lower", _violating("after")),
        Metric("guard.added_s", "time that the guard adds", "s", "lower", _number("guard", "added_s")),
        Metric("shadow.joint_rad", "guarded against driven, worst joint", "rad", "", _mean("shadow", "joint_rad")),
    ]
    return tuple(found)


def steps_of(entry: Record, mode: str, key: str) -> list[float | None] | None:
    """Return a metric's values by horizon step, for the plots; None where the chunk has none."""
    section = entry.get(mode, {})
    if key in ("psnr", "dynamic_psnr", "ssim", "lpips"):
        values = section.get("frames", {}).get(key)
    elif key in ("cm", "deg"):
        values = _over_links([tool[key] for tool in section.get("tools", {}).values()])
    elif key == "action_mse":
        values = section.get("actions", {}).get("mse_by_step")
    else:
        values = section.get(key)
    return values or None


def with_boundaries(records: Iterable[Record], stride_ns: int) -> Iterator[dict[str, Any]]:
    """Yield the records with the jumps from each chunk to the next, where they follow each other at the stride.

    A jump is the distance, at the time at which the next chunk begins, between where the chunk before led and where
    the next one begins: the largest joint, and the tool.
    """
    last: dict[str, tuple[Any, Record]] = {}
    for record in records:
        entries = {name: dict(entry) for name, entry in record["predictors"].items()}
        for name, entry in entries.items():
            edge = entry.get("policy", {}).get("edge")
            if edge is None:
                last.pop(name, None)
                continue
            place = (record["bag"], record["epoch"])
            if name in last and last[name][0] == place:
                before = last[name][1]
                late = abs(edge["stamp_ns"] - before["stamp_ns"] - stride_ns)
                if late <= 0.25 * stride_ns:
                    entry["boundary"] = _jump(before, edge)
            last[name] = (place, edge)
        yield {**record, "predictors": entries}


def _jump(before: Record, edge: Record) -> dict[str, float]:
    steps = [np.array(before["end"][row]) - np.array(edge["start"][row]) for row in (0, 1)]
    steps[0] = wrapped(steps[0], np.array(edge.get("continuous", False)))
    jump = {key: float(np.max(np.abs(step))) for key, step in zip(("rad", "rad_s"), steps, strict=True)}
    if before.get("end_xyz") and edge.get("start_xyz"):
        jump["cm"] = 100.0 * max(
            math.dist(before["end_xyz"][link], edge["start_xyz"][link]) for link in edge["start_xyz"]
        )
    return jump


def _at(entry: Record, *keys: str) -> Any:
    """Return what stands in an entry under nested keys; None for nothing."""
    found: Any = entry
    for key in keys:
        found = found.get(key, {})
    return None if found == {} else found


def _number(*keys: str) -> Value:
    return lambda entry, _: _at(entry, *keys)


def _mean(*keys: str) -> Value:
    return lambda entry, _: mean(_at(entry, *keys))


def _gap(key: str) -> Value:
    def value(entry: Record, _: Record) -> float | None:
        right, other = (
            mean(_at(entry, mode, "frames", key)) for mode in ("forward_dynamics", "forward_dynamics_shuffled")
        )
        return None if right is None or other is None else right - other

    return value


def _tool(mode: str, unit: str, seconds: float, fps: float) -> Value:
    def value(entry: Record, _: Record) -> float | None:
        values = steps_of(entry, mode, unit)
        step = None if values is None else step_at(seconds, fps, len(values))
        return None if values is None or step is None else values[step]

    return value


def _gripper(mode: str) -> Value:
    return lambda entry, _: mean(agree for row in entry.get(mode, {}).get("grippers", {}).values() for agree in row)


def _violating(key: str) -> Value:
    def value(entry: Record, _: Record) -> float | None:
        limits = _at(entry, "guard", key)
        return None if limits is None else float(bool(limits))

    return value


def _over_links(rows: list[list[float | None]]) -> list[float | None] | None:
    if not rows:
        return None
    return [mean([row[k] for row in rows]) for k in range(len(rows[0]))]


def mean(values: Iterable[float | None] | None) -> float | None:
    """Return the mean of what is not None; None for nothing."""
    kept = [value for value in values or () if value is not None]
    return math.fsum(kept) / len(kept) if kept else None
