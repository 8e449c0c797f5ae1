"""Deltas that somebody waits for go from the provider's socket to the reader's by plain calls: `usechat.sink`."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from starlette.types import Message, Scope

from tests.integration.anthropic_calls import OVERLOADED
from tests.support.waiting import eventually
from usechat import FinishEvent, stream_text
from usechat.generate.answer import Answer
from usechat.generate.view import Batches
from usechat.models import anthropic
from usechat.parts import Part
from usechat.protocol.shaping import Shaped
from usechat.runs.memory import MemoryLog
from usechat.runs.service import RunService
from usechat.sender import Sender

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
END = b"0\r\n\r\n"
USAGE = {"input_tokens": 1, "output_tokens": 1}
MESSAGE: dict[str, Any] = {"id": "msg_1", "role": "assistant", "model": "m", "content": [], "usage": USAGE}
WHO: ContextVar[str] = ContextVar("who")


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


def chunk(*events: dict[str, Any]) -> bytes:
    body = b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )
    return b"%x\r\n%s\r\n" % (len(body), body)


def said(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


BEGIN = chunk(
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    said("first "),
)
CLOSE = (
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
    {"type": "message_stop"},
)


class Provider:
    """Says what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.writer: asyncio.StreamWriter | None = None
        self.is_left = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(HEAD + BEGIN)
        self.writer = writer
        try:
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()
            self.is_left.set()

    def say(self, *texts: str) -> None:
        self.write(chunk(*map(said, texts)))

    def write(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)


@pytest.fixture
async def provider() -> AsyncGenerator[Provider]:
    made = Provider()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


class Reader:
    """The server side of a reader's connection, which notes how each piece came to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.straight: list[bytes] = []
        """Those that came in the very call in which the provider's bytes did."""
        self.seen_by: list[tuple[asyncio.Task[Any] | None, str | None]] = []
        self.gone = asyncio.Event()
        self.on_send: Callable[[bytes], Awaitable[None]] | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        piece = message.get("body", b"")
        if is_in_call_of("data_received"):
            self.straight.append(piece)
            self.seen_by.append((asyncio.current_task(), WHO.get(None)))
        if self.on_send is not None:
            await self.on_send(piece)
        self.pieces.append(piece)

    async def until(self, text: bytes) -> None:
        await eventually(lambda: text in self.body, within=30)


def is_in_call_of(name: str) -> bool:
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None


def answer_of(provider: Provider, **options: Any) -> Answer:
    return stream_text(anthropic("claude-sonnet-4-6", base_url=provider.url, api_key="key-1"), prompt="Hi", **options)


@asynccontextmanager
async def reading(answer: Answer, reader: Reader, **options: Any) -> AsyncGenerator[asyncio.Task[None]]:
    """The answer on its way, once its first delta has come."""
    scope: Scope = {"type": "http", "method": "POST", "headers": []}
    task = asyncio.create_task(answer.response(**options)(scope, reader.receive, reader.send))
    await reader.until(b"first ")
    yield task
    if not task.cancelled():
        await asyncio.wait({task}, timeout=30)
        assert task.done()


async def end(provider: Provider, reader: Reader) -> None:
    provider.write(chunk(*CLOSE) + END)
    await reader.until(b"[DONE]")


async def test_delta_that_is_waited_for_wakes_no_task(provider: Provider):
    reader, heard = Reader(), list[FinishEvent]()
    async with reading(answer_of(provider, on_finish=heard.append), reader):
        for word in ("one ", "two ", "three "):
            provider.say(word, "and ")
            await reader.until(word.encode())
        await end(provider, reader)

    assert b"".join(reader.straight).count(b'"text-delta"') == 6
    assert heard[0].text == "first one and two and three and "
    assert heard[0].ui_message["parts"][-1]["text"] == heard[0].text


async def test_delta_of_a_run_wakes_no_task_and_is_in_its_log(provider: Provider):
    reader = Reader()
    async with RunService(MemoryLog(), disconnect="finish") as runs:
        async with reading(answer_of(provider), reader, runs=runs, chat_id="chat"):
            provider.say("one ")
            await reader.until(b"one ")
            (handle,) = runs.handles.values()
            logged = await runs.log.frames(handle.info.id)
            await end(provider, reader)

        assert b'"one "' in b"".join(reader.straight)
        assert logged in reader.body
        assert (await runs.log.frames(handle.info.id)) == reader.body


async def test_frames_are_those_of_an_answer_whose_parts_are_looked_at(provider: Provider):
    bodies: list[bytes] = []
    for on_part in (None, list[Any]().append):
        reader = Reader()
        async with reading(answer_of(provider, on_part=on_part), reader):
            provider.say("one ")
            await reader.until(b"one ")
            await end(provider, reader)
        assert bool(reader.straight) is (on_part is None)
        bodies.append(reader.body)
    assert bodies[0] == bodies[1]


async def test_sending_sees_the_task_and_the_context_of_its_request(provider: Provider):
    WHO.set("ann")
    reader = Reader()
    async with reading(answer_of(provider), reader):
        WHO.set("bob")
        provider.say("one ")
        await reader.until(b"one ")
        await end(provider, reader)
    ((task, who),) = reader.seen_by
    assert task is not None
    assert who == "ann"


@pytest.mark.parametrize("is_run", [False, True])
async def test_slow_reader_gets_everything_in_order(provider: Provider, is_run: bool):
    reader, go_on = Reader(), asyncio.Event()

    async def stick(piece: bytes) -> None:
        if b'"one "' in piece:
            await go_on.wait()

    reader.on_send = stick
    async with RunService(MemoryLog(), disconnect="finish") as runs:
        options: dict[str, Any] = {"runs": runs, "chat_id": "chat"} if is_run else {}
        async with reading(answer_of(provider), reader, **options):
            provider.say("one ")
            await eventually(lambda: b'"one "' in b"".join(reader.straight))
            provider.say("two ")
            provider.write(chunk(said("three "), *CLOSE) + END)
            assert b"two " not in reader.body
            go_on.set()
            await reader.until(b"[DONE]")
    places = [reader.body.index(word) for word in (b'"first "', b'"one "', b'"two "', b'"three "', b"[DONE]")]
    assert places == sorted(places)


async def test_reader_that_leaves_while_it_is_slow_stops_the_model(provider: Provider):
    reader = Reader()

    async def stick(piece: bytes) -> None:
        if b'"one "' in piece:
            await asyncio.Event().wait()

    reader.on_send = stick
    async with reading(answer_of(provider), reader):
        provider.say("one ")
        await eventually(lambda: b'"one "' in b"".join(reader.straight))
        reader.gone.set()
        await asyncio.wait_for(provider.is_left.wait(), 30)


@pytest.mark.parametrize("is_slow", [False, True])
async def test_channel_that_breaks_under_a_delta_ends_the_answer(provider: Provider, is_slow: bool):
    reader = Reader()

    async def breaking(piece: bytes) -> None:
        if b'"one "' in piece:
            await asyncio.sleep(0.001 if is_slow else 0)
            raise OSError("broken")

    reader.on_send = breaking
    async with reading(answer_of(provider), reader) as task:
        provider.say("one ")
        await eventually(lambda: b'"one "' in b"".join(reader.straight))
        provider.say("two ")
        with pytest.raises(OSError, match="broken"):
            await task
    await asyncio.wait_for(provider.is_left.wait(), 30)


async def test_answer_that_is_stopped_while_it_is_waited_for_ends_legally(provider: Provider):
    reader, heard = Reader(), list[FinishEvent]()
    answer = answer_of(provider, on_finish=heard.append)
    async with reading(answer, reader):
        provider.say("one ")
        await reader.until(b"one ")
        answer.abort("stopped")
        await reader.until(b"[DONE]")
    assert b'"type":"abort"' in reader.body
    assert heard[0].text == "first one "
    await asyncio.wait_for(provider.is_left.wait(), 30)


async def test_error_in_the_middle_is_told_after_what_came_before_it(provider: Provider):
    reader = Reader()
    async with reading(answer_of(provider), reader):
        provider.say("one ")
        await reader.until(b"one ")
        provider.write(chunk(said("two "), json.loads(OVERLOADED)) + END)
        await reader.until(b"[DONE]")
    assert reader.body.index(b'"two "') < reader.body.index(b'"type":"error"')


async def test_connection_that_breaks_in_the_middle_is_told(provider: Provider):
    reader = Reader()
    async with reading(answer_of(provider), reader):
        provider.say("one ")
        await reader.until(b"one ")
        assert provider.writer is not None
        provider.writer.close()
        await reader.until(b"[DONE]")
    assert b'"type":"error"' in reader.body


async def test_burst_is_sent_in_pieces_straight_too(provider: Provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("usechat.sender.MAX_SEND_BYTES", 64)
    reader = Reader()
    async with reading(answer_of(provider), reader):
        provider.say("one ", "two ", "three ")
        await reader.until(b"three ")
        await end(provider, reader)
    assert max(map(len, reader.straight)) == 64
    assert b"".join(reader.straight).count(b'"text-delta"') == 3


class Unshowable(Batches):
    """A view that breaks."""

    def feed(self, batch: list[Part], shaped: list[Shaped]) -> list[Part]:
        raise TypeError("what is this?")


async def test_answer_that_cannot_be_shown_ends_in_an_error(provider: Provider):
    reader, heard = Reader(), list[FinishEvent]()
    answer = answer_of(provider, on_finish=heard.append)
    async with reading(answer, reader):
        answer.view = Unshowable()
        provider.say("one ")
        await reader.until(b'"type":"error"')
    assert isinstance(heard[0].error, TypeError)


async def test_nothing_is_pushed_from_within_a_task():
    """It would seem to be that task that sends: the reader's own is woken instead."""
    reader, woken = Reader(), asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes]:
        await woken.wait()
        yield b"piece"

    sender = Sender(reader.receive, reader.send, None)
    assert not sender.is_ready
    sending = asyncio.create_task(sender.send_all(pieces(), None))
    await asyncio.sleep(0)
    assert not sender.is_ready
    ready = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: ready.set_result(sender.is_ready))
    assert await ready
    woken.set()
    await sending
    assert reader.body == b"piece"
