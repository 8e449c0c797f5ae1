"""`make test` and its parts: which groups of checks there are, what each needs, and how they went.

With no name, every group runs, several at a time, whatever becomes of the others, and a table closes the run. What
was checked before is checked again, except style and types as long as nothing of what they look at has changed.
With a name, that group runs alone and its tools write to the terminal; further arguments go to its pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from scripts.preparations import (
    DEPLOY_PYTHON,
    DEV_PACKAGES,
    LOCAL_MODEL,
    PAGE,
    VIRTUAL_ENVIRONMENT,
    WEB_PACKAGES,
    Preparation,
    carry_out_all,
    carry_out_due,
    index_of_pip,
    npm_packages_below,
    programs,
    tool_variables,
)
from scripts.progress import ROOT, Command, Progress, run_logged, tail
from scripts.side_by_side import Board, Job, run_side_by_side
from scripts.stamps import files_below, fingerprint, forget, is_current, mark_current, one_at_a_time

_CACHE = ROOT / ".cache"
_NOT_FOR_TESTS = ("ANTHROPIC_", "USECHAT_")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Checks that belong together."""

    name: str
    tools: Sequence[Sequence[str]] = ()
    """Commands other than pytest; each counts as one check."""
    folder: str = ""
    """What pytest runs."""
    options: Sequence[str] = ()
    """Further arguments of pytest."""
    measures: Sequence[str] = ()
    """Those for which all tests of the group have to run, so that they do not go with a choice of tests."""
    needs: Sequence[Preparation] = ()
    """What it needs besides the Python packages, the npm packages in its folder and its system programs."""
    decided_by: Callable[[], str] | None = None
    """The fingerprint of all that decides how it goes, where that is known: over the same it need not run twice."""
    writes_to: str = ""
    """What it writes to and other groups, too: these do not run at the same time."""

    def preparations(self) -> list[Preparation]:
        """All that has to be there, in the order in which it is made."""
        own = npm_packages_below(ROOT / self.folder) if self.folder else ()
        return [VIRTUAL_ENVIRONMENT, DEV_PACKAGES, *self.needs, *own, *programs(self.name)]

    def report(self) -> Path:
        """Where pytest writes what became of each test."""
        return _CACHE / "reports" / f"{self.name}.xml"

    def log(self) -> Path:
        """Where its tools' output goes when it does not run alone."""
        return _CACHE / "logs" / f"{self.name}.log"

    def commands(self, arguments: Sequence[str] = ()) -> list[Command]:
        """What to start, one after the other."""
        commands = [Command(arguments=tool, variables=_variables()) for tool in self.tools]
        if self.folder:
            own = [f"--junitxml={self.report()}", "-o", f"cache_dir={_CACHE / 'pytest' / self.name}"]
            chosen = arguments or self.measures
            pytest = ["pytest", self.folder, *own, *self.options, *chosen]
            commands.append(Command(arguments=pytest, variables=_variables()))
        return commands


@dataclass
class Outcome:
    """How one group went."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list[str])
    """Each skipped test with its reason."""
    seconds: float = 0
    remark: str = ""

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {len(self.skipped)} skipped in {self.seconds:.0f} s"
        return f"{counts}{self.remark}"


def _all_sources() -> str:
    """Changes with any file that ruff, pyright or the page's TypeScript may read."""
    folders = [
        ROOT / name for name in ("api", "benchmarks", "examples", "requirements", "scripts", "src", "tests", "web")
    ]
    settings = [ROOT / "pyproject.toml", ROOT / "Makefile"]
    return fingerprint([*settings, *(path for folder in folders for path in files_below(folder))], sys.version)


# A file's tests share servers, so they stay together. Each group's conftest.py says with which files to begin.
_TWO_AT_A_TIME = ["--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"]
# The conformance tests' React hooks of all majors, which other tests drive, too.
_HOOKS = [*npm_packages_below(ROOT / "tests" / "conformance")]
_GROUPS = (
    Group(name="lint", tools=[["ruff", "check"], ["ruff", "format", "--check"]], decided_by=_all_sources),
    Group(
        name="type",
        tools=[["pyright"], ["npm", "--prefix", "web", "run", "typecheck"]],
        needs=[WEB_PACKAGES],
        decided_by=_all_sources,
        writes_to="web",
    ),
    Group(
        name="unit",
        folder="tests/unit",
        options=["--numprocesses=2"],
        measures=["--cov", "--cov-report=term:skip-covered", "--cov-fail-under=89"],
        needs=[LOCAL_MODEL],
    ),
    Group(name="integration", folder="tests/integration", options=_TWO_AT_A_TIME, needs=[LOCAL_MODEL]),
    Group(name="conformance", folder="tests/conformance"),
    Group(name="clients", folder="tests/clients", options=_TWO_AT_A_TIME, needs=_HOOKS),
    Group(name="chaos", folder="tests/chaos"),
    Group(name="e2e", folder="tests/e2e", needs=[LOCAL_MODEL, WEB_PACKAGES, PAGE, *_HOOKS], writes_to="web"),
    Group(name="deploy-test", folder="tests/deploy", needs=[DEPLOY_PYTHON]),
)
# In which order they begin when they run side by side: what lasts longest first; and last two whose tests run two at a
# time, so that both processors are busy to the end.
_BEGINNING = ("lint", "type", "integration", "e2e", "conformance", "chaos", "deploy-test", "clients", "unit")


def main() -> None:
    """Run the group named on the command line, or all of them."""
    for name in [name for name in os.environ if name.startswith(_NOT_FOR_TESTS)]:
        del os.environ[name]
    os.chdir(ROOT)
    named = {group.name: group for group in _GROUPS}
    sys.exit(_run_alone(named[sys.argv[1]], sys.argv[2:]) if sys.argv[1:] else _run_all(_GROUPS))


def _variables() -> dict[str, str]:
    """What every check is started with. The deployment's builder installs Python packages of its own."""
    pyright = {"PYRIGHT_PYTHON_CACHE_DIR": str(_CACHE / "pyright"), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return {**tool_variables(), **index_of_pip(), **pyright}


def _run_alone(group: Group, arguments: Sequence[str]) -> int:
    with one_at_a_time():
        if carry_out_due(group.preparations()):
            return 1
    codes = [
        subprocess.run(command.arguments, env=command.environment(), check=False).returncode
        for command in group.commands(arguments)
    ]
    return max(codes, default=0)


def _run_all(groups: Sequence[Group]) -> int:
    preparations = {one.name: one for group in groups for one in group.preparations()}
    with one_at_a_time():
        problems = carry_out_all(preparations.values(), Progress(len(preparations)))
    board = Board(len(groups))
    outcomes: dict[str, Outcome] = {}

    def run(group: Group) -> None:
        outcomes[group.name] = _run_one(group, problems, board)

    jobs = {
        group.name: Job(name=group.name, work=lambda group=group: run(group), writes_to=group.writes_to)
        for group in groups
    }
    # Of the groups that begin together, one computes while the other waits for a page or a process.
    run_side_by_side([jobs[name] for name in _BEGINNING], board, at_once=max(2, os.cpu_count() or 1))
    return _summarise({group.name: outcomes[group.name] for group in groups})


def _run_one(group: Group, problems: set[str], board: Board) -> Outcome:
    board.start(group.name)
    lacking = [one.title for one in group.preparations() if one.name in problems]
    if lacking:
        board.end(group.name, f"FAILED, because this failed: {'; '.join(lacking)}")
        return Outcome(failed=1)
    outcome = _outcome_of(group, lambda detail: board.tick(group.name, detail))
    outcome.seconds = board.seconds(group.name)
    board.end(group.name, "\n".join(_report_lines(group, outcome)))
    return outcome


def _outcome_of(group: Group, tick: Callable[[str], None]) -> Outcome:
    """Run a group's commands, unless it is known what they would say."""
    stamp, facts = f"passed-{group.name}", group.decided_by() if group.decided_by else ""
    if facts and is_current(stamp, facts, ROOT):
        return Outcome(passed=len(group.tools), remark=": nothing has changed since they passed")
    forget(stamp)
    group.report().unlink(missing_ok=True)
    group.log().unlink(missing_ok=True)
    outcome = Outcome()
    for command in group.commands():
        code = run_logged(command, group.log(), tick)
        _count(outcome, code, group.report() if command.arguments[0] == "pytest" else None)
    if facts and not outcome.failed:
        mark_current(stamp, facts)
    return outcome


def _report_lines(group: Group, outcome: Outcome) -> Iterator[str]:
    yield f"FAILED: {outcome}" if outcome.failed else str(outcome)
    yield from (f"    skipped: {skipped}" for skipped in outcome.skipped)
    if outcome.failed:
        yield f"{tail(group.log())}\nThe whole log: {group.log()}"


def _count(outcome: Outcome, code: int, report: Path | None) -> None:
    """Add what a command did. A command that fails without a failed test to show for it counts as one failure."""
    if report is None or not report.exists():
        outcome.passed += code == 0 and report is None
        outcome.failed += code != 0 or report is not None
        return
    cases = [*ET.parse(report).getroot().iter("testcase")]  # noqa: S314 - written by pytest a moment ago
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = [(case, case.find("skipped")) for case in cases]
    reasons = [f"{case.get('name')}: {why.get('message')}" for case, why in skipped if why is not None]
    outcome.passed += len(cases) - failed - len(reasons)
    outcome.failed += failed or code != 0
    outcome.skipped += reasons


def _summarise(outcomes: dict[str, Outcome]) -> int:
    """Print one line a group, the names of those that failed, and a total; return the exit code."""
    print()
    for name, outcome in outcomes.items():
        print(f"{name:12} {outcome}")
    failing = [name for name, outcome in outcomes.items() if outcome.failed]
    if failing:
        print(f"\nFailed: {', '.join(failing)}. One alone: make {failing[0]}")
    passed, failed, skipped = (
        sum(outcome.passed for outcome in outcomes.values()),
        sum(outcome.failed for outcome in outcomes.values()),
        sum(len(outcome.skipped) for outcome in outcomes.values()),
    )
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failing else 0


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
