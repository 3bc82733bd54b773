"""The figures of an evaluation: what each is, and where it stands in a chunk's record."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_ros.evaluation.motion_metrics import step_at

HORIZONS = (0.5, 1.0, 2.0)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure.

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
    value: Callable[[Record, Record], float | None]


def figures(fps: float, views: Sequence[str]) -> tuple[Figure, ...]:
    """Return every figure of an embodiment with this rate and these seen views."""
    found: list[Figure] = []
    modes = (("policy", "policy"), ("forward_dynamics", "forward dynamics"))
    for mode, text in (*modes, ("forward_dynamics_shuffled", "other actions")):
        for key, label, unit, better in (
            ("psnr", "PSNR", "dB", "higher"),
            ("dynamic_psnr", "PSNR where it moves", "dB", "higher"),
            ("ssim", "SSIM", "", "higher"),
            ("lpips", "LPIPS", "", "lower"),
        ):
            found.append(Figure(f"{mode}.frames.{key}", f"{label}, {text}", unit, better, _frames(mode, key)))
    found += [Figure(f"policy.frames.psnr.{view}", f"PSNR of {view}", "dB", "higher", _view(view)) for view in views]
    for key, label in (("psnr", "PSNR"), ("dynamic_psnr", "PSNR where it moves")):
        found.append(
            Figure(f"forward_dynamics.gap.{key}", f"{label} lost with other actions", "dB", "higher", _gap(key))
        )
    for mode in ("policy", "inverse_dynamics"):
        text = mode.replace("_", " ")
        found.append(Figure(f"{mode}.actions.mse", f"action MSE, {text}", "", "lower", _actions(mode, "mse")))
        found.append(Figure(f"{mode}.actions.mae", f"action MAE, {text}", "", "lower", _actions(mode, "mae")))
        for seconds in HORIZONS:
            for unit, label in (("cm", "tool position"), ("deg", "tool rotation")):
                found.append(
                    Figure(
                        f"{mode}.tool.{unit}@{seconds:g}s",
                        f"{label} error at {seconds:g} s, {text}",
                        unit,
                        "lower",
                        _tool(mode, unit, seconds, fps),
                    )
                )
        found.append(Figure(f"{mode}.gripper.accuracy", f"gripper accuracy, {text}", "", "higher", _gripper(mode)))
    found += [
        Figure("policy.joint_rad", "worst joint error, mean over steps", "rad", "lower", _mean("policy", "joint_rad")),
        Figure("policy.jerk", "joint jerk, RMS", "rad/s³", "lower", _plain("policy", "jerk")),
        Figure(
            "recorded.jerk", "recorded joint jerk, RMS", "rad/s³", "", lambda _, r: r.get("recorded", {}).get("jerk")
        ),
        Figure("boundary.rad", "joint jump between chunks", "rad", "lower", _boundary("rad")),
        Figure("boundary.rad_s", "joint velocity jump between chunks", "rad/s", "lower", _boundary("rad_s")),
        Figure("boundary.cm", "tool jump between chunks", "cm", "lower", _boundary("cm")),
        Figure("guard.violating_before", "chunks that break a limit", "", "lower", _guard_share("before")),
        Figure("guard.violating_after", "guarded chunks that break a limit", "", "lower", _guard_share("after")),
        Figure("guard.added_s", "time that the guard adds", "s", "lower", _plain("guard", "added_s")),
        Figure("shadow.joint_rad", "guarded against driven, worst joint", "rad", "", _mean("shadow", "joint_rad")),
    ]
    return tuple(found)


def steps_of(entry: Record, mode: str, figure: str) -> list[float | None] | None:
    """Return a figure's values by horizon step, for the plots; None where the chunk has none."""
    section = entry.get(mode, {})
    if figure in ("psnr", "dynamic_psnr", "ssim", "lpips"):
        values = section.get("frames", {}).get(figure)
    elif figure in ("cm", "deg"):
        values = _over_links([tool[figure] for tool in section.get("tools", {}).values()])
    elif figure == "action_mse":
        values = section.get("actions", {}).get("mse_by_step")
    else:
        values = section.get(figure)
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
    jump = {
        key: float(np.max(np.abs(np.array(before["end"][row]) - np.array(edge["start"][row]))))
        for row, key in enumerate(("rad", "rad_s"))
    }
    if before.get("end_xyz") and edge.get("start_xyz"):
        jump["cm"] = 100.0 * max(
            math.dist(before["end_xyz"][link], edge["start_xyz"][link]) for link in edge["start_xyz"]
        )
    return jump


Value = Callable[[Record, Record], float | None]


def _frames(mode: str, key: str) -> Value:
    return lambda entry, _: mean(entry.get(mode, {}).get("frames", {}).get(key))


def _view(view: str) -> Value:
    return lambda entry, _: mean(entry.get("policy", {}).get("frames", {}).get("views", {}).get(view))


def _gap(key: str) -> Value:
    def value(entry: Record, _: Record) -> float | None:
        right = mean(entry.get("forward_dynamics", {}).get("frames", {}).get(key))
        other = mean(entry.get("forward_dynamics_shuffled", {}).get("frames", {}).get(key))
        return None if right is None or other is None else right - other

    return value


def _actions(mode: str, key: str) -> Value:
    return lambda entry, _: mean(entry.get(mode, {}).get("actions", {}).get(f"{key}_by_dimension"))


def _tool(mode: str, unit: str, seconds: float, fps: float) -> Value:
    def value(entry: Record, _: Record) -> float | None:
        values = steps_of(entry, mode, unit)
        step = None if values is None else step_at(seconds, fps, len(values))
        return None if values is None or step is None else values[step]

    return value


def _gripper(mode: str) -> Value:
    def value(entry: Record, _: Record) -> float | None:
        agree = [flag for flags in entry.get(mode, {}).get("grippers", {}).values() for flag in flags]
        return sum(agree) / len(agree) if agree else None

    return value


def _mean(section: str, key: str) -> Value:
    return lambda entry, _: mean(entry.get(section, {}).get(key))


def _plain(section: str, key: str) -> Value:
    return lambda entry, _: entry.get(section, {}).get(key)


def _boundary(key: str) -> Value:
    return lambda entry, _: entry.get("boundary", {}).get(key)


def _guard_share(key: str) -> Value:
    def value(entry: Record, _: Record) -> float | None:
        broken = entry.get("guard", {}).get(key)
        return None if broken is None else float(bool(broken))

    return value


def _over_links(rows: list[list[float | None]]) -> list[float | None] | None:
    if not rows:
        return None
    return [mean([row[k] for row in rows]) for k in range(len(rows[0]))]


def mean(values: Iterable[float | None] | None) -> float | None:
    """Return the mean of what is not None; None for nothing."""
    kept = [value for value in values or () if value is not None]
    return math.fsum(kept) / len(kept) if kept else None
