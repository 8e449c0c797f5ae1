"""Silent answers are kept alive; bursts and slow readers are sent to in pieces."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from tests.support.waiting import eventually
from tests.unit.http.connections import Connection, spoken
from usechat.http import sender
from usechat.http.sender import slices
from usechat.parts import TextDelta, TextStart
from usechat.testing.models import Hold, saying

pytestmark = pytest.mark.anyio


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
