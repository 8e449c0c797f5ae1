"""What clients post: read leniently, kept whole, refused in one short sentence."""

import json
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from hypothesis import given, settings
from pydantic import ValidationError

from tests.unit.test_mangled_histories import EXAMPLES, histories, mangled
from usechat.errors import RequestError
from usechat.json import (
    MAX_DEPTH,
)
from usechat.messages.evidence import ClientEvidence, detect
from usechat.messages.ui import (
    ChatRequest,
    UIMessage,
    parse_chat_request,
    parse_completion_request,
)
from usechat.messages.validation import request_error_from_validation

Json = Any

MODERN: Json = {
    "id": "chat-1",
    "trigger": "submit-message",
    "messageId": "m-1",
    "model": "x",
    "messages": [
        {
            "id": "m-1",
            "role": "user",
            "metadata": {"a": None},
            "parts": [{"type": "text", "text": "hi", "unheard": 1}, {"type": "brand-new", "deep": [{"x": None}]}],
            "unknownKey": {"kept": True},
        }
    ],
}


def read(body: Json) -> ChatRequest:
    return parse_chat_request(json.dumps(body).encode())


def parts_of(message: Json) -> Json:
    return read({"messages": [message]}).messages[0].parts


def test_a_message_comes_back_exactly_as_it_was_posted():
    assert [message.to_json() for message in read(MODERN).messages] == MODERN["messages"]


def test_everything_else_in_the_body_is_reachable():
    chat = read(MODERN)
    assert (chat.id, chat.trigger, chat.message_id, chat.extra) == ("chat-1", "submit-message", "m-1", {"model": "x"})


def test_an_absent_key_does_not_come_back_as_null():
    assert read({"messages": [{"role": "user", "parts": []}]}).messages[0].to_json() == {"role": "user", "parts": []}


def test_a_last_assistant_message_is_continued():
    chat = read({"messages": [{"id": "a-1", "role": "assistant", "parts": []}]})
    assert (chat.continues_message_id, chat.is_continuation) == ("a-1", True)
    assert read(MODERN).continues_message_id is None


LAST: Json = {"id": "m-2", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
REGENERATION: Json = {"id": "c", "trigger": "regenerate-message", "messageId": "a"}


@pytest.mark.parametrize("fields", [{}, {"trigger": "submit-message", "messageId": "m-2"}])
def test_last_message_may_come_alone(fields: Json):
    chat = read({"id": "c", "message": LAST, **fields})
    assert chat.message is not None
    assert (chat.messages, chat.message.to_json(), chat.trigger) == ([], LAST, fields.get("trigger"))
    assert (chat.message_id, chat.is_v4, chat.is_continuation) == (fields.get("messageId"), False, False)


def test_last_message_of_ai_sdk_4_may_come_alone():
    chat = read({"id": "c", "message": {"role": "user", "content": "hi"}})
    assert chat.is_v4
    assert detect(chat) == detect(read({"id": "c", "messages": [{"role": "user", "content": "hi"}]}))


def test_trigger_may_come_alone():
    chat = read(REGENERATION)
    assert (chat.messages, chat.message, chat.message_id, chat.is_continuation) == ([], None, "a", False)
    assert chat.continues_message_id is None


def test_lone_assistant_message_is_continued():
    chat = read({"id": "c", "message": {**LAST, "role": "assistant"}})
    assert (chat.is_continuation, chat.continues_message_id) == (True, "m-2")


def test_application_loads_what_a_short_body_leaves_out():
    chat = read({"id": "c", "message": LAST})
    first: Json = {"id": "m-1", "role": "assistant", "parts": []}
    assert chat.message is not None
    chat.messages = [first, chat.message]
    assert [message.to_json() for message in chat.messages] == [first, LAST]


ROBOT: Json = {"id": "1", "role": "robot", "parts": []}


@pytest.mark.parametrize(("messages", "path"), [([ROBOT], "messages[0].role"), ("all", "messages")])
def test_application_is_told_which_message_is_wrong(messages: Json, path: str):
    chat = read(REGENERATION)
    with pytest.raises(RequestError) as raised:
        chat.messages = messages
    assert raised.value.path == path


def test_messages_can_be_made_in_python():
    message = UIMessage(role="user", parts=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    assert message.text == "ab"
    assert ChatRequest(messages=[message]).messages[0].original == message.to_json()


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b"", 400, ""),
        (b"{", 400, ""),
        (b"\xff\xfe{}", 400, ""),
        (b'{"messages":[],"x":NaN}', 400, ""),
        (b"[" * 100_000, 400, ""),
        (b'{"a":' * 300 + b"1" + b"}" * 300, 400, ""),
        (b"[]", 422, ""),
        (b"{}", 400, "messages"),
        (b'{"messages":[]}', 400, "messages"),
        (b'{"messages":"hi"}', 422, "messages"),
        (b'{"messages":[1]}', 422, "messages[0]"),
        (b'{"messages":[{"role":"user"}]}', 422, "messages[0].parts"),
        (b'{"messages":[{"role":"tool","parts":[]}]}', 422, "messages[0].role"),
        (b'{"messages":[{"id":7,"role":"user","parts":[]}]}', 422, "messages[0].id"),
        (b'{"messages":[{"role":"user","parts":[3]}]}', 422, "messages[0].parts[0]"),
        (b'{"messages":[{"role":"user","parts":[{"type":"text","text":5}]}]}', 422, "messages[0].parts[0].text"),
        (b'{"messages":[{"role":"user","parts":[{"type":"file"}]}]}', 422, "messages[0].parts[0].url"),
        (b'{"messages":[{"role":"user","parts":[{"type":"tool-x"}]}]}', 422, "messages[0].parts[0].toolCallId"),
        (
            b'{"messages":[{"role":"user","parts":[{"type":"text","text":"","providerMetadata":1}]}]}',
            422,
            "messages[0].parts[0].providerMetadata",
        ),
        (
            b'{"messages":[{"role":"user","parts":[{"type":"tool-x","toolCallId":"","approval":{}}]}]}',
            422,
            "messages[0].parts[0].approval.id",
        ),
        (
            b'{"messages":[{"role":"assistant","parts":[{"type":"steering-message","parts":[{"type":1}]}]}]}',
            422,
            "messages[0].parts[0].type",
        ),
        (
            b'{"messages":[{"role":"assistant","parts":[{"type":"steering-message"}]}]}',
            422,
            "messages[0].parts[0].parts",
        ),
        (
            b'{"messages":[{"role":"assistant","parts":[{"type":"steering-message","parts":[0]}]}]}',
            422,
            "messages[0].parts[0].parts[0]",
        ),
    ],
)
def test_a_wrong_body_is_refused_with_one_place(body: bytes, status: int, path: str):
    with pytest.raises(RequestError) as caught:
        parse_chat_request(body)
    assert (caught.value.status, caught.value.path) == (status, path)
    assert len(str(caught.value)) < 120


def test_a_refusal_never_repeats_what_the_client_sent():
    body = {"messages": [{"role": "secret-role", "parts": [{"type": "text", "text": ["secret"]}]}], "id": ["secret"]}
    with pytest.raises(RequestError) as caught:
        read(body)
    assert "secret" not in str(caught.value)


def test_numbers_that_json_cannot_hold_become_what_javascript_makes_of_them():
    chat = parse_chat_request(b'{"messages":[{"role":"user","parts":[]}],"a":1e999,"b":' + b"9" * 400 + b"}")
    assert chat.extra == {"a": None, "b": None}


def test_fastapi_takes_the_request_as_its_body_and_its_error_is_turned_into_ours():
    app = FastAPI()

    @app.post("/")
    async def _chat(chat: ChatRequest) -> Json:
        return chat.messages[0].to_json()

    @app.exception_handler(RequestValidationError)
    async def _refuse(_request: Json, error: RequestValidationError) -> Json:
        refusal = request_error_from_validation(error)
        return JSONResponse(refusal.path, refusal.status)

    client = TestClient(app)
    assert client.post("/", json=MODERN).json()["parts"] == MODERN["messages"][0]["parts"]
    headers = {"content-type": "application/json"}
    deep = b'{"a":' * 250 + b"1" + b"}" * 250
    bodies = (b"{", b"", deep, b'{"messages":[]}', b'{"messages":[{"role":"user","parts":[{"type":"text"}]}]}')
    answers = [client.post("/", content=content, headers=headers) for content in bodies]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (400, ""),
        (400, ""),
        (400, ""),
        (400, "messages"),
        (422, "messages[0].parts[0].text"),
    ]


def test_a_completion_needs_a_prompt():
    assert parse_completion_request(b'{"prompt":"hi","model":"x"}').extra == {"model": "x"}
    for body, status in ((b'{"prompt":" "}', 400), (b"{}", 400), (b'{"prompt":5}', 422)):
        with pytest.raises(RequestError) as caught:
            parse_completion_request(body)
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("message", "trigger", "agent", "expected"),
    [
        ({"role": "user", "content": "hi"}, None, None, ClientEvidence(None, 3, oldest=(3, 0, 0))),
        ({"role": "user", "content": "hi", "parts": []}, None, None, ClientEvidence(4, 4, oldest=(4, 1, 20))),
        ({"role": "user", "parts": []}, None, None, ClientEvidence(None, 5)),
        ({"role": "user", "parts": [], "content": "both"}, "submit-message", None, ClientEvidence(None, 5)),
        ({"role": "assistant", "parts": [{"type": "custom", "kind": "a.b"}]}, None, None, ClientEvidence(None, 7)),
        (
            {"role": "assistant", "parts": [{"type": "tool-x", "toolCallId": "1", "state": "approval-requested"}]},
            None,
            None,
            ClientEvidence(None, 6),
        ),
        (
            {"role": "assistant", "parts": [{"type": "tool-x", "toolCallId": "1", "approval": {"id": "a"}}]},
            None,
            None,
            ClientEvidence(None, 6),
        ),
        (
            {
                "role": "assistant",
                "parts": [{"type": "tool-x", "toolCallId": "1", "approval": {"id": "a", "isAutomatic": True}}],
            },
            None,
            None,
            ClientEvidence(None, 7),
        ),
        (
            {"role": "user", "parts": []},
            "submit-message",
            "ai-sdk/6.0.12 runtime/browser",
            ClientEvidence(6, 6, "6.0.12"),
        ),
        ({"role": "user", "parts": []}, None, "ai-sdk/9.0.0", ClientEvidence(None, 5, "9.0.0")),
        ({"role": "user", "parts": []}, None, "curl/8", ClientEvidence(None, 5)),
    ],
)
def test_a_request_proves_only_what_it_shows(message: Json, trigger: str | None, agent: str | None, expected: Json):
    chat = read({"messages": [message], **({"trigger": trigger} if trigger else {})})
    assert detect(chat, {"User-Agent": agent} if agent else None) == expected


def nested(levels: int) -> Json:
    value: Json = 1
    for _ in range(levels):
        value = [value]
    return value


def test_steering_messages_within_each_other_are_refused():
    part: Json = {"type": "text", "text": "Hi"}
    for _ in range(MAX_DEPTH // 3):
        part = {"type": "steering-message", "parts": [part]}

    with pytest.raises(RequestError) as refused:
        parse_chat_request(json.dumps({"messages": [{"role": "user", "parts": [part]}]}).encode())

    assert (refused.value.status, str(refused.value)) == (422, "messages[0].parts[0].parts: is nested too deep")


@pytest.mark.parametrize(
    ("field", "path"),
    [({"id": "\ud83d"}, "id"), ({"messageId": "a\ude00"}, "messageId"), ({"trigger": "\ud83d"}, "trigger")],
)
def test_half_of_a_character_in_an_id_is_refused_with_its_place(field: Any, path: str):
    message: Json = {"id": "1", "role": "user", "parts": []}
    body: Json = {"messages": [message], **cast("dict[str, Json]", field)}

    with pytest.raises(RequestError) as refused:
        parse_chat_request(json.dumps(body).encode())

    assert (refused.value.status, refused.value.path) == (400, path)


@pytest.mark.parametrize("extra", [{}, {"metadata": 1}, {"content": "Hi"}])
def test_half_of_a_character_in_a_messages_id_is_refused_with_its_place(extra: Any):
    plain: Json = {"id": "é", "role": "user", "parts": []}
    body: Json = {"messages": [plain, {**plain, "id": "\ud83d", **extra}]}

    with pytest.raises(RequestError) as refused:
        parse_chat_request(json.dumps(body).encode())

    assert (refused.value.status, str(refused.value)) == (400, "messages[1].id: must not hold half of a character")


TEXT: Json = {"type": "text", "text": "Hi"}


def assistant_message(*parts: Json, **more: Json) -> Json:
    return {"id": "1", "role": "assistant", "parts": list(parts), **more}


def encode(history: Json) -> bytes:
    """A body as a browser may post it; `Infinity` is how Python writes a number beyond all floats."""
    return json.dumps({"messages": history}).replace("Infinity", "1e999").encode()


def read_value(body: bytes) -> Json:
    """What a route reads that has the model as its body parameter."""
    try:
        return told(ChatRequest.model_validate(json.loads(body)))
    except ValidationError as error:
        return refusal(request_error_from_validation(error))


def read_body(body: bytes) -> Json:
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
def test_any_body_is_read_as_the_model_reads_its_value(history: Json):
    body = encode(history)
    assert repr(read_body(body)) == repr(read_value(body))


@settings(max_examples=EXAMPLES)
@given(mangled)
def test_what_is_wrong_with_a_body_is_told_as_the_model_tells_it(history: Json):
    body = encode(history)
    assert repr(read_body(body)) == repr(read_value(body))


@pytest.mark.parametrize("wrong", [{"role": "robot"}, {"id": 5}, {"role": None}])
def test_fields_of_a_message_are_checked(wrong: Json):
    body = encode([{**assistant_message(TEXT), **wrong}])
    assert read_body(body) == read_value(body)
    assert read_body(body)[2] == 422


def test_a_message_can_be_copied_and_changed():
    [posted] = parse_chat_request(encode([assistant_message(TEXT, x=1)])).messages
    changed = posted.model_copy(update={"id": "2"})
    assert changed.to_json() == {**assistant_message(TEXT, x=1), "id": "2"}
    assert posted.id == "1"
    assert json.loads(changed.model_dump_json())["parts"] == [TEXT]
