"""From chunk records to ``metrics.json`` and ``timing.json``, one record at a time: a long recording has many."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cosmos_ros.evaluation.bootstrap import percentile_interval, resampled_means
from cosmos_ros.evaluation.chunks import SourceReport
from cosmos_ros.evaluation.frame_metrics import quantiles
from cosmos_ros.evaluation.frame_scores import rounded
from cosmos_ros.evaluation.metric_definitions import Metric, Record, mean, metric_definitions, steps_of, with_boundaries
from cosmos_ros.types import FloatArray

SCHEMA = 1
RESAMPLES = 2000
_LEVEL = 0.95
MAX_FAILURES_LISTED = 20
BY_STEP = (
    ("policy", "psnr"),
    ("policy", "dynamic_psnr"),
    ("policy", "ssim"),
    ("policy", "lpips"),
    ("forward_dynamics", "psnr"),
    ("forward_dynamics_shuffled", "psnr"),
    ("policy", "action_mse"),
    ("policy", "cm"),
    ("policy", "deg"),
    ("inverse_dynamics", "cm"),
    ("shadow", "joint_rad"),
)


def summarise(
    records: Iterable[Record],
    *,
    fps: float,
    steps: int,
    stride_ns: int,
    views: Sequence[str],
    dimensions: Sequence[str],
) -> dict[str, Any]:
    """Return what the chunk records say, as JSON-serialisable data; the same for the same records.

    Args:
        records: In order; only numbers are kept of them.
        fps: Control steps a second.
        steps: T, control steps of a chunk.
        stride_ns: From chunk to chunk.
        views: Views that were seen.
        dimensions: Names of the action columns.
    """
    known = metric_definitions(fps, views)
    predictors: dict[str, _Predictor] = {}
    chunks = without_frames = without_joints = 0
    motion_errors: Counter[str] = Counter()
    for record in with_boundaries(records, stride_ns):
        if not chunks:
            predictors = {name: _Predictor(known, dimensions) for name in record["predictors"]}
        chunks += 1
        for name, predictor in predictors.items():
            predictor.add(record["predictors"][name], record)
        without_frames += record["frames_recorded"] < steps
        without_joints += record["steps_recorded"] < steps
        if "motion_error" in record:
            motion_errors[record["motion_error"]] += 1
    return {
        "chunks": chunks,
        "predictors": {name: predictor.result() for name, predictor in predictors.items()},
        "incomplete": {
            "chunks_without_all_frames": without_frames,
            "chunks_without_all_joint_states": without_joints,
            "motion_errors": dict(sorted(motion_errors.items())),
        },
    }


class _Predictor:
    """The metrics of one predictor, collected from its entries."""

    def __init__(self, known: Sequence[Metric], dimensions: Sequence[str]) -> None:
        self._known = known
        self._dimensions = list(dimensions)
        self._values: dict[str, array[float]] = {metric.name: array("d") for metric in known}
        self._columns: dict[str, list[array[float]]] = {}
        self._widths: Counter[str] = Counter()
        self._rows: dict[tuple[str, str], list[FloatArray]] = defaultdict(list)
        self._guard = _GuardSummary()
        self._shadow = _ShadowSummary()
        self._failures: Counter[str] = Counter()
        self._answered = 0

    def add(self, entry: Record, record: Record) -> None:
        self._answered += "error" not in entry
        for metric in self._known:
            value = metric.value(entry, record)
            if value is not None:
                self._values[metric.name].append(value)
        for mode, key in BY_STEP:
            values = steps_of(entry, mode, key)
            if values:
                columns = self._columns.setdefault(f"{mode}.{key}", [])
                columns += [array("d") for _ in range(len(values) - len(columns))]
                for column, value in zip(columns, values, strict=False):
                    if value is not None:
                        column.append(value)
        for mode in ("policy", "inverse_dynamics"):
            actions = entry.get(mode, {}).get("actions")
            for key in ("mse", "mae") if actions else ():
                self._rows[mode, key].append(np.array(actions[f"{key}_by_dimension"]))
        if "guard" in entry:
            self._guard.add(entry["guard"])
        if "shadow" in entry:
            self._shadow.add(entry["shadow"])
        self._failures.update(_failures(entry))

    def result(self) -> dict[str, Any]:
        return {
            "figures": {name: _statistics(values) for name, values in self._values.items() if values},
            "by_step": {
                key: {
                    "mean": [None if (value := mean(column)) is None else rounded(value) for column in columns],
                    "n": [len(column) for column in columns],
                }
                for key, columns in self._columns.items()
            },
            "by_dimension": {
                mode: {
                    "dimensions": self._dimensions,
                    **{key: [rounded(v) for v in np.mean(self._rows[mode, key], axis=0)] for key in ("mse", "mae")},
                    "n": len(self._rows[mode, "mse"]),
                }
                for mode in ("policy", "inverse_dynamics")
                if self._rows[mode, "mse"]
            },
            "guard": self._guard.result(),
            "shadow": self._shadow.result(),
            "answered": self._answered,
            "failures": _most(self._failures),
        }


def _statistics(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, bootstrap interval of the mean, median and n of a metric's values."""
    numbers = np.array(values)
    low, high = percentile_interval(resampled_means(numbers, RESAMPLES, np.random.default_rng(0)), _LEVEL)
    return {
        "mean": rounded(float(numbers.mean())),
        "ci95": [rounded(low), rounded(high)],
        "median": rounded(float(np.median(numbers))),
        "n": len(numbers),
    }


class _GuardSummary:
    def __init__(self) -> None:
        self._judged = self._sent = 0
        self._responses: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._after: Counter[str] = Counter()
        self._added = array("d")

    def add(self, entry: Record) -> None:
        self._judged += 1
        self._responses[entry["response"]] += 1
        self._before.update(entry["before"])
        if "after" in entry:
            self._sent += 1
            self._after.update(entry["after"])
            self._added.append(entry["added_s"] or 0.0)

    def result(self) -> dict[str, Any] | None:
        if not self._judged:
            return None
        return {
            "n": self._judged,
            "responses": dict(sorted(self._responses.items())),
            "chunks_breaking_before": _shares(self._before, self._judged),
            "sent": self._sent,
            "chunks_breaking_after": _shares(self._after, self._sent),
            "added_s_total": rounded(math.fsum(self._added)),
        }


def _shares(counts: Mapping[str, int], of: int) -> dict[str, Any]:
    return {key: {"count": count, "share": rounded(count / of)} for key, count in sorted(counts.items())}


class _ShadowSummary:
    def __init__(self) -> None:
        self._not_sent = 0
        self._sources: Counter[str] = Counter()
        self._joints: list[FloatArray] = []
        self._tools: dict[str, array[float]] = {}

    def add(self, entry: Record) -> None:
        self._not_sent += not entry["sent"]
        if "joint_rad" not in entry:
            return
        self._sources[entry["source"]] += 1
        self._joints.append(np.array(entry["by_joint_rad"]))
        for link, values in entry["tools"].items():
            value = mean(values)
            if value is not None:
                self._tools.setdefault(link, array("d")).append(value)

    def result(self) -> dict[str, Any] | None:
        if not self._joints:
            return None
        return {
            "n": len(self._joints),
            "not_sent": self._not_sent,
            "compared_with": dict(sorted(self._sources.items())),
            "by_joint_rad": [rounded(v) for v in np.mean(self._joints, axis=0)],
            "tool_cm": {link: rounded(mean(values) or 0.0) for link, values in sorted(self._tools.items())},
        }


def _most(failures: Counter[str]) -> dict[str, int]:
    """Return the most frequent failures, and how many others there were."""
    ranked = sorted(failures.items(), key=lambda item: (-item[1], item[0]))
    others = sum(count for _, count in ranked[MAX_FAILURES_LISTED:])
    return {**dict(ranked[:MAX_FAILURES_LISTED]), **({"of other kinds": others} if others else {})}


def _failures(entry: Record) -> list[str]:
    found = []
    if "error" in entry:
        found.append(f"policy: {entry['error']['kind']}: {entry['error']['text']}")
    for mode, section in entry.items():
        if isinstance(section, Mapping) and mode != "error":
            if "error" in section:
                found.append(f"{mode}: {section['error']['kind']}: {section['error']['text']}")
            elif "skipped" in section:
                found.append(f"{mode}: skipped: {section['skipped']}")
    return found


def summarise_timing(
    records: Iterable[Record], *, fps: float, stride: int, steps: int, deadline_s: float
) -> dict[str, Any]:
    """Return latencies and what they would mean at the chosen rate; differs from run to run.

    A deadline is missed when observation to guarded trajectory took longer than ``deadline_s``. Steps are starved
    when a chunk ends before its successor, as late as its own prediction took, is there. ``models_s`` is the time that
    models took, those of the baselines too.
    """
    stages: dict[str, dict[str, array[float]]] = {}
    totals: dict[str, array[float]] = {}
    models_ms, ages = array("d"), array("d")
    for record in records:
        ages.append(record.get("input_age_ms") or 0.0)
        for name in record["predictors"] if not totals else ():
            stages[name], totals[name] = {}, array("d")
        for name, row in record["timing"].items():
            # What dynamics took stands under ``model:mode``, by the model's own stages.
            models_ms.append(math.fsum(row.values()) if ":" in name else row.get("model", 0.0))
            if name in totals:
                totals[name].append(row["total"] + row.get("guard", 0.0))
                for stage, value in row.items():
                    stages[name].setdefault(stage, array("d")).append(value)
    found: dict[str, Any] = {
        "deadline_s": deadline_s,
        "models_s": math.fsum(models_ms) * 1e-3,
        "input_age_ms": quantiles(list(ages)),
        "predictors": {},
    }
    for name, values in totals.items():
        late = [max(0, math.ceil(round((stride / fps + total * 1e-3) * fps - steps, 6))) for total in values]
        found["predictors"][name] = {
            "latency_ms": {stage: quantiles(list(numbers)) for stage, numbers in sorted(stages[name].items())},
            "observation_to_guarded_ms": quantiles(list(values)),
            "deadline_misses": sum(total > deadline_s * 1e3 for total in values),
            "starved_steps": sum(late),
            "n": len(values),
        }
    return found


def stale_inputs(reports: Iterable[SourceReport]) -> dict[str, Any]:
    """Return how many due images could not be predicted from, because no partner within its tolerance was recorded."""
    counted = list(reports)
    stale = sum(report.walk.unsynchronised for report in counted)
    due = stale + sum(report.walk.references for report in counted)
    return {"count": stale, "of": due, "share": rounded(stale / due) if due else None}
