"""The main figures as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cosmos_ros.evaluation.figure_definitions import figures


def told(value: Any) -> str:
    """Return a counter of a recording's report as plain text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {told(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return str(value[0]) if len(value) == 1 else f"({len(value)}) {'; '.join(map(str, value[:2]))}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def print_figures(metrics: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
    """Print a table of every figure, a column a predictor, with n."""
    names = list(metrics["predictors"])
    world_model = metrics["options"]["world_model"]
    heads = [f"{world_model} (model)" if name == "model" else name for name in names]
    rows = []
    for figure in figures(metrics["fps"], metrics["views"]):
        found = [metrics["predictors"][name]["figures"].get(figure.name) for name in names]
        if any(found):
            unit = f" [{figure.unit}]" if figure.unit else ""
            rows.append((figure.label + unit, ["-" if v is None else f"{v['mean']:.4g} (n {v['n']})" for v in found]))
    label = max([len(row[0]) for row in rows] + [0])
    widths = [max([len(h)] + [len(row[1][i]) for row in rows]) for i, h in enumerate(heads)]
    print(" " * label, *(h.rjust(w) for h, w in zip(heads, widths, strict=True)), sep="  ")
    for name, cells in rows:
        print(name.ljust(label), *(c.rjust(w) for c, w in zip(cells, widths, strict=True)), sep="  ")
    for name, head in zip(names, heads, strict=True):
        guard = metrics["predictors"][name]["guard"]
        if guard:
            print(f"guard on {head}: {', '.join(f'{v} {k}' for k, v in guard['responses'].items())}")
        for text, count in metrics["predictors"][name]["failures"].items():
            print(f"{head}: {count} times {text}")
    for bag in metrics["bags"]:
        hidden = ("name", "seconds", "messages", "observations")
        found = [f"{k.replace('_', ' ')} {told(v)}" for k, v in bag.items() if v and k not in hidden]
        skipped = "; ".join(found) or "nothing skipped"
        print(f"{bag['name']}: {bag['seconds']:.1f} s, {bag['observations']} observations; {skipped}")
    for name, text in metrics["unreadable"].items():
        print(f"{name}: not evaluated: {text}")
    total = timing["predictors"].get("model", {}).get("observation_to_guarded_ms")
    if total:
        print(
            f"observation to guarded trajectory: p50 {total['p50']:.1f} ms, p99 {total['p99']:.1f} ms, n {total['n']}"
        )
