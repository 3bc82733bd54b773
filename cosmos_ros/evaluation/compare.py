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
from cosmos_ros.evaluation.figure_definitions import Figure, figures, with_boundaries
from cosmos_ros.evaluation.frame_scores import tidy
from cosmos_ros.evaluation.motion_metrics import resampled_means
from cosmos_ros.evaluation.results_folder import CHUNKS, METRICS, Key, iterate_records, key_of
from cosmos_ros.evaluation.scoring import MODEL
from cosmos_ros.evaluation.summary import SCHEMA
from cosmos_ros.types import NANOSECONDS, FloatArray

# What decides the question that the models were asked.
_TASK = ("embodiment", "config_hash", "instruction", "joint_states", "tool_poses", "timing", "commands", "lpips")


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
    """One evaluation: its folder and ``metrics.json``. Its chunk records are read from disk one by one."""

    folder: Path
    metrics: Mapping[str, Any]

    def recordings(self) -> dict[str, float]:
        """Return name → seconds of the recordings."""
        return {str(bag["name"]): float(bag["seconds"]) for bag in self.metrics["bags"]}

    def values(self, predictor: str, known: Sequence[Figure]) -> tuple[list[Key], dict[str, FloatArray]]:
        """Return the chunks, and figure → ``float64 [chunks]``, NaN where a chunk has none.

        Raises:
            InputError: A record is damaged; names the line.
        """
        stride_ns = round(self.metrics["stride"] * NANOSECONDS / self.metrics["fps"])
        keys: list[Key] = []
        columns: dict[str, array[float]] = {figure.name: array("d") for figure in known}
        for record in with_boundaries(_whole(self.folder, predictor), stride_ns):
            keys.append(key_of(record))
            for figure in known:
                value = figure.value(record["predictors"][predictor], record)
                columns[figure.name].append(math.nan if value is None else value)
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
            "the seen views differ: only the PSNR of views that both saw is compared, no other figure of frames"
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
    asked = figures(a.metrics["fps"], views)
    if list(a.metrics["views"]) != list(b.metrics["views"]):
        # Figures of the whole canvas would be of other pictures.
        asked = tuple(f for f in asked if not _of_frames(f) or f.name.rpartition(".psnr.")[2] in views)
    keys_a, columns_a = a.values(predictor_a, asked)
    keys_b, columns_b = b.values(predictor_b, asked)
    first, second = a.recordings(), b.recordings()
    places = {key: i for i, key in enumerate(keys_b) if first.get(key[0]) == second.get(key[0])}
    pairs = np.array([(i, places[key]) for i, key in enumerate(keys_a) if key in places], dtype=np.intp).reshape(-1, 2)
    found = []
    for figure in asked:
        values_a, values_b = columns_a[figure.name], columns_b[figure.name]
        if np.isfinite(values_a).any() and np.isfinite(values_b).any():
            found.append(_compare(figure, values_a, values_b, pairs, resamples, level, seed))
    return found


def _of_frames(figure: Figure) -> bool:
    return ".frames." in figure.name or ".gap." in figure.name


def _compare(
    figure: Figure, a: FloatArray, b: FloatArray, pairs: Any, resamples: int, level: float, seed: int
) -> Comparison:
    """Compare ``float64 [N]`` with ``float64 [M]``, NaN for none; ``pairs`` are the places of the same chunks."""
    first, second = a[pairs[:, 0]], b[pairs[:, 1]]
    both = np.isfinite(first) & np.isfinite(second)
    alone_a, alone_b = a[np.isfinite(a)], b[np.isfinite(b)]
    paired = bool(2 * np.count_nonzero(both) >= min(len(alone_a), len(alone_b)))
    rng = np.random.default_rng(seed)
    if paired:
        first, second = first[both], second[both]
        means = resampled_means(second - first, resamples, rng) if len(first) > 1 else None
    else:
        first, second = alone_a, alone_b
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
