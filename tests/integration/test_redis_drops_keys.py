"""Redis drops keys of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.redis_answers import begin_to_answer, deltas
from tests.integration.run_logs import LogMaker, collect
from tests.integration.test_turn_ends import Deployment, Process
from tests.support.databases import make_migrated_file
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat.conversations.turn_ends import run_of
from usechat.runs.cursor import Cursor
from usechat.runs.log import Limits
from usechat.runs.redis.log import RedisLog
from usechat.server.access.asking import DEFAULT_USER
from usechat.testing.models import saying

pytestmark = pytest.mark.anyio

LEASE = 1.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def deployment(own_redis: RedisServer, tmp_path: Path) -> AsyncIterator[Deployment]:
    """Processes over this Redis and one database."""
    url = make_migrated_file(tmp_path)
    logs = LogMaker(own_redis.url, limits=Limits(lease=LEASE, silence=LEASE))
    async with AsyncExitStack() as stack:
        yield Deployment(logs, url, stack)
        await logs.aclose()


KINDS = ("log", "run", "chat", "leases", "log run", "chat leases", "run chat leases", "log run chat leases")


async def drop(own_redis: RedisServer, prefix: str, kinds: str, run_id: str) -> None:
    """Have Redis lose keys, once it has them, as when it is short of memory."""
    names = {"log": f"log:{run_id}", "run": f"run:{run_id}", "chat": "chat:c", "leases": "leases"}
    keys = [f"{prefix}{names[kind]}" for kind in kinds.split()]
    await eventually(lambda: own_redis.ask("EXISTS", *keys).startswith(b":%d" % len(keys)))
    own_redis.ask("DEL", *keys)


@pytest.mark.parametrize("kinds", KINDS)
async def test_readers_and_the_chat_have_the_whole_answer_whatever_redis_drops(
    deployment: Deployment, own_redis: RedisServer, kinds: str
) -> None:
    process, other, late = [await deployment.process() for _ in range(3)]
    async with other.conversations, late.conversations:
        answering = await begin_to_answer(process)
        info = await other.conversations.runs.resume("c")
        assert info is not None
        begun: list[bytes] = []

        async def read() -> bytes:
            async for entry in other.conversations.runs.read(info.id):
                begun.append(entry.data)  # noqa: PERF401 - looked at meanwhile
            return b"".join(begun)

        reading = asyncio.create_task(read())
        await eventually(lambda: b"Hello" in b"".join(begun))
        await drop(own_redis, deployment.logs.prefix, kinds, info.id)
        found = await late.conversations.runs.resume("c")
        assert found is not None
        assert found.id == info.id
        reading_late = asyncio.create_task(collect(late.conversations.runs.log, info.id))
        await asyncio.sleep(1.5 * LEASE)
        assert deployment.told == []
        seen = await answering.end()
        assert deltas(seen.decode()) == "Hello you there"
        assert await asyncio.wait_for(reading, PATIENCE) == seen
        assert b"".join(entry.data for entry in await asyncio.wait_for(reading_late, PATIENCE)) == seen
        assert await other.saved() == [("Hi", "whole"), ("Hello you there", "whole")]
        assert [end.status for end in deployment.told] == ["whole"]


@pytest.mark.parametrize("kinds", KINDS)
async def test_whatever_redis_drops_an_answer_can_be_stopped(
    deployment: Deployment, own_redis: RedisServer, kinds: str
) -> None:
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    [run_id] = process.conversations.runs.handles
    await drop(own_redis, deployment.logs.prefix, kinds, run_id)
    assert await other.conversations.stop(DEFAULT_USER, "c")
    await asyncio.wait_for(answering.task, PATIENCE)
    assert [end.status for end in deployment.told] == ["aborted"]
    assert await other.saved() == [("Hi", "whole"), ("Hello", "aborted")]


@pytest.mark.parametrize("kinds", KINDS)
async def test_whatever_redis_drops_before_a_process_dies_a_beginning_is_saved_and_readers_get_an_end(
    deployment: Deployment, own_redis: RedisServer, kinds: str
) -> None:
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    info = await other.conversations.runs.resume("c")
    assert info is not None
    begun: list[bytes] = []

    async def read() -> None:
        async for entry in other.conversations.runs.read(info.id):
            begun.append(entry.data)  # noqa: PERF401 - looked at meanwhile

    reading = asyncio.create_task(read())
    await eventually(lambda: b"Hello" in b"".join(begun))
    await die(process)
    await drop(own_redis, deployment.logs.prefix, kinds, info.id)
    async with other.conversations:
        await eventually(lambda: bool(deployment.told), within=PATIENCE)
        await asyncio.wait_for(reading, PATIENCE)
    seen = b"".join(begun)
    assert seen.endswith(b"data: [DONE]\n\n")
    assert seen.count(b'"type":"error"') == 1
    assert deltas(seen.decode()) == "Hello"
    assert [end.status for end in deployment.told] == ["lost"]
    # Of what Redis has dropped only the processes that read it know.
    assert [text for text, _ in await other.saved()][1:] in (["Hello"], [""], [])
    await answering.leave()


@pytest.mark.parametrize("cursor", [None, Cursor()])
@pytest.mark.parametrize("state", ["finished", "running"])
async def test_answer_that_runs_is_found_in_a_redis_that_comes_back_with_the_one_before(
    deployment: Deployment, own_redis: RedisServer, cursor: Cursor | None, state: str
) -> None:
    process, other = await deployment.process(), await deployment.process()

    def go_back(run_id: str) -> None:
        own_redis.ask("HSET", f"{deployment.logs.prefix}run:{run_id}", "state", state)
        own_redis.ask("SET", f"{deployment.logs.prefix}chat:c", run_id)

    await process.ask(saying("Before"), "Ahoy")
    before = await other.conversations.runs.resume("c", Cursor())
    assert before is not None
    answering = await begin_to_answer(process)
    go_back(before.id)
    found = await other.conversations.runs.resume("c", cursor, owner=DEFAULT_USER)
    assert found is not None
    assert found.id == run_of((await other.store.open_turns())[0].run_id)
    go_back(before.id)
    assert await other.conversations.stop(DEFAULT_USER, "c")
    await asyncio.wait_for(answering.task, PATIENCE)
    assert [end.status for end in deployment.told] == ["whole", "aborted"]


async def test_answer_whose_frames_are_gone_is_not_shown(deployment: Deployment, own_redis: RedisServer) -> None:
    process, other = await deployment.process(), await deployment.process()
    await process.ask(saying("Hello"))
    found = await other.conversations.runs.resume("c", Cursor())
    assert found is not None
    await drop(own_redis, deployment.logs.prefix, "log", found.id)
    assert await other.conversations.runs.resume("c", Cursor()) is None


async def die(process: Process) -> None:
    """Let nothing of a process reach Redis or the database any more."""
    log = process.conversations.runs.log
    assert isinstance(log, RedisLog)
    own_runs = log._own_runs  # pyright: ignore[reportPrivateUsage]
    tasks = own_runs._tasks  # pyright: ignore[reportPrivateUsage]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    process.store.is_away = True


@pytest.mark.parametrize("is_secret", [False, True], ids=["told", "told with INFO"])
async def test_a_redis_that_drops_keys_is_warned_of(
    deployment: Deployment, own_redis: RedisServer, caplog: pytest.LogCaptureFixture, is_secret: bool
) -> None:
    own_redis.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    if is_secret:
        own_redis.ask("ACL", "SETUSER", "default", "-config")
    async with (await deployment.process()).conversations:
        await eventually(lambda: "maxmemory-policy" in caplog.text)
    assert "(maxmemory-policy volatile-lru)" in caplog.text
    assert "set maxmemory-policy to noeviction" in caplog.text


async def test_a_redis_that_keeps_its_keys_is_not_warned_of(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    log = (await deployment.process()).conversations.runs.log
    assert list(await log.take_lost()) == []
    assert "maxmemory-policy" not in caplog.text
