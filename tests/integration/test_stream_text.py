"""The library end to end: a real server, the real `anthropic` package and a stand-in for the Messages API."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import uvicorn
from anthropic import AsyncAnthropic
from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from tests.support.waiting import AT_ONCE, PATIENCE
from usechat import (
    ChatRequest,
    FinishEvent,
    StreamingAnswer,
    UIMessageStreamWriter,
    step_count_is,
    stream_text,
    ui_message_stream,
)
from usechat.answers.answer import Answer
from usechat.models import anthropic
from usechat.models.claude.model import AnthropicModel
from usechat.parts import Part, TextDelta
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

pytestmark = pytest.mark.anyio
BODY: dict[str, Any] = {
    "id": "chat-1",
    "trigger": "submit-message",
    "messages": [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}],
}
BODY_4: dict[str, Any] = {"id": "chat-1", "messages": [{"role": "user", "content": "When is high water?"}]}
SAID = "High water is at 14:20 in Whitby."


class Served:
    """An application behind uvicorn, on a thread and an event loop of its own."""

    def __init__(self, app: FastAPI, upstream: ReplayServer) -> None:
        self.upstream = upstream
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        started = threading.Event()

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                started.set()

        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, lifespan="off")
        self.server = Server(config)
        self.tasks_left: set[str] = set()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert started.wait(PATIENCE)

    async def _serve(self) -> None:
        await self.server.serve(sockets=[self.socket])
        await model_for(self.upstream).aclose()
        await anthropic("claude-sonnet-4-6").aclose()
        for _ in range(10):
            await asyncio.sleep(0)
        mine = asyncio.current_task()
        self.tasks_left = {repr(task) for task in asyncio.all_tasks() if task is not mine}

    def stop(self) -> None:
        """Shut it down, as a signal would."""
        self.server.should_exit = True
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        self.socket.close()


@contextmanager
def serving(app: FastAPI, upstream: ReplayServer) -> Generator[str]:
    """The application's URL while it runs."""
    served = Served(app, upstream)
    try:
        yield served.url
    finally:
        served.stop()
    assert served.tasks_left == set()


class Ends:
    """What `on_finish` heard, on the server's thread."""

    def __init__(self) -> None:
        self.events: list[FinishEvent] = []
        self.heard = threading.Event()

    def __call__(self, event: FinishEvent) -> None:
        self.events.append(event)
        self.heard.set()

    async def only(self) -> FinishEvent:
        """The one end that was told."""
        assert await asyncio.to_thread(self.heard.wait, 5)
        (event,) = self.events
        return event


def model_for(server: ReplayServer) -> AnthropicModel:
    return anthropic("claude-sonnet-4-6", base_url=server.url, api_key="test", max_retries=0)


def app_of(make: Callable[[Any], Answer], **options: Any) -> FastAPI:
    app = FastAPI()

    @app.post("/api/chat")
    async def chat(chat: ChatRequest) -> StreamingAnswer:
        return make(chat).response(chat, **options)

    return app


def chunks(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def text_of(text: str) -> str:
    return "".join(chunk["delta"] for chunk in chunks(text) if chunk["type"] == "text-delta")


async def post(url: str, body: Any = BODY, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.post(f"{url}/api/chat", json=body, **options)


async def leave_after(url: str, text: str, body: Any = BODY) -> float:
    """Read until this came, then close the connection; return when."""
    seen = ""
    async with httpx.AsyncClient(timeout=60) as client, client.stream("POST", f"{url}/api/chat", json=body) as response:
        async for piece in response.aiter_text():
            seen += piece
            if text in seen:
                break
    return time.monotonic()


# The five lines


async def test_the_five_lines_are_a_whole_backend(monkeypatch: pytest.MonkeyPatch):
    program = """
from fastapi import FastAPI
from usechat import ChatRequest, stream_text
from usechat.models import anthropic

app = FastAPI()

@app.post("/api/chat")
async def chat(chat: ChatRequest):
    return stream_text(anthropic("claude-sonnet-4-6"), system="You are a helpful assistant.",
                       messages=chat.messages).response(chat)
"""
    async with ReplayServer("text") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        names: dict[str, Any] = {"__name__": "five_lines"}
        exec(compile(program, "five_lines.py", "exec"), names)
        with serving(names["app"], upstream) as url:
            response = await post(url)
            old = await post(url, BODY_4)
    assert text_of(response.text) == SAID
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert old.headers["x-vercel-ai-data-stream"] == "v1"
    assert upstream.requests[0].json["system"][0]["text"] == "You are a helpful assistant."


async def test_pieces_arrive_as_they_are_made():
    """The first text is read while the model is held up after it."""
    async with ReplayServer(Reply("text", hold_after=4)) as upstream:
        with serving(app_of(lambda chat: stream_text(model_for(upstream), messages=chat.messages)), upstream) as url:
            await leave_after(url, '"text-delta"')
        assert not upstream.requests[0].is_complete


# The reader leaves


async def passing(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


@pytest.mark.parametrize("middleware", [None, "base", "gzip"])
@pytest.mark.parametrize("body", [BODY, BODY_4])
async def test_reader_that_leaves_closes_the_providers_connection(middleware: str | None, body: Any):
    ends = Ends()
    async with ReplayServer(Reply("text", hold_after=5)) as upstream:
        app = app_of(lambda chat: stream_text(model_for(upstream), messages=chat.messages, on_finish=ends))
        if middleware == "base":
            app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
        elif middleware == "gzip":
            app.add_middleware(GZipMiddleware, minimum_size=1)
        with serving(app, upstream) as url:
            left = await leave_after(url, "High", body)
            await upstream.requests[0].wait_async()
            event = await ends.only()
    aborted_at = upstream.requests[0].aborted_at
    assert aborted_at is not None
    assert aborted_at - left < AT_ONCE
    assert event.is_aborted
    assert event.ui_message["parts"][-1]["text"].startswith("High")


async def test_reader_that_leaves_while_a_tool_runs_stops_it():
    ends = Ends()
    started, cancelled = threading.Event(), threading.Event()

    async def get_weather(city: str) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return city

    block: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": '{"city":"York"}'}
    events: list[Any] = [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "c",
                                              "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]  # fmt: skip
    async with ReplayServer(Reply(events=events)) as upstream:
        app = app_of(
            lambda chat: stream_text(
                model_for(upstream), messages=chat.messages, tools=[get_weather], stop_when=step_count_is(2),
                on_finish=ends,
            )
        )  # fmt: skip
        with serving(app, upstream) as url:
            left = await leave_after(url, "tool-input-available")
            assert (await ends.only()).is_aborted
            assert time.monotonic() - left < 2 * AT_ONCE
            # A reader may be gone before the model has ended, and the tool then never begins.
            assert cancelled.is_set() == started.is_set()
    assert len(upstream.requests) == 1


async def test_server_that_shuts_down_tells_the_end():
    ends = Ends()
    async with ReplayServer(Reply("text", hold_after=5)) as upstream:
        app = app_of(lambda chat: stream_text(model_for(upstream), messages=chat.messages, on_finish=ends))
        served = Served(app, upstream)
        address = f"{served.url}/api/chat"
        async with httpx.AsyncClient(timeout=60) as client, client.stream("POST", address, json=BODY) as response:
            async for piece in response.aiter_text():
                if "High" in piece:
                    break
            await asyncio.to_thread(served.stop)
        assert (await ends.only()).is_aborted
        await upstream.requests[0].wait_async()
        assert upstream.requests[0].is_aborted


async def test_stopping_reaches_the_provider_while_the_reader_does_not_read():
    ends = Ends()
    is_full = threading.Event()
    stop: list[Any] = []
    filler = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 60_000}}
    # More than the buffers between the two hold.
    events: list[Any] = [*(json.loads(event) for event in read_events("text")[:3]), *[filler] * 400]
    async with ReplayServer(Reply(events=events, hold_after=len(events) - 1)) as upstream:

        def make(chat: Any) -> Answer:
            def count(part: Part) -> None:
                if answer.reducer.parts and len(answer.reducer.texts.get((TextDelta, "0"), ())) > 60:
                    is_full.set()

            answer = stream_text(model_for(upstream), messages=chat.messages, on_finish=ends, on_part=count)
            stop.append(partial(asyncio.get_running_loop().call_soon_threadsafe, answer.abort))
            return answer

        with serving(app_of(make), upstream) as url:
            async with httpx.AsyncClient(timeout=60) as client, client.stream("POST", f"{url}/api/chat", json=BODY):
                request = await upstream.received()
                assert await asyncio.to_thread(is_full.wait, PATIENCE)
                stopped = time.monotonic()
                stop[0]()
                await request.wait_async()
            assert request.aborted_at is not None
            assert request.aborted_at - stopped < AT_ONCE
            assert (await ends.only()).is_aborted


# Failures


@pytest.mark.parametrize("status", [400, 401, 429, 529])
async def test_providers_refusal_is_a_legal_answer(status: int):
    ends = Ends()
    async with ReplayServer(Reply(status=status)) as upstream:
        app = app_of(lambda chat: stream_text(model_for(upstream), messages=chat.messages, on_finish=ends))
        with serving(app, upstream) as url:
            response = await post(url)
            old = await post(url, BODY_4)
    assert [chunk["type"] for chunk in chunks(response.text)] == ["start", "error"]
    assert re.fullmatch(r'3:"The model.+ \(error [0-9a-f]{8}\)"\n', old.text)
    assert len(ends.events) == 2
    assert ends.events[0].error is not None


@pytest.mark.parametrize("reply", [Reply("text", cut_after=5), Reply("text", end_after=5)])
async def test_answer_that_breaks_off_is_a_legal_one(reply: Reply):
    async with ReplayServer(reply) as upstream:
        with serving(app_of(lambda chat: stream_text(model_for(upstream), messages=chat.messages)), upstream) as url:
            types = [chunk["type"] for chunk in chunks((await post(url)).text)]
    assert types[-4:] == ["text-end", "error", "finish-step", "finish"]


# Answers of the application's own


async def test_events_of_the_package_are_an_answer():
    async with ReplayServer("text") as upstream, AsyncAnthropic(base_url=upstream.url, api_key="test") as client:

        async def execute(writer: UIMessageStreamWriter) -> None:
            writer.write_data("note", {"from": "us"})
            stream = await client.messages.create(
                model="claude-sonnet-4-6", max_tokens=64, stream=True, messages=[{"role": "user", "content": "Hi"}]
            )
            await writer.merge(stream)
            async with client.messages.stream(
                model="claude-sonnet-4-6", max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
            ) as events:
                await writer.merge(events)
            async with client.messages.stream(
                model="claude-sonnet-4-6", max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
            ) as texts:
                await writer.merge(texts.text_stream)

        result = ui_message_stream(execute)
        assert await result.text == SAID * 3
        message = await result.ui_message
    shown = [part["type"] for part in message["parts"] if part["type"] != "custom"]
    assert shown == ["data-note", "step-start", "text", "step-start", "text", "step-start", "text"]


@pytest.mark.parametrize("sdk", ["4", "5", "6", "7"])
async def test_events_are_shown_in_every_protocol(sdk: str):
    async with ReplayServer("text") as upstream:

        async def events() -> AsyncIterator[Any]:
            async with AsyncAnthropic(base_url=upstream.url, api_key="test") as client:
                stream = await client.messages.create(
                    model="claude-sonnet-4-6", max_tokens=64, stream=True, messages=[{"role": "user", "content": "Hi"}]
                )
                async for event in stream:
                    yield event

        with serving(app_of(lambda chat: ui_message_stream(events()), sdk=sdk), upstream) as url:
            response = await post(url)
    if sdk == "4":
        lines = response.text.splitlines()
        assert "".join(json.loads(line[2:]) for line in lines if line.startswith("0:")) == SAID
        assert lines[-1].startswith('d:{"finishReason":"stop"')
    else:
        assert text_of(response.text) == SAID


async def test_events_connection_is_closed_when_the_reader_leaves():
    async with ReplayServer(Reply("text", hold_after=5)) as upstream:
        client = AsyncAnthropic(base_url=upstream.url, api_key="test")
        stream = await client.messages.create(
            model="claude-sonnet-4-6", max_tokens=64, stream=True, messages=[{"role": "user", "content": "Hi"}]
        )
        result = ui_message_stream(stream)
        parts: list[Part] = []
        async for part in (reading := result.parts()):
            parts.append(part)
            if isinstance(part, TextDelta):
                break
        left = time.monotonic()
        await reading.aclose()
        await upstream.requests[0].wait_async()
        assert upstream.requests[0].aborted_at is not None
        assert upstream.requests[0].aborted_at - left < AT_ONCE
        await client.close()
