"""Brings a run's tables and chart into docs/performance.md, between the two comments that mark their place."""

from __future__ import annotations

from pathlib import Path

from benchmarks.chart import render_chart
from benchmarks.programs import BenchmarkError
from benchmarks.report import render
from benchmarks.results import Results
from scripts.progress import ROOT

__all__ = ["copy_picture", "write_document"]

_PAGE = ROOT / "docs" / "performance.md"
_CHART = ROOT / "docs" / "images" / "performance.svg"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


def write_document(results: Results) -> None:
    """Put the run's figures in place of the ones before.

    Raises:
        BenchmarkError: The page has lost the comments.
    """
    before, begin, rest = _PAGE.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise BenchmarkError(f"{_PAGE.relative_to(ROOT)} has no place for figures: {_BEGIN} … {_END}")
    picture = "![CPU time of each server for a delta](images/performance.svg)"
    _PAGE.write_text(f"{before}{begin}\n\n{render(results)}\n\n{picture}\n\n{end}{after}")
    _CHART.parent.mkdir(parents=True, exist_ok=True)
    _CHART.write_text(render_chart(results))


def copy_picture(picture: Path) -> None:
    """Keep a picture beside the page."""
    _CHART.with_name(picture.name).write_text(picture.read_text())
