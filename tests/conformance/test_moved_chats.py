"""A chat that moves between the real AI SDK's backend and ours asks the model what it would ask had it stayed.

The history is the client's: what one backend has streamed, the other one reads. With thinking, tools and a search that
the provider carries out.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.conformance.compare import differences
from tests.conformance.scenario import Scenario
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.sides import Side, Sides

SINCE_4 = ("two-turns-steps", "two-turns-thinking", "two-turns-redacted")
# AI SDK 4 knows no searches: they end its answers in an error.
NAMES = (*SINCE_4, "two-turns-web-search", "two-turns-search-and-tools")
MOVED = [
    (major, scenario)
    for scenario in SCENARIOS
    for major in scenario.majors
    if scenario.name in (SINCE_4 if major == 4 else NAMES)
]
ORDERS: Sequence[tuple[Side, Side, Side]] = (("theirs", "ours", "theirs"), ("ours", "theirs", "ours"))
STAYING: dict[Side, tuple[Side, Side, Side]] = {
    "theirs": ("theirs", "theirs", "theirs"),
    "ours": ("ours", "ours", "ours"),
}


@pytest.mark.parametrize("turns", ORDERS, ids=["starts-with-theirs", "starts-with-ours"])
@pytest.mark.parametrize(("major", "scenario"), MOVED, ids=[f"{major}-{one.name}" for major, one in MOVED])
def test_a_moved_chat_asks_what_a_chat_that_stayed_asks(
    major: int, scenario: Scenario, turns: tuple[Side, Side, Side], sides: Sides
):
    moved = sides.moving(major, scenario.name, turns)
    stayed = {side: sides.moving(major, scenario.name, order) for side, order in STAYING.items()}

    assert moved.state["error"] is None
    assert len(moved.asked) == len(stayed["ours"].asked) == len(stayed["theirs"].asked)
    each_turn = len(moved.asked) // len(turns)
    for number, asked in enumerate(moved.upstream()):
        # Each SDK major has a way of its own to ask; a question is measured by who asked it.
        same = stayed[turns[number // each_turn]].upstream()[number]
        assert asked == same, f"question {number + 1}"


@pytest.mark.parametrize("name", NAMES)
def test_to_the_newest_sdk_it_is_all_the_same_who_answers(name: str, sides: Sides):
    one, two = (sides.moving(7, name, turns) for turns in ORDERS)
    stayed = sides.moving(7, name, STAYING["theirs"])
    assert not differences(stayed, one, ["upstream", "state"])
    assert not differences(stayed, two, ["upstream", "state"])
