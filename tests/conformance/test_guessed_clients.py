"""Real clients that send by themselves: what our backend does there that the AI SDK does not."""

from __future__ import annotations

import pytest

from tests.conformance.scenarios import ANSWERED_WITH_NOTHING, REFUSED, REFUSED_AND_ANSWERED_WITH_NOTHING
from tests.conformance.sides import Sides


@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize("major", ANSWERED_WITH_NOTHING.majors)
def test_client_sends_a_tools_output_once_though_the_model_has_nothing_to_say(major: int, is_named: bool, sides: Sides):
    held = sides.with_guess(major, ANSWERED_WITH_NOTHING, is_named=is_named)
    assert len(held.asked) == len(held.exchanges) == 2
    assert (held.state["status"], held.state["error"]) == ("ready", None)
    assert held.state["messages"][-1]["parts"][-1]["type"] in ("step-start", "custom")


@pytest.mark.parametrize("major", REFUSED_AND_ANSWERED_WITH_NOTHING.majors)
def test_client_does_not_send_again_after_a_step_of_the_first_answer_that_brings_nothing(major: int, sides: Sides):
    held = sides.with_guess(major, REFUSED_AND_ANSWERED_WITH_NOTHING)
    assert (len(held.asked), len(held.exchanges)) == (2, 1)
    assert (held.state["status"], held.state["error"]) == ("ready", None)


@pytest.mark.parametrize("major", REFUSED.majors)
def test_client_that_cannot_be_asked_sees_the_refusal_and_the_rest_of_the_answer(major: int, sides: Sides):
    held = sides.with_guess(major, REFUSED, is_named=True)
    assert held.state["error"] is None
    shown = str(held.state["messages"][1])
    assert "which this client cannot be asked for" in shown
    assert "It was refused." in shown
    # The second message brings back what the model was told in the first answer, word for word.
    before, after = held.asked[1]["messages"], held.asked[2]["messages"]
    assert after[: len(before)] == before
