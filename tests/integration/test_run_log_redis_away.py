"""Logs of runs on a Redis that goes away."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.integration.run_logs import LogMaker, begin, collect
from tests.support.redis_server import RedisServer
from tests.support.run_producer import RunProducer
from tests.support.waiting import PATIENCE, eventually
from usechat.errors import RunError
from usechat.runs.log import Entry, Limits
from usechat.runs.redis.approvals import RedisUsedApprovals
from usechat.runs.redis.log import RedisLog

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


@pytest.fixture(params=[True, False], ids=["kept", "lost"])
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that may be restarted, with or without its data."""
    server = RedisServer(tmp_path, keeps=request.param)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def fragile(own_server: RedisServer) -> AsyncIterator[LogMaker]:
    """Logs on a Redis of the test's own."""
    maker = LogMaker(own_server.url)
    yield maker
    await maker.aclose()


def texts(entries: list[Entry]) -> bytes:
    return b"".join(entry.data for entry in entries)


async def test_run_survives_a_restart(fragile: LogMaker, own_server: RedisServer):
    log, other = fragile.make(), fragile.make()
    writer = await begin(log)
    pieces = [b"%d," % number for number in range(300)]
    for piece in pieces[:100]:
        writer.append(piece)
    async with aclosing(log.read(writer.info.id)) as here, aclosing(other.read(writer.info.id)) as there:
        read = {"here": (await anext(here)).data, "there": (await anext(there)).data}
        own_server.kill()
        for piece in pieces[100:200]:
            writer.append(piece)
            await asyncio.sleep(0)
        own_server.start()
        for piece in pieces[200:]:
            writer.append(piece)
            await asyncio.sleep(0)
        assert await writer.finish("finished")
        read["here"] += texts([entry async for entry in here])
        read["there"] += texts([entry async for entry in there])
    assert read == {"here": b"".join(pieces), "there": b"".join(pieces)}
    assert texts(await collect(other, writer.info.id, 150)) == b"".join(pieces[150:])
    assert await other.find("chat") == writer.info


async def test_stop_is_heard_after_a_restart(fragile: LogMaker, own_server: RedisServer):
    log, other = fragile.make(), fragile.make()
    writer = await begin(log)
    own_server.kill()
    own_server.start()

    async def is_known_again() -> bool:
        try:
            return await other.stop(writer.info.id, "enough")
        except RunError:
            return False

    await eventually(is_known_again)
    await eventually(lambda: writer.is_stopped)
    assert writer.stop_reason == "enough"
    assert await writer.finish("aborted")


async def test_readers_of_the_process_do_not_wait_for_a_redis_that_is_away(
    fragile: LogMaker, own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("usechat.runs.redis.producer.END_PATIENCE", 0.1)
    log = fragile.make()
    writer = await begin(log)
    own_server.kill()
    async with aclosing(log.read(writer.info.id)) as entries:
        writer.append(b"x")
        async with asyncio.timeout(PATIENCE):
            assert (await anext(entries)).data == b"x"
        finishing = asyncio.create_task(writer.finish("finished"))
        async with asyncio.timeout(PATIENCE):
            assert [entry async for entry in entries] == []
    assert not finishing.done()
    own_server.start()
    assert await finishing
    assert texts(await collect(fragile.make(), writer.info.id)) == b"x"


async def test_everything_else_says_that_redis_is_away(fragile: LogMaker, own_server: RedisServer):
    log = fragile.make()
    writer = await begin(fragile.make())
    own_server.kill()
    calls = [
        *(begin(log), log.find("chat"), log.frames("run"), log.stop("run"), log.note_resume("chat")),
        *(log.note_asked("chat", 1.0), log.note_left("run"), log.stop_left(writer.info)),
        *(log.was_asked("chat"), log.seconds_unread("run"), log.take_lost(), log.end_lost(writer.info), log.get("run")),
    ]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [error.code for error in errors if isinstance(error, RunError)] == ["unavailable"] * len(calls)


async def test_reader_that_comes_while_redis_is_away_waits_for_it(fragile: LogMaker, own_server: RedisServer):
    writer = await begin(fragile.make())
    writer.append(b"a")
    finishing = asyncio.create_task(writer.finish("finished"))
    own_server.kill()
    log = fragile.make()
    reading = asyncio.create_task(collect(log, writer.info.id))
    with pytest.raises(RunError):
        await log.find("chat")
    own_server.start()
    assert texts(await reading) == b"a"
    assert await finishing


async def test_reader_that_asks_again_when_redis_is_back_waits_for_its_run(fragile: LogMaker, own_server: RedisServer):
    writer = await begin(fragile.make())
    writer.append(b"a")
    own_server.kill()
    log = fragile.make()
    assert isinstance(log, RedisLog)
    client = log._client  # pyright: ignore[reportPrivateUsage]
    began = time.monotonic()
    reading = asyncio.create_task(collect(log, writer.info.id))
    await eventually(lambda: client.failed_at > began)
    # Nothing of this process runs until it is back.
    own_server.start()
    assert await writer.finish("finished")
    assert texts(await reading) == b"a"


async def test_reader_that_waits_for_redis_hears_of_the_end_of_its_process(fragile: LogMaker, own_server: RedisServer):
    own_server.kill()
    log = fragile.make()
    reading = asyncio.create_task(collect(log, "run"))
    with pytest.raises(RunError):
        await log.find("chat")
    await log.aclose()
    with pytest.raises(RunError) as raised:
        await reading
    assert raised.value.code == "unavailable"


async def test_living_are_not_taken_for_lost_when_redis_was_away_for_long(own_server: RedisServer):
    maker = LogMaker(own_server.url, limits=Limits(lease=0.3))
    log, other = maker.make(), maker.make()
    writer = await begin(log)
    own_server.kill()
    start = time.monotonic()

    async def is_long_ago() -> bool:
        with pytest.raises(RunError):
            await other.find("chat")
        return time.monotonic() - start > 0.5

    await eventually(is_long_ago)
    own_server.start()
    assert list(await other.take_lost()) == []
    assert await writer.finish("finished")
    await maker.aclose()


async def test_readers_hear_of_data_that_is_lost_with_its_producer(own_redis: RedisServer):
    limits = Limits(lease=0.3)
    log = RedisLog(own_redis.url, limits, prefix="test:")
    producer = RunProducer(own_redis.url, "test:", "chat", limits)
    async with aclosing(log.read(producer.run_id)) as entries:
        producer.ask("append x")
        assert (await anext(entries)).data == b"x"
        producer.process.kill()
        own_redis.ask("FLUSHALL")
        with pytest.raises(RunError) as raised:
            await asyncio.wait_for(anext(entries), PATIENCE)
    assert raised.value.code == "missing"
    assert await log.find("chat") is None
    await log.aclose()
    producer.close()


async def test_connections_that_are_dropped_are_made_anew(logs: LogMaker, redis_server: RedisServer):
    log, other = logs.make(), logs.make()
    writer = await begin(log)
    reading = asyncio.create_task(collect(other, writer.info.id))
    pieces = [b"%d," % number for number in range(60)]
    for number, piece in enumerate(pieces):
        writer.append(piece)
        if number % 20 == 10:
            for kind in ("normal", "pubsub"):
                await asyncio.to_thread(redis_server.ask, "CLIENT", "KILL", "TYPE", kind)
    assert await writer.finish("finished")
    assert texts(await reading) == b"".join(pieces)


async def test_approval_is_used_once_whatever_process_it_comes_to(logs: LogMaker):
    assert logs.url is not None
    processes = [RedisUsedApprovals(logs.url, prefix=logs.prefix) for _ in range(2)]
    try:
        claims = await asyncio.gather(*(used.claim("aitxt-1") for used in processes * 5))
        assert sorted(claims) == [False] * 9 + [True]
        assert await processes[0].claim("aitxt-2")
    finally:
        for used in processes:
            await used.aclose()


async def test_without_redis_an_approval_is_not_usable(fragile: LogMaker, own_server: RedisServer):
    assert fragile.url is not None
    used = RedisUsedApprovals(fragile.url, prefix=fragile.prefix)
    own_server.kill()
    try:
        with pytest.raises(RunError) as failed:
            await used.claim("aitxt-1")
        assert failed.value.code == "unavailable"
    finally:
        await used.aclose()


async def test_a_process_that_slept_takes_no_run_before_others_had_a_lease_to_wake_up(
    redis_server: RedisServer,
) -> None:
    logs = LogMaker(redis_server.url, limits=Limits(lease=LEASE))
    producer = RunProducer(redis_server.url, logs.prefix, "chat", logs.limits)
    try:
        looking = logs.make()
        assert list(await looking.take_lost()) == []
        producer.process.send_signal(signal.SIGSTOP)
        # This process stands still with the other one.
        time.sleep(LEASE)  # noqa: ASYNC251 - that is what it is for
        awake_since = time.monotonic()

        async def takes() -> bool:
            return bool(await looking.take_lost())

        await eventually(takes)
        assert time.monotonic() - awake_since >= LEASE
    finally:
        producer.close()
        await logs.aclose()
