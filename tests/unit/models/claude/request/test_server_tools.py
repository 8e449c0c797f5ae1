"""Tools that Anthropic runs, in the history of a request."""

from __future__ import annotations

import pytest

from tests.unit.models.claude.request.conversations import (
    HIT,
    NOTHING,
    QUESTION,
    Json,
    answered,
    called,
    messages_of,
    ran,
    text_block,
    user_turn,
)
from usechat.messages.model import AssistantMessage, ModelMessage, ToolMessage

PAGE: Json = {
    "type": "web_fetch_result",
    "url": "u",
    "retrievedAt": "r",
    "content": {
        "type": "document",
        "title": "t",
        "citations": {"enabled": True},
        "source": {"type": "text", "mediaType": "text/plain", "data": "d"},
    },
}

OUTPUT: Json = {"stdout": "o", "stderr": "", "return_code": 0, "content": []}


@pytest.mark.parametrize(
    ("message", "use", "result"),
    [
        (
            ran("web_search", {"query": "q"}, "json", [HIT]),
            ("web_search", {"query": "q"}),
            (
                "web_search_tool_result",
                [{"url": "u", "title": "t", "page_age": None, "encrypted_content": "e", "type": "web_search_result"}],
            ),
        ),
        (
            ran("web_search", {}, "error-json", '{"errorCode": "max_uses_exceeded"}'),
            ("web_search", NOTHING),
            ("web_search_tool_result", {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}),
        ),
        (
            ran("web_fetch", {"url": "u"}, "json", PAGE),
            ("web_fetch", {"url": "u"}),
            (
                "web_fetch_tool_result",
                {
                    "type": "web_fetch_result",
                    "url": "u",
                    "retrieved_at": "r",
                    "content": {
                        "type": "document",
                        "title": "t",
                        "citations": {"enabled": True},
                        "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                    },
                },
            ),
        ),
        (
            ran("web_fetch", {}, "error-json", "not json"),
            ("web_fetch", NOTHING),
            ("web_fetch_tool_result", {"type": "web_fetch_tool_result_error", "error_code": "unavailable"}),
        ),
        (
            ran("code_execution", {"code": "1"}, "json", {"type": "code_execution_result", **OUTPUT, "content": None}),
            ("code_execution", {"code": "1"}),
            ("code_execution_tool_result", {"type": "code_execution_result", **OUTPUT}),
        ),
        (
            ran(
                "code_execution",
                {"type": "bash_code_execution", "command": "ls"},
                "json",
                {"type": "bash_code_execution_result", **OUTPUT},
            ),
            ("bash_code_execution", {"command": "ls"}),
            ("bash_code_execution_tool_result", {"type": "bash_code_execution_result", **OUTPUT}),
        ),
        (
            ran(
                "code_execution",
                {"type": "programmatic-tool-call", "code": "1"},
                "error-json",
                {"type": "code_execution_tool_result_error", "errorCode": "unavailable"},
            ),
            ("code_execution", {"code": "1"}),
            (
                "code_execution_tool_result",
                {"type": "code_execution_tool_result_error", "error_code": "unavailable"},
            ),
        ),
        (
            ran("code_execution", {"type": "text_editor_code_execution", "path": "p"}, "error-text", "odd"),
            ("text_editor_code_execution", {"path": "p"}),
            (
                "text_editor_code_execution_tool_result",
                {"type": "text_editor_code_execution_tool_result_error", "error_code": "unavailable"},
            ),
        ),
        (
            ran("tool_search_tool_bm25", {}, "json", [{"type": "tool_reference", "toolName": "t"}]),
            ("tool_search_tool_bm25", NOTHING),
            (
                "tool_search_tool_result",
                {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": "t"}],
                },
            ),
        ),
        (
            ran("tool_search_tool_regex", {}, "error-json", None),
            ("tool_search_tool_regex", NOTHING),
            ("tool_search_tool_result", {"type": "tool_search_tool_result_error", "error_code": "unavailable"}),
        ),
        (
            ran("advisor", {"gone": 1}, "json", {"type": "advisor_result", "text": "do", "stopReason": "max_tokens"}),
            ("advisor", NOTHING),
            ("advisor_tool_result", {"type": "advisor_result", "text": "do", "stop_reason": "max_tokens"}),
        ),
        (
            ran("advisor", {}, "error-json", '{"type": "advisor_tool_result_error", "errorCode": "unavailable"}'),
            ("advisor", NOTHING),
            ("advisor_tool_result", {"type": "advisor_tool_result_error", "error_code": "unavailable"}),
        ),
    ],
)
def test_what_anthropic_ran_goes_back_in_its_own_shape(message: AssistantMessage, use: Json, result: Json):
    blocks = messages_of(QUESTION, message, QUESTION)[1]["content"]
    assert [(blocks[0]["name"], blocks[0]["input"]), (blocks[1]["type"], blocks[1]["content"])] == [use, result]


@pytest.mark.parametrize(
    "message",
    [
        ran("web_search", {}, "json", "words"),
        ran("web_search", {}, "json", [{"url": 5}]),
        ran("web_fetch", {}, "json", {"url": "u"}),
        ran("code_execution", {}, "json", {"type": "odd"}),
        ran("code_execution", {}, "json", {"type": "code_execution_result", "stdout": "x"}),
        ran("tool_search_tool_bm25", {}, "json", [{}]),
        ran("advisor", {}, "json", {"type": "odd"}),
        ran("advisor", {}, "json", {"type": "advisor_result"}),
        ran("of_another_provider", {}, "json", 1),
        AssistantMessage((called("srvtoolu_1", "web_search", {}, provider_executed=True),)),
        AssistantMessage((answered("srvtoolu_1", "web_search", "json", [HIT]),)),
        ran("t", {}, "json", 1, {"type": "mcp-tool-use"}),
        ran("t", {}, "execution-denied", None, {"type": "mcp-tool-use", "serverName": "s"}),
    ],
)
def test_half_a_pair_or_a_mangled_one_is_left_out(message: AssistantMessage):
    assert messages_of(QUESTION, message, QUESTION) == [user_turn(text_block("Weather?"))] * 2


@pytest.mark.parametrize(
    ("kind", "value", "content"),
    [
        ("json", [{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}]),
        ("error-json", "no", "no"),
        ("json", {"a": 1}, '{"a":1}'),
    ],
)
def test_calls_of_mcp_servers(kind: str, value: Json, content: Json):
    message = ran("echo", {"a": 1}, kind, value, {"type": "mcp-tool-use", "serverName": "s"})
    blocks = messages_of(QUESTION, message, QUESTION)[1]["content"]
    assert blocks == [
        {"type": "mcp_tool_use", "id": "srvtoolu_1", "name": "echo", "input": {"a": 1}, "server_name": "s"},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "srvtoolu_1",
            "is_error": kind == "error-json",
            "content": content,
        },
    ]


def test_an_open_call_at_the_end_of_the_history_is_gone_on_with():
    paused = AssistantMessage((called("srvtoolu_1", "web_search", {"query": "q"}, provider_executed=True),))
    assert messages_of(QUESTION, paused)[1]["content"][0]["type"] == "server_tool_use"


def test_callers_name_code_that_is_still_there():
    def history(tool_id: str) -> tuple[ModelMessage, ...]:
        caller = {"anthropic": {"caller": {"type": "code_execution_20250825", "toolId": tool_id}}}
        direct = {"anthropic": {"caller": {"type": "direct"}}}
        run = ran("code_execution", {"code": "1"}, "json", {"type": "code_execution_result", **OUTPUT})
        calls = (called("toolu_1", provider_options=caller), called("toolu_2", provider_options=direct))
        results = ToolMessage((answered("toolu_1"), answered("toolu_2")))
        return (QUESTION, AssistantMessage((*run.content, *calls)), results)

    def callers(*messages: ModelMessage) -> list[Json]:
        return [block.get("caller") for block in messages_of(*messages)[1]["content"] if block["type"] == "tool_use"]

    kept = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
    assert callers(*history("srvtoolu_1"), QUESTION) == [kept, {"type": "direct"}]
    assert callers(*history("srvtoolu_9"), QUESTION) == [None, {"type": "direct"}]
    # While the code is still running its calls keep their caller.
    assert callers(*history("srvtoolu_9"))[0] == {**kept, "tool_id": "srvtoolu_9"}
