"""Line plots as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#64748b")
_WIDTH, _HEIGHT = 460, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 30, 62
_TICKS = 5


def line_plot(
    title: str,
    unit: str,
    xs: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    colours: Mapping[str, str],
    counts: Mapping[str, Sequence[int]] | None = None,
) -> str:
    """Return an SVG of several series over time.

    Args:
        title: Above the plot.
        unit: Of the values.
        xs: Seconds after the observation.
        series: Name → values; None leaves a gap.
        colours: Name → CSS colour.
        counts: Name → chunks behind each value; shown in the legend.
    """
    values = [v for row in series.values() for v in row if v is not None]
    if not values or not xs:
        return ""
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    right = max(xs)

    def px(x: float) -> float:
        return _LEFT + (x / right) * (_WIDTH - _LEFT - _RIGHT)

    def py(y: float) -> float:
        return _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{_LEFT}" y="18" class="t">{escape(title)}{f" ({escape(unit)})" if unit else ""}</text>',
    ]
    for tick in ticks:
        y = py(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="g"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="a" text-anchor="end">{tick:g}</text>')
    parts += [
        f'<text x="{px(tick):.1f}" y="{_HEIGHT - _BOTTOM + 16}" class="a" text-anchor="middle">{tick:g} s</text>'
        for tick in nice_ticks(0.0, right)
        if tick <= right * 1.001
    ]
    legend_x = float(_LEFT)
    for name, row in series.items():
        colour = colours[name]
        for run in _runs(xs, row):
            points = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in run)
            if len(run) == 1:
                parts.append(f'<circle cx="{px(run[0][0]):.1f}" cy="{py(run[0][1]):.1f}" r="2.5" fill="{colour}"/>')
            else:
                parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = _HEIGHT - 16
        parts.append(f'<rect x="{legend_x:.0f}" y="{y - 9}" width="10" height="10" rx="2" fill="{colour}"/>')
        legend = f"{name}{_n((counts or {}).get(name, ()))}"
        parts.append(f'<text x="{legend_x + 14:.0f}" y="{y}" class="a">{escape(legend)}</text>')
        legend_x += 26 + 5.6 * len(legend)
    return "".join([*parts, "</svg>"])


def _n(counts: Sequence[int]) -> str:
    """Return how many chunks stand behind a line, as the end of its name."""
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f", n {high}" if low == high else f", n {low}–{high}"


def nice_ticks(low: float, high: float) -> list[float]:
    """Return round numbers that cover a range."""
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / _TICKS
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * scale for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * scale >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _runs(xs: Sequence[float], row: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, row, strict=False):
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]
