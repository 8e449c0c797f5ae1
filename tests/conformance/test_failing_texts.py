"""Text that breaks off, in the formats that have no words for it: the hooks of all majors show an error."""

from __future__ import annotations

import pytest

from tests.conformance.scenario import MAJORS
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.sides import Sides

FAILING = {
    "text-protocol-error",
    "text-protocol-http-error",
    "completion-text-error",
    "completion-text-http-error",
    "object-cut-short",
    "object-http-error",
}


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", sorted(FAILING))
def test_failing_text_is_an_error_for_its_client(name: str, major: int, sides: Sides):
    (scenario,) = [scenario for scenario in SCENARIOS if scenario.name == name]
    state = sides.with_guess(major, scenario).state
    assert state["error"] is not None
    # `useChat` tells of every end since AI SDK 5, and with it whether it was an error.
    ends = [event["onFinish"] for event in state.get("events", ()) if "onFinish" in event]
    assert [end for end in ends if not end.get("isError")] == []
