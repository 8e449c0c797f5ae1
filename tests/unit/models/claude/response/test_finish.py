"""How an answer begins and ends: finish reasons, token counts, and what the provider says besides."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import Custom, Error, FinishReason, ModelFinish, ModelPart, TextDelta, TextStart, Usage
from usechat.testing.streams import frame_event, read_events, read_stream


def read(name: str) -> list[ModelPart]:
    stream = AnthropicStream(uses_json_tool=name.startswith("json-tool"))
    return stream.feed(read_stream(name)) + stream.finish()


def content(name: str) -> list[ModelPart]:
    """What is between the message's start and its end."""
    return [part for part in read(name) if not isinstance(part, Custom | ModelFinish)]


def finish(name: str) -> ModelFinish:
    last = read(name)[-1]
    assert isinstance(last, ModelFinish)
    return last


def metadata(name: str) -> dict[str, Any]:
    found = finish(name).provider_metadata
    assert found is not None
    return dict(found["anthropic"])


def test_message_start_tells_id_model_and_usage():
    usage = {
        "input_tokens": 42,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    expected = {"id": "msg_text", "model": "claude-sonnet-4-6", "usage": usage}
    assert read("text")[0] == Custom("anthropic.message_start", {"anthropic": expected})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", FinishReason("stop", "end_turn")),
        ("stop-stop-sequence", FinishReason("stop", "stop_sequence")),
        ("stop-pause-turn", FinishReason("stop", "pause_turn")),
        ("tool", FinishReason("tool-calls", "tool_use")),
        ("stop-max-tokens", FinishReason("length", "max_tokens")),
        ("stop-model-context-window-exceeded", FinishReason("length", "model_context_window_exceeded")),
        ("stop-refusal", FinishReason("content-filter", "refusal")),
        ("stop-compaction", FinishReason("other", "compaction")),
        ("stop-washed-ashore", FinishReason("other", "washed_ashore")),
        ("json-tool", FinishReason("stop", "tool_use")),
        ("tool-prefilled", FinishReason("tool-calls", "tool_use")),
        ("early-end", FinishReason("interrupted")),
        ("early-end-silent", FinishReason("other")),
        ("error-midway", FinishReason("error")),
        ("sequential-messages", FinishReason("length", "max_tokens")),
    ],
)
def test_finish_reason_is_the_unified_one_and_the_raw_one(name: str, reason: FinishReason):
    assert finish(name).finish_reason == reason


def test_early_end_counts_no_tokens_and_leaves_its_block_open():
    assert content("early-end") == [TextStart("0"), TextDelta("0", "And then the line went")]
    assert finish("early-end") == ModelFinish(
        finish_reason=FinishReason("interrupted"),
        usage=Usage(),
        response_id="msg_early_end",
        model_id="claude-sonnet-4-6",
        is_complete=False,
    )


@pytest.mark.parametrize(
    "delta", ['{"type":"thinking_delta","thinking":"x"}', '{"type":"input_json_delta","partial_json":"x"}']
)
def test_reasoning_and_tool_input_count_as_output_too(delta: str):
    kind = '{"type":"thinking"}' if "thinking" in delta else '{"type":"tool_use","id":"t","name":"n","input":{}}'
    stream = AnthropicStream()
    stream.feed(frame_event(f'{{"type":"content_block_start","index":0,"content_block":{kind}}}'))
    stream.feed(frame_event(f'{{"type":"content_block_delta","index":0,"delta":{delta}}}'))
    last = stream.finish()[-1]
    assert isinstance(last, ModelFinish)
    assert last.finish_reason.unified == "interrupted"


def test_last_event_without_its_blank_line_counts():
    stream = AnthropicStream()
    stream.feed(read_stream("text")[:-1])
    assert not stream.is_complete
    assert isinstance(last := stream.finish()[-1], ModelFinish)
    assert last.finish_reason.unified == "stop"


def test_half_an_event_at_the_end_is_no_error():
    stream = AnthropicStream()
    parts = stream.feed(read_stream("text")[:-20]) + stream.finish()
    assert not any(isinstance(part, Error) for part in parts)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", Usage(input_no_cache=42, input_cache_read=0, input_cache_write=0, output=24, input_first=42)),
        (
            "usage-cache",
            Usage(input_no_cache=11, input_cache_read=2048, input_cache_write=100, output=24, input_first=9),
        ),
        (
            "usage-thinking",
            Usage(
                input_no_cache=42,
                input_cache_read=0,
                input_cache_write=0,
                output=40,
                output_text=9,
                output_reasoning=31,
                input_first=42,
            ),
        ),
        ("advisor", Usage(input_no_cache=110, input_cache_read=0, input_cache_write=0, output=24, input_first=42)),
        ("compaction", Usage(input_no_cache=9400, input_cache_read=0, input_cache_write=0, output=324, input_first=42)),
        ("fallback", Usage(input_no_cache=42, input_cache_read=0, input_cache_write=0, output=24, input_first=42)),
        ("usage-missing", Usage(input_cache_read=0, input_cache_write=0, output=0)),
    ],
)
def test_usage_counts_what_is_billed(name: str, expected: Usage):
    assert msgspec.structs.replace(finish(name).usage, raw=None) == expected


def test_raw_usage_is_what_the_provider_said_merged():
    assert finish("usage-cache").usage.raw == {
        "input_tokens": 11,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 2048,
        "output_tokens": 24,
        "service_tier": "priority",
    }


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("text", "stopSequence", None),
        ("text", "container", None),
        ("text", "iterations", None),
        ("text", "contextManagement", None),
        ("text", "serviceTier", "standard"),
        ("usage-cache", "serviceTier", "priority"),
        ("stop-stop-sequence", "stopSequence", "###"),
        ("stop-refusal", "stopDetails", {"type": "refusal", "category": "cyber", "explanation": "Not this."}),
        (
            "container",
            "container",
            {
                "expiresAt": "2026-11-22T10:05:00Z",
                "id": "container_1",
                "skills": [{"type": "anthropic", "skillId": "xlsx", "version": "latest"}],
            },
        ),
        ("compaction", "contextManagement", {"appliedEdits": [{"type": "compact_20260112"}]}),
        (
            "context-management",
            "contextManagement",
            {
                "appliedEdits": [
                    {"type": "clear_tool_uses_20250919", "clearedToolUses": 2, "clearedInputTokens": 900},
                    {"type": "clear_thinking_20251015", "clearedThinkingTurns": 1, "clearedInputTokens": 300},
                ]
            },
        ),
        (
            "advisor",
            "iterations",
            [
                {"type": "message", "inputTokens": 40, "outputTokens": 9},
                {"type": "advisor_message", "model": "claude-opus-4-6", "inputTokens": 500, "outputTokens": 60},
                {
                    "type": "message",
                    "inputTokens": 70,
                    "outputTokens": 15,
                    "cacheCreationInputTokens": 3,
                    "cacheReadInputTokens": 12,
                },
            ],
        ),
    ],
)
def test_finish_carries_the_metadata_of_the_ai_sdk(name: str, key: str, expected: object):
    assert metadata(name)[key] == expected


def test_metadata_that_was_not_sent_is_left_out():
    assert {"stopDetails", "inputTransformations", "safeguardResults"}.isdisjoint(metadata("text"))


def test_container_of_the_message_start_stands_until_the_message_delta():
    stream = AnthropicStream()
    stream.feed(b"".join(frame_event(event) for event in read_events("container")[:1]))
    stream.feed(frame_event('{"type":"message_stop"}'))
    last = stream.finish()[-1]
    assert isinstance(last, ModelFinish)
    assert last.provider_metadata is not None
    assert last.provider_metadata["anthropic"]["container"] == {
        "expiresAt": "2026-11-22T10:00:00Z",
        "id": "container_1",
        "skills": None,
    }
