"""What each stream of the Messages API means in parts: text, reasoning, endings, and what nobody knows."""

from __future__ import annotations

import json
import logging
from itertools import count
from typing import Any

import pytest
from anthropic._models import construct_type
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st

from usechat.errors import ProviderStreamError
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import (
    Custom,
    Error,
    FinishReason,
    ModelFinish,
    ModelPart,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputDelta,
)
from usechat.testing.streams import Framing, frame_event, read_events, read_stream, stream_names

FRAMINGS: list[Framing] = ["lf", "crlf", "cr", "multiline", "no-space", "comments", "no-event"]


def stream_for(name: str) -> AnthropicStream:
    numbers = count()
    return AnthropicStream(uses_json_tool=name.startswith("json-tool"), generate_id=lambda: f"source-{next(numbers)}")


def read(name: str) -> list[ModelPart]:
    stream = stream_for(name)
    return stream.feed(read_stream(name)) + stream.finish()


def read_pieces(name: str, body: bytes, *cuts: int) -> list[ModelPart]:
    stream = stream_for(name)
    parts: list[ModelPart] = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        parts += stream.feed(body[start:end])
    return parts + stream.finish()


def content(name: str) -> list[ModelPart]:
    """What is between the message's start and its end."""
    return [part for part in read(name) if not isinstance(part, Custom | ModelFinish)]


def finish(name: str) -> ModelFinish:
    last = read(name)[-1]
    assert isinstance(last, ModelFinish)
    return last


def comparable(parts: list[ModelPart]) -> list[object]:
    """Parts that hold an exception are equal when their exceptions say the same."""
    return [(part.error_text, vars(part.error)) if isinstance(part, Error) else part for part in parts]


def text(index: str, *deltas: str) -> list[ModelPart]:
    return [TextStart(index), *(TextDelta(index, delta) for delta in deltas), TextEnd(index)]


def signature(value: str) -> dict[str, dict[str, str]]:
    return {"anthropic": {"signature": value}}


SIGNATURE = signature("EqQBCkYIBRgCKkBUaWRlIHRhYmxlcw==")


# Text and reasoning


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", text("0", "High water ", "is at ", "14:20 ", "in Whitby.")),
        ("text-two-blocks", text("0", "First the tide.") + text("1", "Then the wind.")),
        ("text-empty-deltas", text("0", "Slack", "water")),
        ("text-in-block-start", text("0", "announced ", "streamed")),
        ("ping", text("0", "Still ", "here.")),
        ("empty-message", []),
        ("text-surrogates", text("0", "half a wave: \ud83c", "\udf0a and the other half", "alone \ude00")),
    ],
)
def test_text_blocks_open_grow_and_end(name: str, expected: list[ModelPart]):
    assert content(name) == expected


def test_every_character_that_json_can_escape_survives():
    deltas = [part.delta for part in content("text-escapes") if isinstance(part, TextDelta)]
    assert deltas[0] == 'quote " backslash \\ slash / tab \t'
    assert deltas[1:4] == ["line\nbreak\r\nand\rmore", "null \x00 bell \x07", "\u2028 and \u2029"]
    assert deltas[-2] == "👩‍👩‍👧‍👦 🌊"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "thinking",
            [
                ReasoningStart("0"),
                ReasoningDelta("0", "The moon is new, "),
                ReasoningDelta("0", "so the range is large."),
                ReasoningDelta("0", "", SIGNATURE),
                ReasoningEnd("0"),
            ],
        ),
        ("thinking-signature-only", [ReasoningStart("0"), ReasoningDelta("0", "", SIGNATURE), ReasoningEnd("0")]),
        ("thinking-unsigned", [ReasoningStart("0"), ReasoningDelta("0", "Nobody signed this."), ReasoningEnd("0")]),
        (
            "thinking-redacted",
            [
                ReasoningStart("0", {"anthropic": {"redactedData": "EmwKAhgBEgxSZWRhY3RlZFRpZGU="}}),
                ReasoningEnd("0"),
            ],
        ),
    ],
)
def test_reasoning_comes_with_its_signature_or_its_redacted_data(name: str, expected: list[ModelPart]):
    parts = content(name)
    assert parts[: len(expected)] == expected
    assert parts[len(expected)] == TextStart("1")


def test_reasoning_between_tool_calls_keeps_the_order_of_its_blocks():
    kinds = [type(part).__name__ for part in content("thinking-interleaved")]
    one_round = ["ReasoningStart", "ReasoningDelta", "ReasoningDelta", "ReasoningEnd"]
    call = ["ToolInputStart", "ToolInputDelta", "ToolCall"]
    assert kinds == [*one_round, *call, *one_round, *call]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("compaction", TextStart("0", {"anthropic": {"type": "compaction"}})),
        ("compaction-signed", TextStart("0", {"anthropic": {"type": "compaction", "signature": "EqQBCm"}})),
    ],
)
def test_compaction_is_text_that_says_what_it_is(name: str, start: TextStart):
    assert content(name)[:3] == [start, TextDelta("0", "Earlier: tides of Whitby."), TextEnd("0")]


# Errors


@pytest.mark.parametrize(
    ("name", "code", "status", "is_retryable"),
    [
        ("error-api", "api_error", 500, True),
        ("error-authentication", "authentication_error", 401, False),
        ("error-billing", "billing_error", 400, False),
        ("error-invalid-request", "invalid_request_error", 400, False),
        ("error-not-found", "not_found_error", 404, False),
        ("error-overloaded", "overloaded_error", 529, True),
        ("error-permission", "permission_error", 403, False),
        ("error-rate-limit", "rate_limit_error", 429, True),
        ("error-request-too-large", "request_too_large", 413, False),
        ("error-tsunami", "tsunami_error", None, False),
    ],
)
def test_error_event_is_masked_and_carries_what_happened(name: str, code: str, status: int | None, is_retryable: bool):
    part, last = read(name)
    assert isinstance(part, Error)
    assert part.error_text == "An error occurred."
    error = part.error
    assert isinstance(error, ProviderStreamError)
    assert (error.code, error.status, error.is_retryable) == (code, status, is_retryable)
    assert isinstance(last, ModelFinish)
    assert last.finish_reason == FinishReason("error")


def test_error_midway_follows_what_was_said_and_names_the_request():
    *said, part = content("error-midway")
    assert said == [TextStart("0"), TextDelta("0", "Until ")]
    assert isinstance(part, Error)
    assert isinstance(part.error, ProviderStreamError)
    assert part.error.request_id == "req_midway"


def test_broken_connection_is_an_error_and_an_error_finish():
    stream = AnthropicStream()
    stream.feed(read_stream("early-end"))
    error = ProviderStreamError("cut", provider="anthropic")
    assert stream.fail(error) == [Error("An error occurred.", error)]
    assert isinstance(last := stream.finish()[-1], ModelFinish)
    assert last.finish_reason.unified == "error"


def test_event_that_is_not_json_is_an_error_because_something_was_lost():
    stream = AnthropicStream()
    (part,) = stream.feed(b"data: {oops\n\n")
    assert isinstance(part, Error)
    assert isinstance(part.error, ProviderStreamError)
    assert part.error.code == "invalid_json"


def test_end_mark_of_other_providers_is_passed_over():
    stream = AnthropicStream()
    assert stream.feed(b"data: [DONE]\n\n") == []
    assert stream.event_count == 0


def test_repeated_message_start_of_the_same_message_is_passed_over():
    assert [type(part).__name__ for part in read("message-start-twice")].count("Custom") == 1
    assert content("message-start-twice") == text("0", "Once.")


def test_second_message_within_the_first_ends_the_reading():
    *said, part = content("message-spliced")
    assert said == text("0", "Mine.")
    assert isinstance(part, Error)
    assert finish("message-spliced").finish_reason.unified == "error"


def test_message_after_the_first_is_read_on():
    assert content("sequential-messages") == text("0", "One.") + text("0", "Two.")
    assert finish("sequential-messages").response_id == "msg_sequel"


# What nobody knows


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unknown-block", text("1", "After it.")),
        ("unknown-event", text("0", "After it.")),
        ("unknown-delta", text("0", "Before ", "and after.")),
    ],
)
def test_what_is_unknown_is_passed_over_and_logged(
    name: str, expected: list[ModelPart], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG, "usechat.models"):
        assert content(name) == expected
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


@pytest.mark.parametrize(
    "event",
    [
        '{"type":"content_block_stop"}',
        '{"type":"content_block_stop","index":[]}',
        '{"type":"content_block_delta"}',
        '{"type":"message_start"}',
        '{"type":"message_start","message":{"content":[{"type":"text"}]}}',
        '{"type":"message_delta","usage":[]}',
        '{"type":"message_delta","delta":null,"usage":null,"context_management":{"applied_edits":[null]}}',
        '{"type":["list"]}',
        '{"no":"type"}',
        "[]",
        "null",
        '"text"',
    ],
)
def test_malformed_event_costs_only_itself(event: str):
    stream = AnthropicStream()
    before = stream.feed(frame_event(event)) if event.startswith("{") else stream.feed(f"data: {event}\n\n".encode())
    assert not any(isinstance(part, Error) for part in before)
    events = [each for each in read_events("text") if "message_start" not in each]
    after = stream.feed(b"".join(frame_event(each) for each in events)) + stream.finish()
    assert TextDelta("0", "14:20 ") in after


@pytest.mark.parametrize(
    "event",
    [
        '{"type":"content_block_start"}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking"}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"web_search_tool_result","content":[]}}',
        '{"type":"content_block_delta","index":"0","delta":{"type":"text_delta","text":"x"}}',
        '{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"to no block"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":null}}',
    ],
)
def test_content_that_cannot_be_read_is_an_error(event: str):
    stream = AnthropicStream()
    (error,) = [part for part in stream.feed(frame_event(event)) if isinstance(part, Error)]
    assert isinstance(error.error, ProviderStreamError)
    assert error.error.code == "invalid_response"
    events = [each for each in read_events("text") if "message_start" not in each]
    after = stream.feed(b"".join(frame_event(each) for each in events)) + stream.finish()
    assert TextDelta("0", "14:20 ") in after


DELTAS = {
    "text_delta": {"text": "x"},
    "thinking_delta": {"thinking": "x"},
    "signature_delta": {"signature": "x"},
    "input_json_delta": {"partial_json": "x"},
    "compaction_delta": {"content": "x"},
    "citations_delta": {"citation": {"type": "char_location", "document_index": 0}},
}
BLOCKS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "text": ({"text": ""}, {"text_delta", "compaction_delta"}),
    "thinking": ({"thinking": ""}, {"thinking_delta", "signature_delta"}),
    "redacted_thinking": ({"data": "x"}, set()),
    "tool_use": ({"id": "t", "name": "n", "input": {}}, {"input_json_delta"}),
    "server_tool_use": ({"id": "t", "name": "bash_code_execution", "input": {}}, {"input_json_delta"}),
    "mcp_tool_result": ({"tool_use_id": "t", "content": []}, set()),
}


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("block", BLOCKS)
def test_delta_that_its_block_cannot_hold_says_nothing(block: str, delta: str):
    fields, takes = BLOCKS[block]
    stream = AnthropicStream()
    stream.feed_event({"type": "content_block_start", "index": 0, "content_block": {"type": block, **fields}})
    parts = stream.feed_event({"type": "content_block_delta", "index": 0, "delta": {"type": delta, **DELTAS[delta]}})
    assert bool(parts) == (delta in takes)


@pytest.mark.parametrize("delta", DELTAS)
def test_toolset_input_and_held_text_say_nothing_before_their_end(delta: str):
    stream = AnthropicStream(uses_json_tool=True)
    toolset = {"type": "tool_use", "id": "t", "name": "n", "toolset_name": "computer"}
    for index, block in enumerate([{"type": "text", "text": ""}, toolset]):
        stream.feed_event({"type": "content_block_start", "index": index, "content_block": block})
        assert not stream.feed_event(
            {"type": "content_block_delta", "index": index, "delta": {"type": delta, **DELTAS[delta]}}
        )


def test_text_held_back_keeps_its_citations():
    stream = AnthropicStream(uses_json_tool=True)
    parts = stream.feed(read_stream("citations-char")) + stream.finish()
    (end, _) = [part for part in parts if isinstance(part, TextEnd)]
    assert end.citations


def test_bytes_that_are_no_utf8_are_replaced():
    stream = AnthropicStream()
    stream.feed(frame_event(read_events("text")[1]))
    event = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\xff!"}}'
    assert stream.feed(b"data: " + event + b"\n\n") == [TextDelta("0", "\ufffd!")]


# However the bytes arrive


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", stream_names())
def test_every_stream_means_the_same_in_every_framing(name: str, framing: Framing):
    events = read_events(name)
    body = b"".join(frame_event(event, framing, number=number) for number, event in enumerate(events))
    assert comparable(read_pieces(name, body)) == comparable(read(name))


@pytest.mark.parametrize("name", stream_names())
def test_every_stream_means_the_same_byte_by_byte(name: str):
    body = read_stream(name)
    assert comparable(read_pieces(name, body, *range(1, len(body)))) == comparable(read(name))


@given(st.data(), st.sampled_from(stream_names()), st.sampled_from(FRAMINGS))
def test_any_split_of_the_bytes_gives_the_same_parts(data: st.DataObject, name: str, framing: Framing):
    events = read_events(name)
    body = b"".join(frame_event(event, framing, number=number) for number, event in enumerate(events))
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=10).map(sorted))
    assert comparable(read_pieces(name, body, *cuts)) == comparable(read(name))


@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=5))
def test_any_text_arrives_as_it_was_sent(deltas: list[str]):
    start = frame_event(read_events("text")[1])
    events = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": delta}} for delta in deltas
    ]
    stream = AnthropicStream()
    stream.feed(start)
    parts = stream.feed(b"".join(b"data: " + as_json(event) + b"\n\n" for event in events))
    assert parts == [TextDelta("0", delta) for delta in deltas if delta]


def as_json(event: object) -> bytes:
    return json.dumps(event).encode()


@pytest.mark.parametrize("name", stream_names())
def test_decoded_events_mean_the_same_as_bytes(name: str):
    stream = stream_for(name)
    parts = [part for event in read_events(name) for part in stream.feed_event(json.loads(event))]
    assert comparable(parts + stream.finish()) == comparable(read(name))


@pytest.mark.parametrize("name", [name for name in stream_names() if name != "usage-missing"])
def test_event_objects_of_the_anthropic_package_mean_the_same_as_bytes(name: str):
    stream = stream_for(name)
    events: list[Any] = [
        construct_type(value=json.loads(event), type_=RawMessageStreamEvent) for event in read_events(name)
    ]
    parts = [part for event in events for part in stream.feed_event(event)]
    assert comparable(parts + stream.finish()) == comparable(read(name))


def test_object_that_is_no_event_is_passed_over():
    stream = AnthropicStream()
    assert stream.feed_event(object()) == []


def test_tool_input_costs_the_same_for_each_delta_however_long_it_grows():
    stream = AnthropicStream()
    stream.feed(frame_event(read_events("tool")[1]))
    delta = frame_event(
        '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"1"}}'
    )
    for _ in range(3):
        assert stream.feed(delta) == [ToolInputDelta("toolu_tide", "1")]
