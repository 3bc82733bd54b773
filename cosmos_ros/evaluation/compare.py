"""Compares two evaluations: differences with bootstrap intervals over chunks, never a bare mean."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.evaluation.figures import Figure, Record, figures, with_boundaries
from cosmos_ros.evaluation.frame_scores import tidy
from cosmos_ros.evaluation.metrics_motion import resampled_means
from cosmos_ros.evaluation.scoring import MODEL
from cosmos_ros.evaluation.store import METRICS, Key, key_of, read_records
from cosmos_ros.types import NANOSECONDS, FloatArray


@dataclass(frozen=True)
class Comparison:
    """One figure of A and B.

    Attributes:
        figure: What it is.
        a, b: Means over the chunks that were compared.
        difference: b - a.
        low, high: Bootstrap interval of the difference; NaN for fewer than two chunks.
        n_a, n_b: Chunks.
        paired: The same chunks on both sides, differences taken chunk by chunk.
    """

    figure: Figure
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
        if not self.figure.better:
            return "different"
        return "better" if (self.difference > 0.0) == (self.figure.better == "higher") else "worse"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data."""
        return {
            "figure": self.figure.name,
            "unit": self.figure.unit,
            "a": tidy(self.a),
            "b": tidy(self.b),
            "difference": tidy(self.difference),
            "interval": [tidy(self.low), tidy(self.high)],
            "n_a": self.n_a,
            "n_b": self.n_b,
            "paired": self.paired,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Side:
    """One evaluation: its folder, ``metrics.json`` and chunk records with their boundaries."""

    folder: Path
    metrics: Mapping[str, Any]
    records: Mapping[Key, Record]


def read_side(folder: Path) -> Side:
    """Read an evaluation.

    Raises:
        InputError: There is none in the folder, or it is damaged.
    """
    path = folder / METRICS
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        stride_ns = round(metrics["stride"] * NANOSECONDS / metrics["fps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"is no evaluation's metrics: {error}", where=str(path)) from error
    records = with_boundaries(read_records(folder), stride_ns)
    return Side(folder, metrics, {key_of(record): record for record in records})


def compare(
    a: Side,
    b: Side,
    *,
    predictor_a: str = MODEL,
    predictor_b: str = MODEL,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Return every figure that both sides have.

    Chunks with the same recording and stamp are compared pair by pair, which takes the differences between easy and
    hard chunks out; when fewer than half of the smaller side's chunks have a partner, the sides are compared as two
    samples.

    Args:
        a, b: The evaluations.
        predictor_a, predictor_b: ``model``, or the name of a baseline.
        resamples: Bootstrap samples.
        level: Of the intervals.
        seed: Of the resampling.

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
    found = []
    for figure in figures(a.metrics["fps"], views):
        values_a, values_b = _values(a, predictor_a, figure), _values(b, predictor_b, figure)
        if values_a and values_b:
            found.append(_compare(figure, values_a, values_b, resamples, level, seed))
    return found


def _values(side: Side, predictor: str, figure: Figure) -> dict[Key, float]:
    found = {}
    for key, record in side.records.items():
        entry = record["predictors"].get(predictor)
        value = None if entry is None else figure.value(entry, record)
        if value is not None:
            found[key] = value
    return found


def _compare(
    figure: Figure, a: Mapping[Key, float], b: Mapping[Key, float], resamples: int, level: float, seed: int
) -> Comparison:
    shared = [key for key in a if key in b]
    paired = 2 * len(shared) >= min(len(a), len(b))
    rng = np.random.default_rng(seed)
    if paired:
        first, second = (np.array([side[key] for key in shared]) for side in (a, b))
        means = resampled_means(second - first, resamples, rng) if len(shared) > 1 else None
    else:
        first, second = np.array(list(a.values())), np.array(list(b.values()))
        enough = min(len(first), len(second)) > 1
        means = resampled_means(second, resamples, rng) - resampled_means(first, resamples, rng) if enough else None
    low, high = _interval(means, level)
    return Comparison(
        figure=figure,
        a=float(first.mean()),
        b=float(second.mean()),
        difference=float(second.mean() - first.mean()),
        low=low,
        high=high,
        n_a=len(first),
        n_b=len(second),
        paired=paired,
    )


def _interval(means: FloatArray | None, level: float) -> tuple[float, float]:
    if means is None:
        return math.nan, math.nan
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def table(comparisons: Sequence[Comparison]) -> str:
    """Return a plain-text table."""
    rows = [("figure", "A", "B", "B - A", "interval", "n", "")]
    for c in comparisons:
        unit = f" [{c.figure.unit}]" if c.figure.unit else ""
        interval = "-" if math.isnan(c.low) else f"{c.low:+.4g} to {c.high:+.4g}"
        n = f"{c.n_a} pairs" if c.paired else f"{c.n_a}, {c.n_b}"
        rows.append((c.figure.label + unit, f"{c.a:.4g}", f"{c.b:.4g}", f"{c.difference:+.4g}", interval, n, c.verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 6)), row[6]]) for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
