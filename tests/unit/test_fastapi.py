"""The HTTP edge: bodies that are taken and refused, and answers on their way to a reader."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.types import Message, Receive, Scope, Send

from tests.support.waiting import AT_ONCE, PATIENCE, eventually
from usechat import (
    ChatRequest,
    CompletionRequest,
    FinishEvent,
    StreamingAnswer,
    step_count_is,
    stream_text,
    tool,
    ui_message_stream,
)
from usechat.answers.answer import Answer, Callbacks, Outcome
from usechat.answers.loop.asks import Call, Script
from usechat.answers.loop.turn import Turn
from usechat.answers.writer.ui_message_stream import UIMessageStreamWriter
from usechat.errors import AnswerFailedError, ConfigurationError, ProviderStreamError, RequestError, StreamProtocolError
from usechat.http import sender
from usechat.http.new_run import known_ids
from usechat.http.request import chat_request, completion_request, read_body
from usechat.http.sender import slices
from usechat.messages import ui
from usechat.parts import (
    Data,
    ModelPart,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
)
from usechat.runs.memory import MemoryLog
from usechat.runs.service import RunService
from usechat.testing.models import Hold, ScriptedModel, Step, calling_tool, saying

pytestmark = pytest.mark.anyio

OVERLOADED = ProviderStreamError("overloaded", provider="scripted", is_retryable=True)
BODY: dict[str, Any] = {
    "id": "chat-1",
    "trigger": "submit-message",
    "messages": [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
}
BODY_4: dict[str, Any] = {
    "id": "chat-1",
    "messages": [{"role": "user", "content": "Hi", "parts": [{"type": "text", "text": "Hi"}]}],
}
BODY_3: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def app_of(make: Callable[[Any], StreamingAnswer]) -> FastAPI:
    app = FastAPI()

    @app.post("/api/chat")
    async def chat(chat: ChatRequest) -> StreamingAnswer:
        return make(chat)

    return app


def answering(*steps: Step, **options: Any) -> FastAPI:
    return app_of(lambda chat: stream_text(ScriptedModel(*steps), messages=chat.messages).response(chat, **options))


def post(app: FastAPI, body: Any = None, **options: Any) -> Any:
    with TestClient(app) as client:
        return client.post("/api/chat", json=BODY if body is None else body, **options)


def chunks(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def types(text: str) -> list[str]:
    return [chunk["type"] for chunk in chunks(text)]


# The answer


def test_five_lines_are_a_backend():
    app = FastAPI()
    model = ScriptedModel(saying("Hello"))

    @app.post("/api/chat")
    async def chat(chat: ChatRequest):
        return stream_text(model, system="You are a helpful assistant.", messages=chat.messages).response(chat)

    response = post(app)
    assert response.status_code == 200
    assert types(response.text) == [
        "start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish",
    ]  # fmt: skip
    assert model.calls[0].system == "You are a helpful assistant."


def test_headers_are_the_formats():
    headers = post(answering(saying("Hi"))).headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert "content-length" not in headers


@pytest.mark.parametrize(
    ("body", "headers", "options", "start"),
    [
        (BODY, {}, {}, ": stream-open\n\ndata: "),
        (BODY_4, {}, {}, 'f:{"messageId":'),
        (BODY_3, {}, {}, '0:"Hello"\n'),
        (BODY, {"x-usechat-sdk": "4.3.19"}, {}, 'f:{"messageId":'),
        (BODY, {"x-usechat-sdk": "4"}, {}, '0:"Hello"\ne:{"finishReason":'),
        (BODY, {}, {"sdk": 3.4}, '0:"Hello"\ne:{"finishReason":'),
        (BODY, {}, {"sdk": 3}, '0:"Hello"\n'),
        (BODY, {}, {"sdk": 2}, "Hello"),
        (BODY, {}, {"wire_format": "text-stream"}, "Hello"),
        (BODY, {}, {"wire_format": "events"}, ': stream-open\n\ndata: {"text":"Hello"}'),
    ],
)
def test_answer_is_in_the_protocol_of_whoever_asked(body: Any, headers: Any, options: Any, start: str):
    assert post(answering(saying("Hello"), **options), body, headers=headers).text.startswith(start)


@pytest.mark.parametrize(
    ("body", "named", "value"),
    [
        (BODY_3, None, "true"),
        (BODY_3, "3", "true"),
        (BODY_3, "3.0.19", "true"),
        (BODY_3, "3.0.20", None),
        (BODY_4, None, None),
    ],
)
def test_a_client_before_3_0_20_is_told_that_it_gets_lines(body: Any, named: str | None, value: str | None):
    response = post(answering(saying("Hi")), body, headers={"x-usechat-sdk": named} if named else {})
    assert response.headers.get("x-experimental-stream-data") == value


def test_completion_is_answered():
    app = FastAPI()

    @app.post("/api/completion")
    async def complete(completion: CompletionRequest) -> StreamingAnswer:
        return stream_text(ScriptedModel(saying("Hello")), prompt=completion.prompt).response(completion)

    with TestClient(app) as client:
        assert types(client.post("/api/completion", json={"prompt": "Hi"}).text)[-1] == "finish"
        assert client.post("/api/completion", json={"prompt": " "}).status_code == 400


@pytest.mark.parametrize("options", [{}, {"message_id": False}])
def test_message_keeps_the_clients_id(options: Any):
    assert chunks(post(answering(saying("Hi"), **options)).text)[0] == {"type": "start"}


def test_message_may_be_given_an_id():
    given = chunks(post(answering(saying("Hi"), message_id="m1")).text)[0]
    made = chunks(post(answering(saying("Hi"), message_id=lambda: "m2")).text)[0]
    random = chunks(post(answering(saying("Hi"), message_id=True)).text)[0]
    assert given["messageId"] == "m1"
    assert made["messageId"] == "m2"
    assert random["messageId"].startswith("msg-")


def reasoning_twice() -> tuple[Step, Step]:
    thought: list[ModelPart] = [ReasoningStart("0"), ReasoningDelta("0", "Hm"), ReasoningEnd("0")]
    return [thought, *calling_tool("look")], [thought, *saying("Done")]


@pytest.mark.parametrize("sdk", ["auto", "5.0.277", "6.0.324", "7.0.173"])
def test_saved_message_has_the_ids_that_the_client_has(sdk: str):
    heard: list[FinishEvent] = []

    async def look() -> str:
        return "seen"

    def answer(chat: Any) -> StreamingAnswer:
        model = ScriptedModel(*reasoning_twice())
        result = stream_text(model, messages=chat.messages, tools=[tool(look)], stop_when=step_count_is(2),
                             on_finish=heard.append)  # fmt: skip
        return result.response(chat, sdk=sdk)

    sent = chunks(post(app_of(answer)).text)
    shown = [chunk["id"] for chunk in sent if chunk["type"] == "reasoning-start"]
    saved = [part["id"] for part in heard[0].ui_message["parts"] if part["type"] == "reasoning"]
    assert shown == saved
    assert len(set(shown)) == (1 if sdk.startswith("5.") else 2)


def test_continuation_keeps_its_id():
    assistant = {"id": "a1", "role": "assistant", "parts": [{"type": "text", "text": "Before."}]}
    body = {**BODY, "messages": [*BODY["messages"], assistant]}
    finished: list[FinishEvent] = []
    app = app_of(
        lambda chat: stream_text(
            ScriptedModel(saying("After.")), messages=chat.messages, on_finish=finished.append
        ).response(chat, message_id=True)
    )
    assert chunks(post(app, body).text)[0]["messageId"] == "a1"
    assert finished[0].is_continuation
    assert [part["text"] for part in finished[0].ui_message["parts"] if part["type"] == "text"] == ["Before.", "After."]


def test_known_ids_are_those_of_the_continued_message():
    parts = [
        {"type": "text", "text": "x"},
        {"type": "tool-x", "toolCallId": "c1", "approval": {"id": "a1"}},
        {"type": "tool-x", "toolCallId": "c2", "approval": None},
        {"type": "tool-x", "toolCallId": 7},
    ]
    assert known_ids({"parts": parts}) == {
        "known_tool_calls": frozenset({"c1", "c2"}),
        "known_approvals": frozenset({"a1"}),
    }
    assert known_ids(None) == {}


def test_wrong_option_is_refused_where_it_is_given():
    options: Any = {"send_nothing": True}
    with pytest.raises(ConfigurationError, match="no option 'send_nothing'"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi").response(**options)


# What a route may add


def test_headers_and_cookies_of_the_route_are_sent():
    def make(chat: Any) -> StreamingAnswer:
        response = stream_text(ScriptedModel(saying("Hi")), messages=chat.messages).response(
            chat, headers={"X-Own": "1", "X-Accel-Buffering": None}
        )
        response.set_cookie("session", "abc")
        response.headers["cache-control"] = "no-store"
        response.status_code = 201
        return response

    response = post(app_of(make))
    assert response.status_code == 201
    assert response.cookies["session"] == "abc"
    assert response.headers["x-own"] == "1"
    assert response.headers.get_list("cache-control") == ["no-store"]
    assert "x-accel-buffering" not in response.headers


@pytest.mark.parametrize("is_own", [True, False])
def test_background_task_runs_after_the_answer(is_own: bool):
    ran: list[str] = []
    app = FastAPI()

    @app.post("/api/chat")
    async def chat(chat: ChatRequest, background: BackgroundTasks) -> StreamingAnswer:
        finished = stream_text(
            ScriptedModel(saying("Hi")), messages=chat.messages, on_finish=lambda event: ran.append("finish")
        )
        response = finished.response(chat)
        if is_own:
            response.background = BackgroundTask(ran.append, "background")
        else:
            background.add_task(ran.append, "background")
        return response

    post(app)
    assert ran == ["finish", "background"]


def test_head_makes_no_answer():
    model = ScriptedModel(saying("Hi"))
    app = FastAPI()

    @app.api_route("/api/chat", methods=["HEAD", "POST"])
    async def chat() -> StreamingAnswer:
        return stream_text(model, prompt="Hi").response()

    with TestClient(app) as client:
        response = client.head("/api/chat")
    assert response.headers["content-type"] == "text/event-stream"
    assert model.calls == []


@pytest.mark.parametrize("body", [BODY, BODY_4])
def test_middleware_changes_nothing_that_matters(body: Any):
    app = answering(saying("Hello"))

    async def passing(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-passed"] = "1"
        return response

    plain = post(answering(saying("Hello")), body)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    app.add_middleware(GZipMiddleware, minimum_size=1)
    app.add_middleware(CORSMiddleware, allow_origins=["https://page.example"])
    response = post(app, body, headers={"origin": "https://page.example", "accept-encoding": "gzip"})
    assert response.headers["x-passed"] == "1"
    assert response.headers["access-control-allow-origin"] == "https://page.example"
    assert len(response.text) == len(plain.text)


# Refusals


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"{", 400, "The body is not JSON."),
        (b"", 400, "The body is not JSON."),
        (b"[]", 422, "The body must be an object."),
        (b"{}", 400, "messages: is missing"),
        (b'{"messages":[]}', 400, "messages: must not be empty"),
        (b'{"messages":[{"role":"hunter2","parts":[]}]}', 422, "messages[0].role: is not one of the values known here"),
        (
            b'{"messages":[{"role":"user","parts":[{"type":"text","text":["hunter2"]}]}]}',
            422,
            "messages[0].parts[0].text: must be text",
        ),
    ],
)
def test_wrong_body_is_refused_with_its_place_and_without_an_echo(content: bytes, status: int, detail: str):
    with TestClient(answering(saying("Hi"))) as client:
        response = client.post("/api/chat", content=content)
    assert response.status_code == status
    assert response.json() == {"detail": detail}


def test_wrong_sdk_header_is_refused():
    response = post(answering(saying("Hi")), headers={"x-usechat-sdk": "9"})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("x-usechat-sdk: ")


def test_message_that_no_model_takes_is_refused_before_the_first_byte():
    bad = {"role": "user", "parts": [{"type": "file", "mediaType": "text/plain", "url": "file:///etc/passwd"}]}
    response = post(answering(saying("Hi")), {**BODY, "messages": [bad]})
    assert response.status_code in (400, 422)
    assert response.json()["detail"].startswith("messages[0].parts[0]")
    assert "passwd" not in response.text


def limited(max_body_bytes: int) -> FastAPI:
    app = FastAPI()
    read_chat, read_completion = Depends(chat_request(max_body_bytes)), Depends(completion_request(max_body_bytes))

    @app.post("/chat")
    async def chat(chat: Any = read_chat) -> str:
        return "taken"

    @app.post("/completion")
    async def complete(completion: Any = read_completion) -> str:
        return completion.prompt

    return app


@pytest.mark.parametrize("is_declared", [True, False])
def test_large_body_is_refused(is_declared: bool):
    content = json.dumps(BODY).encode()
    pieces = [content[:100], content[100:]]
    with TestClient(limited(len(content))) as client:
        assert client.post("/chat", content=content if is_declared else iter(pieces)).json() == "taken"
    with TestClient(limited(len(content) - 1)) as client:
        response = client.post("/chat", content=content if is_declared else iter(pieces))
        assert response.status_code == 413
        assert response.json() == {"detail": f"The body is larger than {len(content) - 1} bytes."}
        assert client.post("/completion", json={"prompt": "x" * len(content)}).status_code == 413


async def test_body_that_breaks_off_is_refused():
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(RequestError, match="incomplete"):
        await read_body(Request({"type": "http", "headers": []}, receive))


def test_length_that_is_no_number_is_not_believed():
    scope = {"type": "http", "headers": [(b"content-length", b"-5")]}

    async def read() -> bytes:
        messages = [{"type": "http.request", "body": b"abc", "more_body": False}]

        async def receive() -> Message:
            return messages.pop()

        return await read_body(Request(scope, receive))

    assert asyncio.run(read()) == b"abc"


# A connection, message by message


class Connection:
    """What a server is to an application: it sends what it is given, and says when the reader is gone."""

    def __init__(self, answer: Answer, **options: Any) -> None:
        self.response = answer.response(**options)
        self.headers: list[tuple[bytes, bytes]] = []
        self.sent: list[bytes] = []
        self.messages: list[Message] = []
        self.gone = asyncio.Event()
        self.arrived = asyncio.Condition()
        self.on_send: Callable[[Message], Awaitable[None]] | None = None
        self.task: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.on_send is not None:
            await self.on_send(message)
        self.messages.append(message)
        self.sent.append(message.get("body", b""))
        async with self.arrived:
            self.arrived.notify_all()

    async def run(self, receive: Receive | None = None, send: Send | None = None) -> bytes:
        scope: Scope = {"type": "http", "method": "POST", "headers": self.headers}
        await self.response(scope, receive or self.receive, send or self.send)
        return self.body

    def start(self, **options: Any) -> None:
        self.task = asyncio.create_task(self.run(**options))  # type: ignore[arg-type]

    async def until(self, text: bytes) -> None:
        """Wait until this was sent."""
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: text in self.body)

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)


def spoken(*steps: Step, heard: list[FinishEvent] | None = None) -> tuple[ScriptedModel, Answer]:
    model = ScriptedModel(*steps)
    return model, stream_text(model, prompt="Hi", on_finish=(heard if heard is not None else []).append)


async def left_behind(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    for _ in range(10):
        await asyncio.sleep(0)
    return asyncio.all_tasks() - before


async def test_first_bytes_are_sent_before_the_model_says_anything():
    before = asyncio.all_tasks()
    hold = Hold()
    model, answer = spoken([hold])
    connection = Connection(answer)
    connection.start()
    await hold.reached.wait()
    assert connection.body.startswith(b": stream-open\n\n")
    connection.gone.set()
    await model.closed.wait()
    assert connection.task is not None
    await connection.task
    assert await left_behind(before) == set()


async def test_format_without_opening_bytes_still_sends_its_headers_at_once():
    hold = Hold()
    model, answer = spoken([hold])
    connection = Connection(answer, sdk=4)
    connection.start()
    await hold.reached.wait()
    assert [message["type"] for message in connection.messages[:2]] == ["http.response.start", "http.response.body"]
    connection.gone.set()
    await model.closed.wait()


async def test_reader_that_leaves_stops_the_model_at_once():
    before = asyncio.all_tasks()
    heard: list[FinishEvent] = []
    hold = Hold()
    model, answer = spoken([[TextStart("0"), TextDelta("0", "Hel")], hold], heard=heard)
    connection = Connection(answer)
    connection.start()
    await hold.reached.wait()
    await connection.until(b"Hel")
    connection.gone.set()
    async with asyncio.timeout(AT_ONCE):
        await model.closed.wait()
    assert connection.task is not None
    await connection.task
    assert connection.task.cancelling() == 0
    assert connection.messages[-1]["more_body"] is True
    assert [event.is_aborted for event in heard] == [True]
    assert await left_behind(before) == set()


async def test_reader_that_leaves_while_it_is_being_sent_to_stops_the_model():
    heard: list[FinishEvent] = []
    stuck = asyncio.Event()
    model, answer = spoken(saying("Hel", "lo"), heard=heard)
    connection = Connection(answer)

    async def block(message: Message) -> None:
        if b"Hel" in message.get("body", b""):
            stuck.set()
            await asyncio.Event().wait()

    connection.on_send = block
    connection.start()
    await stuck.wait()
    connection.gone.set()
    async with asyncio.timeout(AT_ONCE):
        await model.closed.wait()
    assert connection.task is not None
    await connection.task
    assert [event.is_aborted for event in heard] == [True]


async def test_abort_stops_the_model_while_the_reader_is_slow():
    heard: list[FinishEvent] = []
    stuck, go_on = asyncio.Event(), asyncio.Event()
    model, answer = spoken(saying("Hel", "lo"), heard=heard)
    connection = Connection(answer, sdk=7)

    async def block(message: Message) -> None:
        if b"Hel" in message.get("body", b""):
            stuck.set()
            await go_on.wait()

    connection.on_send = block
    connection.start()
    await stuck.wait()
    answer.abort("enough")
    async with asyncio.timeout(AT_ONCE):
        await model.closed.wait()
    go_on.set()
    assert connection.task is not None
    await connection.task
    assert connection.body.endswith(b'data: {"type":"abort","reason":"enough"}\n\ndata: [DONE]\n\n')
    assert [event.is_aborted for event in heard] == [True]


async def test_reader_that_was_gone_before_the_first_byte_is_told():
    heard: list[FinishEvent] = []
    model, answer = spoken(saying("Hi"), heard=heard)

    async def send(message: Message) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await Connection(answer).run(send=send)
    assert [event.is_aborted for event in heard] == [True]
    assert model.calls == []


async def test_server_that_cancels_gets_its_cancellation_back():
    heard: list[FinishEvent] = []
    hold = Hold()
    model, answer = spoken([[TextStart("0")], hold], heard=heard)
    connection = Connection(answer)
    connection.start()
    await hold.reached.wait()
    assert connection.task is not None
    connection.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connection.task
    assert model.open_count == 0
    assert [event.is_aborted for event in heard] == [True]


async def test_server_that_cancels_a_reader_that_left_gets_its_cancellation_back():
    hold = Hold()
    model, answer = spoken([hold])
    connection = Connection(answer)
    connection.start()
    await hold.reached.wait()
    assert connection.task is not None
    connection.gone.set()
    while model.open_count:  # noqa: ASYNC110 - as soon as it was noticed, and not a turn later
        await asyncio.sleep(0)
    connection.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connection.task
    assert model.open_count == 0


async def test_server_that_cancels_when_all_is_sent_gets_its_cancellation_back():
    _, answer = spoken(saying("Hi"))
    connection = Connection(answer)

    async def receive() -> Message:
        try:
            await asyncio.Event().wait()
        finally:
            # It was called back because the answer is over; now the server wants it to stop as well.
            assert connection.task is not None
            connection.task.cancel()
        raise AssertionError

    connection.start(receive=receive)
    assert connection.task is not None
    with pytest.raises(asyncio.CancelledError):
        await connection.task
    assert connection.messages[-1]["more_body"] is False


async def test_reader_that_leaves_at_the_very_end_changes_nothing():
    heard: list[FinishEvent] = []
    _, answer = spoken(saying("Hi"), heard=heard)
    connection = Connection(answer)

    async def leave(message: Message) -> None:
        if message.get("more_body") is False:
            connection.gone.set()

    connection.on_send = leave
    body = await connection.run()
    assert body.endswith(b"data: [DONE]\n\n")
    assert [event.is_aborted for event in heard] == [False]


async def test_channel_that_breaks_is_taken_for_a_reader_that_left(caplog: pytest.LogCaptureFixture):
    hold = Hold()
    model, answer = spoken([hold])

    async def receive() -> Message:
        await hold.reached.wait()
        raise OSError("broken")

    await Connection(answer).run(receive=receive)
    assert model.open_count == 0
    assert "the server's channel broke" in caplog.text


async def test_channel_that_says_goodbye_when_it_is_no_longer_listened_to_changes_nothing():
    async def receive() -> Message:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return {"type": "http.disconnect"}
        raise AssertionError

    async def pause() -> None:
        await asyncio.sleep(0.01)

    _, answer = spoken([pause, *saying("Hi")])
    assert (await Connection(answer).run(receive=receive)).endswith(b"[DONE]\n\n")


async def test_request_messages_that_come_late_are_passed_over():
    _, answer = spoken(saying("Hi"))
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    assert (await Connection(answer).run(receive=receive)).endswith(b"[DONE]\n\n")


# Silences


@pytest.mark.parametrize(("sdk", "frame"), [(7, b": keep-alive\n\n"), (4, b"\n")])
async def test_silence_is_broken_by_what_clients_ignore(sdk: int, frame: bytes):
    hold = Hold()
    model, answer = spoken([hold])
    connection = Connection(answer, sdk=sdk, heartbeat=0.01)
    connection.start()
    await hold.reached.wait()
    await connection.until(frame * 2)
    assert next(sent for sent in connection.sent if frame in sent) == frame
    connection.gone.set()
    await model.closed.wait()


@pytest.mark.parametrize("options", [{"wire_format": "text-stream", "heartbeat": 0.001}, {"heartbeat": None}])
async def test_silence_is_kept_where_there_is_no_frame_for_it(options: Any):
    async def pause() -> None:
        await asyncio.sleep(0.02)

    _, answer = spoken([pause, *saying("Hi")])
    assert b"keep-alive" not in await Connection(answer, **options).run()


async def test_heartbeat_never_comes_into_the_middle_of_a_frame(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sender, "MAX_SEND_BYTES", 8)

    async def pause() -> None:
        seen = connection.body.count(b": keep-alive")
        await eventually(lambda: connection.body.count(b": keep-alive") > seen)

    _, answer = spoken([[TextStart("0")], pause, [TextDelta("0", "x" * 40)], pause, *saying("end")[2:]])
    connection = Connection(answer, heartbeat=0.003)

    async def slow(message: Message) -> None:
        await asyncio.sleep(0.004)

    connection.on_send = slow
    body = await connection.run()
    assert body.count(b": keep-alive") > 0
    for frame in body.decode().removesuffix("\n\n").split("\n\n"):
        assert frame in (": stream-open", ": keep-alive", "data: [DONE]") or json.loads(frame.removeprefix("data: "))


async def test_heartbeat_that_is_stuck_is_waited_for():
    go_on, silent = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        await silent.wait()

    _, answer = spoken([[TextStart("0")], wait, *saying("end")[1:]])
    connection = Connection(answer, heartbeat=0.01)

    async def stick(message: Message) -> None:
        if message.get("body") == b": keep-alive\n\n" and not go_on.is_set():
            silent.set()
            await asyncio.sleep(0.02)
            assert b"end" not in connection.body
            go_on.set()

    connection.on_send = stick
    body = await connection.run()
    assert body.index(b": keep-alive") < body.index(b'"delta":"end"')


async def test_heartbeat_that_cannot_be_sent_is_no_end_of_the_answer():
    failed = asyncio.Event()

    async def wait() -> None:
        await failed.wait()

    _, answer = spoken([[TextStart("0")], wait, *saying("end")[1:]])
    connection = Connection(answer, heartbeat=0.01)

    async def refuse(message: Message) -> None:
        if message.get("body") == b": keep-alive\n\n":
            failed.set()
            raise OSError("not now")

    connection.on_send = refuse
    assert (await connection.run()).endswith(b"[DONE]\n\n")


async def test_burst_is_sent_in_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sender, "MAX_SEND_BYTES", 10)
    assert list(slices(b"x" * 10)) == [b"x" * 10]
    assert list(slices(b"x" * 21)) == [b"x" * 10, b"x" * 10, b"x"]


async def test_slow_reader_holds_the_model_up():
    """What is made and not yet sent is at most one batch: memory does not grow."""
    made = 0

    async def count() -> None:
        nonlocal made
        made += 1

    step: list[Any] = [[TextStart("0")]]
    for _ in range(100):
        step += [count, [TextDelta("0", "x")]]
    _, answer = spoken(step)
    connection = Connection(answer)
    go_on = asyncio.Event()

    async def block(message: Message) -> None:
        if b'"delta"' in message.get("body", b""):
            await go_on.wait()

    connection.on_send = block
    connection.start()
    for _ in range(200):
        await asyncio.sleep(0)
    assert made <= 2
    go_on.set()
    assert connection.task is not None
    await connection.task
    assert made == 100


# Failures


async def test_answer_that_cannot_be_encoded_ends_in_an_error():
    heard: list[FinishEvent] = []

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write(TextStart("0"))
        writer.write(Data(name="bad", data=object()))
        writer.write(TextDelta("0", "never sent"))

    body = (await Connection(ui_message_stream(execute, on_finish=heard.append)).run()).decode()
    assert types(body)[-4:] == ["text-start", "text-end", "error", "finish"]
    assert "never sent" not in body
    (event,) = heard
    assert isinstance(event.error, TypeError)
    assert not event.is_aborted


BROKEN_TRY: Step = [[TextStart("0"), TextDelta("0", "wrong")], OVERLOADED]


async def test_step_that_broke_is_shown_anew_and_saved_once():
    heard: list[FinishEvent] = []
    answer = stream_text(
        ScriptedModel(BROKEN_TRY, saying("right")), prompt="Hi", stream_retries=1, on_finish=heard.append
    )
    body = (await Connection(answer, sdk="7.0.173").run()).decode()
    assert types(body)[2:5] == ["text-start", "text-delta", "reset-step"]
    assert types(body)[-1] == "finish"
    assert heard[0].text == "right"
    assert [part["text"] for part in heard[0].ui_message["parts"] if part["type"] == "text"] == ["right"]


@pytest.mark.parametrize(
    "options", [{"sdk": 6}, {"sdk": 4}, {"sdk": 7}, {"sdk": "7.0.173", "wire_format": "events"}, {}]
)
async def test_reader_that_cannot_forget_is_shown_no_step_twice(options: Any):
    answer = stream_text(ScriptedModel(BROKEN_TRY, saying("right")), prompt="Hi", stream_retries=1)
    body = await Connection(answer, **options).run()
    assert b"wrong" in body
    assert b"right" not in body


TEXT: dict[str, Any] = {"wire_format": "text-stream"}


async def test_text_stream_that_fails_before_its_first_byte_is_an_error_status():
    connection = Connection(stream_text(ScriptedModel([OVERLOADED]), prompt="Hi"), **TEXT)
    assert json.loads(await connection.run())["detail"].startswith("The model's answer broke off. Try again. (error ")
    assert connection.messages[0]["status"] == 500


async def test_text_stream_that_fails_later_breaks_off():
    connection = Connection(stream_text(ScriptedModel(BROKEN_TRY), prompt="Hi"), **TEXT)
    with pytest.raises(AnswerFailedError):
        await connection.run()
    assert connection.body == b"wrong"
    assert connection.messages[0]["status"] == 200
    assert connection.messages[-1]["more_body"] is True


async def test_kept_text_stream_that_fails_breaks_off():
    runs = RunService(MemoryLog())
    connection = Connection(stream_text(ScriptedModel(BROKEN_TRY), prompt="Hi"), runs=runs, chat_id="c", **TEXT)
    with pytest.raises(AnswerFailedError):
        await connection.run()
    assert connection.body == b"wrong"
    await runs.shutdown()


async def test_text_stream_without_text_is_an_empty_success():
    connection = Connection(stream_text(ScriptedModel(saying()), prompt="Hi"), **TEXT)
    assert await connection.run() == b""
    assert connection.messages[0]["status"] == 200


@pytest.mark.parametrize("wire_format", ["text-stream", "ui-message-stream"])
async def test_answer_whose_end_fails_ends_its_response(wire_format: str, monkeypatch: pytest.MonkeyPatch):
    """A bug of this package must not leave a reader waiting."""
    answer = stream_text(ScriptedModel(saying("Hi")), prompt="Hi")
    monkeypatch.setattr(answer, "_last_parts", None)
    connection = Connection(answer, wire_format=wire_format)
    with pytest.raises(TypeError):
        await connection.run()
    assert b"Hi" in connection.body


async def test_answer_that_nobody_is_shown_forgets_a_try_that_failed():
    answer = stream_text(ScriptedModel(BROKEN_TRY, saying("right")), prompt="Hi", stream_retries=1)
    assert await answer.text == "right"


async def test_source_that_breaks_ends_in_an_error():
    class Breaking(Turn):
        def script(self) -> Script[None]:
            self.parts.append(Start())
            yield Call(print)
            raise ZeroDivisionError

        def outcome(self) -> Outcome:
            return Outcome()

    class Broken(Answer):
        def make_turn(self) -> Turn:
            return Breaking()

    heard: list[FinishEvent] = []
    answer = Broken(Callbacks(on_finish=heard.append, on_error=lambda error: "Sorry."))
    body = (await Connection(answer).run()).decode()
    assert types(body) == ["start", "error"]
    assert chunks(body)[-1]["errorText"] == "Sorry."
    assert isinstance(heard[0].error, ZeroDivisionError)


async def test_illegal_part_is_an_exception_in_strict_mode_only():
    async def illegal() -> AsyncIterator[Part]:
        yield TextEnd("never begun")

    with pytest.raises(StreamProtocolError):
        await Connection(ui_message_stream(illegal()), strict=True).run()
    assert types((await Connection(ui_message_stream(illegal())).run()).decode()) == ["start", "finish"]


async def test_answer_that_was_read_before_is_refused_before_the_first_byte():
    _, answer = spoken(saying("Hi"))
    await answer.text
    connection = Connection(answer)
    with pytest.raises(ConfigurationError, match="can be read once"):
        await connection.run()
    assert connection.messages == []


async def test_refusal_is_json():
    _, answer = spoken(saying("Hi"))
    connection = Connection(answer)
    connection.headers = [(b"x-usechat-sdk", b"nothing")]
    await connection.run()
    assert connection.messages[0]["status"] == 400
    assert "detail" in json.loads(connection.body)


def requests_held() -> list[Any]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, ui.ChatRequest | ui.UIMessage)]


def asked(hold: Hold, **options: Any) -> Connection:
    chat = ui.parse_chat_request(json.dumps(BODY).encode())
    answer = stream_text(ScriptedModel([[TextStart("0")], hold]), messages=chat.messages)
    return Connection(answer, chat=chat, **options)


@pytest.mark.parametrize("is_run", [False, True])
async def test_open_answer_holds_nothing_of_its_request(is_run: bool):
    before, hold, runs = requests_held(), Hold(), RunService(MemoryLog(), shutdown_timeout=0)
    connection = asked(hold, runs=runs if is_run else None)
    connection.start()
    await hold.reached.wait()
    await connection.until(b"text-start")

    assert [each for each in requests_held() if not any(each is other for other in before)] == []
    connection.gone.set()
    assert connection.task is not None
    await connection.task
    await runs.shutdown()


async def test_answer_whose_head_cannot_be_sent_is_told_as_stopped():
    heard: list[FinishEvent] = []
    _, answer = spoken(saying("Hi"), heard=heard)

    async def send(_: Message) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await Connection(answer).run(send=send)
    assert [event.is_aborted for event in heard] == [True]
