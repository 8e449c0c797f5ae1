"""Real clients whose version our backend is not told: what it does there that the AI SDK does not."""

from __future__ import annotations

import pytest

from tests.conformance.scenarios import ANSWERED_WITH_NOTHING
from tests.conformance.sides import Sides


@pytest.mark.parametrize("major", ANSWERED_WITH_NOTHING.majors)
def test_client_sends_a_tools_output_once_though_the_model_has_nothing_to_say(major: int, sides: Sides):
    held = sides.with_guess(major, ANSWERED_WITH_NOTHING)
    assert len(held.asked) == 2
    assert (held.state["status"], held.state["error"]) == ("ready", None)
    assert held.state["messages"][-1]["parts"][-1] == {"type": "step-start"}
