"""An answer on its way to a reader: its first bytes, and readers and servers that leave."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from starlette.types import Message

from tests.support.waiting import AT_ONCE
from tests.unit.http.connections import Connection, spoken
from usechat import FinishEvent
from usechat.errors import RunError
from usechat.http.new_run import RunPlan, respond
from usechat.parts import TextDelta, TextStart
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.testing.models import Hold, saying

pytestmark = pytest.mark.anyio


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


async def test_answer_that_does_not_begin_after_its_reader_has_gone_is_told(caplog: pytest.LogCaptureFixture):
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def begin(_plan: RunPlan) -> str:
        asked.set()
        await goes_on.wait()
        raise RunError("the run log cannot be reached", code="unavailable")

    _, answer = spoken([])
    connection = Connection(answer)
    connection.response = respond(answer, runs=RunService(MemoryLog()), chat_id="chat-1", begin=begin)
    connection.start()
    await asked.wait()
    assert connection.task is not None
    connection.task.cancel()
    goes_on.set()
    await asyncio.wait({connection.task})
    assert connection.task.cancelled()
    del connection
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == [
        "an answer did not begin; its reader has gone: the run log cannot be reached"
    ]
