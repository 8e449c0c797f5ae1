"""`WebSocketChatTransport` of AI SDK 7 with our backend: what comes of it is what comes of HTTP with the real one."""

from __future__ import annotations

import pytest

from tests.conformance.compare import differences
from tests.conformance.scenario import NEWEST, Scenario
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.sides import Sides

NAMES = (
    *("stream-text", "stream-thinking", "stream-web-search", "steps", "tools-parallel", "tool-throws", "http-529"),
    *("client-tool", "client-tool-error", "approval-granted", "approval-one-of-two-denied", "two-turns-steps"),
    *("stop", "stop-then-on", "stop-in-second-step", "usage-metadata", "regenerate"),
)
HELD = [scenario for scenario in SCENARIOS if scenario.name in NAMES]


@pytest.mark.parametrize("scenario", HELD, ids=[scenario.name for scenario in HELD])
def test_it_makes_no_difference_to_the_client(scenario: Scenario, sides: Sides):
    theirs = sides.theirs(NEWEST, scenario.name)
    assert not differences(theirs, sides.over_socket(scenario), ["state", "upstream"])


def test_every_named_scenario_is_there():
    assert {scenario.name for scenario in HELD} == set(NAMES)
