"""What came of many runs of the failure test: ``python -m tests.chaos.summary FILE`` prints tables of it.

Each run with ``--counts=FILE`` adds a line to the file.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.failures import Span
from tests.chaos.verdict import Verdict

__all__ = ["note_run"]


def note_run(path: str | None, name: str, seed: str, verdict: Verdict, spans: Sequence[Span]) -> None:
    """Add a line to the file, if there is to be one."""
    if path is None:
        return
    noted = {
        "name": name,
        "seed": seed,
        "counts": verdict.counts,
        "faults": verdict.faults,
        "kinds": verdict.describe_kinds(spans),
    }
    with Path(path).open("a") as output:
        output.write(json.dumps(noted) + "\n")


def main() -> None:
    """Print how often each thing was broken, and what came of all answers."""
    runs: list[Any] = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    names = [*dict.fromkeys(run["name"] for run in runs)]
    kinds: dict[str, Counter[str]] = {}
    for run in runs:
        for kind, noted in run["kinds"].items():
            total = kinds.setdefault(kind, Counter())
            total["longest"] = max(total["longest"], noted["longest"])
            total.update(times=noted["times"], answers=noted["answers"])
    print_table(
        ("what fails", "times", "longest, s", "answers meanwhile"),
        [(kind, total["times"], total["longest"], total["answers"]) for kind, total in kinds.items()],
    )
    counts = {name: sum_up([run["counts"] for run in runs if run["name"] == name]) for name in names}
    rows = [*dict.fromkeys(row for name in names for row in counts[name] if row not in kinds)]
    print_table(("", *names), [(row, *(counts[name].get(row, "") for name in names)) for row in rows])
    seeds = {name: len({run["seed"] for run in runs if run["name"] == name}) for name in names}
    print(f"Seeds: {seeds}")  # noqa: T201
    for run in runs:
        for fault in run["faults"]:
            print(f"WRONG, {run['name']} --seed={run['seed']}: {fault}")  # noqa: T201


def sum_up(counts: Sequence[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def print_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    for cells in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(str(cell).strip() for cell in cells)} |")  # noqa: T201
    print()  # noqa: T201


if __name__ == "__main__":
    main()
