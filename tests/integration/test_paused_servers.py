"""Servers without Redis that are stopped for longer than their lease, and go on: nothing is lost, or told twice."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running_server import RunningServer, serving
from tests.integration.test_lost_answers import HELD_AT, PROGRAM, TEXT, Reading, built, call, kinds, question
from tests.support.databases import make_migrated_url
from tests.support.pausing import paused
from tests.support.waiting import PATIENCE, eventually
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

pytestmark = pytest.mark.timeout(180)

LEASE = 2
SHOWN = {"text": b"14:20", "tool": b"start-step"}
"""What is shown of the answer to each question before its server is stopped."""
HELD = {"text": Reply(events=TEXT, hold_after=HELD_AT), "tool": Reply(events=call("sound_horn"), hold_after=1)}


class Model:
    """A Messages API that holds its first answer to each question of `HELD`. It calls a tool for one of them."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(self, request: ReplayedRequest) -> Reply:
        messages = request.json["messages"]
        words = messages[0]["content"][0]["text"]
        is_over = words not in HELD or messages[-1]["content"][0]["type"] == "tool_result"
        is_first, _ = words not in self.asked, self.asked.add(words)
        if is_over:
            return Reply("text")
        return HELD[words] if is_first else Reply(events=HELD[words].events)


class Servers:
    """Servers on one database."""

    def __init__(self, folder: Path, url: str, upstream: ReplayServer, readers: ThreadPoolExecutor) -> None:
        self.folder = folder
        self.url = url
        self.upstream = upstream
        self.readers = readers
        self.calls = folder / "calls"
        self.calls.touch()

    @contextmanager
    def serve(self, name: str) -> Generator[RunningServer]:
        """Start a server."""
        (self.folder / name).mkdir()
        (self.folder / name / "my_app.py").write_text(PROGRAM)
        with serving(
            self.folder / name,
            "my_app:agent",
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=self.upstream.url,
            USECHAT_DATABASE_URL=self.url,
            USECHAT_LEASE_SECONDS=str(LEASE),
            USECHAT_DISCONNECT="finish",
            USECHAT_SDK="7.0.173",
            CALLS=str(self.calls),
        ) as server:
            yield server

    def ask(self, server: RunningServer, words: str) -> Reading:
        """Ask, and read the answer in a thread."""
        reading = Reading(server, "POST", "/api/chat", json=question(words))
        self.readers.submit(reading.read)
        return reading

    def ask_held(self, server: RunningServer) -> dict[str, Reading]:
        """Ask each question that the model holds, and wait until its answer has begun."""
        asked = {words: self.ask(server, words) for words in HELD}
        for words, reading in asked.items():
            reading.wait_for(SHOWN[words])
        return asked

    def say_the_rest(self) -> None:
        """Have the model say the rest of what it holds. It waits in the sockets of a server that is stopped."""
        for request in self.upstream.requests[: len(HELD)]:
            request.go_on()
            request.wait()


@pytest.fixture
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    url = make_migrated_url(request.param, request, tmp_path)
    with ReplayServer(Model()) as upstream, ThreadPoolExecutor(8) as readers:
        yield Servers(tmp_path, url, upstream, readers)


def on(*databases: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("servers", databases, indirect=True)


def saved(server: RunningServer, chat: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """How each message of a chat came about, and its parts."""
    exported = server.client.get(f"/api/chats/{chat}/export").json()
    messages = server.client.get(f"/api/chats/{chat}").json()["messages"]
    return [(about["status"], one["parts"]) for about, one in zip(exported["details"], messages, strict=True)]


def check_whole(server: RunningServer, servers: Servers, asked: dict[str, Reading]) -> None:
    for words, reading in asked.items():
        assert kinds(reading.whole())[-1] == "finish"
        assert "error" not in kinds(reading.seen)
        assert [status for status, _ in saved(server, words)] == ["whole", "whole"]
        assert built(reading.seen) == saved(server, words)[-1][1]
    assert len(servers.calls.read_text().splitlines()) == 1


@on("postgresql")
def test_server_alone_that_slept_for_longer_than_its_lease_makes_its_answers_whole(servers: Servers) -> None:
    with servers.serve("a") as server:
        asked = servers.ask_held(server)
        server.process.send_signal(signal.SIGSTOP)
        servers.say_the_rest()
        time.sleep(2 * LEASE)
        server.process.send_signal(signal.SIGCONT)
        check_whole(server, servers, asked)
        assert "taken for dead" not in server.log.read_text()


@on("postgresql")
def test_servers_that_slept_together_leave_each_others_answers_alone(servers: Servers) -> None:
    with servers.serve("a") as one, servers.serve("b") as other:
        asked = servers.ask_held(one)
        # Long enough for the other one to have looked at the first.
        time.sleep(LEASE)
        with paused(one.process.pid, other.process.pid):
            servers.say_the_rest()
            time.sleep(2 * LEASE)
        check_whole(other, servers, asked)


@on("sqlite")
def test_server_on_a_file_that_slept_beside_another_makes_its_answers_whole(servers: Servers) -> None:
    with servers.serve("a") as sleeping, servers.serve("b") as awake:
        asked = servers.ask_held(sleeping)
        sleeping.process.send_signal(signal.SIGSTOP)
        servers.say_the_rest()
        time.sleep(2 * LEASE)
        assert awake.client.post("/api/chat", json=question("text")).status_code == 409
        sleeping.process.send_signal(signal.SIGCONT)
        check_whole(awake, servers, asked)


@on("postgresql")
def test_server_whose_chats_were_given_away_while_it_slept_shows_and_saves_nothing_and_begins_no_tool(
    servers: Servers,
) -> None:
    with servers.serve("a") as sleeping, servers.serve("b") as awake:
        asked = servers.ask_held(sleeping)
        sleeping.process.send_signal(signal.SIGSTOP)
        for words in HELD:
            asyncio.run(eventually(lambda words=words: not is_answering(awake, words)))
        again = {words: servers.ask(awake, words) for words in HELD}
        check_whole(awake, servers, again)
        servers.say_the_rest()
        before = {words: kinds(reading.seen) for words, reading in asked.items()}
        requests = (("GET", "stream?cursor=0"), ("GET", "stream"), ("POST", "stop"))
        waiting = [
            servers.readers.submit(send, sleeping, method, f"/api/chat/text/{path}") for method, path in requests
        ]
        sleeping.process.send_signal(signal.SIGCONT)
        # What has waited for it to wake is told of the other's answer, not of the one that it has lost.
        assert [request.result(PATIENCE) for request in waiting] == [(204, ""), (204, ""), (200, '{"stopped":false}')]
        for words, reading in asked.items():
            told = kinds(reading.whole())
            # Its reader has the end of what is open, and why.
            assert [kind for kind in told[len(before[words]) :] if kind not in ("text-end", "finish-step")] == ["error"]
            assert reading.seen.endswith(b"data: [DONE]\n\n")
        check_whole(awake, servers, again)
        assert "taken for dead" in sleeping.log.read_text()
        # It is among the living again.
        later = servers.ask(sleeping, "later").whole()
        assert kinds(later)[-1] == "finish"
        assert [status for status, _ in saved(awake, "later")] == ["whole", "whole"]


def send(server: RunningServer, method: str, path: str) -> tuple[int, str]:
    response = httpx.request(method, server.client.base_url.join(path), timeout=PATIENCE)
    return response.status_code, response.text


def is_answering(server: RunningServer, chat: str) -> bool:
    return server.client.get(f"/api/chats/{chat}", timeout=PATIENCE).json()["isAnswering"]
