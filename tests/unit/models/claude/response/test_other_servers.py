"""Streams as other servers than Anthropic's send them: nothing of an answer gets lost without a word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usechat.errors import ProviderStreamError
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import (
    Error,
    FinishReason,
    ModelFinish,
    ModelPart,
    ReasoningDelta,
    TextDelta,
    TextEnd,
    ToolCall,
    ToolInputDelta,
)

START: dict[str, Any] = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {}}}
STOP: dict[str, Any] = {"type": "message_stop"}
TOOL: dict[str, Any] = {"type": "tool_use", "id": "t", "name": "wipe", "input": {}}


def read(*events: dict[str, Any], uses_json_tool: bool = False) -> list[ModelPart]:
    stream = AnthropicStream(uses_json_tool=uses_json_tool)
    parts = [part for event in (START, *events) for part in stream.feed_event(event)]
    return parts + stream.finish()


def begin(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def end(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def stop_for(reason: str | None) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}}


def input_delta(text: Any) -> dict[str, Any]:
    return delta(type="input_json_delta", partial_json=text)


def calls(parts: list[ModelPart]) -> list[ToolCall]:
    return [part for part in parts if isinstance(part, ToolCall)]


def errors(parts: list[ModelPart]) -> list[Any]:
    return [part.error for part in parts if isinstance(part, Error)]


def finish(parts: list[ModelPart]) -> ModelFinish:
    assert isinstance(parts[-1], ModelFinish)
    return parts[-1]


@pytest.mark.parametrize("uses_json_tool", [False, True])
def test_first_words_in_the_start_of_a_text_are_kept(uses_json_tool: bool):
    more = delta(type="text_delta", text="words are here")
    parts = read(
        begin({"type": "text", "text": "The first "}),
        more,
        end(),
        stop_for("end_turn"),
        STOP,
        uses_json_tool=uses_json_tool,
    )
    assert "".join(part.delta for part in parts if isinstance(part, TextDelta)) == "The first words are here"


def test_first_words_and_signature_in_the_start_of_thinking_are_kept():
    parts = read(begin({"type": "thinking", "thinking": "Well, ", "signature": "s"}), end(), stop_for("end_turn"), STOP)
    (words, signature) = [part for part in parts if isinstance(part, ReasoningDelta)]
    assert words.delta == "Well, "
    assert signature.provider_metadata == {"anthropic": {"signature": "s"}}


def test_input_in_the_start_of_the_forced_json_tool_is_kept():
    block = {"type": "tool_use", "id": "t", "name": "json", "input": {"a": 1}}
    parts = read(begin(block), end(), stop_for("tool_use"), STOP, uses_json_tool=True)
    assert [part.delta for part in parts if isinstance(part, TextDelta)] == ['{"a":1}']


def test_blocks_without_an_end_are_whole_at_the_end_of_the_message():
    parts = read(
        begin({"type": "text", "text": ""}),
        delta(type="text_delta", text="Hello"),
        begin(TOOL, 1),
        delta(1, type="input_json_delta", partial_json='{"path":"/tmp"}'),
        stop_for("tool_use"),
        STOP,
    )
    assert any(isinstance(part, TextEnd) for part in parts)
    assert [call.input_text for call in calls(parts)] == ['{"path":"/tmp"}']


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([begin(TOOL), input_delta(7), end()], id="input-that-is-no-text"),
        pytest.param([begin({"type": "tool_use", "name": "wipe", "input": {}}), end()], id="call-without-id"),
        pytest.param([{"type": "content_block_start", "content_block": TOOL}, end()], id="start-without-index"),
        pytest.param([delta(type="text_delta", text="Hello")], id="delta-without-start"),
        pytest.param([begin({"type": "text", "text": 7}), end()], id="text-that-is-none"),
        pytest.param([{"type": "content_block_start", "index": 0, "content_block": 7}, end()], id="block-that-is-none"),
        pytest.param(
            [STOP, {"type": "message_start", "message": {"content": [{"type": "tool_use"}]}}], id="prefilled-without-id"
        ),
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_tool_runs_with_less(events: list[dict[str, Any]]):
    parts = read(*events, stop_for("tool_use"), STOP)
    (error,) = errors(parts)
    assert isinstance(error, ProviderStreamError)
    assert error.code == "invalid_response"
    assert calls(parts) == []


@pytest.mark.parametrize("unread", [delta(type="text_delta", text="?"), input_delta(None)])
def test_deltas_of_an_unknown_block_are_passed_over(unread: dict[str, Any]):
    assert errors(read(begin({"type": "hologram"}), unread, end(), stop_for("end_turn"), STOP)) == []


def test_citations_in_the_start_of_a_text_are_kept():
    cited = {"type": "page_location", "document_index": 0, "cited_text": "x"}
    parts = read(begin({"type": "text", "text": "x", "citations": [cited]}), end(), stop_for("end_turn"), STOP)
    (closed,) = [part for part in parts if isinstance(part, TextEnd)]
    assert closed.provider_metadata == {"anthropic": {"citations": [cited]}}


def test_unsigned_compaction_that_comes_whole_is_kept():
    parts = read(begin({"type": "compaction", "content": "Earlier: tides."}), end(), stop_for("end_turn"), STOP)
    assert [part.delta for part in parts if isinstance(part, TextDelta)] == ["Earlier: tides."]


def test_input_that_comes_as_json_text_is_that_input():
    parts = read(begin({**TOOL, "input": '{"path": "/a"}'}), end(), stop_for("tool_use"), STOP)
    assert [call.input_text for call in calls(parts)] == ['{"path": "/a"}']


def test_input_of_an_mcp_call_may_come_in_pieces():
    block: dict[str, Any] = {
        "type": "mcp_tool_use",
        "id": "mcptoolu_1",
        "name": "echo",
        "server_name": "srv",
        "input": {},
    }
    parts = read(begin(block), *map(input_delta, ('{"message": ', '"hi"}')), end(), stop_for("end_turn"), STOP)
    (call,) = calls(parts)
    assert (call.input_text, call.provider_executed) == ('{"message": "hi"}', True)


def test_block_without_an_end_ends_where_its_index_is_used_again():
    parts = read(begin(TOOL), input_delta("{}"), begin({"type": "text", "text": "Done."}), end(), STOP)
    assert [call.input_text for call in calls(parts)] == ["{}"]
    assert [part.delta for part in parts if isinstance(part, TextDelta)] == ["Done."]


def test_call_whose_block_has_ended_is_told_before_the_connection_breaks():
    stream = AnthropicStream()
    for event in (START, begin(TOOL), end()):
        stream.feed_event(event)
    call, error = stream.fail(ProviderStreamError("cut", provider="anthropic"))
    assert isinstance(call, ToolCall)
    assert isinstance(error, Error)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded_error"),
        ({"error": {"type": 7, "message": "Overloaded"}}, None),
        ({"error": "Overloaded"}, None),
        ({"message": "Overloaded"}, None),
    ],
)
def test_error_event_without_a_type_keeps_its_message(event: dict[str, Any], code: str | None):
    (error,) = errors(read(event))
    assert (error.message, error.code) == ("Overloaded", code)


def test_name_of_an_error_event_is_not_needed_to_read_it():
    stream = AnthropicStream()
    (error,) = errors(stream.feed(b'event: error\ndata: {"message": "Overloaded"}\n\n'))
    assert error.message == "Overloaded"


@pytest.mark.parametrize("later", [None, "missing"])
def test_later_delta_without_a_reason_does_not_erase_it(later: str | None):
    last: dict[str, Any] = {"type": "message_delta", "delta": {} if later else {"stop_reason": None}}
    assert finish(read(stop_for("tool_use"), last, STOP)).finish_reason.unified == "tool-calls"


def test_message_without_a_reason_is_complete_and_a_cut_one_is_not():
    assert finish(read(stop_for(None), STOP)).is_complete
    assert not finish(read(stop_for(None))).is_complete


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "refusal"])
@pytest.mark.parametrize("deltas", [[], [input_delta("")], [input_delta('{"path":"/')]])
@pytest.mark.parametrize("ends", [True, False])
def test_call_that_a_limit_or_a_refusal_cuts_says_so(reason: str, deltas: list[dict[str, Any]], ends: bool):
    (call,) = calls(read(begin(TOOL), *deltas, *([end()] if ends else []), stop_for(reason), STOP))
    assert call.is_cut


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([begin(TOOL), input_delta('{"path":"/tmp"}'), end()], "max_tokens", id="whole-input"),
        pytest.param([begin(TOOL), end()], "tool_use", id="no-limit"),
        pytest.param(
            [begin(TOOL), end(), begin({"type": "text", "text": "."}, 1), end(1)], "max_tokens", id="not-the-last"
        ),
    ],
)
def test_call_that_is_whole_is_not_cut(events: list[dict[str, Any]], reason: str):
    (call,) = calls(read(*events, stop_for(reason), STOP))
    assert not call.is_cut


def test_error_after_the_end_of_the_message_is_its_reason():
    parts = read(stop_for("end_turn"), STOP, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}})
    assert finish(parts).finish_reason == FinishReason("error", "end_turn")


def test_error_before_the_end_of_the_message_is_told_once():
    parts = read({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, STOP)
    assert len(errors(parts)) == 1


# Code that the provider runs


@pytest.mark.parametrize("tool", ["bash_code_execution", "text_editor_code_execution"])
@pytest.mark.parametrize("given", [{}, {"command": "echo 42"}])
def test_code_execution_keeps_its_kind_where_its_input_comes_with_the_start(tool: str, given: dict[str, Any]):
    block: dict[str, Any] = {"type": "server_tool_use", "id": "srvtoolu_1", "name": tool, "input": given}
    (made,) = calls(read(begin(block), end(), stop_for("end_turn"), STOP))
    assert json.loads(made.input_text) == {"type": tool, **given}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([' {"command": ', '"ls"}'], {"type": "bash_code_execution", "command": "ls"}),
        (["\n", " ", "{", ' "command": "ls"}'], {"type": "bash_code_execution", "command": "ls"}),
        (["{", " ", "}"], {"type": "bash_code_execution"}),
        (["{}"], {"type": "bash_code_execution"}),
        ([" "], {"type": "bash_code_execution"}),
    ],
)
def test_white_space_around_the_begin_of_a_code_executions_input_says_nothing(
    pieces: list[str], expected: dict[str, Any]
):
    block: dict[str, Any] = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}}
    (made,) = calls(read(begin(block), *map(input_delta, pieces), end(), stop_for("end_turn"), STOP))
    assert json.loads(made.input_text) == expected


@pytest.mark.parametrize("text", ["[1]", "{", '{"command": '])
def test_code_executions_input_that_is_no_object_is_handed_on_as_it_is_not_mended(text: str):
    block: dict[str, Any] = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}}
    (made,) = calls(read(begin(block), input_delta(text), end(), stop_for("end_turn"), STOP))
    assert made.input_text.endswith(text.lstrip("{"))


def test_shown_input_of_a_code_execution_is_the_input_of_its_call():
    block: dict[str, Any] = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}}
    parts = read(begin(block), *map(input_delta, (" ", "{", ' "command": "ls"}')), end(), stop_for("end_turn"), STOP)
    shown = "".join(part.delta for part in parts if isinstance(part, ToolInputDelta))
    assert [call.input_text for call in calls(parts)] == [shown]


def test_white_space_without_end_before_a_code_executions_input_costs_linear_time():
    block: dict[str, Any] = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}}
    space = input_delta(" " * 100)
    parts = read(begin(block), *[space] * 50_000, input_delta('{"command": "ls"}'), end(), stop_for("end_turn"), STOP)
    assert [json.loads(call.input_text)["command"] for call in calls(parts)] == ["ls"]


def test_garbage_without_end_makes_a_bounded_number_of_errors():
    stream = AnthropicStream()
    parts = [part for _ in range(1000) for part in stream.feed(b"data: garbage\n\n")]
    parts += [part for index in range(1000) for part in stream.feed_event(delta(index, type="text_delta", text="x"))]
    assert [type(part) for part in parts] == [Error] * 10
    (finish,) = stream.finish()
    assert isinstance(finish, ModelFinish)
    assert finish.finish_reason.unified == "error"
