"""Steps that fail in the middle: one error, a legal end, and nothing behind it."""

from __future__ import annotations

import pytest

from tests.unit.answers.loop.model_turns import GUESSED, V4, V5, V7, WEATHER, answer, ended
from usechat.answers.loop.policy import LoopPolicy
from usechat.errors import ProviderStreamError
from usechat.parts import Error, TextDelta, TextEnd, TextStart
from usechat.testing.models import calling_tool, saying

pytestmark = pytest.mark.anyio

POLICIES = {"4": V4, "5": V5, "7": V7, "auto": GUESSED}
SAID = [TextStart("0"), TextDelta("0", "Whole."), TextEnd("0")]
OVERLOADED = Error("x", ProviderStreamError("Overloaded", provider="scripted"))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
async def test_nothing_follows_what_the_client_was_told_has_failed(policy: LoopPolicy):
    step = [[*SAID, OVERLOADED], *calling_tool("get_weather", {"city": "Oslo"})]
    done = await answer(step, saying("Behind your back."), tools=[WEATHER], policy=policy)
    assert "ToolOutputAvailable" not in done.kinds()
    assert len(done.model.calls) == 1
    assert len(done.of(Error)) == 1


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
async def test_error_and_then_an_end_without_a_reason_is_one_error_and_a_legal_end(policy: LoopPolicy):
    done = await answer([[*SAID, OVERLOADED, ended("other", None)]], policy=policy)
    assert done.kinds()[-3:] == ["Error", "FinishStep", "Finish"]
    assert len(done.of(Error)) == 1


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
async def test_error_before_an_empty_end_is_one_error_and_a_legal_end(policy: LoopPolicy):
    done = await answer([[OVERLOADED, ended("other", None)]], policy=policy)
    assert done.kinds()[-3:] == ["Error", "FinishStep", "Finish"]
    assert len(done.of(Error)) == 1
