"""The main metrics as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cosmos_ros.evaluation.metric_definitions import metric_definitions


def plain_text(value: Any) -> str:
    """Return a counter of a recording's report as plain text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return str(value[0]) if len(value) == 1 else f"({len(value)}) {'; '.join(map(str, value[:2]))}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )


def print_metrics(metrics: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
    """Print a table of every metric, a column a predictor, with n."""
    names = list(metrics["predictors"])
    world_model = metrics["options"]["world_model"]
    heads = [f"{world_model} (model)" if name == "model" else name for name in names]
    rows = [["", *heads]]
    for metric in metric_definitions(metrics["fps"], metrics["views"]):
        found = [metrics["predictors"][name]["figures"].get(metric.name) for name in names]
        if any(found):
            rows.append([metric.title, *("-" if v is None else f"{v['mean']:.4g} (n {v['n']})" for v in found)])
    print(text_table(rows))
    for name, head in zip(names, heads, strict=True):
        guard = metrics["predictors"][name]["guard"]
        if guard:
            print(f"guard on {head}: {', '.join(f'{v} {k}' for k, v in guard['responses'].items())}")
        for text, count in metrics["predictors"][name]["failures"].items():
            print(f"{head}: {count} times {text}")
    for bag in metrics["bags"]:
        hidden = ("name", "seconds", "messages", "observations")
        found = [f"{k.replace('_', ' ')} {plain_text(v)}" for k, v in bag.items() if v and k not in hidden]
        skipped = "; ".join(found) or "nothing skipped"
        print(f"{bag['name']}: {bag['seconds']:.1f} s, {bag['observations']} observations; {skipped}")
    for name, text in metrics["unreadable"].items():
        print(f"{name}: not evaluated: {text}")
    total = timing["predictors"].get("model", {}).get("observation_to_guarded_ms")
    if total:
        print(
            f"observation to guarded trajectory: p50 {total['p50']:.1f} ms, p99 {total['p99']:.1f} ms, n {total['n']}"
        )
