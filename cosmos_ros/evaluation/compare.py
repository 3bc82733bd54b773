"""Compares two evaluations: differences with bootstrap intervals over chunks, never a bare mean."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.evaluation.bootstrap import percentile_interval, resampled_means
from cosmos_ros.evaluation.frame_scores import rounded
from cosmos_ros.evaluation.metric_definitions import Metric, metric_definitions, with_boundaries
from cosmos_ros.evaluation.results_folder import CHUNKS, METRICS, iterate_records, key_of
from cosmos_ros.evaluation.scoring import MODEL
from cosmos_ros.evaluation.summary import SCHEMA
from cosmos_ros.evaluation.text_summary import text_table
from cosmos_ros.recordings.annotation_log import ChunkKey
from cosmos_ros.types import NANOSECONDS, FloatArray

# What decides the question that the models were asked.
_TASK = ("embodiment", "config_hash", "instruction", "joint_states", "tool_poses", "timing", "commands", "lpips")


@dataclass(frozen=True)
class Comparison:
    """One metric of A and B.

    Attributes:
        metric: What it is.
        a, b: Means over the chunks that were compared.
        difference: b - a.
        low, high: Bootstrap interval of the difference; NaN for fewer than two chunks.
        n_a, n_b: Chunks.
        paired: The same chunks on both sides, differences taken chunk by chunk.
    """

    metric: Metric
    a: float
    b: float
    difference: float
    low: float
    high: float
    n_a: int
    n_b: int
    paired: bool

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``different`` or ``no difference shown``, of B against A."""
        if math.isnan(self.low) or self.low <= 0.0 <= self.high:
            return "no difference shown"
        if not self.metric.better:
            return "different"
        return "better" if (self.difference > 0.0) == (self.metric.better == "higher") else "worse"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data."""
        return {
            "figure": self.metric.name,
            "unit": self.metric.unit,
            **{name: rounded(getattr(self, name)) for name in ("a", "b", "difference")},
            "interval": [rounded(self.low), rounded(self.high)],
            "n_a": self.n_a,
            "n_b": self.n_b,
            "paired": self.paired,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Side:
    """One evaluation: its folder and ``metrics.json``. Its chunk records are read from disk one by one."""

    folder: Path
    metrics: Mapping[str, Any]

    def recordings(self) -> dict[str, float]:
        """Return name → seconds of the recordings."""
        return {str(bag["name"]): float(bag["seconds"]) for bag in self.metrics["bags"]}

    def values(self, predictor: str, known: Sequence[Metric]) -> tuple[list[ChunkKey], dict[str, FloatArray]]:
        """Return the chunks, and metric name → ``float64 [chunks]``, NaN where a chunk has none.

        Raises:
            InputError: A record is damaged; names the line.
        """
        stride_ns = round(self.metrics["stride"] * NANOSECONDS / self.metrics["fps"])
        keys: list[ChunkKey] = []
        columns: dict[str, array[float]] = {metric.name: array("d") for metric in known}
        for record in with_boundaries(_whole(self.folder, predictor), stride_ns):
            keys.append(key_of(record))
            for metric in known:
                value = metric.value(record["predictors"][predictor], record)
                columns[metric.name].append(math.nan if value is None else value)
        return keys, {name: np.array(column, dtype=np.float64) for name, column in columns.items()}


def _whole(folder: Path, predictor: str) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(iterate_records(folder), start=1):
        if not isinstance(record.get("predictors"), dict) or predictor not in record["predictors"]:
            raise InputError(f"line {number} holds nothing of {predictor}", where=str(folder / CHUNKS))
        yield record


def read_side(folder: Path) -> Side:
    """Read an evaluation.

    Raises:
        InputError: There is none in the folder, it is damaged, or of another schema.
    """
    path = folder / METRICS
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        schema = metrics["schema"]
        if schema != SCHEMA:
            raise InputError(f"schema {schema!r}, this compares {SCHEMA}", where=str(path), hint="Evaluate again.")
        side = Side(folder, metrics)
        rates = [metrics[key] for key in ("fps", "steps", "stride")]
        whole = all(isinstance(value, int | float) and value > 0 for value in rates)
        if not whole or not isinstance(metrics["predictors"], dict) or not isinstance(metrics["options"], dict):
            raise ValueError("fps, steps, stride, predictors or options are wrong")
        side.recordings()
        list(metrics["views"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else error
        raise InputError(f"is no evaluation's metrics: {why}", where=str(path)) from error
    return side


def caveats(a: Side, b: Side) -> list[str]:
    """Return what a reader of the comparison of two evaluations has to know: what besides the models differs."""
    found = []
    for side, letter in ((a, "A"), (b, "B")):
        if not side.metrics.get("complete", True):
            found.append(f"{letter} is not complete: it was interrupted, or a recording could not be read")
    options = [side.metrics["options"] for side in (a, b)]
    found += [
        f"{key} differs: {options[0].get(key)!r} and {options[1].get(key)!r}"
        for key in _TASK
        if options[0].get(key) != options[1].get(key)
    ]
    if a.metrics["stride"] != b.metrics["stride"]:
        found.append(f"stride differs: {a.metrics['stride']} and {b.metrics['stride']}; so do the chunks")
    if list(a.metrics["views"]) != list(b.metrics["views"]):
        found.append(
            "the seen views differ: only the PSNR of views that both saw is compared, no other metric of frames"
        )
    first, second = a.recordings(), b.recordings()
    same = sorted(name for name, seconds in first.items() if second.get(name) == seconds)
    for name in sorted(set(first) & set(second) - set(same)):
        found.append(f"{name} is not the same recording: it lasts {first[name]:.3f} s and {second[name]:.3f} s")
    if not same:
        found.append("they have no recording in common: what differs between the recordings is in every difference")
    return found


def compare(
    a: Side,
    b: Side,
    *,
    predictor_a: str = MODEL,
    predictor_b: str = MODEL,
    resamples: int = 10_000,
    level: float = 0.95,
) -> list[Comparison]:
    """Return every metric that both sides have.

    Chunks with the same recording and stamp are compared pair by pair, which takes the differences between easy and
    hard chunks out; when fewer than half of the smaller side's chunks have a partner, the sides are compared as two
    samples.

    Args:
        a, b: The evaluations.
        predictor_a, predictor_b: ``model``, or the name of a baseline.
        resamples: Bootstrap samples.
        level: Of the intervals, 0 to 1.

    Raises:
        ConfigError: A predictor is unknown, or the evaluations differ in rate or horizon.
    """
    for side, name in ((a, predictor_a), (b, predictor_b)):
        known = list(side.metrics["predictors"])
        if name not in known:
            raise ConfigError(f"there is no {name}; it has {', '.join(known)}", where=str(side.folder))
    for key in ("fps", "steps"):
        if a.metrics[key] != b.metrics[key]:
            raise ConfigError(f"{key} {a.metrics[key]} and {b.metrics[key]} differ", where="compare")
    views = [view for view in a.metrics["views"] if view in b.metrics["views"]]
    asked = metric_definitions(a.metrics["fps"], views)
    if list(a.metrics["views"]) != list(b.metrics["views"]):
        # Metrics of the whole canvas would be of other images.
        asked = tuple(f for f in asked if not _of_frames(f) or f.name.rpartition(".psnr.")[2] in views)
    keys_a, columns_a = a.values(predictor_a, asked)
    keys_b, columns_b = b.values(predictor_b, asked)
    first, second = a.recordings(), b.recordings()
    places = {key: i for i, key in enumerate(keys_b) if first.get(key[0]) == second.get(key[0])}
    pairs = np.array([(i, places[key]) for i, key in enumerate(keys_a) if key in places], dtype=np.intp).reshape(-1, 2)
    found = []
    for metric in asked:
        values_a, values_b = columns_a[metric.name], columns_b[metric.name]
        if np.isfinite(values_a).any() and np.isfinite(values_b).any():
            found.append(_compare(metric, values_a, values_b, pairs, resamples, level))
    return found


def _of_frames(metric: Metric) -> bool:
    return ".frames." in metric.name or ".gap." in metric.name


def _compare(metric: Metric, a: FloatArray, b: FloatArray, pairs: Any, resamples: int, level: float) -> Comparison:
    """Compare ``float64 [N]`` with ``float64 [M]``, NaN for none; ``pairs`` are the places of the same chunks."""
    first, second = a[pairs[:, 0]], b[pairs[:, 1]]
    both = np.isfinite(first) & np.isfinite(second)
    alone_a, alone_b = a[np.isfinite(a)], b[np.isfinite(b)]
    paired = bool(2 * np.count_nonzero(both) >= min(len(alone_a), len(alone_b)))
    generator = np.random.default_rng(0)
    if paired:
        first, second = first[both], second[both]
        means = resampled_means(second - first, resamples, generator)
    else:
        first, second = alone_a, alone_b
        means = resampled_means(second, resamples, generator) - resampled_means(first, resamples, generator)
    low, high = percentile_interval(means, level)
    return Comparison(
        metric=metric,
        a=float(first.mean()),
        b=float(second.mean()),
        difference=float(second.mean() - first.mean()),
        low=low,
        high=high,
        n_a=len(first),
        n_b=len(second),
        paired=paired,
    )


def table(comparisons: Sequence[Comparison]) -> str:
    """Return a plain-text table."""
    rows = [("metric", "A", "B", "B - A", "interval", "n", "")]
    for c in comparisons:
        interval = "-" if math.isnan(c.low) else f"{c.low:+.4g} to {c.high:+.4g}"
        n = f"{c.n_a} pairs" if c.paired else f"{c.n_a}, {c.n_b}"
        rows.append((c.metric.title, f"{c.a:.4g}", f"{c.b:.4g}", f"{c.difference:+.4g}", interval, n, c.verdict))
    return text_table(rows)
