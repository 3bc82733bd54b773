"""``report.html``: one file that opens offline, made of ``metrics.json``, ``timing.json`` and a few kept pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.evaluation.figure_definitions import Figure, figures
from cosmos_ros.evaluation.report_plots import COLOURS, line_plot
from cosmos_ros.evaluation.report_style import CSS
from cosmos_ros.evaluation.scoring import MODEL
from cosmos_ros.evaluation.text_summary import told
from cosmos_ros.evaluation.thumbnails import Keepsake
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
    path: Path, metrics: Mapping[str, Any], timing: Mapping[str, Any], keepsakes: Sequence[Keepsake]
) -> None:
    """Write the report.

    Raises:
        CosmosRosError: It cannot be written.
    """
    try:
        path.write_text(render(metrics, timing, keepsakes), encoding="utf-8")
    except OSError as error:
        raise CosmosRosError(f"cannot be written: {error.strerror}", where=str(path)) from error


def render(metrics: Mapping[str, Any], timing: Mapping[str, Any], keepsakes: Sequence[Keepsake]) -> str:
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
        _pictures(keepsakes, metrics["fps"], labels),
        _dimensions(metrics, labels),
        _guard(metrics, labels),
        _timing(timing, labels),
        _bags(metrics),
        _failures(metrics, labels),
        _options(options),
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
            f"No camera for {', '.join(metrics['blank_views'])}: black for the model. Scored: "
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


def _tables(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    known = figures(metrics["fps"], metrics["views"])
    parts = []
    for title, prefixes in _GROUPS:
        rows = [f for f in known if f.name.startswith(prefixes) and _anywhere(metrics, f.name)]
        if rows:
            parts.append(f"<h2>{escape(title)}</h2>{_table(rows, metrics, labels)}")
    return "".join(parts)


def _anywhere(metrics: Mapping[str, Any], name: str) -> bool:
    return any(name in entry["figures"] for entry in metrics["predictors"].values())


def _table(rows: Sequence[Figure], metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    head = "".join(f"<th>{escape(label)}</th>" for label in labels.values())
    lines = []
    for figure in rows:
        found = {name: metrics["predictors"][name]["figures"].get(figure.name) for name in labels}
        means = [value["mean"] for value in found.values() if value]
        best = (max if figure.better == "higher" else min)(means) if figure.better and len(means) > 1 else None
        cells = "".join(_cell(value, best) for value in found.values())
        unit = f" <span class=n>{escape(figure.unit)}</span>" if figure.unit else ""
        lines.append(f"<tr><td>{escape(figure.label)}{unit}</td>{cells}</tr>")
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(value: Mapping[str, Any] | None, best: float | None) -> str:
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


def _pictures(keepsakes: Sequence[Keepsake], fps: float, labels: Mapping[str, str]) -> str:
    parts = []
    for number, kept in enumerate(keepsakes):
        strip: Any = np.asarray(cv2.imdecode(np.frombuffer(kept.jpeg, np.uint8), cv2.IMREAD_COLOR))
        height, width = strip.shape[0] // kept.steps, strip.shape[1]
        tile = width // len(kept.panels)
        names = [labels.get(panel, panel) for panel in kept.panels]
        captions = "".join(f"<span>{escape(name)}</span>" for name in names)
        image = base64.b64encode(kept.jpeg).decode()
        seconds = (kept.steps / fps) * 1.5
        chosen = frame_choice(kept.steps, 6)
        rows = [
            (name, [strip[k * height : (k + 1) * height, c * tile : (c + 1) * tile, ::-1] for k in chosen])
            for c, name in enumerate(names)
        ]
        sheet = contact_sheet(rows, [f"+{k / fps:.2f} s" for k in chosen], tile_width=170)
        _, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        picture = base64.b64encode(data.tobytes()).decode()
        chunk = kept.chunk
        parts.append(
            f"<h3>{kept.title.capitalize()}: {kept.score:.2f} {kept.unit}</h3>"
            f"<p class=note>{escape(chunk['bag'])}, chunk {chunk['index']}, stamp {chunk['stamp_ns']} ns</p>"
            # Every step is a row of one picture, shown one after another: no video codec is needed.
            f"<style>@keyframes c{number}{{to{{background-position-y:-{kept.steps * height}px}}}}</style>"
            "<div class=scroll><div class=captions "
            f'style="grid-template-columns:repeat({len(names)},{tile}px)">{captions}</div>'
            f'<div class=clip style="width:{width}px;height:{height}px;'
            f"background-image:url(data:image/jpeg;base64,{image});"
            f'animation:c{number} {seconds:.2f}s steps({kept.steps}) infinite"></div></div>'
            f'<figure><img alt="contact sheet" src="data:image/jpeg;base64,{picture}"></figure>'
        )
    return f"<h2>Best, median and worst chunk</h2>{''.join(parts)}" if parts else ""


def _dimensions(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    parts = []
    for mode in ("policy", "inverse_dynamics"):
        found = {n: e["by_dimension"][mode] for n, e in metrics["predictors"].items() if mode in e["by_dimension"]}
        if not found:
            continue
        head = "".join(f"<th>{escape(labels[n])} MSE</th><th>MAE</th>" for n in found)
        lines = [
            f"<tr><td>{escape(name)}</td>"
            + "".join(f"<td>{v['mse'][i]:.4g}</td><td>{v['mae'][i]:.4g}</td>" for v in found.values())
            + "</tr>"
            for i, name in enumerate(next(iter(found.values()))["dimensions"])
        ]
        n = ", ".join(f"{labels[name]} {value['n']}" for name, value in found.items())
        parts.append(
            f"<h2>Actions by dimension, {mode.replace('_', ' ')}</h2><p class=note>Normalised as the model is given "
            f"them; n: {escape(n)}.</p>"
            f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        )
    return "".join(parts)


def _guard(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    lines = []
    for name, entry in metrics["predictors"].items():
        guard = entry["guard"]
        if guard is None:
            continue
        responses = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in guard["responses"].items())
        before, after = (
            ", ".join(f"{limit} {value['count']}" for limit, value in guard[f"chunks_breaking_{key}"].items()) or "none"
            for key in ("before", "after")
        )
        cells = (
            labels[name],
            responses,
            before,
            f"{after} (of {guard['sent']} sent)",
            f"{guard['added_s_total']:.3g} s",
        )
        lines.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}<td>{guard['n']}</td></tr>")
    if not lines:
        return ""
    head = "".join(f"<th>{t}</th>" for t in ("", "responses", "limits broken before", "after", "time added", "n"))
    return f"<h2>Guard by limit</h2><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _timing(timing: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    lines = []
    for name, entry in timing["predictors"].items():
        stages = {"observation to guarded": entry["observation_to_guarded_ms"], **entry["latency_ms"]}
        for stage, value in stages.items():
            if value:
                cells = "".join(f"<td>{value[p]:.2f}</td>" for p in ("p50", "p95", "p99"))
                lines.append(
                    f"<tr><td>{escape(labels.get(name, name))}: {escape(stage)}</td>{cells}<td>{value['n']}</td></tr>"
                )
        lines.append(
            f"<tr><td>{escape(labels.get(name, name))}: later than {timing['deadline_s']:.3g} s; starved steps</td>"
            f"<td>{entry['deadline_misses']}</td><td>{entry['starved_steps']}</td><td></td><td>{entry['n']}</td></tr>"
        )
    ages, stale = timing.get("input_age_ms"), timing.get("stale_inputs")
    if ages:
        cells = "".join(f"<td>{ages[p]:.2f}</td>" for p in ("p50", "p95", "p99"))
        lines.append(f"<tr><td>oldest input of an observation</td>{cells}<td>{ages['n']}</td></tr>")
    if stale and stale["of"]:
        lines.append(
            f"<tr><td>stale inputs: due images without partners</td><td>{stale['count']}</td>"
            f"<td>{100 * stale['share']:.3g} %</td><td></td><td>{stale['of']}</td></tr>"
        )
    head = "".join(f"<th>{t}</th>" for t in ("milliseconds", "p50", "p95", "p99", "n"))
    return f"<h2>Time</h2><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _bags(metrics: Mapping[str, Any]) -> str:
    rows = []
    for bag in metrics["bags"]:
        for key, value in bag.items():
            if value not in ("", [], {}, 0) and key != "name":
                rows.append((bag["name"], key.replace("_", " "), told(value)))
    rows += [("all", key.replace("_", " "), told(value)) for key, value in metrics["incomplete"].items() if value]
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<h2>Recordings, and what was skipped in them</h2><table><tbody>{lines}</tbody></table>"


def _failures(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    rows = [
        f"<tr><td>{escape(labels[name])}</td><td>{escape(text)}</td><td>{count}</td></tr>"
        for name, entry in metrics["predictors"].items()
        for text, count in entry["failures"].items()
    ]
    return f"<h2>Failures and skips</h2><table><tbody>{''.join(rows)}</tbody></table>" if rows else ""


def _options(options: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>" for k, v in options.items())
    return f"<h2>Options</h2><table><tbody>{rows}</tbody></table>"
