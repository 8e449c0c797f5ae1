"""Chats that are read without looking at each part with care: they are read the same, and no other is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from tests.unit.test_mangled_histories import EXAMPLES, histories, mangled
from usechat.errors import RequestError
from usechat.json import MAX_DEPTH
from usechat.messages.plain import is_plain_chat
from usechat.messages.ui import ChatRequest, parse_chat_request, request_error_from_validation

Json = Any

TEXT: Json = {"type": "text", "text": "Hi"}
DONE: Json = {"type": "text", "text": "Hi", "state": "done"}
CALL: Json = {
    "type": "tool-x",
    "toolCallId": "1",
    "state": "output-available",
    "input": {"a": 1},
    "output": [1.5, None, {"b": True}],
}


def message(*parts: Json, **more: Json) -> Json:
    return {"id": "1", "role": "assistant", "parts": list(parts), **more}


def nested(levels: int) -> Json:
    value: Json = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "posted",
    [
        message(),
        message(TEXT, DONE, {"type": "step-start"}, CALL),
        message(TEXT, metadata={"model": "m"}, createdAt="now"),
        {"role": "user", "parts": [TEXT]} | {"id": None},
        message({"type": "reasoning", "text": "hm", "providerMetadata": {"anthropic": {"signature": "s"}}}),
        message({"type": "file", "url": "data:,", "mediaType": "image/png"}, {"type": "data-x", "data": 1}),
        message({**TEXT, "state": 5}, {"type": "step-start", "x": [1]}),
        message({**CALL, "output": nested(MAX_DEPTH - 10)}),
    ],
)
def test_what_ai_sdk_5_and_later_post_is_plain(posted: Json):
    assert is_plain_chat({"id": "c", "trigger": "submit-message", "messages": [posted]})


ODD_MESSAGES: list[Json] = [
    5,
    {"id": "1", "role": "user"},
    {"id": "1", "role": "user", "parts": {}},
    {"id": "1", "parts": [], "metadata": 1},
    message(TEXT, content="Hi"),
    message(TEXT, metadata=float("inf")),
]
ODD_PARTS: list[Json] = [
    "text",
    {},
    {"type": 5},
    {"type": "text"},
    {"type": "text", "text": None},
    {**TEXT, "providerMetadata": "x"},
    {"type": "tool-x", "state": "output-available"},
    {"type": "tool-invocation"},
    {"type": "file", "url": 5},
    {"type": "file", "mimeType": "image/png", "url": "data:,"},
    {**CALL, "output": 2**64},
    {**CALL, "output": nested(MAX_DEPTH)},
]
ODD_BODIES: list[Json] = [
    None,
    {},
    {"messages": None},
    {"messages": {}},
    {"messages": [message(TEXT)], "data": 2**70},
    *({"messages": [message(TEXT), odd]} for odd in ODD_MESSAGES),
    *({"messages": [message(TEXT), message(odd)]} for odd in ODD_PARTS),
]


@pytest.mark.parametrize("body", ODD_BODIES)
def test_what_must_be_looked_at_with_care_is_not_plain(body: Json):
    assert not is_plain_chat(body)


def encode(history: Json) -> bytes:
    """A body as a browser may post it; `Infinity` is how Python writes a number beyond all floats."""
    return json.dumps({"messages": history}).replace("Infinity", "1e999").encode()


def read_with_care(body: bytes) -> Json:
    """What becomes of a body when pydantic looks at each message and part of it."""
    try:
        return told(ChatRequest.model_validate(json.loads(body)))
    except ValidationError as error:
        return refusal(request_error_from_validation(error))


def read(body: bytes) -> Json:
    try:
        return told(parse_chat_request(body))
    except RequestError as error:
        return refusal(error)


def told(chat: ChatRequest) -> Json:
    messages = [(type(one), sorted(one.model_fields_set), one.original, one.to_json(), one) for one in chat.messages]
    return (sorted(chat.model_fields_set), chat.extra, chat, messages)


def refusal(error: RequestError) -> Json:
    return (str(error), error.path, error.status)


@settings(max_examples=EXAMPLES)
@given(histories)
def test_any_chat_is_read_as_with_care(history: Json):
    body = encode(history)
    assert repr(read(body)) == repr(read_with_care(body))


@settings(max_examples=EXAMPLES)
@given(mangled)
def test_what_is_wrong_with_a_chat_is_told_as_with_care(history: Json):
    body = encode(history)
    assert repr(read(body)) == repr(read_with_care(body))


@pytest.mark.parametrize("wrong", [{"role": "robot"}, {"id": 5}, {"role": None}])
def test_fields_of_a_plain_message_are_still_checked(wrong: Json):
    body = encode([{**message(TEXT), **wrong}])
    assert read(body) == read_with_care(body)
    assert read(body)[2] == 422


def test_a_plain_message_can_be_copied_and_changed():
    [read_message] = parse_chat_request(encode([message(TEXT, x=1)])).messages
    changed = read_message.model_copy(update={"id": "2"})
    assert changed.to_json() == {**message(TEXT, x=1), "id": "2"}
    assert read_message.id == "1"
    assert json.loads(changed.model_dump_json())["parts"] == [TEXT]
