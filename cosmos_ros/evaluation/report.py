"""``report.html``: one file that opens offline, made of ``metrics.json``, ``timing.json`` and a few thumbnails."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cosmos_ros.evaluation.metric_definitions import Metric, metric_definitions
from cosmos_ros.evaluation.report_plots import COLOURS, line_plot
from cosmos_ros.evaluation.report_style import CSS
from cosmos_ros.evaluation.scoring import MODEL
from cosmos_ros.evaluation.text_summary import plain_text
from cosmos_ros.evaluation.thumbnails import ExampleChunk
from cosmos_ros.files import write_text
from cosmos_ros.messages import compress
from cosmos_ros.viewing.contact_sheet import contact_sheet, frame_choice

_GROUPS = (
    ("Frames", ("policy.frames.",)),
    ("Forward dynamics: recorded actions, and other actions in their place", ("forward_dynamics",)),
    ("Actions and tool", ("policy.actions.", "policy.tool.", "policy.gripper.", "policy.joint_rad")),
    ("Inverse dynamics", ("inverse_dynamics.",)),
    ("Smoothness", ("policy.jerk", "recorded.jerk", "boundary.")),
    ("Guard", ("guard.",)),
    ("Shadow: what would have been sent against what the robot was driven to", ("shadow.",)),
)
_STEP_PLOTS = (
    ("policy.psnr", "PSNR", "dB"),
    ("policy.dynamic_psnr", "PSNR where it moves", "dB"),
    ("policy.ssim", "SSIM", ""),
    ("policy.lpips", "LPIPS", ""),
    ("policy.cm", "tool position error", "cm"),
    ("policy.deg", "tool rotation error", "degrees"),
    ("policy.action_mse", "action MSE, normalised", ""),
    ("shadow.joint_rad", "guarded against driven, worst joint", "rad"),
)


def write_report(
    path: Path, metrics: Mapping[str, Any], timing: Mapping[str, Any], examples: Sequence[ExampleChunk]
) -> None:
    """Write the report.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(path, render(metrics, timing, examples))


def render(metrics: Mapping[str, Any], timing: Mapping[str, Any], examples: Sequence[ExampleChunk]) -> str:
    """Return the report's HTML; everything that is not from this package is escaped."""
    options = metrics["options"]
    labels = {name: f"{options['world_model']}" if name == MODEL else name for name in metrics["predictors"]}
    if len(set(labels.values())) < len(labels):
        labels[MODEL] = f"{labels[MODEL]} (model)"
    title = f"{options['world_model']} on {', '.join(bag['name'] for bag in metrics['bags'])}"
    body = [
        f"<h1>{escape(title)}</h1>",
        _head(metrics, timing),
        _tables(metrics, labels),
        _plots(metrics, labels),
        _examples(examples, metrics["fps"], labels),
        _dimensions(metrics, labels),
        _guard(metrics, labels),
        _timing(timing, labels),
        _bags(metrics),
        _failures(metrics, labels),
        f"<h2>Options</h2>{_html_table(list(options.items()))}",
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style><body>{''.join(body)}</body></html>\n"
    )


def _head(metrics: Mapping[str, Any], timing: Mapping[str, Any]) -> str:
    options = metrics["options"]
    seconds = sum(bag["seconds"] for bag in metrics["bags"])
    lines = [
        f"<p>{metrics['chunks']} chunks of {metrics['steps']} steps ({metrics['steps'] / metrics['fps']:.2f} s), one "
        f"every {metrics['stride']} steps, of {seconds:.1f} s recorded; embodiment {escape(options['embodiment'])}; "
        f"evaluated in {timing['evaluation_s']:.1f} s, {timing['models_s']:.1f} s of it in the models, those of the "
        f"baselines among them. Means over chunks with 95 % bootstrap intervals; n is the "
        "number of chunks.</p>"
    ]
    warnings = []
    if metrics["interrupted"]:
        warnings.append("The evaluation was interrupted; the figures are of what was done.")
    if metrics["scripted"]:
        warnings.append("The model is SCRIPTED; nothing here was predicted.")
    if metrics["blank_views"]:
        warnings.append(
            f"No camera for {', '.join(metrics['blank_views'])}: black for the model. ScoredChunk: "
            f"{', '.join(metrics['views'])}."
        )
    for name, entry in metrics["predictors"].items():
        if entry["answered"] < metrics["chunks"]:
            shown = options["world_model"] if name == MODEL else name
            warnings.append(
                f"{shown} answered {entry['answered']} of {metrics['chunks']} chunks; its figures are of these, see "
                "the failures."
            )
    warnings += [f"{name} could not be read: {text}" for name, text in metrics["unreadable"].items()]
    warnings += [f"{bag['name']} is damaged: {bag['damaged']}" for bag in metrics["bags"] if bag["damaged"]]
    if not options.get("lpips"):
        lines.append("<p class=note>LPIPS was not computed: no network was given (--lpips).</p>")
    return "".join([*lines, *(f'<div class="warn">{escape(text)}</div>' for text in warnings)])


def _html_table(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """Return a table of plain text cells, which are escaped; a cell in a tuple of one is HTML with its ``td``."""
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    lines = "".join(
        "<tr>"
        + "".join(cell[0] if isinstance(cell, tuple) else f"<td>{escape(str(cell))}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if head else ''}<tbody>{lines}</tbody></table>"


def _tables(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    known = metric_definitions(metrics["fps"], metrics["views"])
    parts = []
    for title, prefixes in _GROUPS:
        rows = [
            _metric_row(metric, metrics, labels)
            for metric in known
            if metric.name.startswith(prefixes)
            and any(metric.name in entry["figures"] for entry in metrics["predictors"].values())
        ]
        if rows:
            parts.append(f"<h2>{escape(title)}</h2>{_html_table(rows, ['', *labels.values()])}")
    return "".join(parts)


def _metric_row(metric: Metric, metrics: Mapping[str, Any], labels: Mapping[str, str]) -> list[tuple[str]]:
    found = [metrics["predictors"][name]["figures"].get(metric.name) for name in labels]
    means = [value["mean"] for value in found if value]
    best = (max if metric.better == "higher" else min)(means) if metric.better and len(means) > 1 else None
    unit = f" <span class=n>{escape(metric.unit)}</span>" if metric.unit else ""
    return [(f"<td>{escape(metric.label)}{unit}</td>",), *((_metric_cell(value, best),) for value in found)]


def _metric_cell(value: Mapping[str, Any] | None, best: float | None) -> str:
    if value is None:
        return "<td class=n>–</td>"
    low, high = value["ci95"]
    interval = "" if low is None else f"{low:.4g} to {high:.4g}, "
    mark = " class=best" if best is not None and value["mean"] == best else ""
    return f"<td{mark}>{value['mean']:.4g}<br><span class=n>{interval}n {value['n']}</span></td>"


def _plots(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels.values())}
    parts = []
    for key, title, unit in _STEP_PLOTS:
        found = {labels[n]: e["by_step"][key] for n, e in metrics["predictors"].items() if key in e["by_step"]}
        parts.append(_plot(title, unit, metrics["fps"], found, colours))
    forward = metrics["predictors"][MODEL]["by_step"]
    names = {"forward_dynamics.psnr": "recorded", "forward_dynamics_shuffled.psnr": "other actions"}
    found = {text: forward[key] for key, text in names.items() if key in forward}
    parts.append(_plot("forward dynamics, PSNR", "dB", metrics["fps"], found, dict(zip(found, COLOURS, strict=False))))
    plots = "".join(parts)
    return f"<h2>By time after the observation</h2><div class=plots>{plots}</div>" if plots else ""


def _plot(title: str, unit: str, fps: float, found: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str]) -> str:
    rows = {name: entry["mean"] for name, entry in found.items()}
    xs = [(k + 1) / fps for k in range(max(map(len, rows.values()), default=0))]
    return line_plot(title, unit, xs, rows, colours, {name: entry["n"] for name, entry in found.items()})


def _examples(examples: Sequence[ExampleChunk], fps: float, labels: Mapping[str, str]) -> str:
    parts = []
    for number, example in enumerate(examples):
        strip, steps = example.strip, example.strip.steps
        tiles: Any = np.asarray(cv2.imdecode(np.frombuffer(strip.jpeg, np.uint8), cv2.IMREAD_COLOR))
        height, width = tiles.shape[0] // steps, tiles.shape[1]
        tile = width // len(strip.panels)
        names = [labels.get(panel, panel) for panel in strip.panels]
        captions = "".join(f"<span>{escape(name)}</span>" for name in names)
        image = base64.b64encode(strip.jpeg).decode()
        chosen = frame_choice(steps, 6)
        rows = [
            (name, [tiles[k * height : (k + 1) * height, c * tile : (c + 1) * tile, ::-1] for k in chosen])
            for c, name in enumerate(names)
        ]
        sheet = contact_sheet(rows, [f"+{k / fps:.2f} s" for k in chosen], tile_width=170)
        sheet_image = base64.b64encode(compress(sheet, quality=82)).decode()
        chunk = example.chunk
        parts.append(
            f"<h3>{example.title.capitalize()}: {example.score:.2f} {example.unit}</h3>"
            f"<p class=note>{escape(chunk['bag'])}, chunk {chunk['index']}, stamp {chunk['stamp_ns']} ns</p>"
            # Every step is a row of one image, shown one after another: no video codec is needed.
            f"<style>@keyframes c{number}{{to{{background-position-y:-{steps * height}px}}}}</style>"
            "<div class=scroll><div class=captions "
            f'style="grid-template-columns:repeat({len(names)},{tile}px)">{captions}</div>'
            f'<div class=clip style="width:{width}px;height:{height}px;'
            f"background-image:url(data:image/jpeg;base64,{image});"
            f'animation:c{number} {1.5 * steps / fps:.2f}s steps({steps}) infinite"></div></div>'
            f'<figure><img alt="contact sheet" src="data:image/jpeg;base64,{sheet_image}"></figure>'
        )
    return f"<h2>Best, median and worst chunk</h2>{''.join(parts)}" if parts else ""


def _dimensions(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    parts = []
    for mode in ("policy", "inverse_dynamics"):
        found = {n: e["by_dimension"][mode] for n, e in metrics["predictors"].items() if mode in e["by_dimension"]}
        if not found:
            continue
        head = [text for name in found for text in (f"{labels[name]} MSE", "MAE")]
        rows = [
            [name, *(f"{value[key][i]:.4g}" for value in found.values() for key in ("mse", "mae"))]
            for i, name in enumerate(next(iter(found.values()))["dimensions"])
        ]
        n = ", ".join(f"{labels[name]} {value['n']}" for name, value in found.items())
        parts.append(
            f"<h2>Actions by dimension, {mode.replace('_', ' ')}</h2><p class=note>Normalised as the model is given "
            f"them; n: {escape(n)}.</p>{_html_table(rows, ['', *head])}"
        )
    return "".join(parts)


def _guard(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    rows = []
    for name, entry in metrics["predictors"].items():
        guard = entry["guard"]
        if guard is None:
            continue
        responses = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in guard["responses"].items())
        before, after = (
            ", ".join(f"{limit} {value['count']}" for limit, value in guard[f"chunks_breaking_{key}"].items()) or "none"
            for key in ("before", "after")
        )
        added = f"{guard['added_s_total']:.3g} s"
        rows.append([labels[name], responses, before, f"{after} (of {guard['sent']} sent)", added, guard["n"]])
    head = ("", "responses", "limits broken before", "after", "time added", "n")
    return f"<h2>Guard by limit</h2>{_html_table(rows, head)}" if rows else ""


def _timing(timing: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    def quantile_row(title: str, value: Mapping[str, Any]) -> list[Any]:
        return [title, *(f"{value[p]:.2f}" for p in ("p50", "p95", "p99")), value["n"]]

    rows: list[list[Any]] = []
    for name, entry in timing["predictors"].items():
        label = labels.get(name, name)
        stages = {"observation to guarded": entry["observation_to_guarded_ms"], **entry["latency_ms"]}
        rows += [quantile_row(f"{label}: {stage}", value) for stage, value in stages.items() if value]
        title = f"{label}: later than {timing['deadline_s']:.3g} s; starved steps"
        rows.append([title, entry["deadline_misses"], entry["starved_steps"], "", entry["n"]])
    ages, stale = timing.get("input_age_ms"), timing.get("stale_inputs")
    if ages:
        rows.append(quantile_row("oldest input of an observation", ages))
    if stale and stale["of"]:
        share = f"{100 * stale['share']:.3g} %"
        rows.append(["stale inputs: due images without partners", stale["count"], share, "", stale["of"]])
    return f"<h2>Time</h2>{_html_table(rows, ('milliseconds', 'p50', 'p95', 'p99', 'n'))}"


def _bags(metrics: Mapping[str, Any]) -> str:
    rows = [
        (bag["name"], key.replace("_", " "), plain_text(value))
        for bag in metrics["bags"]
        for key, value in bag.items()
        if value not in ("", [], {}, 0) and key != "name"
    ]
    rows += [("all", key.replace("_", " "), plain_text(value)) for key, value in metrics["incomplete"].items() if value]
    return f"<h2>Recordings, and what was skipped in them</h2>{_html_table(rows)}"


def _failures(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    rows = [
        (labels[name], text, count)
        for name, entry in metrics["predictors"].items()
        for text, count in entry["failures"].items()
    ]
    return f"<h2>Failures and skips</h2>{_html_table(rows)}" if rows else ""
