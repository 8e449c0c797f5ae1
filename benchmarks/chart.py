"""A bar chart of two figures as SVG, on a logarithmic scale: what a delta costs each server."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from benchmarks.measure import Figure
from benchmarks.results import Results
from benchmarks.targets import TARGETS

__all__ = ["render_chart"]

_WIDTH, _LABELS, _ROW, _BAR, _TOP = 900, 330, 34, 11, 64
_SERIES = {"burst": "a burst", "paced": "a delta every 20 ms"}
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .value { font-size: 11px } .faint { fill: #6e7781; font-size: 11px }
  .burst { fill: #0969da } .paced { fill: #8ec5ff } .ours { font-weight: 600 } .grid { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .faint { fill: #8b949e } .grid { stroke: #30363d }
    .burst { fill: #58a6ff } .paced { fill: #1f4b7a }
  }
"""


def render_chart(results: Results) -> str:
    """The chart; empty when there is nothing to draw."""
    series = {phase: results.figures.get(phase, {}) for phase in _SERIES}
    names = [name for name in TARGETS if any(name in figures for figures in series.values())]
    if not names:
        return ""
    values = [figure.median for figures in series.values() for figure in figures.values()]
    scale = _Scale(min(values), max(values))
    height = _TOP + len(names) * _ROW + 12
    rows = [_row(name, _TOP + index * _ROW, series, scale) for index, name in enumerate(names)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            "<title>CPU time of the server for each delta that it streams, in microseconds</title>",
            f"<style>{_STYLE}</style>",
            *_legend(),
            *_grid(scale, height),
            *rows,
            "</svg>\n",
        ]
    )


class _Scale:
    """Values to places on a logarithmic axis of whole decades."""

    def __init__(self, lowest: float, highest: float) -> None:
        self.low = math.floor(math.log10(lowest))
        self.high = max(math.ceil(math.log10(highest)), self.low + 1)

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return _LABELS + share * (_WIDTH - _LABELS - 60)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def _legend() -> list[str]:
    parts = ['<text x="12" y="20" class="ours">CPU time a delta, µs (logarithmic)</text>']
    for index, (name, title) in enumerate(_SERIES.items()):
        x = _LABELS + index * 150
        parts.append(f'<rect x="{x}" y="9" width="12" height="12" class="{name}"/>')
        parts.append(f'<text x="{x + 18}" y="20">{title}</text>')
    return parts


def _grid(scale: _Scale, height: int) -> list[str]:
    parts: list[str] = []
    for value in scale.decades():
        x = scale.place(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 12}" x2="{x:.1f}" y2="{height - 8}"/>')
        parts.append(f'<text class="faint" x="{x:.1f}" y="{_TOP - 18}" text-anchor="middle">{value:g}</text>')
    return parts


def _row(name: str, y: int, series: Mapping[str, Mapping[str, Figure]], scale: _Scale) -> str:
    target = TARGETS[name]
    title = escape(target.title.replace("*", "").replace("`", ""))
    marks = ' class="ours"' if target.kind == "ours" else ""
    parts = [f'<text x="12" y="{y + 15}"{marks}>{title}</text>']
    for index, (phase, figures) in enumerate(series.items()):
        if name in figures:
            value, top = figures[name].median, y + index * (_BAR + 1)
            end = scale.place(value)
            parts.append(f'<rect class="{phase}" x="{_LABELS}" y="{top}" width="{end - _LABELS:.1f}" height="{_BAR}"/>')
            parts.append(f'<text class="value" x="{end + 5:.1f}" y="{top + _BAR - 1}">{value:.3g}</text>')
    return "\n".join(parts)
