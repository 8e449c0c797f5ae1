"""`make bench`: measure servers under the same load, side by side, and print what each costs.

    python -m benchmarks                              everything: about half an hour
    python -m benchmarks --quick                      a minute, with what is installed anyway
    python -m benchmarks --only usechat,ai-sdk-7 --phases burst,paced
    python -m benchmarks --against main               this checkout against another revision
    python -m benchmarks --profile burst              a flame graph of our server

Figures are of CPU time, by the process's own accounting, and travel badly from machine to machine; their ratios travel.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.chart import render_chart
from benchmarks.document import copy_picture, write_document
from benchmarks.phases import PHASES, Phase
from benchmarks.profile import PROFILES, draw_flame_graph
from benchmarks.programs import CACHE, BenchmarkError, compile_programs, upstream
from benchmarks.report import render, show
from benchmarks.results import Results
from benchmarks.revisions import compare_with
from benchmarks.targets import QUICK_TARGETS, TARGETS, Target, targets_named
from scripts.preparations import carry_out_all
from scripts.progress import Progress
from scripts.stamps import one_at_a_time


def main() -> None:
    """Measure what the command line asks for."""
    arguments = _parse()
    if arguments.list:
        _list()
        return
    try:
        compile_programs()
        if arguments.against:
            compare_with(arguments.against, QUICK if arguments.quick else FULL)
            return
        if arguments.profile:
            _profile(arguments.profile, is_for_page=arguments.document)
            return
        results = Results.read(arguments.again) if arguments.again else _measure(arguments)
        if arguments.document:
            write_document(results)
    except BenchmarkError as error:
        sys.exit(str(error))
    results.write(arguments.out)
    if chart := render_chart(results):
        arguments.out.with_suffix(".svg").write_text(chart)
    print(f"\n{render(results)}\n\nFigures and chart: {arguments.out}, {arguments.out.with_suffix('.svg')}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few servers, two phases, short samples")
    parser.add_argument("--only", type=_names_of(TARGETS), metavar="SERVERS", help="servers, separated by commas")
    phases = [phase.name for phase in PHASES]
    parser.add_argument("--phases", type=_names_of(phases), metavar="PHASES", help="phases, separated by commas")
    parser.add_argument("--against", metavar="REVISION", help="compare our server with its state in another revision")
    parser.add_argument("--profile", choices=PROFILES, help="draw a flame graph of our server under such a load")
    parser.add_argument("--again", type=Path, metavar="FILE", help="measure nothing: show an earlier run's figures")
    parser.add_argument("--document", action="store_true", help="bring the figures, or the flame graph, into docs")
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


def _profile(name: str, *, is_for_page: bool) -> None:
    progress = Progress(1)
    progress.start(f"Profiling our server: {name}")
    picture = draw_flame_graph(name, lambda text: progress.tick(f", {text}"))
    if is_for_page:
        copy_picture(picture)
    progress.end(str(picture))


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
    """The targets whose packages are there, or could be installed."""
    preparations = {one.name: one for target in targets for one in target.needs}
    due = [one for one in preparations.values() if not one.is_current()]
    with one_at_a_time():
        carry_out_all(due, Progress(len(due)))
    ready: list[Target] = []
    for target in targets:
        lacking = [one.title for one in target.needs if not one.is_current()]
        if lacking:
            results.add("packages", {}, {target.name: f"this failed: {lacking[0]}"})
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
