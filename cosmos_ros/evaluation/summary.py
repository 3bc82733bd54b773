"""From chunk records to ``metrics.json`` and ``timing.json``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosmos_ros.evaluation.figures import Figure, Record, figures, mean, steps_of, with_boundaries
from cosmos_ros.evaluation.frame_scores import tidy
from cosmos_ros.evaluation.metrics import quantiles
from cosmos_ros.evaluation.metrics_motion import bootstrap_interval

SCHEMA = 1
RESAMPLES = 2000
BY_STEP = (
    ("policy", "psnr"),
    ("policy", "dynamic_psnr"),
    ("policy", "ssim"),
    ("forward_dynamics", "psnr"),
    ("forward_dynamics_shuffled", "psnr"),
    ("policy", "action_mse"),
    ("policy", "cm"),
    ("policy", "deg"),
    ("inverse_dynamics", "cm"),
    ("shadow", "joint_rad"),
)


def summarise(
    records: Sequence[Record],
    *,
    fps: float,
    steps: int,
    stride_ns: int,
    views: Sequence[str],
    dimensions: Sequence[str],
) -> dict[str, Any]:
    """Return what the chunk records say, as JSON-serialisable data; the same for the same records.

    Args:
        records: In order.
        fps: Control steps a second.
        steps: T, control steps of a chunk.
        stride_ns: From chunk to chunk.
        views: Views that were seen.
        dimensions: Names of the action columns.
    """
    joined = with_boundaries(records, stride_ns)
    names = list(joined[0]["predictors"]) if joined else []
    known = figures(fps, views)
    summary: dict[str, Any] = {"chunks": len(joined), "predictors": {}}
    for name in names:
        entries = [(record["predictors"][name], record) for record in joined]
        summary["predictors"][name] = {
            "figures": {f.name: values for f in known if (values := statistics(f, entries)) is not None},
            "by_step": _by_step([entry for entry, _ in entries]),
            "by_dimension": _by_dimension([entry for entry, _ in entries], dimensions),
            "guard": _guard([entry["guard"] for entry, _ in entries if "guard" in entry]),
            "shadow": _shadow([entry["shadow"] for entry, _ in entries if "shadow" in entry]),
            "failures": _failures([entry for entry, _ in entries]),
        }
    summary["incomplete"] = {
        "chunks_without_all_frames": sum(r["frames_recorded"] < steps for r in joined),
        "chunks_without_all_joint_states": sum(r["steps_recorded"] < steps for r in joined),
        "motion_errors": dict(sorted(Counter(r["motion_error"] for r in joined if "motion_error" in r).items())),
    }
    return summary


def statistics(figure: Figure, entries: Sequence[tuple[Record, Record]]) -> dict[str, Any] | None:
    """Return mean, bootstrap interval of the mean, median and n of a figure; None when no chunk has it."""
    values = np.array([v for entry, record in entries if (v := figure.value(entry, record)) is not None])
    if not len(values):
        return None
    low, high = bootstrap_interval(values, resamples=RESAMPLES)
    return {
        "mean": tidy(float(values.mean())),
        "ci95": [tidy(low), tidy(high)],
        "median": tidy(float(np.median(values))),
        "n": len(values),
    }


def _by_step(entries: Sequence[Record]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for mode, figure in BY_STEP:
        rows = [values for entry in entries if (values := steps_of(entry, mode, figure))]
        if not rows:
            continue
        columns = [[row[k] for row in rows if k < len(row)] for k in range(max(map(len, rows)))]
        found[f"{mode}.{figure}"] = {
            "mean": [None if (value := mean(column)) is None else tidy(value) for column in columns],
            "n": [sum(value is not None for value in column) for column in columns],
        }
    return found


def _by_dimension(entries: Sequence[Record], dimensions: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for mode in ("policy", "inverse_dynamics"):
        rows = [entry[mode]["actions"] for entry in entries if "actions" in entry.get(mode, {})]
        if rows:
            found[mode] = {
                "dimensions": list(dimensions),
                **{
                    key: [tidy(v) for v in np.mean([row[f"{key}_by_dimension"] for row in rows], axis=0)]
                    for key in ("mse", "mae")
                },
                "n": len(rows),
            }
    return found


def _guard(entries: Sequence[Record]) -> dict[str, Any] | None:
    if not entries:
        return None
    judged = len(entries)
    sent = [entry for entry in entries if "after" in entry]
    before = Counter(limit for entry in entries for limit in entry["before"])
    after = Counter(limit for entry in sent for limit in entry["after"])
    return {
        "n": judged,
        "responses": dict(sorted(Counter(entry["response"] for entry in entries).items())),
        "chunks_breaking_before": {k: {"count": v, "share": tidy(v / judged)} for k, v in sorted(before.items())},
        "sent": len(sent),
        "chunks_breaking_after": {k: {"count": v, "share": tidy(v / len(sent))} for k, v in sorted(after.items())},
        "added_s_total": tidy(math.fsum(entry["added_s"] or 0.0 for entry in sent)),
    }


def _shadow(entries: Sequence[Record]) -> dict[str, Any] | None:
    compared = [entry for entry in entries if "joint_rad" in entry]
    if not compared:
        return None
    links = sorted(compared[0]["tools"])
    return {
        "n": len(compared),
        "not_sent": sum(not entry["sent"] for entry in entries),
        "compared_with": dict(sorted(Counter(entry["source"] for entry in compared).items())),
        "by_joint_rad": [tidy(v) for v in np.mean([entry["by_joint_rad"] for entry in compared], axis=0)],
        "tool_cm": {link: tidy(mean([mean(e["tools"][link]) for e in compared]) or 0.0) for link in links},
    }


def _failures(entries: Sequence[Record]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for entry in entries:
        if "error" in entry:
            counts[f"policy: {entry['error']['kind']}: {entry['error']['text']}"] += 1
        for mode, section in entry.items():
            if isinstance(section, Mapping) and mode != "error":
                if "error" in section:
                    counts[f"{mode}: {section['error']['kind']}: {section['error']['text']}"] += 1
                elif "skipped" in section:
                    counts[f"{mode}: skipped: {section['skipped']}"] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:20])


def summarise_timing(
    records: Sequence[Record], *, fps: float, stride: int, steps: int, deadline_s: float
) -> dict[str, Any]:
    """Return latencies and what they would mean at the chosen rate; differs from run to run.

    A deadline is missed when observation to guarded trajectory took longer than ``deadline_s``. Steps are starved
    when a chunk ends before its successor, as late as its own prediction took, is there.
    """
    found: dict[str, Any] = {"deadline_s": deadline_s, "predictors": {}}
    names = list(records[0]["predictors"]) if records else []
    for name in names:
        rows = [record["timing"][name] for record in records if name in record["timing"]]
        totals = [row["total"] + row.get("guard", 0.0) for row in rows]
        stages = sorted({stage for row in rows for stage in row})
        late = [max(0, math.ceil(round((stride / fps + total * 1e-3) * fps - steps, 6))) for total in totals]
        found["predictors"][name] = {
            "latency_ms": {stage: quantiles([row[stage] for row in rows if stage in row]) for stage in stages},
            "observation_to_guarded_ms": quantiles(totals),
            "deadline_misses": sum(total > deadline_s * 1e3 for total in totals),
            "starved_steps": sum(late),
            "n": len(rows),
        }
    return found
