"""`make bench`: measure servers under the same load, side by side, and print what each costs.

    python -m benchmarks                              everything: about half an hour
    python -m benchmarks --quick                      a minute, with what is installed anyway
    python -m benchmarks --only usechat,ai-sdk-7 --phases burst,paced
    python -m benchmarks --against main               this checkout against another revision
    python -m benchmarks --page                       the built chat page in a slow browser
    python -m benchmarks --page answer --against main some of it, beside the page of another revision

Figures are of CPU time, by the process's own accounting, and travel badly from machine to machine; their ratios travel.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.page.cases import CASES
from benchmarks.page.measure import measure_page
from benchmarks.phases import PHASES, Phase
from benchmarks.programs import CACHE, BenchmarkError, upstream
from benchmarks.report import render, show
from benchmarks.results import Results
from benchmarks.revisions import compare_with
from benchmarks.targets import QUICK_TARGETS, TARGETS, Target, targets_named
from scripts.progress import Progress


def main() -> None:
    """Measure what the command line asks for."""
    arguments = _parse()
    if arguments.list:
        _list()
        return
    try:
        if arguments.page is not None:
            measure_page(arguments.against, arguments.page)
            return
        if arguments.against:
            compare_with(arguments.against, QUICK if arguments.quick else FULL)
            return
        results = _measure(arguments)
    except BenchmarkError as error:
        sys.exit(str(error))
    results.write(arguments.out)
    print(f"\n{render(results)}\n\nThe figures as JSON: {arguments.out}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few servers, two phases, short samples")
    parser.add_argument("--only", type=_names_of(TARGETS), metavar="SERVERS", help="servers, separated by commas")
    phases = [phase.name for phase in PHASES]
    parser.add_argument("--phases", type=_names_of(phases), metavar="PHASES", help="phases, separated by commas")
    parser.add_argument("--against", metavar="REVISION", help="compare our server with its state in another revision")
    parser.add_argument(
        "--page",
        nargs="?",
        const=[],
        type=_names_of(CASES),
        metavar="CASES",
        help="measure how long the chat page blocks a browser instead; with --against beside that of a revision",
    )
    parser.add_argument("--out", type=Path, default=CACHE / "results.json", metavar="FILE", help="where figures go")
    parser.add_argument("--list", action="store_true", help="list servers and phases")
    return parser.parse_args()


def _names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """A converter for argparse."""

    def convert(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name!r}: --list shows what there is")
        return names

    return convert


def _list() -> None:
    print("Servers:")
    for target in TARGETS.values():
        print(f"  {target.name:18} {target.title}")
    print("Phases:")
    for phase in PHASES:
        print(f"  {phase.name:18} {phase.title}")
    print("Cases of the page:")
    for name, case in CASES.items():
        print(f"  {name:18} {case.__doc__}")


def _measure(arguments: argparse.Namespace) -> Results:
    names: list[str] = arguments.only or [*(QUICK_TARGETS if arguments.quick else TARGETS)]
    chosen = arguments.phases or [phase.name for phase in PHASES if phase.is_quick or not arguments.quick]
    phases = [phase for phase in PHASES if phase.name in chosen]
    results = Results()
    targets = _prepared(targets_named(names), results)
    progress = Progress(len(phases))
    with ExitStack() as stack:
        bench = Bench(
            targets=targets,
            effort=QUICK if arguments.quick else FULL,
            upstream_port=stack.enter_context(upstream()),
            results=results,
            announce=lambda text: progress.tick(f", {text}"),
            stack=stack,
        )
        for phase in phases:
            _run(phase, bench, progress)
            results.write(arguments.out)
    return results


def _prepared(targets: Sequence[Target], results: Results) -> list[Target]:
    """Return the targets whose packages are there, or could be installed."""
    installed: dict[str, str | None] = {}
    for environment in {one.name: one for target in targets if (one := target.environment)}.values():
        print(f"Packages of {environment.name} ... ", end="", flush=True)
        installed[environment.name] = problem = environment.install()
        print(problem or "installed", flush=True)
    ready: list[Target] = []
    for target in targets:
        problem = installed[target.environment.name] if target.environment else None
        if problem:
            results.add("packages", {}, {target.name: problem})
        else:
            ready.append(target)
    return ready


def _run(phase: Phase, bench: Bench, progress: Progress) -> None:
    progress.start(phase.title)
    phase.run(bench)
    figures = bench.results.figures.get(phase.name, {})
    found = ", ".join(f"{row} {show(figure)}" for row, figure in figures.items())
    reason = bench.results.problems.get(phase.name, {}).get("", "nothing could be measured")
    progress.end(f"{progress.seconds():.0f} s: {found}" if found else f"left out: {reason}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
