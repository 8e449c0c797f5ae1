"""What readers see when Redis stalls: with ``USECHAT_DURABLE=strict`` nothing that is not kept."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.run_logs import begin
from tests.integration.running_server import RunningServer, run, serving
from tests.support.redis_server import RedisServer
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.waiting import PATIENCE, eventually
from usechat.errors import RunError
from usechat.ids import generate_id
from usechat.runs.log import Entry, RunLog
from usechat.runs.redis.log import RedisLog
from usechat.testing.replay import Reply

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def log(own_redis: RedisServer) -> AsyncIterator[RunLog]:
    log = RedisLog(own_redis.url, prefix=f"test-{generate_id()}:", is_strict=True)
    yield log
    await log.aclose()


class Reading:
    """A reader, and what it got."""

    def __init__(self, log: RunLog, run_id: str, after: int = 0) -> None:
        self.seen: list[Entry] = []
        self.task = asyncio.create_task(self._read(log, run_id, after))

    async def _read(self, log: RunLog, run_id: str, after: int) -> None:
        async for entry in log.read(run_id, after):
            self.seen.append(entry)

    @property
    def text(self) -> bytes:
        return b"".join(entry.data for entry in self.seen)


async def let_all_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_frame_is_shown_when_redis_has_it(log: RunLog, own_redis: RedisServer):
    writer = await begin(log)
    reading = Reading(log, writer.info.id)
    writer.append(b"kept")
    await eventually(lambda: reading.text == b"kept")
    own_redis.pause()
    for word in (b" and", b" more"):
        writer.append(word)
        await let_all_run()
    late = Reading(log, writer.info.id, 1)
    await let_all_run()

    assert (reading.text, late.text) == (b"kept", b"")

    own_redis.go_on()
    await eventually(lambda: (reading.text, late.text) == (b"kept and more", b" and more"))
    assert await writer.finish("finished")
    await asyncio.wait_for(asyncio.gather(reading.task, late.task), PATIENCE)


async def test_end_is_shown_when_redis_has_it(log: RunLog, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("usechat.runs.redis.producer.END_PATIENCE", 0.05)
    writer = await begin(log)
    reading = Reading(log, writer.info.id)
    own_redis.pause()
    writer.append(b"last")
    finishing = asyncio.create_task(writer.finish("finished"))
    # Longer than readers wait for Redis otherwise.
    await asyncio.wait({reading.task}, timeout=0.3)

    assert not reading.task.done()
    assert reading.text == b""

    own_redis.go_on()
    assert await asyncio.wait_for(finishing, PATIENCE)
    await asyncio.wait_for(reading.task, PATIENCE)
    assert reading.text == b"last"


async def test_frames_that_redis_has_lost_are_shown_once_it_has_them_again(log: RunLog, own_redis: RedisServer):
    writer = await begin(log)
    reading = Reading(log, writer.info.id)
    writer.append(b"one ")
    await eventually(lambda: reading.text == b"one ")
    own_redis.ask("FLUSHALL")
    writer.append(b"two")

    await eventually(lambda: reading.text == b"one two")
    assert await log.frames(writer.info.id) == b"one two"


async def test_process_that_ends_while_redis_is_away_cuts_its_readers(log: RunLog, own_redis: RedisServer):
    writer = await begin(log)
    reading = Reading(log, writer.info.id)
    own_redis.pause()
    writer.append(b"lost")
    finishing = asyncio.create_task(writer.finish("finished"))
    await let_all_run()
    await log.aclose()

    with pytest.raises(RunError, match="cannot be reached"):
        await asyncio.wait_for(reading.task, PATIENCE)
    assert reading.text == b""
    assert not await asyncio.wait_for(finishing, PATIENCE)


# -- servers --------------------------------------------------------------------------------------------------------

WORDS = [f"word-{number} " for number in range(400)]


def slow_answer() -> Reply:
    """An answer that never ends by itself."""
    message: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "x"}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS),
    ]
    return Reply(events=events, delay=0.01, hold_after=len(events))


class Asking(threading.Thread):
    """Asks a question, and reads until it is cut."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.shown = ""

    def run(self) -> None:
        """Read."""
        question = {"id": "q", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
        body = {"id": "c", "messages": [question]}
        try:
            with self.server.client.stream("POST", "/api/chat", json=body) as response:
                for line in response.iter_lines():
                    if line.startswith("data: {") and (frame := json.loads(line[6:]))["type"] == "text-delta":
                        self.shown += frame["delta"]
        except httpx.TransportError:
            pass

    def wait_for(self, words: int) -> None:
        """Wait until so many words were shown."""
        until = time.monotonic() + PATIENCE
        while self.shown.count(" ") < words:
            assert time.monotonic() < until, self.shown
            time.sleep(0.01)


def saved_text(server: RunningServer) -> str:
    until = time.monotonic() + PATIENCE
    while (chat := server.client.get("/api/chats/c").json())["isAnswering"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    return "".join(part.get("text", "") for part in chat["messages"][-1]["parts"])


@pytest.mark.parametrize("durable", ["strict", "soon"])
def test_server_that_dies_while_redis_stalls_has_shown_what_is_saved(
    tmp_path: Path, own_redis: RedisServer, durable: str
):
    with ScriptedUpstream() as upstream:
        upstream.will(slow_answer())
        variables = {
            "ANTHROPIC_API_KEY": "k",
            "ANTHROPIC_BASE_URL": upstream.url,
            "USECHAT_MODEL": "a-model",
            "USECHAT_REDIS_URL": own_redis.url,
            "USECHAT_DATABASE_URL": f"sqlite:///{tmp_path}/chats.db",
            "USECHAT_LEASE_SECONDS": "1.5",
            "USECHAT_DURABLE": durable,
        }
        with serving(tmp_path, **variables) as first, serving(tmp_path, **variables) as second:
            asking = Asking(first)
            asking.start()
            asking.wait_for(20)
            own_redis.pause()
            if durable == "soon":
                asking.wait_for(asking.shown.count(" ") + 50)
            else:
                time.sleep(0.6)
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            asking.join()
            own_redis.go_on()
            saved = saved_text(second)

    assert "".join(WORDS).startswith(saved)
    if durable == "strict":
        assert saved.startswith(asking.shown)
    else:
        # Why the setting is there.
        assert len(asking.shown) > len(saved)


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, "USECHAT_REDIS_URL is not set"),
        ({"USECHAT_REDIS_URL": "redis://127.0.0.1:1/0", "USECHAT_DATABASE_URL": "off"}, "USECHAT_DATABASE_URL is off"),
    ],
)
def test_strict_without_a_place_to_keep_what_is_shown_does_not_start(
    tmp_path: Path, variables: dict[str, str], missing: str
):
    variables = {"USECHAT_MODEL": "demo", "USECHAT_DURABLE": "strict", **variables}

    ended = run(tmp_path, ["serve", "--port", "0"], **variables)

    assert ended.returncode == 2
    assert missing in ended.stderr
    assert "Traceback" not in ended.stderr
