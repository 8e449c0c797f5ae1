"""How the Makefile sets things up: one make at a time, each step with its number, a quiet log and how it went.

``prepare TARGET…`` brings Makefile targets up to date and prints nothing when they are. Recipes of those targets call
``step TARGET TITLE COMMAND…``, which touches the target when the command has succeeded. What make needs to know of a
target (what it is made from, whether it is older) stands in the Makefile.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys

from scripts.progress import ROOT, Progress

_CACHE = ROOT / ".cache"
_COUNT = _CACHE / "steps-done"
_TOTAL = "USECHAT_STEPS"
_MARK = "scripts.steps step"
_TICK_SECONDS = 0.2
_TAIL_LINES = 100


def prepare(targets: list[str]) -> int:
    """Make the targets, whatever becomes of any of them; return 1 if one failed."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    make = ["make", "--no-print-directory", "--keep-going"]
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        # A second make in the same checkout waits here, and then finds its targets made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        dry_run = [*make, "--dry-run", *targets]
        planned = subprocess.run(dry_run, env=inherited, capture_output=True, text=True, check=False)
        total = planned.stdout.count(_MARK)
        if planned.returncode != 0:
            print(planned.stderr, flush=True)
        elif not total:
            return 0
        _COUNT.write_text("0")
        variables = {**inherited, _TOTAL: str(total)}
        # What make adds to the steps' own words (which target, which line) helps nobody.
        run = [*make, "--silent", *targets]
        done = subprocess.run(run, env=variables, stderr=subprocess.DEVNULL, check=False)
    return int(done.returncode != 0)


def step(target: str, title: str, command: list[str], without: str | None) -> int:
    """Run a command with its output in a log; print the end of it if it fails.

    Args:
        target: The file to touch when it has succeeded; a name without a file is none of these.
        title: What is printed.
        command: What to run.
        without: What it means to go on without it. A failure is then none.
    """
    done = int(_COUNT.read_text()) if _COUNT.exists() else 0
    progress = Progress(max(int(os.environ.get(_TOTAL, "0")), done + 1), done)
    _COUNT.write_text(str(done + 1))
    progress.start(title)
    log = _CACHE / "logs" / f"{target.strip('.').replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while True:
            try:
                code = process.wait(_TICK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                progress.tick()
    if code == 0:
        if (ROOT / target).parent.is_dir() and "/" in target:
            (ROOT / target).touch()
        progress.end(f"done in {progress.seconds():.0f} s")
        return 0
    if without is not None:
        progress.end(f"not possible here ({log.relative_to(ROOT)}): {without}")
        return 0
    progress.end(f"failed after {progress.seconds():.0f} s")
    print(*log.read_text(errors="replace").splitlines()[-_TAIL_LINES:], f"\nThe whole log: {log}", sep="\n", flush=True)
    return code


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m scripts.steps", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    preparing = verbs.add_parser("prepare")
    preparing.add_argument("targets", nargs="+")
    stepping = verbs.add_parser("step")
    stepping.add_argument("--without")
    stepping.add_argument("target")
    stepping.add_argument("title")
    stepping.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if arguments.verb == "prepare":
        return prepare(arguments.targets)
    return step(arguments.target, arguments.title, arguments.command, arguments.without)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
