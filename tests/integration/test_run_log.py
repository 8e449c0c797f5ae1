"""What every run log does: the one in memory, and the one on a real Redis as other processes have it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tests.integration.run_logs import LogMaker, begin, collect
from tests.support.redis_server import RedisServer
from tests.support.waiting import AT_ONCE, PATIENCE, eventually
from usechat.errors import RunError
from usechat.runs.log import END_STATES, EndState, Entry, Limits, RunLog

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "redis"])
async def logs(request: pytest.FixtureRequest) -> AsyncIterator[LogMaker]:
    server: RedisServer | None = request.getfixturevalue("redis_server") if request.param == "redis" else None
    maker = LogMaker(None if server is None else server.url)
    yield maker
    await maker.aclose()


@pytest.fixture
def near(logs: LogMaker) -> RunLog:
    """The log of the process that makes the runs."""
    return logs.make()


@pytest.fixture
def far(logs: LogMaker, near: RunLog) -> RunLog:
    """The log as another process has it."""
    return logs.make()


def texts(entries: list[Entry]) -> bytes:
    return b"".join(entry.data for entry in entries)


async def test_run_is_read_whole_here_and_elsewhere(near: RunLog, far: RunLog):
    writer = await begin(near)
    for number in range(5):
        writer.append(b"%d," % number)
    assert await writer.finish("finished")
    for log in (near, far):
        entries = await collect(log, writer.info.id)
        assert texts(entries) == b"0,1,2,3,4,"
        assert entries[-1].cursor == 5


async def test_run_is_read_while_it_is_made(near: RunLog, far: RunLog):
    writer = await begin(near)
    async with aclosing(near.read(writer.info.id)) as here, aclosing(far.read(writer.info.id)) as there:
        for cursor in (1, 2, 3):
            writer.append(b"a")
            assert await anext(here) == await anext(there) == Entry(cursor, b"a")
    await writer.finish("finished")


@pytest.mark.parametrize("after", range(7))
async def test_reader_goes_on_after_its_cursor(near: RunLog, far: RunLog, after: int):
    writer = await begin(near)
    for letter in b"abcde":
        writer.append(bytes([letter]))
    await writer.finish("finished")
    assert texts(await collect(far, writer.info.id, after)) == b"abcde"[after:]


@pytest.mark.parametrize("state", [state for state in END_STATES if state != "lost"])
async def test_end_state_is_found(near: RunLog, far: RunLog, state: EndState):
    writer = await begin(near)
    running = await far.find("chat")
    assert running == writer.info
    assert running is not None
    assert (running.owner, running.headers, running.meta) == ("ada", {"x-a": "1"}, {"major": 6})
    assert await writer.finish(state)
    ended = await far.find("chat")
    assert ended is not None
    assert (ended.id, ended.state, writer.info.state) == (running.id, state, state)


async def test_run_is_found_by_its_id(near: RunLog, far: RunLog):
    first = await begin(near)
    assert await far.get(first.info.id) == first.info
    first.append(b"x")
    await first.finish("finished")
    second = await begin(near)
    for run in (first, second):
        assert await far.get(run.info.id) == run.info
    assert await far.get("another") is None


async def test_chat_without_a_run_has_none(far: RunLog):
    assert await far.find("chat") is None


async def test_run_without_frames_ends_too(near: RunLog, far: RunLog):
    writer = await begin(near)
    reading = asyncio.create_task(collect(far, writer.info.id))
    await writer.finish("aborted")
    assert await reading == []


async def test_chat_has_one_running_run(near: RunLog, far: RunLog):
    first = await begin(near)
    with pytest.raises(RunError) as raised:
        await begin(far)
    assert raised.value.code == "exists"
    await first.finish("finished")
    second = await begin(far)
    assert second.info.token > first.info.token
    assert second.info.id != first.info.id
    assert await near.find("chat") == second.info


async def test_one_of_many_at_once_begins_the_run(logs: LogMaker):
    begun = await asyncio.gather(*(begin(logs.make()) for _ in range(5)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in begun)[-4:] == ["RunError"] * 4


async def test_run_that_is_not_there_is_missing(far: RunLog):
    with pytest.raises(RunError) as raised:
        await collect(far, "run-none")
    assert raised.value.code == "missing"
    assert await far.frames("run-none") == b""
    assert not await far.stop("run-none")


async def test_stop_reaches_the_producer_at_once(near: RunLog, far: RunLog):
    writer = await begin(near)
    assert not writer.is_stopped
    assert await far.stop(writer.info.id, "enough")
    await eventually(lambda: writer.is_stopped, within=AT_ONCE)
    assert writer.stop_reason == "enough"
    assert await far.stop(writer.info.id, "again")
    writer.append(b"the end")
    assert writer.stop_reason == "enough"
    await writer.finish("aborted")
    assert not await far.stop(writer.info.id)
    assert not await near.stop(writer.info.id)
    assert texts(await collect(far, writer.info.id)) == b"the end"


async def test_stop_without_a_reason_has_none(near: RunLog, far: RunLog):
    writer = await begin(near)
    await far.stop(writer.info.id)
    await eventually(lambda: writer.is_stopped)
    assert writer.stop_reason is None


async def test_nothing_is_written_after_the_end(near: RunLog):
    writer = await begin(near)
    await writer.finish("finished")
    with pytest.raises(RunError) as raised:
        writer.append(b"late")
    assert raised.value.code == "fenced"
    assert not await writer.finish("failed")
    assert writer.info.state == "finished"


async def test_what_is_to_be_saved_is_saved_before_readers_see_the_end(near: RunLog, far: RunLog):
    order: list[str] = []
    writer = await begin(near)

    async def read(log: RunLog) -> None:
        await collect(log, writer.info.id)
        order.append("end")

    async def save() -> bool:
        assert await far.frames(writer.info.id) == b"all"
        order.append("saved")
        return True

    reading = [asyncio.create_task(read(log)) for log in (near, far)]
    writer.append(b"all")
    await writer.finish("finished", save)
    await asyncio.gather(*reading)
    assert order == ["saved", "end", "end"]


@pytest.mark.parametrize(
    "limits",
    [Limits(max_entries=3, slack_entries=2), Limits(max_bytes=3, slack_bytes=2)],
    ids=["entries", "bytes"],
)
async def test_full_log_asks_to_stop_and_takes_the_end(logs: LogMaker, limits: Limits):
    logs.limits = limits
    writer = await begin(logs.make())
    for _ in range(3):
        writer.append(b"-")
    assert not writer.is_stopped
    writer.append(b"+")
    assert writer.is_stopped
    assert writer.stop_reason == "full"
    writer.append(b"e")
    with pytest.raises(RunError) as raised:
        writer.append(b"!")
    assert raised.value.code == "full"
    await writer.finish("aborted")
    assert texts(await collect(logs.make(), writer.info.id)) == b"---+e"


async def test_fifty_readers_at_any_cursor_and_speed_get_the_same(near: RunLog, far: RunLog):
    chance = random.Random(4)
    pieces = [b"%d;" % number * chance.randint(1, 40) for number in range(400)]
    writer = await begin(near)
    over = asyncio.Event()

    async def read(log: RunLog, after: int, pace: int) -> bytes:
        got: list[bytes] = []
        position = after
        async with aclosing(log.read(writer.info.id, after)) as entries:
            async for entry in entries:
                assert entry.cursor > position
                position = entry.cursor
                got.append(entry.data)
                for _ in range(pace):
                    await asyncio.sleep(0)
                if pace == 9:
                    await over.wait()
        assert position in {len(pieces), after}
        return b"".join(pieces[:after]) + b"".join(got)

    readers: list[asyncio.Task[bytes]] = []
    for number, piece in enumerate(pieces):
        if number % 8 == 0:
            after, pace = chance.randint(0, number), chance.choice([0, 1, 5, 9])
            readers.append(asyncio.create_task(read(chance.choice([near, far]), after, pace)))
        writer.append(piece)
        await asyncio.sleep(0)
    await writer.finish("finished")
    over.set()
    assert len(readers) == 50
    assert {*(await asyncio.gather(*readers))} == {b"".join(pieces)}


async def test_slow_reader_holds_up_nobody(near: RunLog, far: RunLog):
    writer = await begin(near)
    async with aclosing(near.read(writer.info.id)) as here, aclosing(far.read(writer.info.id)) as there:
        writer.append(b"x")
        await anext(here)
        await anext(there)
        # Both stand still from here on.
        quick = [asyncio.create_task(collect(log, writer.info.id)) for log in (near, far)]
        for _ in range(1000):
            writer.append(b"x" * 1000)
        async with asyncio.timeout(PATIENCE):
            assert await writer.finish("finished")
            assert [len(texts(entries)) for entries in await asyncio.gather(*quick)] == [1_000_001] * 2
        assert len(texts([entry async for entry in there])) == 1_000_000


async def test_readers_that_leave_leave_nothing(near: RunLog, far: RunLog):
    writer = await begin(near)
    async with aclosing(far.read(writer.info.id)) as entries:
        writer.append(b"x")
        await anext(entries)
    tasks = asyncio.all_tasks()
    chance = random.Random(5)
    readers = [asyncio.create_task(collect(chance.choice([near, far]), writer.info.id)) for _ in range(40)]
    for number in range(40):
        writer.append(b"%d" % number)
        await asyncio.sleep(0)
        chance.choice(readers).cancel()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    # The last connections go back to their pool.
    await eventually(lambda: asyncio.all_tasks() == tasks)
    await writer.finish("finished")


async def test_run_is_forgotten_after_its_time(logs: LogMaker):
    logs.limits = Limits(keep=0.05)
    log = logs.make()
    writer = await begin(log)
    await writer.finish("finished")
    assert await logs.make().find("chat") is not None

    async def is_forgotten() -> bool:
        return await log.find("chat") is None

    await eventually(is_forgotten)
    with pytest.raises(RunError) as raised:
        await collect(logs.make(), writer.info.id)
    assert raised.value.code == "missing"


async def end_runs(log: RunLog, **sizes: int) -> None:
    for chat_id, size in sizes.items():
        writer = await begin(log, chat_id)
        writer.append(b"x" * size)
        assert await writer.finish("finished")


async def kept_chats(log: RunLog, chat_ids: str) -> str:
    infos = {chat_id: await log.find(chat_id) for chat_id in chat_ids}
    kept = {chat_id: info.id for chat_id, info in infos.items() if info is not None}
    assert all([await collect(log, run_id) for run_id in kept.values()])
    return "".join(kept)


async def test_ended_runs_are_kept_up_to_a_number_and_running_ones_always(logs: LogMaker):
    logs.limits = Limits(max_ended=2)
    log = logs.make()
    running = await begin(log, "running")
    running.append(b"r")

    await end_runs(log, a=1, b=1, c=1)

    assert await kept_chats(logs.make(), "abc") == "bc"
    assert await running.finish("finished")
    assert texts(await collect(logs.make(), running.info.id)) == b"r"


async def test_ended_runs_are_kept_up_to_a_number_of_bytes_and_the_last_one_always(logs: LogMaker):
    logs.limits = Limits(max_ended_bytes=10)
    log, other = logs.make(), logs.make()

    await end_runs(log, a=4, b=4, c=4)
    assert await kept_chats(other, "abc") == "bc"
    await end_runs(log, d=100)
    assert await kept_chats(other, "abcd") == "d"
    await end_runs(log, e=4, f=4)
    assert await kept_chats(other, "def") == "ef"


async def test_chat_whose_stream_was_asked_for_is_remembered(near: RunLog, far: RunLog):
    assert not await near.was_asked("chat")
    await far.note_resume("chat")
    assert await near.was_asked("chat")
    assert not await near.was_asked("another")


async def test_chat_that_was_asked_for_is_remembered_for_some_seconds(near: RunLog, far: RunLog):
    await far.note_asked("chat", 60.0)
    await far.note_asked("another", 0.0)
    assert await near.was_asked("chat")
    assert not await near.was_asked("a third")

    async def is_forgotten() -> bool:
        return not await near.was_asked("another")

    await eventually(is_forgotten)


async def test_chat_that_was_asked_for_in_passing_stays_one_whose_client_resumes(near: RunLog, far: RunLog):
    await near.note_resume("chat")
    await far.note_asked("chat", 0.0)
    await eventually(lambda: near.was_asked("chat"))


async def test_run_that_was_left_is_stopped_from_anywhere(near: RunLog, far: RunLog):
    writer = await begin(near)
    assert not await far.stop_left(writer.info, "disconnected")
    await near.note_left(writer.info.id)
    await far.note_asked("chat", 60.0)
    assert await far.stop_left(writer.info, "disconnected")
    await eventually(lambda: writer.is_stopped)
    assert writer.stop_reason == "disconnected"
    await writer.finish("aborted")
    assert not await far.stop_left(writer.info)


async def test_run_that_was_left_is_not_stopped_once_its_stream_is_asked_for(near: RunLog, far: RunLog):
    writer = await begin(near)
    await near.note_left(writer.info.id)
    await near.note_left("run-another")
    await far.note_resume("chat")
    assert not await far.stop_left(writer.info)
    assert await far.get("run-another") is None
    assert not writer.is_stopped
    await writer.finish("finished")


async def test_living_run_is_not_reaped(near: RunLog, far: RunLog):
    writer = await begin(near)
    assert list(await far.reap()) == []
    assert writer.info.state == "running"


async def test_readers_are_told_that_the_log_goes_away(logs: LogMaker):
    log = logs.make()
    writer = await begin(log)
    reading = asyncio.create_task(collect(logs.make(), writer.info.id))
    writer.append(b"x")
    await asyncio.sleep(0)
    for one in logs.made:
        await one.aclose()
    with pytest.raises(RunError) as raised:
        await reading
    assert raised.value.code == "unavailable"
    assert writer.is_stopped
    with pytest.raises(RunError, match="ended"):
        writer.append(b"late")
