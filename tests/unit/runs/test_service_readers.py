"""Readers of a run that leave and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from tests.support.waiting import AT_ONCE, PATIENCE, eventually
from tests.unit.runs.services import LONG, SharedLog, Source, begin, over, read, service_on
from usechat.errors import RunError
from usechat.runs.cursor import Cursor
from usechat.runs.service import DisconnectPolicy, RunHandle, RunService

pytestmark = pytest.mark.anyio

SOON = 0.01
"""Seconds that a run waits in a test that waits for what follows."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def log() -> AsyncIterator[SharedLog]:
    log = SharedLog()
    yield log
    await log.aclose()


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets so many seconds be over for the timers of the loop."""

    def spend(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + seconds)

    return spend


async def read_and_leave(service: RunService, handle: RunHandle, source: Source) -> None:
    async with aclosing(service.read(handle.info.id)) as entries:
        source.put(b"x")
        await anext(entries)


@pytest.mark.parametrize("options", [{"disconnect": "cancel"}, {"disconnect": "auto", "asking": 0.0}])
async def test_run_is_stopped_at_once_when_its_reader_leaves(log: SharedLog, options: dict[str, Any]):
    service, source = service_on(log, **options), Source()
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    async with asyncio.timeout(AT_ONCE):
        assert await handle.wait() == "aborted"
    assert source.reasons == ["disconnected"]


async def test_other_readers_keep_the_run_going(log: SharedLog):
    service, source = service_on(log, disconnect="cancel"), Source()
    handle = await begin(service, source)
    reading = asyncio.create_task(read(service, handle))
    await read_and_leave(service, handle, source)
    source.put(b"y", None)
    assert await over(handle) == "finished"
    assert await reading == b"xy"


async def test_run_that_is_to_finish_goes_on_without_readers(log: SharedLog):
    service, source = service_on(log, disconnect="finish", grace=0.0), Source()
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    assert handle.timer is None
    source.put(b"y", None)
    assert await over(handle) == "finished"


async def test_run_waits_for_its_readers_to_come_back(log: SharedLog):
    service, source = service_on(log, disconnect="grace"), Source()
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    timer = handle.timer
    assert timer is not None
    async with aclosing(service.read(handle.info.id)) as entries:
        await anext(entries)
        assert timer.cancelled()
        source.put(b"y", None)
        assert await over(handle) == "finished"


async def test_run_is_stopped_when_nobody_comes_back(log: SharedLog):
    service, source = service_on(log, disconnect="grace", grace=0.01), Source()
    log.unread = [float("inf")]
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    assert await over(handle) == "aborted"
    assert source.reasons == ["disconnected"]


@pytest.mark.parametrize("policy", ["cancel", "auto", "grace"])
async def test_run_that_nobody_ever_reads_is_stopped(log: SharedLog, policy: DisconnectPolicy):
    log.unread = [float("inf")]
    service, source = service_on(log, disconnect=policy, grace=0.01), Source()
    assert await over(await begin(service, source)) == "aborted"
    assert source.reasons == ["disconnected"]


async def test_reader_in_another_process_keeps_the_run_going(log: SharedLog):
    log.unread = [0.0, 0.005, float("inf")]
    service, source = service_on(log, disconnect="grace", grace=0.01), Source()
    assert await over(await begin(service, source)) == "aborted"
    assert log.unread == []


async def test_run_goes_on_while_nobody_knows_whether_it_is_read(log: SharedLog):
    service, source = service_on(log, disconnect="grace", grace=0.01), Source()
    log.is_away = True
    handle = await begin(service, source)
    async with asyncio.timeout(PATIENCE):
        await log.asked.get()
        await log.asked.get()
    assert source.reasons == []
    source.put(None)
    assert await over(handle) == "finished"


async def test_reader_that_comes_at_the_last_moment_keeps_the_run(log: SharedLog):
    service, source = service_on(log, disconnect="grace", grace=0.01), Source()
    log.unread = [float("inf")]
    log.answers.clear()
    handle = await begin(service, source)
    async with asyncio.timeout(PATIENCE):
        await log.asked.get()
    async with aclosing(service.read(handle.info.id)) as entries:
        source.put(b"x")
        await anext(entries)
        log.answers.set()
        await eventually(lambda: log.unread == [])
        source.put(None)
        assert await over(handle) == "finished"
    assert source.reasons == []


async def test_policy_of_a_library_waits_for_readers_that_nobody_announces(log: SharedLog):
    service, source = service_on(log), Source()
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    assert handle.timer is not None
    source.put(None)
    assert await over(handle) == "finished"
    assert log.asked.empty()


async def test_page_that_leaves_and_does_not_come_back_stops_the_run(log: SharedLog):
    service, source = service_on(log, disconnect="auto", asking=SOON), Source()
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    assert source.reasons == []
    assert await over(handle) == "aborted"
    assert source.reasons == ["disconnected"]


async def test_chat_that_was_asked_for_too_long_before_its_reader_left_does_not_keep_the_run(log: SharedLog):
    service, source = service_on(log, disconnect="auto", asking=SOON), Source()
    handle = await begin(service, source)
    await service.note_asked("chat")
    await asyncio.sleep(2 * SOON)
    await read_and_leave(service, handle, source)
    assert await over(handle) == "aborted"


@pytest.mark.parametrize("first", ["the chat is asked for", "the reader leaves"])
async def test_chat_that_is_asked_for_when_its_reader_leaves_keeps_the_run(
    log: SharedLog, first: str, spend: Callable[[float], None]
):
    service, source = service_on(log, disconnect="auto", asking=AT_ONCE, grace=LONG), Source()
    handle = await begin(service, source)
    if first == "the chat is asked for":
        await service.note_asked("chat")
    await read_and_leave(service, handle, source)
    if first == "the reader leaves":
        await service.note_asked("chat")
    spend(AT_ONCE)
    async with asyncio.timeout(PATIENCE):
        await log.asked.get()
    await eventually(lambda: handle.timer is not None)
    assert source.reasons == []
    source.put(None)
    assert await over(handle) == "finished"


async def test_chat_that_was_asked_for_and_is_not_read_is_stopped_in_the_end(
    log: SharedLog, spend: Callable[[float], None]
):
    log.unread = [float("inf")]
    service, source = service_on(log, disconnect="auto", asking=AT_ONCE, grace=LONG), Source()
    handle = await begin(service, source)
    await service.note_asked("chat")
    await read_and_leave(service, handle, source)
    spend(AT_ONCE)
    await eventually(lambda: handle.timer is not None and not log.asked.empty())
    assert source.reasons == []
    spend(LONG)
    assert await over(handle) == "aborted"
    assert log.unread == []


async def test_chat_whose_stream_was_asked_for_keeps_the_run(log: SharedLog):
    service, source = service_on(log, disconnect="auto", asking=SOON), Source()
    assert await service.resume("chat") is None
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    async with asyncio.timeout(PATIENCE):
        await log.asked.get()
    await eventually(lambda: handle.timer is not None)
    assert source.reasons == []
    source.put(None)
    assert await over(handle) == "finished"


async def test_client_gets_time_when_nobody_knows_whether_it_comes_back(log: SharedLog):
    service, source = service_on(log, disconnect="auto", asking=SOON), Source()
    handle = await begin(service, source)
    log.is_away = True
    await read_and_leave(service, handle, source)
    async with asyncio.timeout(PATIENCE):
        await log.asked.get()
    await eventually(lambda: handle.timer is not None)
    source.put(None)
    assert await over(handle) == "finished"


async def test_reader_that_comes_while_that_is_looked_up_keeps_the_run(log: SharedLog):
    service, source = service_on(log, disconnect="auto", asking=SOON), Source()
    handle = await begin(service, source)
    log.answers.clear()
    await read_and_leave(service, handle, source)
    async with asyncio.timeout(PATIENCE):
        await log.asked.get()
    async with aclosing(service.read(handle.info.id)) as entries:
        await anext(entries)
        log.answers.set()
        source.put(b"y", None)
        assert await over(handle) == "finished"
    assert source.reasons == []


async def test_reader_that_comes_and_leaves_while_that_is_looked_up_gets_its_own_time(
    log: SharedLog, spend: Callable[[float], None]
):
    service, source = service_on(log, disconnect="auto", asking=LONG), Source()
    handle = await begin(service, source)
    log.answers.clear()
    await read_and_leave(service, handle, source)
    spend(LONG)
    async with asyncio.timeout(PATIENCE):
        await log.asked.get()
    await read_and_leave(service, handle, source)
    deciding = list(service.readers.tasks)
    log.answers.set()
    await asyncio.gather(*deciding)
    assert source.reasons == []
    source.put(None)
    assert await over(handle) == "finished"


async def test_client_that_goes_on_with_its_chat_stops_the_run_that_it_left(log: SharedLog):
    service, source = service_on(log, disconnect="auto", asking=LONG), Source()
    handle = await begin(service, source)
    await service.stop_left("chat")
    await read_and_leave(service, handle, source)
    assert source.reasons == []
    await asyncio.gather(*service.readers.tasks)
    await service.stop_left("chat")
    assert await over(handle) == "aborted"
    assert source.reasons == ["disconnected"]


@pytest.mark.parametrize("policy", ["auto", "grace"])
async def test_client_that_goes_on_with_its_chat_leaves_a_run_alone_that_is_resumed(
    log: SharedLog, policy: DisconnectPolicy
):
    service, source = service_on(log, disconnect=policy, asking=LONG), Source()
    handle = await begin(service, source)
    await read_and_leave(service, handle, source)
    await asyncio.gather(*service.readers.tasks)
    if policy == "auto":
        await service.resume("chat")
    await service.stop_left("chat")
    source.put(None)
    assert await over(handle) == "finished"
    await service.stop_left("chat")
    await service.stop_left("another")


async def test_resume_finds_what_there_is_to_read(log: SharedLog):
    service, source = service_on(log), Source()
    assert await service.resume("chat", Cursor(after=3)) is None
    handle = await begin(service, source)
    assert await service.resume("chat") == handle.info
    source.put(b"x", None)
    await over(handle)
    run_id = handle.info.id
    assert await service.resume("chat") is None
    assert await service.resume("chat", Cursor()) == handle.info
    assert await service.resume("chat", Cursor(run_id=run_id)) == handle.info
    assert await service.resume("another", Cursor(run_id=run_id)) is None
    assert await service.resume("chat", Cursor(run_id="run-another")) is None
    assert await service.resume("chat", Cursor(run_id=run_id, is_end=True)) is None
    assert await read(service, handle) == b"x"


async def test_run_of_a_chat_is_its_owners_alone(log: SharedLog):
    asked: list[tuple[str, str]] = []

    async def check_owner(owner: str, chat_id: str) -> None:
        asked.append((owner, chat_id))

    service, source = service_on(log), Source()
    service.check_owner = check_owner
    handle = await begin(service, source, owner="ada")
    other_process = service_on(log)
    for one in (service, other_process):
        for ask in (one.resume("chat", owner="bob"), one.stop("chat", owner="bob")):
            with pytest.raises(RunError) as raised:
                await ask
            assert raised.value.code == "missing"
        assert await one.resume("chat", owner="ada") == handle.info
    assert source.reasons == []
    # Where nothing runs, whoever keeps the chats is asked.
    assert await service.resume("another", owner="bob") is None
    assert asked == [("bob", "another")]
    assert await service.stop("chat", "enough", owner="ada")
    await over(handle)
    assert source.reasons == ["enough"]
    with pytest.raises(RunError):
        await service.resume("chat", Cursor(run_id=handle.info.id), owner="bob")


async def test_run_that_is_not_there_is_missing(log: SharedLog):
    service = service_on(log)
    with pytest.raises(RunError) as raised:
        await anext(service.read("run-none"))
    assert raised.value.code == "missing"
