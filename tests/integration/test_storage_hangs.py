"""PostgreSQL or Redis is there and says nothing, or takes no writes: what readers, the next turn and the end see."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.redis_answers import deltas
from tests.integration.running_server import RunningServer, serving
from tests.support.black_hole import BlackHole
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

pytestmark = pytest.mark.timeout(180)

HELD_AT = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]
SHUTDOWN_SECONDS = 1
A_FEW_SECONDS = 20.0
"""Without limits it takes minutes. The limits add up to some six seconds on a machine that does nothing else."""


@dataclass
class Storage:
    """A database and a Redis that can both fall silent."""

    folder: Path
    postgres: PostgresServer
    url: str
    database_hole: BlackHole
    redis_hole: BlackHole

    def refuse_writes(self) -> None:
        """Have connections refuse writes from now on, for as long as they are open, as those to a standby do."""
        self._alter("SET default_transaction_read_only = on")
        self.postgres.drop_connections()

    def take_writes(self) -> None:
        """Have new connections take writes again."""
        self._alter("RESET default_transaction_read_only")

    def _alter(self, change: str) -> None:
        self.postgres.ask(f"ALTER DATABASE {self.url.rsplit('/', 1)[1]} {change}")

    @contextmanager
    def serve(
        self, upstream: ReplayServer, *, has_redis: bool, name: str = "server", lease: float = 15
    ) -> Generator[RunningServer]:
        """Start a server."""
        (self.folder / name).mkdir()
        redis = {"USECHAT_REDIS_URL": f"redis://127.0.0.1:{self.redis_hole.port}/0"} if has_redis else {}
        with serving(
            self.folder / name,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=upstream.url,
            USECHAT_DATABASE_URL=self.url.replace(str(self.postgres.port), str(self.database_hole.port)),
            USECHAT_SHUTDOWN_SECONDS=str(SHUTDOWN_SECONDS),
            USECHAT_LEASE_SECONDS=str(lease),
            **redis,
        ) as server:
            yield server


@pytest.fixture
def storage(postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Storage]:
    url = postgres_server.make_migrated_database()
    holes = BlackHole(postgres_server.port), BlackHole(redis_server.port)
    yield Storage(tmp_path, postgres_server, url, *holes)
    for hole in holes:
        hole.close()


def question(chat: str, text: str = "Hi") -> dict[str, Any]:
    return {"id": chat, "messages": [{"id": text, "role": "user", "parts": [{"type": "text", "text": text}]}]}


class Reading:
    """An answer that is read by a thread of its own."""

    def __init__(self, server: RunningServer, chat: str) -> None:
        self.seen = ""
        self.failure: Exception | None = None
        self._has_begun = threading.Event()
        self._url = f"{server.client.base_url}/api/chat"
        self._chat = chat
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self._has_begun.wait(PATIENCE)

    def _read(self) -> None:
        try:
            with (
                httpx.Client(timeout=PATIENCE, verify=False) as client,
                client.stream("POST", self._url, json=question(self._chat)) as response,
            ):
                for piece in response.iter_text():
                    self.seen += piece
                    if "High water" in self.seen:
                        self._has_begun.set()
        except httpx.HTTPError as error:
            self.failure = error
        finally:
            self._has_begun.set()

    def whole(self) -> str:
        """What its reader has, once the response is complete."""
        self._thread.join(PATIENCE)
        assert self.failure is None, (self.failure, self.seen)
        return self.seen


def warm_up(server: RunningServer, times: int) -> None:
    """Have connections in the pools."""
    for number in range(times):
        assert "[DONE]" in server.client.post("/api/chat", json=question(f"warm-{number}")).text


# -- The end of a process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", ["database", "redis", "both"])
def test_a_server_ends_in_time_and_its_answer_legally_whatever_is_silent(storage: Storage, silent: str) -> None:
    with (
        ReplayServer(Reply("text"), Reply("text"), Reply("text", hold_after=HELD_AT)) as upstream,
        storage.serve(upstream, has_redis=True) as server,
    ):
        warm_up(server, 2)
        reading = Reading(server, "c")
        if silent != "redis":
            storage.database_hole.swallow()
        if silent != "database":
            storage.redis_hole.swallow()
        assert server.stop(SHUTDOWN_SECONDS + A_FEW_SECONDS) == 0
        seen = reading.whole()
        log = server.log.read_text()
    assert '"type":"abort"' in seen
    assert seen.endswith("data: [DONE]\n\n")
    assert "Traceback" not in log
    if silent == "redis":
        assert "of chat c ended: partial" in log
    else:
        assert "of chat c was not saved" in log


def test_an_idle_server_ends_in_time_when_its_database_has_long_been_silent(storage: Storage) -> None:
    statuses: list[int] = []
    with (
        ReplayServer(*[Reply("text")] * 3) as upstream,
        storage.serve(upstream, has_redis=False) as server,
    ):
        warm_up(server, 3)
        storage.database_hole.swallow()
        # Requests that wait for it when the end comes do not hold it up.
        waiting = [threading.Thread(target=ask_in_vain, args=(server, statuses), daemon=True) for _ in range(3)]
        for thread in waiting:
            thread.start()
        assert server.stop(SHUTDOWN_SECONDS + A_FEW_SECONDS) == 0
        for thread in waiting:
            thread.join(PATIENCE)
        log = server.log.read_text()
    assert set(statuses) <= {503}
    assert "Traceback" not in log


def ask_in_vain(server: RunningServer, statuses: list[int]) -> None:
    # Who comes after the end finds nobody.
    with suppress(httpx.TransportError):
        response = httpx.get(f"{server.client.base_url}/api/chats", timeout=PATIENCE, verify=False)
        statuses.append(response.status_code)


# -- The turn after ------------------------------------------------------------------------------------------------


def texts(server: RunningServer, chat: str) -> list[str]:
    """What the chat has, message by message."""
    saved = server.client.get(f"/api/chats/{chat}").json()["messages"]
    return ["".join(part.get("text", "") for part in message["parts"])[:10] for message in saved]


def test_the_next_turn_works_at_once_after_the_database_was_silent_or_took_no_writes(storage: Storage) -> None:
    slow, held = Reply("text", delay=0.2), Reply("text", hold_after=HELD_AT)
    with (
        ReplayServer(Reply("text"), Reply("text"), slow, *[Reply("text")] * 2, slow, Reply("text"), held) as upstream,
        storage.serve(upstream, has_redis=True) as server,
        storage.serve(upstream, has_redis=True, name="other") as other,
    ):
        warm_up(server, 2)
        for chat, begin, end in (
            ("no-writes", storage.refuse_writes, storage.take_writes),
            ("silent", storage.database_hole.swallow, storage.database_hole.go_on),
        ):
            reading = Reading(server, chat)
            begin()
            seen = reading.whole()
            assert '"type":"finish"' in seen
            assert seen.endswith("data: [DONE]\n\n")
            began = time.monotonic()
            assert server.client.post("/api/chat", json=question("new")).status_code == 503
            # It was a minute, and pools wait for half of one. Five seconds are the limit.
            assert time.monotonic() - began < A_FEW_SECONDS
            end()
            # In whichever process it is asked, with the answer before it saved by the one that made it.
            for client in (other.client, server.client) if chat == "no-writes" else (server.client,):
                response = client.post("/api/chat", json=continued(client, chat))
                assert response.status_code == 200, response.text
                assert '"type":"finish"' in response.text
            assert texts(server, chat)[:4] == ["Hi", "High water", "More", "High water"]
        check_deletion_without_redis(storage, server, other)
        assert upstream.requests[-1].is_aborted
        log = server.log.read_text() + other.log.read_text()
    assert "Traceback" not in log
    for line in log.splitlines():
        assert not line.rstrip().endswith((":", "()")), line
    assert "of chat no-writes could not be saved; it is tried again in 1 s: Chats cannot be read or saved" in log
    assert f"PostgreSQL at 127.0.0.1:{storage.database_hole.port} did not answer in 5 seconds" in log


def check_deletion_without_redis(storage: Storage, server: RunningServer, other: RunningServer) -> None:
    """A chat is deleted by the process that makes its answer, which it stops first, and not by others meanwhile."""
    Reading(server, "deleted")
    storage.redis_hole.swallow()
    assert other.client.delete("/api/chats/deleted").status_code == 503
    assert other.client.delete("/api/chats/silent").status_code == 204
    assert "chat deleted is not deleted: turn turn-" in other.log.read_text()
    assert server.client.delete("/api/chats/deleted").status_code == 204
    assert other.client.get("/api/chats/deleted").status_code == 404
    storage.redis_hole.go_on()


def continued(client: httpx.Client, chat: str) -> dict[str, Any]:
    """The next message; its client has the answer, which may not be saved yet."""
    answer = {"id": "a", "role": "assistant", "parts": [{"type": "text", "text": "High water"}]}
    messages = [*question(chat)["messages"], answer, *question(chat, "More")["messages"]]
    return {"id": chat, "messages": messages}


def test_answer_that_ends_while_the_database_is_away_for_longer_than_a_lease_is_saved_when_it_is_back(
    storage: Storage,
) -> None:
    held = Reply("text", hold_after=HELD_AT)
    with (
        ReplayServer(held) as upstream,
        storage.serve(upstream, has_redis=False, lease=1) as server,
        # The longer lease of both counts.
        storage.serve(upstream, has_redis=False, name="other") as other,
    ):
        reading = Reading(server, "c")
        storage.database_hole.swallow()
        upstream.requests[0].go_on()
        # It waits for the database for five seconds.
        seen = reading.whole()
        storage.database_hole.go_on()
        assert '"type":"finish"' in seen
        until = time.monotonic() + PATIENCE
        while other.client.get("/api/chats/c").json()["isAnswering"]:
            assert time.monotonic() < until
            time.sleep(0.05)
        saved = other.client.get("/api/chats/c").json()["messages"][-1]
        assert deltas(seen) == "".join(part.get("text", "") for part in saved["parts"]) != ""
        assert "taken for dead" not in server.log.read_text()


# -- A server that sleeps ------------------------------------------------------------------------------------------


def test_a_server_that_slept_for_longer_than_its_lease_shows_nothing_that_is_not_saved(storage: Storage) -> None:
    slow = Reply("text", delay=0.3)
    with (
        ReplayServer(slow) as upstream,
        storage.serve(upstream, has_redis=True, lease=2) as server,
        storage.serve(upstream, has_redis=True, name="other", lease=2) as other,
    ):
        reading = Reading(server, "c")
        # Until the log has it, the other process cannot save it.
        with other.client.stream("GET", "/api/chat/c/stream") as response:
            assert any("High water" in line for line in response.iter_lines())
        server.process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + PATIENCE
        while "of chat c ended: lost" not in other.log.read_text():
            assert time.monotonic() < until
            time.sleep(0.05)
        # The rest of the answer waits in its socket.
        upstream.requests[0].wait()
        server.process.send_signal(signal.SIGCONT)
        seen = reading.whole()
        saved = other.client.get("/api/chats/c").json()["messages"][-1]
    assert deltas(seen) == "".join(part.get("text", "") for part in saved["parts"]) != ""
    assert seen.count('"type":"error"') == 1
    assert seen.endswith("data: [DONE]\n\n")
