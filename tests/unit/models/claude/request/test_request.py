"""The body of a request: settings of a call, thinking and options."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.models.claude.request.conversations import SONNET, WEATHER, Json, request, text_block, user_turn
from usechat.models.claude.catalog import model_capabilities

# The body


def test_the_smallest_request():
    assert request(system="Be kind.").body == {
        "model": "a-model",
        "max_tokens": 4096,
        "system": [text_block("Be kind.")],
        "messages": [user_turn(text_block("Weather?"))],
        "stream": True,
    }


def test_settings_of_a_call():
    body = request(max_output_tokens=5, temperature=0.5, top_p=0.1, top_k=3, stop_sequences=("X",)).body
    assert {key: body[key] for key in ("max_tokens", "temperature", "top_p", "top_k", "stop_sequences")} == {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.1,
        "top_k": 3,
        "stop_sequences": ["X"],
    }


@pytest.mark.parametrize(
    ("model_id", "max_tokens"),
    [
        ("fixture", 4096),
        ("claude-3-5-sonnet-20241022", 4096),
        ("claude-opus-4-20250514", 32_000),
        ("claude-sonnet-4-0", 64_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-next", 128_000),
    ],
)
def test_the_longest_answer_is_the_models_own(model_id: str, max_tokens: int):
    assert request(model_id=model_id).body["max_tokens"] == max_tokens
    assert model_capabilities(model_id).max_output_tokens == max_tokens


def test_known_models_are_not_asked_for_more_than_they_give():
    built = request(model_id=SONNET, max_output_tokens=100_000)
    assert built.body["max_tokens"] == 64_000
    assert built.warnings
    assert request(max_output_tokens=100_000).body["max_tokens"] == 100_000


@pytest.mark.parametrize(
    ("call", "kept"),
    [
        ({"temperature": 7}, {"temperature": 1}),
        ({"temperature": -1}, {"temperature": 0}),
        ({"temperature": 0.1, "top_p": 0.5}, {"temperature": 0.1}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
    ],
)
def test_sampling_is_kept_within_what_a_claude_takes(call: Json, kept: Json):
    body = request(model_id=SONNET, **call).body
    assert {key: body[key] for key in ("temperature", "top_p", "top_k") if key in body} == kept


def test_newer_models_take_no_sampling():
    assert "temperature" not in request(model_id="claude-opus-4-8", temperature=0.5).body


# Thinking


@pytest.mark.parametrize(
    ("model_id", "options", "thinking", "effort"),
    [
        (
            "x",
            {"thinking": {"type": "enabled", "budgetTokens": 2000}},
            {"type": "enabled", "budget_tokens": 2000},
            None,
        ),
        ("x", {"thinking": {"type": "enabled"}}, {"type": "enabled", "budget_tokens": 1024}, None),
        (
            "x",
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            {"type": "adaptive", "display": "omitted"},
            None,
        ),
        ("x", {"thinking": {"type": "disabled", "x": 1}}, {"type": "disabled"}, None),
        ("claude-opus-5-5", {"thinking": {"type": "disabled"}}, None, None),
        ("claude-sonnet-5-5", {"thinking": {"type": "disabled"}, "effort": "max"}, {"type": "between_tools"}, "high"),
        ("claude-opus-5-5", {"thinking": {"type": "enabled", "budgetTokens": 1}}, {"type": "adaptive"}, None),
        ("claude-opus-5", {"thinking": {"type": "disabled"}, "effort": "xhigh"}, {"type": "disabled"}, "high"),
        ("x", {"effort": "low"}, None, "low"),
        ("x", {"thinking": "yes"}, None, None),
    ],
)
def test_thinking_is_what_the_model_takes(model_id: str, options: Json, thinking: Json, effort: str | None):
    body = request(model_id=model_id, options=options).body
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_a_thinking_budget_is_on_top_of_the_answer_and_takes_no_sampling():
    body = request(options={"thinking": {"type": "enabled", "budgetTokens": 2000}}, temperature=0.5).body
    assert body["max_tokens"] == 6096
    assert "temperature" not in body


# Options


def test_options_in_either_spelling_and_unknown_ones_go_through():
    camel = request(options={"serviceTier": "auto", "metadata": {"userId": "u"}, "brandNewField": {"someKey": 1}}).body
    snake = request(
        options={"service_tier": "auto", "metadata": {"user_id": "u"}, "brand_new_field": {"some_key": 1}}
    ).body
    assert camel == snake
    assert camel["brand_new_field"] == {"some_key": 1}
    assert camel["metadata"] == {"user_id": "u"}


@pytest.mark.parametrize(
    ("options", "key", "value", "betas"),
    [
        ({"container": {"id": "c"}}, "container", "c", ()),
        ({"container": "c"}, "container", "c", ()),
        (
            {"container": {"skills": [{"type": "custom", "providerReference": {"anthropic": "s"}}]}},
            "container",
            {"skills": [{"type": "custom", "skill_id": "s"}]},
            ("code-execution-2025-08-25", "skills-2025-10-02", "files-api-2025-04-14"),
        ),
        (
            {"mcpServers": [{"type": "url", "name": "n", "url": "u", "authorizationToken": None}]},
            "mcp_servers",
            [{"type": "url", "name": "n", "url": "u"}],
            ("mcp-client-2025-04-04",),
        ),
        (
            {"contextManagement": {"edits": [{"type": "compact_20260112", "pauseAfterCompaction": True}]}},
            "context_management",
            {"edits": [{"type": "compact_20260112", "pause_after_compaction": True}]},
            ("context-management-2025-06-27", "compact-2026-01-12"),
        ),
        (
            {"safeguards": [{"type": "dangerous_tool_use", "classifierContext": {"ownKey": 1}}]},
            "safeguards",
            [{"type": "dangerous_tool_use", "classifier_context": {"ownKey": 1}}],
            ("dangerous-tool-use-2026-09-03",),
        ),
        ({"fallbacks": "default"}, "fallbacks", "default", ("server-side-fallback-2026-07-01",)),
        ({"fallbacks": []}, "fallbacks", None, ()),
        ({"speed": "fast"}, "speed", "fast", ("fast-mode-2026-02-01",)),
        (
            {"taskBudget": {"type": "tokens", "total": 20000}},
            "output_config",
            {"task_budget": {"type": "tokens", "total": 20000}},
            ("task-budgets-2026-03-13",),
        ),
        ({"cacheControl": {"type": "ephemeral"}}, "cache_control", {"type": "ephemeral"}, ()),
        ({"anthropicBeta": ["b-1"]}, "betas", None, ("b-1",)),
        ({"mcpServers": [], "metadata": {}, "container": {}}, "mcp_servers", None, ()),
    ],
)
def test_provider_options(options: Json, key: str, value: Json, betas: Sequence[str]):
    built = request(options=options)
    assert built.body.get(key) == value
    assert built.betas == tuple(betas)


def test_a_thread_that_goes_on_has_its_tools_and_instructions_already():
    options = {"thread": {"type": "continue", "previousMessageId": "msg_1"}}
    body = request(system="Be kind.", tools=[WEATHER], options=options).body
    assert body["thread"] == {"type": "continue", "previous_message_id": "msg_1"}
    assert "system" not in body
    assert "tools" not in body
