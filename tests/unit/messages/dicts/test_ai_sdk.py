"""Model messages as dicts: the AI SDK's form and Anthropic's are read whole, or refused where they cannot be."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from usechat import FinishEvent, StepSettings, step_count_is, stream_text, tool, write_model_message
from usechat.answers.arguments.inputs import read_messages
from usechat.errors import ConfigurationError, RequestError
from usechat.messages.dicts.ai_sdk import read_model_messages
from usechat.messages.model import (
    AssistantMessage,
    CustomContent,
    FileContent,
    ModelMessage,
    ReasoningContent,
    SystemMessage,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models.base import ModelCall
from usechat.models.claude.request.request import build_request
from usechat.testing.models import ScriptedModel, calling_tool, saying

CACHED = {"anthropic": {"cacheControl": {"type": "ephemeral"}}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()


def outputs() -> list[ToolResultOutput]:
    return [
        ToolResultOutput("text", "fine"),
        ToolResultOutput("json", None),
        ToolResultOutput("error-text", "no"),
        ToolResultOutput("error-json", {"code": 1}),
        ToolResultOutput("execution-denied"),
        ToolResultOutput("execution-denied", "too dear"),
        ToolResultOutput(
            "content",
            (
                TextContent("a", CACHED),
                FileContent(media_type="image/png", data=PNG),
                FileContent(media_type="application/pdf", url="https://example.com/a.pdf"),
                CustomContent("anthropic.tool-reference", {"anthropic": {"type": "tool-reference"}}),
            ),
        ),
    ]


WHOLE: list[ModelMessage] = [
    SystemMessage("Be brief.", CACHED),
    UserMessage(
        (
            TextContent("Hi", CACHED),
            FileContent(media_type="image/png", data=PNG, filename="a.png", provider_options=CACHED),
            FileContent(media_type="application/pdf", url="https://example.com/a.pdf"),
            FileContent(media_type="application/pdf", provider_reference={"anthropic": "file_1"}),
        ),
        CACHED,
    ),
    AssistantMessage(
        (
            ReasoningContent("Hm.", {"anthropic": {"signature": "s"}}),
            TextContent("Let me look."),
            CustomContent("anthropic.fallback", {"anthropic": {"from": {"model": "a"}}}),
            ToolCallContent(tool_call_id="c1", tool_name="look", input=None, provider_executed=True),
            ToolResultContent(tool_call_id="c1", tool_name="look", output=ToolResultOutput("json", {"a": [1]})),
            ToolCallContent(tool_call_id="c2", tool_name="look", input={"x": None}, provider_options=CACHED),
            ToolApprovalRequestContent(
                approval_id="a1",
                tool_call_id="c2",
                signature="s",
                is_automatic=True,
                reason="r",
                input_schema_input=None,
            ),
            ToolApprovalRequestContent(approval_id="a2", tool_call_id="c2"),
        )
    ),
    ToolMessage(
        (
            ToolApprovalResponseContent(approval_id="a1", approved=False, reason="no", provider_executed=True),
            *(ToolResultContent(tool_call_id="c2", tool_name="look", output=output) for output in outputs()),
        ),
        CACHED,
    ),
]


def test_messages_in_json_read_back_as_they_were():
    written = json.loads(json.dumps([write_model_message(message) for message in WHOLE]))
    assert read_model_messages(written) == WHOLE


@pytest.mark.anyio
async def test_messages_of_an_answer_are_kept_as_json_and_given_back():
    question: Any = {"role": "user", "content": "Hi"}
    ended: list[FinishEvent] = []
    first = stream_text(ScriptedModel(saying("Hello")), messages=[question], on_finish=ended.append)
    assert await first.text == "Hello"
    kept = json.dumps([write_model_message(message) for message in ended[0].response_messages])
    model = ScriptedModel(saying("Again"))
    again: Any = {"role": "user", "content": "And now?"}
    assert await stream_text(model, messages=[question, *json.loads(kept), again]).text == "Again"
    assert model.calls[0].messages[1:-1] == tuple(ended[0].response_messages)


def test_messages_of_the_ai_sdk_are_read_whole():
    assert read_messages(
        [
            {"role": "system", "content": "Be brief.", "providerOptions": CACHED},
            {"role": "user", "content": "Hi", "providerOptions": CACHED},
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": PNG},
                    {"type": "image", "image": b"\x89PNG0", "mediaType": "image/png"},
                    {"type": "image", "image": f"data:image/png;base64,{PNG}"},
                    {"type": "image", "image": "https://example.com/a.png", "mediaType": "image/png"},
                    {"type": "file", "data": {"anthropic": "file_1"}, "mediaType": "application/pdf"},
                ],
            },
            {"role": "assistant", "content": "Hello"},
        ],
        allow_system=True,
    ) == [
        SystemMessage("Be brief.", CACHED),
        UserMessage((TextContent("Hi"),), CACHED),
        UserMessage(
            (
                FileContent(media_type="image/png", data=PNG),
                FileContent(media_type="image/png", data=base64.b64encode(b"\x89PNG0").decode()),
                FileContent(media_type="image/png", data=PNG),
                FileContent(media_type="image/png", url="https://example.com/a.png"),
                FileContent(media_type="application/pdf", provider_reference={"anthropic": "file_1"}),
            )
        ),
        AssistantMessage((TextContent("Hello"),)),
    ]


EPHEMERAL = {"type": "ephemeral"}
OF_ANTHROPIC: list[Any] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look", "cache_control": EPHEMERAL},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "All of it."},
                "title": "Book",
                "context": "Old",
                "citations": {"enabled": True},
            },
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"x": 1}, "caller": {"type": "direct"}},
            {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
            {"type": "tool_use", "id": "toolu_3", "name": "look", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_2",
                "content": [{"type": "text", "text": "seen"}],
                "cache_control": EPHEMERAL,
            },
            {"type": "tool_result", "tool_use_id": "toolu_3", "content": "failed", "is_error": True},
            {"type": "text", "text": "And?"},
        ],
    },
]


def test_messages_of_anthropic_are_sent_as_they_were_given():
    call = ModelCall(messages=read_messages(OF_ANTHROPIC))
    sent = build_request(call, "claude-sonnet-4-6").body["messages"]
    assert json.loads(json.dumps(sent)) == OF_ANTHROPIC


def test_error_of_several_texts_is_one_text():
    messages = [*OF_ANTHROPIC[:2], {"role": "user", "content": [error_result([text("a"), text("b")])]}]
    assert read_messages(messages)[-1].content[0].output == ToolResultOutput("error-text", "a\nb")  # type: ignore[union-attr]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def error_result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": content}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def result(output: Any) -> dict[str, Any]:
    part = {"type": "tool-result", "toolCallId": "c", "toolName": "look", "output": output}
    return {"role": "tool", "content": [part]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"role": "system", "content": "Be brief."}, "messages[0]"),
    ({"role": "other", "content": "Hi"}, "messages[0].role"),
    ({"role": "user", "content": 3}, "messages[0].content"),
    ({"role": "user", "content": "Hi", "name": "Ann"}, "messages[0].name"),
    ({"role": "tool", "content": "Hi"}, "messages[0].content"),
    (user("Hi"), "messages[0].content[0]"),
    (user({"type": "video"}), "messages[0].content[0].type"),
    (user({"type": "image_url", "image_url": {"url": "x"}}), "messages[0].content[0].type"),
    (user({"type": "text", "text": "Hi", "cacheControl": EPHEMERAL}), "messages[0].content[0].cacheControl"),
    (user({"type": "text", "text": 3}), "messages[0].content[0]"),
    (user({**text("Hi"), "providerOptions": {"anthropic": 1}}), "messages[0].content[0].providerOptions.anthropic"),
    (user({"type": "image", "image": 3}), "messages[0].content[0].image"),
    (user({"type": "image", "image": "a b", "mediaType": "image/png"}), "messages[0].content[0].image"),
    (
        {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "a"}]},
        "messages[0].content[0].input",
    ),
    (result({"type": "other"}), "messages[0].content[0].output.type"),
    (result({"type": "text", "value": 3}), "messages[0].content[0].output.value"),
    (result({"type": "content", "value": [{"type": "video"}]}), "messages[0].content[0].output.value[0].type"),
    (user({"type": "document", "source": {"type": "content"}}), "messages[0].content[0].source.type"),
    (user({"type": "server_tool_use", "id": "s"}), "messages[0].content[0].type"),
    (user(error_result("no")), "messages[0].content[0].tool_use_id"),
    ({"role": "assistant", "content": [{"type": "web_search_tool_result"}]}, "messages[0].content[0].type"),
    ({"role": "tool", "content": [{"type": "tool_result"}]}, "messages[0].role"),
    ({**user({"type": "document"}), "name": "Ann"}, "messages[0].name"),
]


@pytest.mark.parametrize(("message", "path"), REFUSED)
def test_what_cannot_be_read_whole_is_refused_with_its_path(message: Any, path: str):
    with pytest.raises(RequestError) as refused:
        read_messages([message])
    assert refused.value.path == path


def test_image_in_an_error_is_refused_with_its_path():
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    with pytest.raises(RequestError) as refused:
        read_messages([*OF_ANTHROPIC[:2], user(error_result([image]))])
    assert refused.value.path == "messages[2].content[0].content"


def test_model_message_among_ui_messages_is_refused():
    with pytest.raises(ConfigurationError, match="not some of each"):
        read_messages([{"role": "user", "parts": []}, user(text("Hi"))])


@pytest.mark.parametrize(
    ("type_", "more", "expected"),
    [
        ("image-data", {"data": PNG, "mediaType": "image/png"}, FileContent(media_type="image/png", data=PNG)),
        (
            "image-url",
            {"url": "https://example.com/a"},
            FileContent(media_type="image/*", url="https://example.com/a"),
        ),
        ("file-data", {"data": "QQ==", "mediaType": "text/csv"}, FileContent(media_type="text/csv", data="QQ==")),
        (
            "file-id",
            {"fileId": "file_1"},
            FileContent(media_type="application/octet-stream", provider_reference={"anthropic": "file_1"}),
        ),
        ("custom", {"providerOptions": CACHED}, CustomContent("", CACHED)),
    ],
)
def test_content_of_a_result_is_read_in_every_form(type_: str, more: Any, expected: Any):
    (message,) = read_model_messages([result({"type": "content", "value": [{"type": type_, **more}]})])
    assert isinstance(message, ToolMessage)
    assert message.content[0].output.value == (expected,)  # type: ignore[union-attr]


# Where an answer takes them


@pytest.mark.anyio
async def test_prepare_step_and_to_model_output_may_give_dicts():
    def look() -> int:
        return 3

    def prepare(number: int, steps: Any, messages: Any) -> StepSettings | None:
        given: Any = [{"role": "user", "content": "Other", "providerOptions": CACHED}]
        return StepSettings(messages=given) if number == 0 else None

    shown = tool(to_model_output=lambda output: {"type": "text", "value": f"seen {output}"})(look)
    model = ScriptedModel(calling_tool("look"), saying("Done."))
    answer = stream_text(model, prompt="Hi", tools=[shown], prepare_step=prepare, stop_when=step_count_is(2))
    assert await answer.text == "Done."
    first, second = (call.messages for call in model.calls)
    assert first == (UserMessage((TextContent("Other"),), CACHED),)
    assert second[-1].content[0].output == ToolResultOutput("text", "seen 3")  # type: ignore[union-attr]
