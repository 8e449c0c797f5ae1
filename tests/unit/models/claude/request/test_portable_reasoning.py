"""`reasoning="low"`: one word for how much to think, fitted to each model."""

from __future__ import annotations

from typing import Any

import pytest

from usechat import stream_text
from usechat.errors import ConfigurationError
from usechat.messages.model import TextContent, UserMessage
from usechat.models.base import ModelCall
from usechat.models.claude.request.request import build_request
from usechat.testing.models import ScriptedModel, saying


def fields(model_id: str, **options: Any) -> tuple[Any, Any, int]:
    body = build_request(ModelCall(messages=[UserMessage((TextContent("Hi"),))], **options), model_id).body
    return body.get("thinking"), body.get("output_config"), body["max_tokens"]


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "max")],
)
def test_model_that_thinks_adaptively_gets_an_effort(reasoning: Any, effort: str):
    thinking, config, _ = fields("claude-sonnet-4-6", reasoning=reasoning)
    assert (thinking, config) == ({"type": "adaptive"}, {"effort": effort})


@pytest.mark.parametrize(("reasoning", "budget"), [("minimal", 1024), ("low", 1024), ("high", 6000), ("xhigh", 9000)])
def test_other_model_gets_a_share_of_its_tokens(reasoning: Any, budget: int):
    thinking, config, tokens = fields("claude-sonnet-4-5", reasoning=reasoning, max_output_tokens=10_000)
    assert (thinking, config) == ({"type": "enabled", "budget_tokens": budget}, None)
    assert tokens == 10_000 + budget


def test_no_reasoning_is_asked_for():
    assert fields("claude-sonnet-4-6", reasoning="none")[0] == {"type": "disabled"}


@pytest.mark.parametrize("reasoning", [None, "provider-default"])
def test_default_is_the_providers(reasoning: Any):
    assert fields("claude-sonnet-4-6", reasoning=reasoning)[:2] == (None, None)


def test_option_of_the_provider_goes_before_it():
    options = {"anthropic": {"effort": "high"}}
    assert fields("claude-sonnet-4-6", reasoning="low", provider_options=options)[:2] == (None, {"effort": "high"})


def test_word_reaches_the_call_and_another_is_refused():
    result = stream_text(ScriptedModel(saying("Hi")), prompt="Hi", reasoning="low")
    assert result.request.call.reasoning == "low"
    with pytest.raises(ConfigurationError, match="reasoning must be one of provider-default, none, minimal"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi", reasoning="some")  # type: ignore[arg-type]
