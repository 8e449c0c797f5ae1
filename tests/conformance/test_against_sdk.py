"""Our backend beside the real AI SDK's, before the real client: the same frames, state and questions to the model.

To the model AI SDK 4 to 6 have slips of their own (thinking misplaced, a temperature of 0): there the measure is what
AI SDK 7 asks in the same conversation.
"""

from __future__ import annotations

import pytest

from tests.conformance.compare import Aspect, Conversation, differences
from tests.conformance.differences import DIFFERENCES
from tests.conformance.scenario import NEWEST, Scenario
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.sides import Sides

CASES = [(major, scenario) for scenario in SCENARIOS for major in scenario.majors]


@pytest.mark.parametrize(("major", "scenario"), CASES, ids=[f"{major}-{one.name}" for major, one in CASES])
def test_a_backend_of_ours_answers_as_the_sdk_does(major: int, scenario: Scenario, sides: Sides):
    theirs, ours = sides.both(major, scenario)
    found = differences(theirs, ours, ["exchanges", "headers", "frames", "state"])
    found |= compare_questions(major, scenario, sides, ours)
    known = DIFFERENCES.get((major, scenario.name))

    assert set(found) == (known.aspects if known else set()), explain(found, theirs)


def test_every_known_difference_belongs_to_a_case():
    assert set(DIFFERENCES) <= {(major, scenario.name) for major, scenario in CASES}


def compare_questions(major: int, scenario: Scenario, sides: Sides, ours: Conversation) -> dict[Aspect, str]:
    """The measure is what the newest SDK's backend asks: given the same history, or else in the same scenario.

    Where that asks more or fewer times, because the majors' loops differ, it is what this major asks, but for how the
    majors describe tools.
    """
    if major in (5, 6) and not any(ours.left):
        newest = sides.asked_by_newest(ours, scenario.model(major))
    else:
        newest = sides.theirs(NEWEST if NEWEST in scenario.majors else major, scenario.name)
    if NEWEST in scenario.majors and len(newest.asked) == len(ours.asked):
        return differences(newest, ours, ["upstream"])
    theirs = sides.theirs(major, scenario.name)
    return differences(theirs.without("tools", "betas"), ours.without("tools", "betas"), ["upstream"])


def explain(found: dict[Aspect, str], theirs: Conversation) -> str:
    accounts = [f"--- {aspect} ---\n{account}" for aspect, account in found.items()]
    return "\n".join([*accounts, *(f"the real SDK had trouble: {error}" for error in theirs.errors)])
