"""The differential harness beside the repository, where there is one, run against the conformance app.

It compares with what the real AI SDK answered to recorded streams. Skipped where the harness is absent: the project's
own comparison (`test_against_sdk.py`) needs nothing but npm's packages.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.harness import HARNESS, MAJORS, HarnessRun

CASES = sorted((major, file.stem) for major in MAJORS for file in (HARNESS / "golden" / f"v{major}").glob("*.json"))

# The frames are the same, but for how many deltas a text comes in or when a tool's result does; or the SDK itself could
# not read the recorded stream, and there is nothing to compare with.
SAME = ("bytes", "same", "merged", "order", "limit")

ABANDONED = "A tool call that the client gave up is answered for it, where the SDK refuses the chat from then on."
IN_PIECES = "The input of an MCP call comes in pieces, which the SDK passes over: its call has an empty input."
BEHIND_ERROR = "Behind an error, at which its client has stopped reading, the SDK asks the model again."
NOT_THE_SAME = {
    ("4", "tool-then-error"): BEHIND_ERROR,
    **{(major, "rec.anthropic-mcp.1"): IN_PIECES for major in ("6", "7")},
    **{(major, "client-tool-abandoned"): ABANDONED for major in ("6", "7")},
}

# How many deltas come between two comments, and whether who comes back does so before the answer's end, is a matter of
# time: on a machine that does much else at the moment these are tried again. So is a scenario whose frames are the same
# and whose client alone shows something else: it was looked at before it had shown all that came.
TIMED = ("keep-alive", "resume")
TRIES = 3

pytestmark = [
    pytest.mark.skipif(not CASES, reason=f"there is no harness at {HARNESS}"),
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="session")
def report(harness_run: HarnessRun) -> dict[str, Any]:
    """What became of each scenario, by its name and the major."""
    found = harness_run.report()
    for _ in range(TRIES - 1):
        differing = [name for name, results in found.items() if is_timed(name, results)]
        if not differing:
            break
        found |= harness_run.again(differing)
    return found


def is_timed(name: str, results: dict[str, Any]) -> bool:
    """Return whether a scenario differs in what a later try may have the same."""
    differing = {major: result for major, result in results.items() if not is_same(major, result)}
    shown = [result for result in differing.values() if result["verdict"] in SAME and result["hdr"] == "="]
    return bool(differing) if name in TIMED else bool(shown)


def is_same(major: str, result: dict[str, Any]) -> bool:
    if result["verdict"] == "limit":
        return True
    marks = [result["hdr"], result["ui"], *([result["up"]] if major == "7" else [])]
    return result["verdict"] in SAME and set(marks) == {"="}


@pytest.mark.parametrize(("major", "scenario"), CASES, ids=[f"{major}-{name}" for major, name in CASES])
def test_the_harness_finds_the_same(major: str, scenario: str, report: dict[str, Any]):
    result = report[scenario][major]
    reason = NOT_THE_SAME.get((major, scenario))

    assert is_same(major, result) == (reason is None), f"{result}; {reason}"
