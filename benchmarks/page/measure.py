"""Measures the page, by itself or in turn with that of another revision, and prints what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.page.builds import OURS, page_of
from benchmarks.page.cases import CASES
from benchmarks.page.slow_browser import Figures

__all__ = ["measure_page"]

ROUNDS: Final = 3


def measure_page(against: str | None = None, names: Sequence[str] = (), rounds: int = ROUNDS) -> None:
    """Measure the built page, and print the middle of several rounds, with the least and the most.

    Args:
        against: Another revision, whose page is measured in turn with this one.
        names: Cases; without them all.
        rounds: How often each is measured.

    Raises:
        BenchmarkError: There is no such revision, or its page cannot be built.
    """
    pages: dict[str, Path] = {} if against is None else {against: page_of(against)}
    pages["this checkout"] = OURS
    for name in names or CASES:
        print(f"{name}: {CASES[name].__doc__}", flush=True)
        found: Mapping[str, list[Figures]] = {page: [] for page in pages}
        for _ in range(rounds):
            for page, folder in pages.items():
                found[page].append(CASES[name](folder))
        for page, figures in found.items():
            print(f"    {page:16} {_sentence(figures)}", flush=True)


def _sentence(rounds: Sequence[Figures]) -> str:
    columns = {name: sorted(figures[name] for figures in rounds) for name in rounds[0]}
    return ", ".join(f"{name} {median(of):.0f} ({of[0]:.0f} to {of[-1]:.0f})" for name, of in columns.items())
