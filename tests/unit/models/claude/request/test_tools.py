"""Tool calls and the results of the tools that Anthropic runs, as parts."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import (
    Custom,
    ModelFinish,
    ModelPart,
    SourceUrl,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputError,
)
from usechat.testing.streams import frame_event, read_stream


def content(name: str, **options: Any) -> list[ModelPart]:
    stream = AnthropicStream(generate_id=lambda: "source", **options)
    parts = stream.feed(read_stream(name)) + stream.finish()
    return [part for part in parts if not isinstance(part, Custom | ModelFinish)]


def start(id: str, name: str, **more: Any) -> ToolInputStart:
    return ToolInputStart(tool_call_id=id, tool_name=name, **more)


def call(id: str, name: str, input_text: str, **more: Any) -> ToolCall:
    return ToolCall(tool_call_id=id, tool_name=name, input_text=input_text, **more)


def caller(**caller: str) -> dict[str, dict[str, Any]]:
    return {"anthropic": {"caller": caller}}


# Calls of the application's tools


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "tool",
            [
                start("toolu_tide", "get_tide"),
                ToolInputDelta("toolu_tide", ""),
                ToolInputDelta("toolu_tide", '{"po'),
                ToolInputDelta("toolu_tide", 'rt": "Whit'),
                ToolInputDelta("toolu_tide", 'by", "day"'),
                ToolInputDelta("toolu_tide", ': "2026-11-22"}'),
                call("toolu_tide", "get_tide", '{"port": "Whitby", "day": "2026-11-22"}'),
            ],
        ),
        ("tool-no-delta", [start("toolu_now", "get_time"), call("toolu_now", "get_time", "{}")]),
        (
            "tool-empty-delta",
            [
                start("toolu_now", "get_time"),
                ToolInputDelta("toolu_now", ""),
                call("toolu_now", "get_time", "{}"),
            ],
        ),
        (
            "tool-bad-json",
            [
                start("toolu_tide", "get_tide"),
                ToolInputDelta("toolu_tide", '{"port": "Whit'),
                call("toolu_tide", "get_tide", '{"port": "Whit'),
            ],
        ),
        (
            "tool-start-input",
            [
                start("toolu_tide", "get_tide"),
                call(
                    "toolu_tide",
                    "get_tide",
                    '{"port":"Whitby"}',
                    provider_metadata=caller(type="code_execution_20260120", toolId="srvtoolu_code"),
                ),
            ],
        ),
        (
            "tool-prefilled",
            [
                start("toolu_tide", "get_tide"),
                ToolInputDelta("toolu_tide", '{"port":"Whitby"}'),
                call(
                    "toolu_tide",
                    "get_tide",
                    '{"port":"Whitby"}',
                    provider_metadata=caller(type="code_execution_20250825", toolId="srvtoolu_code"),
                ),
            ],
        ),
        (
            "tool-caller",
            [
                start("toolu_tide", "get_tide"),
                ToolInputDelta("toolu_tide", '{"port": "Whitby"}'),
                call("toolu_tide", "get_tide", '{"port": "Whitby"}', provider_metadata=caller(type="direct")),
            ],
        ),
    ],
)
def test_tool_call_begins_grows_and_ends_with_its_whole_input(name: str, expected: list[ModelPart]):
    assert content(name) == expected


@pytest.mark.parametrize("name", ["tool-parallel", "tool-interleaved"])
def test_parallel_calls_keep_their_inputs_apart(name: str):
    calls = {part.tool_call_id: part.input_text for part in content(name) if isinstance(part, ToolCall)}
    assert calls == {"toolu_a": '{"port": "Whitby"}', "toolu_b": '{"port": "Cromer"}'}


def test_member_of_a_toolset_is_a_call_of_the_toolset_with_an_action():
    text = '{"coordinate":[120,48],"action":"left_click"}'
    assert content("toolset", tool_names={"computer": "my_computer"}) == [
        start("toolu_click", "my_computer"),
        ToolInputDelta("toolu_click", text),
        call("toolu_click", "my_computer", text, provider_metadata={"anthropic": {"toolsetName": "computer"}}),
    ]


def test_broken_input_of_a_toolset_member_is_handed_on_as_it_is():
    block = '{"type":"tool_use","id":"t","name":"left_click","input":{},"toolset_name":"computer"}'
    stream = AnthropicStream()
    stream.feed(frame_event(f'{{"type":"content_block_start","index":0,"content_block":{block}}}'))
    delta = '{"type":"input_json_delta","partial_json":"{\\"x\\""}'
    stream.feed(frame_event(f'{{"type":"content_block_delta","index":0,"delta":{delta}}}'))
    stream.feed(frame_event('{"type":"content_block_stop","index":0}'))
    (_, made) = stream.feed(frame_event('{"type":"message_stop"}'))
    assert isinstance(made, ToolCall)
    assert made.input_text == '{"x"'


# The forced json tool


def test_input_of_the_forced_json_tool_is_the_text():
    assert content("json-tool", uses_json_tool=True) == [
        TextStart("0"),
        TextDelta("0", '{"port": '),
        TextDelta("0", '"Whitby"}'),
        TextEnd("0"),
    ]


def test_text_before_the_json_tool_is_no_part_of_the_answer():
    assert content("json-tool-text-first", uses_json_tool=True) == [
        TextStart("1"),
        TextDelta("1", '{"port": "Whitby"}'),
        TextEnd("1"),
    ]


def test_text_is_the_answer_when_the_json_tool_is_never_called():
    assert content("json-tool-not-called", uses_json_tool=True) == [
        TextStart("0"),
        TextDelta("0", '{"port": "Whitby"}'),
        TextEnd("0"),
    ]


@pytest.mark.parametrize("name", ["stop-pause-turn", "tool-text-first"])
def test_text_before_a_continuation_is_dropped_in_json_mode(name: str):
    assert not any(isinstance(part, TextDelta) for part in content(name, uses_json_tool=True))


def test_empty_text_is_not_shown_in_json_mode():
    stream = AnthropicStream(uses_json_tool=True)
    for event in ('"content_block_start","index":0,"content_block":{"type":"text","text":""}', '"message_stop"'):
        stream.feed(frame_event(f'{{"type":{event}}}'))
    assert not any(isinstance(part, TextStart) for part in stream.finish())


def test_tool_named_json_is_a_tool_when_it_was_not_forced():
    assert content("json-tool")[0] == start("toolu_json", "json")


# Tools that Anthropic runs


def test_web_search_gives_its_hits_and_a_source_for_each():
    parts = content("web-search", tool_names={"web_search": "look_up"})
    assert parts[:3] == [
        start("srvtoolu_ws", "look_up", provider_executed=True),
        ToolInputDelta("srvtoolu_ws", '{"query": '),
        ToolInputDelta("srvtoolu_ws", '"whitby tide"}'),
    ]
    assert parts[3] == call("srvtoolu_ws", "look_up", '{"query": "whitby tide"}', provider_executed=True)
    assert parts[4] == ToolOutputAvailable(
        tool_call_id="srvtoolu_ws",
        tool_name="look_up",
        output=[
            {
                "url": "https://tides.example/whitby",
                "title": "Whitby tide times",
                "pageAge": "2 days ago",
                "encryptedContent": "EqgfCioIARgB",
                "type": "web_search_result",
            },
            {
                "url": "https://harbour.example/notices",
                "title": "Harbour notices",
                "pageAge": None,
                "encryptedContent": "EqgfCioIARgC",
                "type": "web_search_result",
            },
        ],
        provider_executed=True,
    )
    assert parts[5] == SourceUrl(
        source_id="source",
        url="https://tides.example/whitby",
        title="Whitby tide times",
        provider_metadata={"anthropic": {"pageAge": "2 days ago"}},
    )
    assert isinstance(parts[6], SourceUrl)


def output(name: str) -> Any:
    (part,) = [part for part in content(name) if isinstance(part, ToolOutputAvailable)]
    assert part.provider_executed
    return part.output


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "web-fetch",
            {
                "type": "web_fetch_result",
                "url": "https://harbour.example/notices",
                "retrievedAt": "2026-11-22T09:00:00Z",
                "content": {
                    "type": "document",
                    "title": "Harbour notices",
                    "citations": {"enabled": True},
                    "source": {
                        "type": "text",
                        "mediaType": "text/plain",
                        "data": "The swing bridge opens at noon.",
                    },
                },
            },
        ),
        (
            "web-fetch-pdf",
            {
                "type": "web_fetch_result",
                "url": "https://harbour.example/chart.pdf",
                "retrievedAt": None,
                "content": {
                    "type": "document",
                    "title": None,
                    "source": {"type": "base64", "mediaType": "application/pdf", "data": "JVBERi0xLjQK"},
                },
            },
        ),
        (
            "code-execution",
            {
                "type": "code_execution_result",
                "stdout": "1024\n",
                "stderr": "",
                "return_code": 0,
                "content": [{"type": "code_execution_output", "file_id": "file_plot"}],
            },
        ),
        (
            "code-execution-encrypted",
            {
                "type": "encrypted_code_execution_result",
                "encrypted_stdout": "EpIBCg==",
                "stderr": "",
                "return_code": 0,
                "content": [],
            },
        ),
        (
            "bash-code-execution-error",
            {"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"},
        ),
        ("text-editor-create", {"type": "text_editor_code_execution_create_result", "is_file_update": False}),
        (
            "text-editor-error",
            {"type": "text_editor_code_execution_tool_result_error", "error_code": "file_not_found"},
        ),
        ("tool-search-bm25", [{"type": "tool_reference", "toolName": "get_tide"}]),
        ("tool-search-regex", [{"type": "tool_reference", "toolName": "get_tide"}]),
        ("tool-search-resumed", []),
        ("advisor", {"type": "advisor_result", "text": "Check the neaps first.", "stopReason": "end_turn"}),
        ("advisor-redacted", {"type": "advisor_redacted_result", "encryptedContent": "EpsCCg=="}),
        ("mcp", [{"type": "text", "text": "1.4 m"}]),
    ],
)
def test_result_block_is_the_tools_output_in_the_ai_sdks_shape(name: str, expected: object):
    assert output(name) == expected


@pytest.mark.parametrize(
    ("name", "error_text"),
    [
        ("web-search-error", '{"type":"web_search_tool_result_error","errorCode":"max_uses_exceeded"}'),
        ("web-fetch-error", '{"type":"web_fetch_tool_result_error","errorCode":"url_not_accessible"}'),
        (
            "code-execution-error",
            '{"type":"code_execution_tool_result_error","errorCode":"execution_time_exceeded"}',
        ),
        ("tool-search-error", '{"type":"tool_search_tool_result_error","errorCode":"invalid_pattern"}'),
        ("advisor-error", '{"type":"advisor_tool_result_error","errorCode":"overloaded"}'),
        ("mcp-error", '[{"type":"text","text":"buoy adrift"}]'),
    ],
)
def test_failed_result_block_is_a_tool_error(name: str, error_text: str):
    (part,) = [part for part in content(name) if isinstance(part, ToolOutputError)]
    assert part.error_text == error_text
    assert part.provider_executed


@pytest.mark.parametrize(
    ("name", "input_text"),
    [
        ("code-execution", '{"type": "programmatic-tool-call","code": "print(2 ** 10)"}'),
        ("code-execution-start-input", '{"type":"programmatic-tool-call","code":"print(1)"}'),
        ("bash-code-execution", '{"type": "bash_code_execution","command": "ls /data"}'),
        (
            "text-editor-view",
            '{"type": "text_editor_code_execution","command": "view", "path": "/data/a.txt"}',
        ),
    ],
)
def test_code_execution_says_in_its_input_which_tool_it_is(name: str, input_text: str):
    parts = content(name, tool_names={"code_execution": "run"})
    (made,) = [part for part in parts if isinstance(part, ToolCall)]
    assert (made.tool_name, made.input_text, made.provider_executed) == ("run", input_text, True)
    streamed = "".join(part.delta for part in parts if isinstance(part, ToolInputDelta))
    assert streamed in ("", input_text)


@pytest.mark.parametrize(("is_dynamic", "expected"), [(True, True), (False, None)])
def test_code_that_a_web_tool_runs_is_a_dynamic_tool(is_dynamic: bool, expected: bool | None):
    parts = content("code-execution", dynamic_code_execution=is_dynamic)
    assert {part.dynamic for part in parts if isinstance(part, ToolInputStart | ToolCall)} == {expected}


@pytest.mark.parametrize(
    ("tool_names", "expected"),
    [
        ({}, "tool_search_tool_regex"),
        ({"tool_search_tool_bm25": "find"}, "find"),
        ({"tool_search_tool_regex": "grep"}, "grep"),
    ],
)
def test_tool_search_whose_call_is_not_in_the_message_gets_the_name_of_the_one_in_use(
    tool_names: dict[str, str], expected: str
):
    (part,) = [p for p in content("tool-search-resumed", tool_names=tool_names) if isinstance(p, ToolOutputAvailable)]
    assert part.tool_name == expected


def test_result_says_who_called_the_tool():
    (part,) = [part for part in content("web-fetch-pdf") if isinstance(part, ToolOutputAvailable)]
    assert part.provider_metadata == caller(type="code_execution_20260120", toolId="srvtoolu_code")


def test_mcp_call_is_dynamic_and_its_result_names_the_server():
    metadata = {"anthropic": {"type": "mcp-tool-use", "serverName": "buoys"}}
    assert content("mcp")[:2] == [
        call(
            "mcptoolu_buoy",
            "read_buoy",
            '{"buoy":"Dogger"}',
            provider_executed=True,
            dynamic=True,
            provider_metadata=metadata,
        ),
        ToolOutputAvailable(
            tool_call_id="mcptoolu_buoy",
            tool_name="read_buoy",
            output=[{"type": "text", "text": "1.4 m"}],
            provider_executed=True,
            dynamic=True,
            provider_metadata=metadata,
        ),
    ]


def test_mcp_result_without_its_call_is_still_shown():
    (part,) = [part for part in content("mcp-resumed") if isinstance(part, ToolOutputAvailable)]
    assert (part.tool_call_id, part.dynamic) == ("mcptoolu_before", True)


def test_fallback_to_another_model_is_told():
    parts = AnthropicStream().feed(read_stream("fallback"))
    assert parts[1] == Custom(
        "anthropic.fallback",
        {
            "anthropic": {
                "type": "fallback",
                "from": {"model": "claude-opus-4-6"},
                "to": {"model": "claude-sonnet-4-6"},
            }
        },
    )
