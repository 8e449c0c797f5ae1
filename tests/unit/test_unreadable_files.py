"""A file that the model cannot read is refused when it is sent, and stands in no later turn's way."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from usechat import stream_text
from usechat.errors import RequestError
from usechat.messages.model import (
    AssistantMessage,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.messages.ui import UIMessage
from usechat.models import anthropic
from usechat.models.base import ModelCall
from usechat.models.claude.request.request import build_request

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
NOTE = '[The file "a.x" cannot be read and was left out.]'


def data_url(media_type: str, data: bytes = b"PK\3\4") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def with_file(url: str, media_type: str) -> UIMessage:
    file = {"type": "file", "mediaType": media_type, "url": url, "filename": "a.x"}
    return UIMessage.model_validate({"role": "user", "parts": [{"type": "text", "text": "Read."}, file]})


def said(role: str, text: str) -> UIMessage:
    return UIMessage.model_validate({"role": role, "parts": [{"type": "text", "text": text}]})


UNREADABLE = [
    (data_url(DOCX), DOCX),
    ("data:image/png;base64,", "image/png"),
    (data_url("image/bmp", b"no picture"), "image/bmp"),
    ("blob:http://page.example/1", "image/png"),
    ("https://files.example/a.x", "application/zip"),
    ("data:image/png;base64,%%%", "image/png"),
]
MODEL = anthropic("claude-sonnet-4-6", api_key="none")


@pytest.mark.parametrize(("url", "media_type"), UNREADABLE)
def test_unreadable_file_is_refused_in_the_newest_message_before_anything_is_made(url: str, media_type: str):
    with pytest.raises(RequestError) as refused:
        stream_text(MODEL, messages=[with_file(url, media_type)]).prepare()
    assert refused.value.status in (415, 422)


@pytest.mark.parametrize(("url", "media_type"), UNREADABLE)
def test_a_note_takes_the_place_of_an_unreadable_file_in_history(url: str, media_type: str):
    answer = stream_text(
        MODEL, messages=[with_file(url, media_type), said("assistant", "No."), said("user", "And now?")]
    )
    answer.prepare()
    first = build_request(answer.request.call, "claude-sonnet-4-6").body["messages"][0]
    assert [block["text"] for block in first["content"]] == ["Read.", NOTE]


def result_of(output: ToolResultOutput) -> Any:
    call = ToolCallContent(tool_call_id="c", tool_name="t", input={})
    result = ToolResultContent(tool_call_id="c", tool_name="t", output=output)
    messages = [UserMessage((TextContent("?"),)), AssistantMessage((call,)), ToolMessage((result,))]
    return build_request(ModelCall(messages=messages), "claude-sonnet-4-6").body["messages"][-1]["content"][0]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (ToolResultOutput("error-text", ""), "The tool failed."),
        (ToolResultOutput("error-text", " \n"), "The tool failed."),
        (ToolResultOutput("error-text", None), "The tool failed."),
        (ToolResultOutput("execution-denied", ""), "Tool call execution denied."),
        (ToolResultOutput("execution-denied", None), "Tool call execution denied."),
        (ToolResultOutput("execution-denied", "Not today."), "Not today."),
    ],
)
def test_no_error_or_denial_is_sent_without_words(output: ToolResultOutput, words: str):
    assert result_of(output)["content"] == words
