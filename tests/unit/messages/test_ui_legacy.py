"""What clients of AI SDK 4 post takes the later form, and its own is kept."""

import json
from typing import Any

import pytest

from usechat.errors import RequestError
from usechat.messages.ui import UIMessage, parse_chat_request

Json = Any


def read(message: Json) -> UIMessage:
    return parse_chat_request(json.dumps({"messages": [message]}).encode()).messages[0]


def parts_of(message: Json) -> Json:
    return read(message).parts


def test_legacy_content_becomes_a_text_part_and_the_original_is_kept():
    posted = {"role": "user", "content": "hi", "createdAt": "then"}
    message = read(posted)
    assert message.to_json() == {"role": "user", "createdAt": "then", "parts": [{"type": "text", "text": "hi"}]}
    assert message.original == posted


def test_legacy_message_may_have_keys_of_any_name():
    posted = {"role": "user", "content": "hi", "_fields_set": 1, "cls": 2, "self": 3, "values": 4, "metadata": None}
    message = read(posted)
    kept = {key: value for key, value in posted.items() if key != "content"}
    assert message.to_json() == {**kept, "parts": [{"type": "text", "text": "hi"}]}
    assert message.model_copy(update={"id": "m"}).original == posted


def test_legacy_attachments_come_before_the_text():
    posted = {
        "role": "user",
        "content": "look",
        "parts": [{"type": "text", "text": "look"}],
        "experimental_attachments": [
            {"name": "a.png", "contentType": "image/png", "url": "data:,"},
            {"url": "https://a"},
        ],
    }
    assert parts_of(posted) == [
        {"type": "file", "mediaType": "image/png", "url": "data:,", "filename": "a.png"},
        {"type": "file", "mediaType": None, "url": "https://a"},
        {"type": "text", "text": "look"},
    ]


@pytest.mark.parametrize(
    ("invocation", "expected"),
    [
        ({"state": "partial-call"}, {"state": "input-streaming", "input": None}),
        ({"state": "call", "args": {"a": 1}}, {"state": "input-available", "input": {"a": 1}}),
        # `addToolResult` of AI SDK 3.4 leaves the state as it is.
        ({"state": "call", "args": {}, "result": "Yes"}, {"state": "output-available", "input": {}, "output": "Yes"}),
        (
            {"state": "result", "args": {}, "result": None, "step": None},
            {"state": "output-available", "input": {}, "output": None},
        ),
    ],
)
def test_legacy_tool_invocations_become_tool_parts(invocation: Json, expected: Json):
    call = {"toolCallId": "1", "toolName": "t", "step": 0, **invocation}
    posted = {"role": "assistant", "content": "", "parts": [{"type": "tool-invocation", "toolInvocation": call}]}
    assert parts_of(posted) == [{"type": "tool-t", "toolCallId": "1", **expected}]


def test_legacy_reasoning_keeps_signatures_and_redacted_data():
    details = [{"type": "text", "text": "a", "signature": "s"}, {"type": "redacted", "data": "d"}, {"text": "b"}]
    posted = {
        "role": "assistant",
        "content": "",
        "parts": [{"type": "reasoning", "reasoning": "ab", "details": details}],
    }
    assert parts_of(posted) == [
        {"type": "reasoning", "text": "a", "providerMetadata": {"anthropic": {"signature": "s"}}},
        {"type": "reasoning", "text": "", "providerMetadata": {"anthropic": {"redactedData": "d"}}},
        {"type": "reasoning", "text": "b"},
    ]


def test_legacy_sources_and_files_take_the_later_form():
    source = {"sourceType": "url", "id": "1", "url": "https://a", "title": "A"}
    posted = {
        "role": "assistant",
        "content": "",
        "parts": [
            {"type": "source", "source": source},
            {"type": "file", "mimeType": "image/png", "data": "AAAA"},
            {"type": "reasoning", "reasoning": "r"},
            {"type": "source"},
        ],
    }
    assert parts_of(posted) == [
        {"type": "source-url", "sourceId": "1", "url": "https://a", "title": "A"},
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"},
        {"type": "reasoning", "text": "r"},
    ]


def tool_invocation(step: int, call_id: str) -> Json:
    return {"state": "result", "step": step, "toolCallId": call_id, "toolName": "t", "args": {}, "result": 1}


@pytest.mark.parametrize(
    ("message", "types"),
    [
        # By the numbers of the calls, and by text after a call.
        (
            {"parts": [tool_invocation(0, "1"), tool_invocation(1, "2"), "text"]},
            ["tool-t", "step-start", "tool-t", "step-start", "text"],
        ),
        # Where the client marked steps, its marks stand.
        (
            {"parts": ["step-start", tool_invocation(0, "1"), "step-start", "text"]},
            ["step-start", "tool-t", "step-start", "text"],
        ),
        # Without parts: one step begins with its text, several end with it.
        ({"toolInvocations": [tool_invocation(0, "1")]}, ["text", "tool-t"]),
        (
            {"toolInvocations": [tool_invocation(0, "1"), tool_invocation(1, "2")]},
            ["tool-t", "step-start", "tool-t", "step-start", "text"],
        ),
    ],
)
def test_legacy_steps_are_told_apart(message: Json, types: list[str]):
    plain: Json = {"text": {"type": "text", "text": "x"}, "step-start": {"type": "step-start"}}
    posted = {"role": "assistant", "content": "x", **message}
    if "parts" in posted:
        posted["parts"] = [
            plain[part] if isinstance(part, str) else {"type": "tool-invocation", "toolInvocation": part}
            for part in posted["parts"]
        ]
    assert [part["type"] for part in parts_of(posted)] == types


@pytest.mark.parametrize(
    ("call", "state"),
    [({"result": {"n": 1}}, "output-available"), ({"result": None}, "output-available"), ({}, "input-available")],
)
def test_a_call_without_a_state_has_its_result_or_none_yet(call: Json, state: str):
    told = {"toolCallId": "1", "toolName": "t", "args": {"a": 1}, **call}
    _, part = parts_of({"role": "assistant", "content": "x", "toolInvocations": [told]})
    assert (part["state"], part["input"], part.get("output")) == (state, {"a": 1}, call.get("result"))


def test_mangled_legacy_parts_are_refused():
    for posted in (
        {"role": "user", "content": "", "experimental_attachments": ["x"]},
        {"role": "assistant", "content": "a", "parts": [{"type": "tool-invocation", "toolInvocation": 5}]},
    ):
        with pytest.raises(RequestError):
            parts_of(posted)


def test_a_later_tool_that_is_called_invocation_is_no_legacy_part():
    part = {"type": "tool-invocation", "toolCallId": "1", "state": "output-available", "output": 1}
    assert parts_of({"role": "assistant", "parts": [part]}) == [part]
