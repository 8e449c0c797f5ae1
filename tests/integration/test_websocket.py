"""`ChatSocket` behind uvicorn: what a client may send, in any order and of any kind, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.conformance.replies import said, text
from tests.support.waiting import AT_ONCE, PATIENCE, eventually
from usechat import FinishEvent, StreamingAnswer, UIMessageStreamWriter, stream_text, ui_message_stream
from usechat.answers.answer import Answer
from usechat.errors import ConfigurationError, RequestError
from usechat.failures import WORDS
from usechat.http.resume import find_running
from usechat.http.websocket import MAX_REQUESTS, ChatSocket, Handler
from usechat.messages.ui import ChatRequest
from usechat.models import anthropic
from usechat.parts import Data
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.testing.replay import ReplayServer, Reply

pytestmark = pytest.mark.anyio

HELD = said(text("One ", "two"), hold_after=4)
MESSAGE = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncGenerator[str]:
    """A server with one route; its address."""
    app = FastAPI()

    @app.websocket("/ws")
    async def chat(websocket: WebSocket) -> None:
        await ChatSocket(websocket, handler, **options).serve()

    assert chat
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await eventually(lambda: server.started)
    yield f"ws://127.0.0.1:{listening.getsockname()[1]}/ws"
    server.should_exit = True
    await task


def asking(upstream: ReplayServer, finished: list[FinishEvent] | None = None) -> Handler:
    def handler(chat: ChatRequest) -> Answer:
        model = anthropic("claude-sonnet-4-6", base_url=upstream.url, api_key="none")
        on_finish = None if finished is None else finished.append
        return stream_text(model, messages=chat.messages, max_retries=0, on_finish=on_finish)

    return handler


def send(request_id: str = "a", **fields: Any) -> str:
    frame = {"type": "send", "requestId": request_id, "id": "chat", "trigger": "submit-message", "messages": [MESSAGE]}
    return json.dumps({**frame, "headers": {}, "body": {}, **fields})


async def receive(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        return json.loads(await connection.recv())


async def receive_all(connection: ClientConnection, *request_ids: str) -> dict[str, list[dict[str, Any]]]:
    """The frames of each request, to its end."""
    frames: dict[str, list[dict[str, Any]]] = {request_id: [] for request_id in request_ids or ("a",)}
    while any(not each or each[-1]["type"] not in {"end", "error", "no-active"} for each in frames.values()):
        frame = await receive(connection)
        frames[frame["requestId"]].append(frame)
    return frames


async def receive_text(connection: ClientConnection, words: str, request_id: str = "a") -> None:
    seen = ""
    while not seen.endswith(words):
        frame = await receive(connection)
        if frame["requestId"] == request_id and frame.get("chunk", {}).get("type") == "text-delta":
            seen += frame["chunk"]["delta"]


# Answers


async def test_chunks_are_numbered_between_start_and_end():
    async with ReplayServer(Reply("text")) as upstream, serving(asking(upstream)) as url, connect(url) as connection:
        await connection.send(send())
        first, *chunks, last = (await receive_all(connection))["a"]
    assert (first, last) == ({"type": "start", "requestId": "a"}, {"type": "end", "requestId": "a"})
    assert [chunk["sequence"] for chunk in chunks] == list(range(len(chunks)))
    assert chunks[-1]["chunk"] == {"type": "finish", "finishReason": "stop"}


async def test_several_answers_share_one_connection():
    names = [f"r{number}" for number in range(5)]
    async with (
        ReplayServer(said(text("One ", "two ", "three"), delay=0.005)) as upstream,
        serving(asking(upstream)) as url,
        connect(url) as connection,
    ):
        for name in names:
            await connection.send(send(name))
        frames = await receive_all(connection, *names)
    for each in frames.values():
        deltas = [frame["chunk"]["delta"] for frame in each if frame.get("chunk", {}).get("type") == "text-delta"]
        assert "".join(deltas) == "One two three"


async def test_more_answers_than_there_may_be_are_refused():
    async with ReplayServer(HELD) as upstream, serving(asking(upstream)) as url, connect(url) as connection:
        for number in range(MAX_REQUESTS):
            await connection.send(send(f"r{number}"))
        await upstream.received(MAX_REQUESTS)
        await connection.send(send("one more"))
        frame = await receive(connection)
        while frame["requestId"] != "one more":
            frame = await receive(connection)
    assert frame["type"] == "error"
    assert "too many" in frame["errorText"]


async def test_a_request_id_that_comes_twice_leaves_the_first_request_alone():
    async with ReplayServer(HELD) as upstream, serving(asking(upstream)) as url, connect(url) as connection:
        await connection.send(send("a"))
        await receive_text(connection, "One ")
        await connection.send(send("a"))
        await connection.send(json.dumps({"type": "resume", "requestId": "b", "id": "chat"}))
        frame = await receive(connection)
        while frame["requestId"] != "b":
            assert frame["type"] == "chunk"
            frame = await receive(connection)
    assert len(upstream.requests) == 1


async def test_there_is_nothing_to_resume():
    async with ReplayServer(Reply("text")) as upstream, serving(asking(upstream)) as url, connect(url) as connection:
        await connection.send(json.dumps({"type": "resume", "requestId": "a", "id": "chat", "headers": {}, "body": {}}))
        assert await receive(connection) == {"type": "no-active", "requestId": "a"}


async def test_a_handlers_response_may_be_a_run_that_is_resumed():
    runs = RunService(MemoryLog(), disconnect="finish")
    async with ReplayServer(HELD) as upstream:
        answer = asking(upstream)

        async def respond(chat: ChatRequest) -> StreamingAnswer:
            made = answer(chat)
            assert isinstance(made, Answer)
            return made.response(chat, runs=runs)

        async with serving(respond, find_running=partial(find_running, runs)) as url:
            async with connect(url) as connection:
                await connection.send(send())
                await receive_text(connection, "One ")
            async with connect(url) as connection:
                await connection.send(json.dumps({"type": "resume", "requestId": "b", "id": "chat"}))
                await receive_text(connection, "One two", "b")
                assert await runs.stop("chat")
                assert (await receive_all(connection, "b"))["b"][-1]["type"] == "end"
    assert len(upstream.requests) == 1
    await runs.shutdown()


async def test_an_upstream_error_is_a_chunk():
    async with (
        ReplayServer(Reply(status=529)) as upstream,
        serving(asking(upstream)) as url,
        connect(url) as connection,
    ):
        await connection.send(send())
        frames = (await receive_all(connection))["a"]
    assert [frame["chunk"]["type"] for frame in frames[1:-1]] == ["start", "error"]
    assert frames[-1]["type"] == "end"


async def test_the_body_and_the_message_id_go_where_http_takes_them():
    seen: list[ChatRequest] = []

    def handler(chat: ChatRequest) -> Answer:
        seen.append(chat)
        return ui_message_stream(hello)

    async with serving(handler, message_id="msg_1") as url, connect(url) as connection:
        await connection.send(send(body={"colour": "blue", "id": "not this"}))
        frames = (await receive_all(connection))["a"]
    assert (seen[0].id, seen[0].extra["colour"]) == ("chat", "blue")
    assert frames[1]["chunk"] == {"type": "start", "messageId": "msg_1"}


async def hello(writer: UIMessageStreamWriter) -> None:
    writer.write_text("hello")


# Stopping


async def test_an_abort_closes_the_upstream_at_once_and_leaves_the_others_alone():
    finished: list[FinishEvent] = []
    async with ReplayServer(HELD) as upstream, serving(asking(upstream, finished)) as url, connect(url) as connection:
        await connection.send(send("a"))
        await receive_text(connection, "One two")
        await connection.send(send("b"))
        await receive_text(connection, "One two", "b")
        stopped = time.monotonic()
        await connection.send(json.dumps({"type": "abort", "requestId": "a"}))
        await upstream.requests[0].wait_async()
        aborted_at = upstream.requests[0].aborted_at
        assert aborted_at is not None
        assert aborted_at - stopped < AT_ONCE
        assert not upstream.requests[1].is_aborted
        await eventually(lambda: len(finished) == 1)
        assert finished[0].is_aborted
        assert finished[0].ui_message["parts"][-1]["text"] == "One two"


@pytest.mark.parametrize("is_rude", [False, True])
async def test_a_client_that_leaves_stops_its_answers(is_rude: bool):
    finished: list[FinishEvent] = []
    async with ReplayServer(HELD) as upstream, serving(asking(upstream, finished)) as url:
        async with connect(url) as connection:
            await connection.send(send("a"))
            await connection.send(send("b"))
            await upstream.received(2)
            await receive_text(connection, "One two")
            if is_rude:
                connection.transport.abort()
        for request in upstream.requests:
            await request.wait_async()
            assert request.is_aborted
        await eventually(lambda: len(finished) == 2)
    assert [event.is_aborted for event in finished] == [True, True]


async def test_an_abort_of_nothing_is_passed_over():
    async with ReplayServer(Reply("text")) as upstream, serving(asking(upstream)) as url, connect(url) as connection:
        await connection.send(json.dumps({"type": "abort", "requestId": "a"}))
        await connection.send(send())
        assert (await receive_all(connection))["a"][-1]["type"] == "end"
        await connection.send(json.dumps({"type": "abort", "requestId": "a"}))
        await connection.send(send())
        assert (await receive_all(connection))["a"][-1]["type"] == "end"


# What is no request


@pytest.mark.parametrize(
    "frame", ["", "no JSON", "[]", "5", "null", "{}", '{"type":"send"}', '{"requestId":5}', '{"type":', b"\x00\xff"]
)
async def test_what_is_no_frame_closes_the_connection(frame: str | bytes):
    async with ReplayServer(HELD) as upstream, serving(asking(upstream)) as url:
        async with connect(url) as connection:
            await connection.send(send())
            await receive_text(connection, "One ")
            await connection.send(frame)
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await receive(connection)
            assert connection.close_code == 1007
        await upstream.requests[0].wait_async()
        async with connect(url) as connection:
            await connection.send(send())
            await receive_text(connection, "One ")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"type": "dance"}, "The frame has no known type."),
        ({"type": 5}, "The frame has no known type."),
        ({"messages": []}, "messages: must not be empty"),
        ({"messages": "Hi"}, "messages: must be a list"),
        ({"messages": None}, "messages: is missing"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        ({"headers": {"x-usechat-sdk": "6"}}, "The WebSocket transport needs AI SDK 7."),
        ({"headers": {"x-usechat-sdk": "nine"}}, "x-usechat-sdk: "),
    ],
)
async def test_a_request_that_cannot_be_answered_is_refused_and_the_connection_lives(fields: dict[str, Any], why: str):
    async with ReplayServer(Reply("text")) as upstream, serving(asking(upstream)) as url, connect(url) as connection:
        await connection.send(send(**fields))
        frame = await receive(connection)
        assert frame["type"] == "error"
        assert frame["errorText"].startswith(why)
        await connection.send(send())
        assert (await receive_all(connection))["a"][-1]["type"] == "end"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("headers", [None, 5, [], {"a": 5}, {"a": "\u20ac", "b": "\udc80"}])
@pytest.mark.parametrize("body", [None, 5, []])
async def test_headers_and_body_of_the_wrong_kind_are_passed_over(headers: Any, body: Any):
    async with ReplayServer(Reply("text")) as upstream, serving(asking(upstream)) as url, connect(url) as connection:
        await connection.send(send(headers=headers, body=body))
        assert (await receive_all(connection))["a"][-1]["type"] == "end"


# Who may ask


def by_text(headers: Mapping[str, str]) -> str | None:
    return None if headers.get("authorization") == "Bearer key" else "Who are you?"


def by_raising(headers: Mapping[str, str]) -> None:
    if (refusal := by_text(headers)) is not None:
        raise RequestError(refusal, status=401)


async def by_asking_around(headers: Mapping[str, str]) -> str | None:
    await asyncio.sleep(0)
    return by_text(headers)


@pytest.mark.parametrize("authorize", [by_text, by_raising, by_asking_around])
@pytest.mark.parametrize("kind", ["send", "resume"])
async def test_each_request_is_let_in_or_not_by_its_own_headers(authorize: Any, kind: str):
    async with (
        ReplayServer(Reply("text")) as upstream,
        serving(asking(upstream), authorize=authorize) as url,
        connect(url) as connection,
    ):
        await connection.send(send("a", type=kind))
        assert await receive(connection) == {"type": "error", "requestId": "a", "errorText": "Who are you?"}
        await connection.send(send("b", type=kind, headers={"Authorization": "Bearer key"}))
        last = (await receive_all(connection, "b"))["b"][-1]
    assert last["type"] == {"send": "end", "resume": "no-active"}[kind]
    assert len(upstream.requests) == (kind == "send")


# Defects of the application


async def test_a_handler_that_fails_is_masked_and_the_connection_lives():
    async def handler(chat: ChatRequest) -> Answer:
        raise LookupError("a secret")

    async with serving(handler) as url, connect(url) as connection:
        for name in ("a", "b"):
            await connection.send(send(name))
            frame = await receive(connection)
            assert frame == {"type": "error", "requestId": name, "errorText": "An error occurred."}


async def test_a_part_that_json_cannot_hold_ends_the_answer_legally():
    async def write(writer: UIMessageStreamWriter) -> None:
        writer.write_text("before")
        await asyncio.sleep(0)
        writer.write(Data(name="thing", data=object()))

    finished: list[FinishEvent] = []
    async with (
        serving(lambda chat: ui_message_stream(write, on_finish=finished.append)) as url,
        connect(url) as connection,
    ):
        await connection.send(send())
        frames = (await receive_all(connection))["a"]
    chunks = [frame for frame in frames if frame["type"] == "chunk"]
    assert [frame["sequence"] for frame in chunks] == list(range(len(chunks)))
    errors = [frame["chunk"]["errorText"] for frame in chunks if frame["chunk"]["type"] == "error"]
    assert [error.startswith(f"{WORDS['invalid-part']} (error ") for error in errors] == [True]
    assert frames[-1]["type"] == "end"
    assert isinstance(finished[0].error, TypeError)


@pytest.mark.parametrize("sdk", [6, "auto", "5.0.0"])
def test_only_versions_that_have_the_transport_can_be_named(sdk: Any):
    with pytest.raises(ConfigurationError, match="AI SDK 7"):
        ChatSocket(WebSocket({"type": "websocket"}, no_message, no_message), asking, sdk=sdk)  # pyright: ignore[reportArgumentType]


async def no_message(*_: Any) -> Any:
    """Nothing is received or sent."""
