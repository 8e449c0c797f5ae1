"""What the provider's own tools answered, on its way back: no result is dropped while its call is kept."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models.base import ModelCall
from usechat.models.claude.request.request import build_request

ASKED = UserMessage((TextContent("Hi"),))
BASH: dict[str, Any] = {
    "type": "bash_code_execution_result",
    "stdout": "42",
    "stderr": "",
    "return_code": 0,
    "content": [],
}
VIEW = {
    "type": "text_editor_code_execution_view_result",
    "content": "x",
    "file_type": "text",
    "num_lines": 1,
    "start_line": 1,
    "total_lines": 1,
}
MCP = {"anthropic": {"type": "mcp-tool-use", "serverName": "srv"}}


def server_call(name: str, given: Any, output: ToolResultOutput, options: Any = None) -> list[Any]:
    named: Any = {"tool_call_id": "srvtoolu_1", "tool_name": name, "provider_options": options}
    return [ToolCallContent(**named, input=given, provider_executed=True), ToolResultContent(**named, output=output)]


def assistant_blocks(*content: Any) -> list[dict[str, Any]]:
    """What the model gets back of a step, in the next step of the same answer."""
    named: Any = {"tool_call_id": "toolu_2", "tool_name": "get_time"}
    own = ToolCallContent(**named, input={})
    answered = ToolMessage((ToolResultContent(**named, output=ToolResultOutput("text", "12:00")),))
    messages: list[ModelMessage] = [ASKED, AssistantMessage((*content, own)), answered]
    return build_request(ModelCall(messages=messages), "claude-sonnet-4-6").body["messages"][1]["content"]


@pytest.mark.parametrize(
    ("output", "name"),
    [(BASH, "bash_code_execution"), (VIEW, "text_editor_code_execution")],
)
@pytest.mark.parametrize("given", [{}, {"type": "programmatic-tool-call"}, {"command": "ls"}])
def test_code_execution_whose_kind_is_lost_is_named_by_its_result(output: Any, name: str, given: Any):
    call, result, own = assistant_blocks(*server_call("code_execution", given, ToolResultOutput("json", output)))
    assert (call["type"], call["name"]) == ("server_tool_use", name)
    assert (result["type"], result["tool_use_id"]) == (f"{name}_tool_result", call["id"])
    assert own["type"] == "tool_use"


def test_call_whose_result_cannot_be_sent_goes_with_it():
    blocks = assistant_blocks(*server_call("web_search", {"query": "x"}, ToolResultOutput("json", "no hits at all")))
    assert [block["type"] for block in blocks] == ["tool_use"]


def test_result_of_another_tool_does_not_rename_a_call():
    blocks = assistant_blocks(*server_call("web_search", {"query": "x"}, ToolResultOutput("json", BASH)))
    assert [block["type"] for block in blocks] == ["tool_use"]


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ('[{"type":"text","text":"broken"}]', [{"type": "text", "text": "broken"}]),
        ("broken", "broken"),
        ('{"why": "broken"}', '{"why": "broken"}'),
        ("[1]", "[1]"),
    ],
)
def test_failed_mcp_result_goes_back_as_the_blocks_it_came_in(value: str, content: Any):
    parts = server_call("echo", {}, ToolResultOutput("error-json", value), MCP)
    _, result, _ = assistant_blocks(*parts)
    assert (result["type"], result["is_error"], result["content"]) == ("mcp_tool_result", True, content)


def test_text_of_an_mcp_server_that_looks_like_blocks_stays_a_text():
    parts = server_call("echo", {}, ToolResultOutput("text", '[{"type":"text","text":"x"}]'), MCP)
    _, result, _ = assistant_blocks(*parts)
    assert (result["is_error"], result["content"]) == (False, '[{"type":"text","text":"x"}]')


def test_mcp_call_whose_result_cannot_be_sent_goes_with_it():
    blocks = assistant_blocks(*server_call("echo", {}, ToolResultOutput("error-text", "lost"), MCP))
    assert [block["type"] for block in blocks] == ["tool_use"]
