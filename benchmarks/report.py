"""A run's figures as Markdown: a row a server, a line a goal, and the rest phase by phase."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.goals import GOALS
from benchmarks.measure import Figure
from benchmarks.results import Results
from benchmarks.targets import TARGETS

__all__ = ["render"]

_COLUMNS = {
    "burst": "burst µs/delta",
    "paced": "paced µs/delta",
    "held": "held",
    "memory": "KiB per open stream",
}


def render(results: Results) -> str:
    """All tables."""
    sections = [_servers(results), _goals(results), *_others(results), _problems(results)]
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    return "\n\n".join([f"Revision {results.revision}; {machine}.", *filter(None, sections)])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _servers(results: Results) -> str:
    columns = [phase for phase in _COLUMNS if results.figures.get(phase)]
    names = [name for name in TARGETS if any(name in results.figures[phase] for phase in columns)]
    if not names:
        return ""
    heads = ["server", *(head for phase in columns for head in (_COLUMNS[phase], *_ratio_head(phase)))]
    rows = [
        [TARGETS[name].title, *(cell for phase in columns for cell in _cells(results, phase, name))] for name in names
    ]
    return _table(heads, rows)


def _ratio_head(phase: str) -> list[str]:
    return ["× ours"] if phase in ("burst", "paced") else []


def _cells(results: Results, phase: str, name: str) -> list[str]:
    figure = results.figures[phase].get(name)
    cells = ["-" if figure is None else show(figure)]
    if _ratio_head(phase):
        ratio = results.ratio(phase, name, "usechat")
        cells.append("-" if ratio is None else f"{ratio:.2f}")
    return cells


def show(figure: Figure) -> str:
    """The median, with the smallest and largest value where there are several."""
    digits = 0 if figure.median >= 100 else 1 if figure.median >= 10 else 2
    median = f"{figure.median:.{digits}f}"
    if len(figure.values) == 1:
        return median
    return f"{median} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"


def _goals(results: Results) -> str:
    rows: list[list[str]] = []
    for goal in GOALS:
        verdict = goal.judge(results)
        if verdict is not None:
            rows.append([goal.subject, goal.goal, verdict.figure, "yes" if verdict.is_met else "**no**"])
    return _table(["what", "goal", "measured", "met"], rows) if rows else ""


def _others(results: Results) -> list[str]:
    tables: list[str] = []
    for phase, figures in results.figures.items():
        if phase not in _COLUMNS and figures:
            unit = next(iter(figures.values())).unit.split()[0]
            tables.append(_table([phase, unit], [[row, show(figure)] for row, figure in figures.items()]))
    return tables


def _problems(results: Results) -> str:
    lines = [
        f"- {phase}{': ' if row else ''}{row}: {reason}"
        for phase, rows in results.problems.items()
        for row, reason in rows.items()
    ]
    return "Not measured:\n" + "\n".join(lines) if lines else ""
