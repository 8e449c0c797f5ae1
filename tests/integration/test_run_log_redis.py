"""Producers of runs on Redis that die or pause, and the keys and connections of runs."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest

from tests.integration.run_logs import LogMaker, begin, collect
from tests.support.redis_server import RedisServer, noted_commands
from tests.support.run_producer import RunProducer
from tests.support.waiting import AT_ONCE, PATIENCE, eventually
from usechat.errors import RunError
from usechat.runs.log import Entry, Limits, RunInfo, RunLog
from usechat.runs.redis.log import RedisLog
from usechat.runs.service import RunHandle, RunService

pytestmark = pytest.mark.anyio

LEASE = 1.2
"""Seconds; a process is to renew its lease in time on a machine that does much else, too."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def logs(redis_server: RedisServer) -> AsyncIterator[LogMaker]:
    """Logs on the shared Redis."""
    maker = LogMaker(redis_server.url, limits=Limits(lease=LEASE))
    yield maker
    await maker.aclose()


@pytest.fixture
def producer(logs: LogMaker) -> Iterator[RunProducer]:
    """Another process, with a run in the chat ``chat``."""
    assert logs.url is not None
    producer = RunProducer(logs.url, logs.prefix, "chat", logs.limits)
    yield producer
    producer.close()


@pytest.fixture
def own_producer() -> Iterator[Callable[[LogMaker], RunProducer]]:
    """Another process, with a run in the chat ``chat`` of the log that it is given."""
    with ExitStack() as stack:

        def start(logs: LogMaker) -> RunProducer:
            assert logs.url is not None
            producer = RunProducer(logs.url, logs.prefix, "chat", logs.limits)
            stack.callback(producer.close)
            return producer

        yield start


async def has_frames(log: RunLog, run_id: str) -> bool:
    return bool(await log.frames(run_id))


async def end_with(log: RunLog, chat_id: str, data: bytes) -> None:
    writer = await begin(log, chat_id)
    writer.append(data)
    assert await writer.finish("finished")


def texts(entries: list[Entry]) -> bytes:
    return b"".join(entry.data for entry in entries)


async def take_one(log: RunLog) -> RunInfo:
    """The lost run, once its lease has run out."""
    taken: list[RunInfo] = []

    async def look() -> bool:
        taken.extend(await log.take_lost())
        return bool(taken)

    await eventually(look)
    (info,) = taken
    return info


# -- producers that die or pause ----------------------------------------------------------------------------------


async def test_killed_producers_run_is_taken_once_by_five(logs: LogMaker, producer: RunProducer):
    logs_that_look = [logs.make() for _ in range(5)]
    assert producer.ask("append half a sen") == "ok"
    reading = asyncio.create_task(collect(logs_that_look[0], producer.run_id))

    async def is_written() -> bool:
        return await logs_that_look[0].frames(producer.run_id) == b"half a sen"

    await eventually(is_written)
    producer.process.kill()
    taken: list[tuple[RunLog, RunInfo]] = []

    async def take_at_once() -> bool:
        found = await asyncio.gather(*(log.take_lost() for log in logs_that_look))
        taken.extend((log, info) for log, infos in zip(logs_that_look, found, strict=True) for info in infos)
        return bool(taken)

    await eventually(take_at_once)
    ((looking, info),) = taken
    assert (info.id, info.state, info.meta) == (producer.run_id, "lost", {"made": "elsewhere"})
    assert await looking.frames(info.id) == b"half a sen"
    assert not reading.done()
    assert await looking.end_lost(info, b"!")
    assert texts(await reading) == b"half a sen!"
    assert not await looking.end_lost(info, b"twice")
    assert [await log.take_lost() for log in logs_that_look] == [[]] * 5


@pytest.fixture
async def patient(redis_server: RedisServer) -> AsyncIterator[LogMaker]:
    """Logs that bear a long silence, but not where somebody waits."""
    maker = LogMaker(redis_server.url, limits=Limits(lease=60.0, silence=1.0))
    yield maker
    await maker.aclose()


@pytest.fixture
def other_producer(patient: LogMaker) -> Iterator[RunProducer]:
    """Another process, with a run in the chat ``chat``."""
    assert patient.url is not None
    producer = RunProducer(patient.url, patient.prefix, "chat", patient.limits)
    yield producer
    producer.close()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
async def test_a_silent_producers_chat_is_taken_over_long_before_its_lease_ends(
    patient: LogMaker, other_producer: RunProducer, end: signal.Signals
):
    log = patient.make()
    service = RunService(log, on_lost=lambda info, frames: as_awaitable(b"<lost>"))
    assert other_producer.ask("append x") == "ok"
    reading = asyncio.create_task(collect(log, other_producer.run_id))

    async def is_written() -> bool:
        return await log.frames(other_producer.run_id) == b"x"

    await eventually(is_written)
    other_producer.process.send_signal(end)

    assert await service.take_over("chat")

    assert texts(await asyncio.wait_for(reading, PATIENCE)) == b"x<lost>"
    handle = await service.start("chat", make_nothing, abort=lambda reason: None)
    assert await handle.wait() == "finished"


async def test_a_living_producer_keeps_its_chat(
    redis_server: RedisServer, own_producer: Callable[[LogMaker], RunProducer]
):
    # However busy the machine is, it renews its lease in that time.
    logs = LogMaker(redis_server.url, limits=Limits(lease=60.0, silence=AT_ONCE))
    producer, service = own_producer(logs), RunService(logs.make())
    assert not await service.take_over("chat")
    assert await service.take_over("another chat")
    assert producer.ask("finish") == "True"
    await logs.aclose()


async def as_awaitable(data: bytes) -> bytes:
    return data


async def make_nothing(handle: RunHandle) -> None:
    pass


async def test_paused_producer_cannot_write_any_more(logs: LogMaker, producer: RunProducer):
    log = logs.make()
    assert producer.ask("append before") == "ok"

    async def is_written() -> bool:
        return await log.frames(producer.run_id) == b"before"

    await eventually(is_written)
    producer.process.send_signal(signal.SIGSTOP)
    producer.tell("append late")
    info = await take_one(log)
    assert await log.end_lost(info, b"|end")
    producer.process.send_signal(signal.SIGCONT)
    assert producer.answer() in {"ok", "fenced"}
    await eventually(lambda: producer.ask("append later") == "fenced")
    assert producer.ask("finish") == "False"
    assert await log.frames(producer.run_id) == b"before|end"
    assert texts(await collect(log, producer.run_id)) == b"before|end"


async def test_paused_producer_is_fenced_while_its_run_waits_for_its_end(logs: LogMaker, producer: RunProducer):
    log = logs.make()
    producer.process.send_signal(signal.SIGSTOP)
    info = await take_one(log)
    producer.process.send_signal(signal.SIGCONT)
    await eventually(lambda: producer.ask("append x") == "fenced")
    assert await log.end_lost(info)
    assert await collect(log, info.id) == []


async def test_process_that_slept_until_its_chat_was_taken_shows_nothing_that_came_meanwhile(
    redis_server: RedisServer, own_producer: Callable[[LogMaker], RunProducer]
):
    # Who needs the chat does not wait for the whole lease.
    logs = LogMaker(redis_server.url, limits=Limits(lease=60.0, silence=0.5))
    log, producer = logs.make(), own_producer(logs)
    assert producer.ask("append before") == "ok"
    await eventually(lambda: has_frames(log, producer.run_id))
    producer.process.send_signal(signal.SIGSTOP)

    async def is_taken() -> bool:
        return bool(await log.take_lost(producer.run_id))

    await eventually(is_taken)
    producer.tell("append late")
    producer.process.send_signal(signal.SIGCONT)
    assert producer.answer() in {"ok", "fenced"}
    assert producer.ask("show") == "before"
    await logs.aclose()


async def test_run_that_was_taken_from_a_dead_process_can_be_stopped(logs: LogMaker, producer: RunProducer):
    log, other = logs.make(), logs.make()
    producer.process.kill()
    info = await take_one(log)
    assert await RunService(other).stop("chat", "stopped")
    assert await log.resume(info, {}) is None
    assert await log.end_lost(info, b"end")
    assert not await other.stop(info.id)


async def test_run_goes_on_although_redis_was_told_so_twice(logs: LogMaker, producer: RunProducer):
    log, other = logs.make(), logs.make()
    assert producer.ask("append one") == "ok"
    await eventually(lambda: has_frames(log, producer.run_id))
    producer.process.kill()
    info = await take_one(log)
    # The connection broke before the first answer.
    assert await log.resume(info, {}) is not None
    writer = await log.resume(info, {})
    assert writer is not None
    writer.append(b" two")
    assert await writer.finish("finished")
    assert texts(await collect(other, info.id)) == b"one two"


async def test_chat_of_a_lost_run_gets_a_new_one(logs: LogMaker, producer: RunProducer):
    log = logs.make()
    with pytest.raises(RunError) as raised:
        await begin(log)
    assert raised.value.code == "exists"
    producer.process.kill()
    lost = await take_one(log)
    writer = await begin(log)
    assert writer.info.token > lost.token
    await log.end_lost(lost)
    assert await log.find("chat") == writer.info


async def test_run_goes_to_another_when_who_took_it_dies_too(logs: LogMaker, producer: RunProducer):
    log, other = logs.make(), logs.make()
    producer.process.kill()
    first = await take_one(log)
    second = await take_one(other)
    assert second.id == first.id
    assert second.token > first.token
    assert not await log.end_lost(first, b"late")
    assert await other.end_lost(second, b"end")
    assert await log.frames(first.id) == b"end"


async def test_busy_process_does_not_take_its_own_run_for_lost(logs: LogMaker):
    log, other = logs.make(), logs.make()
    writer = await begin(log)
    # Nothing of this process runs for longer than a lease: no renewal either.
    time.sleep(LEASE * 1.2)  # noqa: ASYNC251 - that is the point
    assert list(await log.take_lost()) == []
    writer.append(b"x")
    assert await writer.finish("finished")
    assert list(await other.take_lost()) == []


def take_while_paused(logs: LogMaker) -> RunInfo:
    """The one run that another process takes while nothing of this one runs, as if it had been paused."""
    assert logs.url is not None
    url = logs.url

    async def take_elsewhere() -> Sequence[RunInfo]:
        stranger = RedisLog(url, logs.limits, prefix=logs.prefix)
        try:
            while not (taken := await stranger.take_lost()):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.05)
            return taken
        finally:
            await stranger.aclose()

    with ThreadPoolExecutor() as pool:
        (info,) = pool.submit(asyncio.run, take_elsewhere()).result()
    return info


async def test_readers_in_a_fenced_process_get_the_end_that_all_get(logs: LogMaker):
    log, other = logs.make(), logs.make()
    writer = await begin(log)
    reading = asyncio.create_task(collect(log, writer.info.id))
    await asyncio.sleep(0)
    writer.append(b"x")

    async def is_written() -> bool:
        return await other.frames(writer.info.id) == b"x"

    await eventually(is_written)
    info = take_while_paused(logs)
    await eventually(lambda: writer.is_stopped)
    assert writer.stop_reason == "lost"
    with pytest.raises(RunError):
        writer.append(b"late")
    assert not await writer.finish("finished")
    await other.end_lost(info, b"|end")
    assert texts(await reading) == b"x|end"


async def test_readers_in_a_fenced_process_get_an_end_when_redis_has_dropped_the_run(
    logs: LogMaker, redis_server: RedisServer
):
    async def end(info: RunInfo, frames: bytes) -> bytes:
        return frames + b" of " + info.chat_id.encode()

    log = logs.make()
    log.on_gone = end
    writer = await begin(log)
    writer.append(b"x")
    async with aclosing(log.read(writer.info.id)) as entries:
        assert (await anext(entries)).data == b"x"
        await eventually(lambda: has_frames(logs.make(), writer.info.id))
        take_while_paused(logs)
        await eventually(lambda: writer.is_stopped)
        redis_server.ask("DEL", *(f"{logs.prefix}{kind}:{writer.info.id}" for kind in ("run", "log")))
        rest = [entry async for entry in entries]

    assert [(entry.data, entry.is_end) for entry in rest] == [(b"x of chat", True)]


async def test_readers_that_have_the_end_already_get_no_other(logs: LogMaker):
    log, other = logs.make(), logs.make()
    writer = await begin(log)
    reading = asyncio.create_task(collect(log, writer.info.id))

    info = take_while_paused(logs)
    # It learns of its loss with the end it writes.
    writer.append(b"all|end")
    assert not await writer.finish("finished")
    await other.end_lost(info, b"|end")
    # The process may have noticed that it stood still, and then shows nothing of its own.
    assert texts(await reading) in (b"all|end", b"|end")


async def test_lease_is_renewed_while_nothing_is_written(logs: LogMaker):
    log, other = logs.make(), logs.make()
    writer = await begin(log)
    start = time.monotonic()

    async def is_long_ago() -> bool:
        assert list(await other.take_lost()) == []
        return time.monotonic() - start > 3 * LEASE

    await eventually(is_long_ago)
    assert await writer.finish("finished")


async def test_lost_runs_take_their_place_among_the_ended_ones_that_are_kept(
    redis_server: RedisServer, own_producer: Callable[[LogMaker], RunProducer]
):
    logs = LogMaker(redis_server.url, limits=Limits(lease=LEASE, max_ended_bytes=10))
    log = logs.make()
    producer = own_producer(logs)
    assert producer.ask("append 12345678") == "ok"
    await eventually(lambda: has_frames(log, producer.run_id))
    before = await begin(log, "before")
    before.append(b"12345678")
    assert await before.finish("finished")

    producer.process.kill()
    lost = await take_one(log)
    assert await log.end_lost(lost, b"!")

    assert await log.get(before.info.id) is None
    assert texts(await collect(log, lost.id)) == b"12345678!"
    await end_with(log, "after", b"123456789")
    assert await log.get(lost.id) is None
    await logs.aclose()


# -- keys and connections -----------------------------------------------------------------------------------------


def keys(server: RedisServer, logs: LogMaker) -> set[str]:
    return {line for line in server.ask("KEYS", f"{logs.prefix}*").decode().split() if line.startswith("test-")}


async def test_every_key_has_its_time_and_nothing_stays(
    redis_server: RedisServer, own_producer: Callable[[LogMaker], RunProducer]
):
    logs = LogMaker(redis_server.url, limits=Limits(lease=LEASE, keep=0.3, retain=3.0))
    with noted_commands(redis_server, logs.prefix) as noted:
        await live_and_die(redis_server, own_producer, logs)
    # One command makes a key and a second would give it its time: a process may die between them.
    making = {"XADD", "HSET", "ZADD", "SADD", "LPUSH", "RPUSH", "INCR"}
    assert [command for command in noted if command.split()[0] in making] == []
    assert any("EVALSHA" in command for command in noted)


async def live_and_die(
    redis_server: RedisServer, own_producer: Callable[[LogMaker], RunProducer], logs: LogMaker
) -> None:
    log, other, producer = logs.make(), logs.make(), own_producer(logs)
    producer.ask("append x")
    writer = await begin(log, "second")
    writer.append(b"x")
    async with aclosing(other.read(writer.info.id)) as entries, aclosing(other.read(producer.run_id)) as others:
        await anext(entries)
        await anext(others)
        found = keys(redis_server, logs)
        assert len(found) == 8  # two of each of run, log and chat; the leases; what wakes the reading process
        assert [redis_server.ask("PTTL", key) for key in found if redis_server.ask("PTTL", key).startswith(b":-")] == []
    await writer.finish("finished")
    producer.process.kill()
    await eventually(lambda: not keys(redis_server, logs))
    await logs.aclose()


async def test_readers_share_connections(logs: LogMaker, redis_server: RedisServer):
    log, other = logs.make(), logs.make()
    assert isinstance(other, RedisLog)
    tail = other._tail  # pyright: ignore[reportPrivateUsage]
    writers = [await begin(log, f"chat-{number}") for number in range(20)]

    def connections() -> int:
        return redis_server.ask("CLIENT", "LIST").count(b"addr=") - 1

    readers = [asyncio.create_task(collect(other, writer.info.id)) for writer in writers for _ in range(10)]
    for writer in writers:
        writer.append(b"x")
    await eventually(lambda: sum(copy.readers for copy in tail.copies.values()) == len(readers))
    assert 3 < connections() < 30
    assert all(await asyncio.gather(*(writer.finish("finished") for writer in writers)))
    assert [texts(entries) for entries in await asyncio.gather(*readers)] == [b"x"] * 200


async def test_redis_is_reached_by_a_socket_of_the_system(tmp_path: Path):
    with tempfile.TemporaryDirectory(prefix="redis-") as short:
        server = RedisServer(tmp_path, socket_path=f"{short}/socket")
        server.start()
        logs = LogMaker(f"unix://{short}/socket")
        await end_with(logs.make(), "chat", b"x")
        info = await logs.make().find("chat")
        assert info is not None
        assert texts(await collect(logs.make(), info.id)) == b"x"
        await logs.aclose()
        server.close()


async def test_producer_sees_that_another_process_reads(logs: LogMaker):
    log, other = logs.make(), logs.make()
    writer = await begin(log)
    assert await log.seconds_unread(writer.info.id) == float("inf")
    writer.append(b"x")
    async with aclosing(other.read(writer.info.id)) as entries:
        await anext(entries)
        start = time.monotonic()

        async def has_been_read_for_long() -> bool:
            assert await log.seconds_unread(writer.info.id) < LEASE
            return time.monotonic() - start > 2 * LEASE

        await eventually(has_been_read_for_long)

    async def is_unread() -> bool:
        return await log.seconds_unread(writer.info.id) > LEASE

    await eventually(is_unread)
    await writer.finish("finished")
