"""What a run has found: figures by phase and row, with what could not be measured and why; kept as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.measure import Figure
from scripts.progress import ROOT

__all__ = ["Results", "revision"]


def revision(folder: Path = ROOT) -> str:
    """The commit of a checkout, with a plus sign where files differ from it."""
    name = _git(folder, "rev-parse", "--short", "HEAD")
    return name + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "src") else "")


def _git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return run.stdout.strip()


@dataclass
class Results:
    """All figures of one run."""

    machine: Mapping[str, str] = field(default_factory=describe)
    revision: str = field(default_factory=revision)
    figures: dict[str, dict[str, Figure]] = field(default_factory=dict[str, dict[str, Figure]])
    """By phase and row."""
    problems: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Why a row has no figure; under an empty row, why a phase was left out."""

    def add(self, phase: str, figures: Mapping[str, Figure], problems: Mapping[str, str] | None = None) -> None:
        """File what a phase has found."""
        self.figures.setdefault(phase, {}).update(figures)
        if problems:
            self.problems.setdefault(phase, {}).update(problems)

    def skip(self, phase: str, reason: str) -> None:
        """Note why a phase was left out."""
        self.problems.setdefault(phase, {})[""] = reason

    def median(self, phase: str, row: str) -> float | None:
        """The figure, if there is one."""
        figure = self.figures.get(phase, {}).get(row)
        return figure.median if figure is not None else None

    def ratio(self, phase: str, row: str, to: str) -> float | None:
        """How many times the figure of ``to`` the figure of ``row`` is."""
        upper, lower = self.median(phase, row), self.median(phase, to)
        return upper / lower if upper is not None and lower else None

    def write(self, path: Path) -> None:
        """Keep everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values: dict[str, Any] = {
            "machine": self.machine,
            "revision": self.revision,
            "figures": {
                phase: {
                    row: {"unit": figure.unit, "median": figure.median, "values": figure.values}
                    for row, figure in rows.items()
                }
                for phase, rows in self.figures.items()
            },
            "problems": self.problems,
        }
        path.write_text(json.dumps(values, indent=1) + "\n")
