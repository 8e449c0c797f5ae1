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
NOT_THE_SAME = {
    **{(major, "client-tool-abandoned"): ABANDONED for major in ("6", "7")},
}

# What of a scenario depends on who else uses the machine, and is looked at elsewhere: how many deltas come between two
# comments (`test_against_sdk.py` compares the frames), and what a client shows that leaves and comes back, maybe after
# the end of the answer (`tests/clients/test_resuming.py`).
TIMED = {"keep-alive": "verdict", "resume": "ui"}

pytestmark = [
    pytest.mark.skipif(not CASES, reason=f"there is no harness at {HARNESS}"),
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="session")
def report(harness_run: HarnessRun) -> dict[str, Any]:
    """What became of each scenario, by its name and the major."""
    return harness_run.report()


@pytest.mark.parametrize(("major", "scenario"), CASES, ids=[f"{major}-{name}" for major, name in CASES])
def test_the_harness_finds_the_same(major: str, scenario: str, report: dict[str, Any]):
    result = report[scenario][major]
    found = {"verdict": result["verdict"] in SAME, "hdr": result["hdr"] == "=", "ui": result["ui"] == "="}
    found.pop(TIMED.get(scenario, ""), None)
    is_same = result["verdict"] == "limit" or all(found.values())
    if major == "7" and result["verdict"] != "limit":
        is_same = is_same and result["up"] == "="
    reason = NOT_THE_SAME.get((major, scenario))

    assert is_same == (reason is None), f"{result}; {reason}"
