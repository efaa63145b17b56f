# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Charts as inline SVG: sharp at any size, in the colours of the page.

Text takes the page's colour (``currentColor``), so that the same chart reads
on a light and on a dark page, which a PNG could not.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

COLOURS = ('#2f7ed8', '#e07b39', '#3a9d5d', '#b65fcf', '#c9a227')


def read_scalars(work_dir: str | os.PathLike) -> list[dict[str, float]]:
    """What mmengine's latest run in a folder logged.

    Args:
        work_dir: ``--work-dir`` of ``tools/train.py``.

    Returns:
        One dict for each logged training iteration, with ``iter``.

    Raises:
        FileNotFoundError: No run has logged anything there.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir}: no */vis_data/scalars.json; '
                                'tools/train.py writes it')
    rows = [json.loads(line) for line in files[-1].read_text().splitlines()
            if line.strip()]
    return [row for row in rows if 'iter' in row and 'loss' in row]


def line_chart(series: Mapping[str, Sequence[tuple[float, float]]],
               x_label: str, y_label: str, width: int = 560,
               height: int = 280) -> str:
    """Lines over a common axis.

    Args:
        series: Name -> points (x, y); points that are not finite are left
            out.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.
        width: Of the drawing in its own units; it scales with the page.
        height: Of the drawing.

    Returns:
        An ``<svg>`` element.

    Raises:
        ValueError: No finite point.
    """
    series = {
        name: [(x, y) for x, y in points if math.isfinite(y)]
        for name, points in series.items()
    }
    points = [p for line in series.values() for p in line]
    if not points:
        raise ValueError('line_chart: no finite point to draw')
    left, right, top, bottom = 52, 12, 12 + 20 * (len(series) > 1), 40
    x_ticks = _ticks(min(p[0] for p in points), max(p[0] for p in points))
    y_ticks = _ticks(min(p[1] for p in points), max(p[1] for p in points))
    x0, x1 = min(p[0] for p in points), max(p[0] for p in points)
    y0, y1 = y_ticks[0], y_ticks[-1]
    y0, y1 = min(y0, min(p[1] for p in points)), max(
        y1, max(p[1] for p in points))

    def place(x: float, y: float) -> tuple[float, float]:
        return (left + (x - x0) / ((x1 - x0) or 1) * (width - left - right),
                height - bottom - (y - y0) / ((y1 - y0) or 1)
                * (height - top - bottom))

    parts = []
    for value in y_ticks:
        _, y = place(x0, value)
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" '
            f'y2="{y:.1f}" class="grid"/><text x="{left - 8}" '
            f'y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in x_ticks:
        if x0 <= value <= x1:
            x, _ = place(value, y0)
            parts.append(f'<text x="{x:.1f}" y="{height - bottom + 18}" '
                         f'text-anchor="middle">{value:g}</text>')
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = ' '.join('{:.1f},{:.1f}'.format(*place(*p)) for p in line)
        parts.append(f'<polyline points="{path}" fill="none" '
                     f'stroke="{colour}" stroke-width="2" '
                     'stroke-linejoin="round"/>')
        if len(series) > 1:
            x = left + 4 + index * 150
            parts.append(
                f'<line x1="{x}" x2="{x + 18}" y1="12" y2="12" '
                f'stroke="{colour}" stroke-width="3"/><text x="{x + 24}" '
                f'y="16">{escape(name)}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 4}" '
                 f'text-anchor="middle">{escape(x_label)}</text>')
    parts.append(f'<text transform="translate(13 {(top + height - bottom) / 2}'
                 f') rotate(-90)" text-anchor="middle">{escape(y_label)}'
                 '</text>')
    return _svg(width, height, f'{y_label} over {x_label}', parts)


def bar_chart(values: Mapping[str, float], unit: str = '%',
              width: int = 560) -> str:
    """Horizontal bars with their numbers; the first one stands out.

    Args:
        values: Name -> value of at least 0.
        unit: Written behind each number.
        width: Of the drawing in its own units.

    Returns:
        An ``<svg>`` element.

    Raises:
        ValueError: No value, or one below 0 or not finite.
    """
    if not values:
        raise ValueError('bar_chart: nothing to draw')
    if any(not math.isfinite(v) or v < 0 for v in values.values()):
        raise ValueError(f'bar_chart: {dict(values)}: expected finite values '
                         'of at least 0')
    longest = max(values.values()) or 1.0
    row, height = 46, 46 * len(values)
    parts = []
    for index, (name, value) in enumerate(values.items()):
        y = index * row
        length = (width - 80) * value / longest
        colour = COLOURS[0] if index == 0 else '#8a94a3'
        parts.append(
            f'<text x="0" y="{y + 14}">{escape(name)}</text><rect x="0" '
            f'y="{y + 20}" width="{length:.1f}" height="18" rx="3" '
            f'fill="{colour}"/><text x="{length + 8:.1f}" y="{y + 34}" '
            f'class="number">{value:.1f} {escape(unit)}</text>')
    return _svg(width, height, ', '.join(
        f'{n} {v:.1f} {unit}' for n, v in values.items()), parts)


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that span an interval."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0**math.floor(math.log10(span / count))
    step *= min((m for m in (1, 2, 5, 10) if span / (m * step) <= count),
                default=10)
    first = math.floor(low / step)
    last = math.ceil(high / step)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{escape(title)}">{"".join(parts)}</svg>')
