"""Redis is away, pauses, refuses to write or gives an answer to another process."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.redis_answers import begin_to_answer, deltas
from tests.integration.run_logs import LogMaker, collect
from tests.integration.running_server import RunningServer, serving
from tests.integration.test_turn_ends import Deployment
from tests.support.databases import make_migrated_file
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import SavedChat
from usechat.runs.log import Limits
from usechat.server.access.asking import DEFAULT_USER
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

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


# -- Redis is away when an answer ends ----------------------------------------------------------------------------


BODY = {"id": "c", "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}


def begin_and_lose_redis(running: RunningServer, redis: RedisServer) -> str:
    """Ask, have Redis die in the middle of the answer, read all its frames."""
    with running.client.stream("POST", "/api/chat", json=BODY) as response:
        assert response.status_code == 200
        seen = ""
        for piece in response.iter_text():
            if not seen:
                redis.kill()
            seen += piece
            if "[DONE]" in seen:
                break
    return seen


async def load(folder: Path) -> SavedChat:
    store = SqlChatStore(f"sqlite:///{folder}/usechat.db")
    try:
        return await store.load_chat(DEFAULT_USER, "c")
    finally:
        await store.aclose()


def text_of(saved: SavedChat) -> str:
    return "".join(part.get("text", "") for part in saved.messages[-1].message["parts"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_answer_that_ended_without_redis_is_saved_whole_when_its_process_ends(
    own_redis: RedisServer, tmp_path: Path, number: signal.Signals
) -> None:
    with (
        ReplayServer(Reply("text", delay=0.02)) as upstream,
        serving(
            tmp_path,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=upstream.url,
            USECHAT_MODEL="a-model",
            USECHAT_REDIS_URL=own_redis.url,
            USECHAT_SHUTDOWN_SECONDS="60",
        ) as running,
    ):
        seen = begin_and_lose_redis(running, own_redis)
        if number == signal.SIGKILL:
            # The reader waits for Redis for some seconds more; whoever loads the chat has the answer.
            await eventually(lambda: "ended: whole" in running.log.read_text())
        running.process.send_signal(number)
        # Not the minute that answers get to end: this one has.
        running.process.wait(30)
        log = running.log.read_text()
    saved = await load(tmp_path)
    assert (saved.messages[-1].message["role"], saved.messages[-1].status) == ("assistant", "whole")
    assert text_of(saved) == deltas(seen) != ""
    assert "of chat c ended: whole" in log
    if number != signal.SIGKILL:
        assert "Redis, which is away, does not know of it" in log


async def test_answer_that_is_cut_by_the_end_of_its_process_is_saved_without_redis(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    middle = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]
    with (
        ReplayServer(Reply("text", hold_after=middle)) as upstream,
        serving(
            tmp_path,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=upstream.url,
            USECHAT_MODEL="a-model",
            USECHAT_REDIS_URL=own_redis.url,
            USECHAT_SHUTDOWN_SECONDS="0",
        ) as running,
    ):
        with running.client.stream("POST", "/api/chat", json=BODY) as response:
            pieces = response.iter_text()
            seen = ""
            while "text-delta" not in seen:
                seen += next(pieces)
            own_redis.kill()
            running.process.terminate()
            # Its end waits for a Redis that does not come back, and the process for no reader.
            with suppress(httpx.TransportError):
                seen += "".join(pieces)
        running.process.wait(30)
    saved = await load(tmp_path)
    assert saved.messages[-1].status == "partial"
    assert text_of(saved) == deltas(seen) != ""


async def test_an_end_without_redis_is_told_once_and_known_when_redis_is_back(
    deployment: Deployment, own_redis: RedisServer
) -> None:
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    own_redis.kill()
    ending = asyncio.create_task(answering.end())
    await eventually(lambda: bool(deployment.told))
    assert await other.saved() == [("Hi", "whole"), ("Hello you there", "whole")]
    own_redis.start()
    assert b"[DONE]" in await ending
    info = await other.conversations.runs.log.find("c")
    assert info is not None
    await eventually(lambda: not process.conversations.runs.handles)
    info = await other.conversations.runs.log.get(info.id)
    assert info is not None
    assert info.state == "finished"
    assert await other.conversations.runs.resume("c") is None
    assert [end.status for end in deployment.told] == ["whole"]


# -- Redis gave the answer to somebody else -----------------------------------------------------------------------


def take(own_redis: RedisServer, deployment: Deployment, run_id: str) -> None:
    """What a process does that takes a run for lost."""
    own_redis.ask("HSET", f"{deployment.logs.prefix}run:{run_id}", "state", "lost", "token", "99999999999999999")


async def test_an_answer_that_was_taken_away_is_saved_as_far_as_it_is_made(
    deployment: Deployment, own_redis: RedisServer
) -> None:
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    [handle] = process.conversations.runs.handles.values()
    take(own_redis, deployment, handle.info.id)
    # Who has taken it does not come to its end.
    await eventually(lambda: bool(deployment.told))
    assert await other.saved() == [("Hi", "whole"), ("Hello", "partial")]
    await answering.leave()


async def test_an_answer_that_was_ended_elsewhere_is_not_dropped_without_a_word(
    deployment: Deployment, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    [handle] = process.conversations.runs.handles.values()
    own_redis.pause()
    turn = (await other.store.open_turns())[0]
    assert await other.conversations.ends.end(DEFAULT_USER, "c", turn.run_id, status="lost")
    with caplog.at_level(logging.WARNING):
        answering.may_go_on.set()
        await eventually(lambda: "had ended already" in caplog.text)
    own_redis.go_on()
    await asyncio.wait_for(answering.task, PATIENCE)
    assert [end.status for end in deployment.told] == ["lost"]
    assert handle.is_over


# -- Redis pauses, and goes on with what it was sent --------------------------------------------------------------


class Hole:
    """A way to Redis that can hold what it is given, and deliver it later."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.server: asyncio.Server | None = None

    async def start(self) -> str:
        """Its URL."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/0"

    def pause(self) -> None:
        self._is_open.clear()

    def go_on(self) -> None:
        self._is_open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, far_writer}
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._is_open.wait()
                target.write(data)
                await target.drain()
        await self._is_open.wait()
        target.close()

    async def aclose(self) -> None:
        assert self.server is not None
        self.server.close()
        for task in list(self._tasks):
            task.cancel()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture(params=["stopped", "cut off"])
async def pausing(
    request: pytest.FixtureRequest, own_redis: RedisServer
) -> AsyncIterator[tuple[str, RedisServer | Hole]]:
    """A Redis that can be paused, and its URL."""
    if request.param == "stopped":
        yield own_redis.url, own_redis
        own_redis.go_on()
        return
    hole = Hole(own_redis.port)
    yield await hole.start(), hole
    hole.go_on()
    await hole.aclose()


@pytest.mark.parametrize("patience", [0.3, 5.0], ids=["given up", "waited for"])
async def test_answers_outlive_a_redis_that_pauses_for_longer_than_a_lease(
    pausing: tuple[str, RedisServer | Hole], tmp_path: Path, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usechat.runs.redis.client.ANSWER_SECONDS", patience)
    url, redis = pausing
    database = make_migrated_file(tmp_path)
    logs = LogMaker(url, limits=Limits(lease=LEASE, silence=LEASE))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(logs.aclose)
        deployment = Deployment(logs, database, stack)
        process, *others = [await deployment.process() for _ in range(4)]
        for one in [process, *others]:
            # They look for lost runs and turns all the time.
            await stack.enter_async_context(one.conversations)
        answering = await begin_to_answer(process)
        info = await others[0].conversations.runs.resume("c")
        assert info is not None
        reading = asyncio.create_task(collect(others[0].conversations.runs.log, info.id))
        for seconds in (1.3 * LEASE, 2.6 * LEASE):
            await asyncio.sleep(0.3)
            redis.pause()
            await asyncio.sleep(seconds)
            redis.go_on()
        # Long enough for whoever takes it for lost to say so.
        taken_over = [await one.conversations.runs.take_over("c") for one in others[:1]]
        assert taken_over == [False]
        assert deployment.told == []
        seen = await answering.end()
        assert deltas(seen.decode()) == "Hello you there"
        assert b"".join(entry.data for entry in await asyncio.wait_for(reading, PATIENCE)) == seen
        assert await others[1].saved() == [("Hi", "whole"), ("Hello you there", "whole")]
        assert [end.status for end in deployment.told] == ["whole"]


# -- Redis drops keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refuse", "take"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ],
    ids=["out of memory", "too few replicas", "a replica"],
)
async def test_a_redis_that_refuses_to_write_is_like_one_that_is_away(
    deployment: Deployment, own_redis: RedisServer, refuse: str, take: str
) -> None:
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    info = await other.conversations.runs.resume("c")
    assert info is not None
    assert own_redis.ask(*refuse.split()).startswith(b"+OK")
    ending = asyncio.create_task(answering.end())
    await eventually(lambda: bool(deployment.told))
    assert await other.saved() == [("Hi", "whole"), ("Hello you there", "whole")]
    assert own_redis.ask(*take.split()).startswith(b"+OK")
    seen = await ending
    assert deltas(seen.decode()) == "Hello you there"
    assert b"".join(entry.data for entry in await collect(other.conversations.runs.log, info.id)) == seen
    assert [end.status for end in deployment.told] == ["whole"]
