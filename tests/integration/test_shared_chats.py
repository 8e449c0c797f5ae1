"""Several servers on one database, without Redis: each leaves alone what the others are answering, and ends what the
dead have left."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running_server import RunningServer, serving, workers_of
from tests.support.databases import DATABASES, make_migrated_url
from usechat.testing.streams import frame_event, read_events

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.name != "posix", reason="processes are stopped as POSIX has it"),
]

EVENTS = read_events("text")
HELD_AT = [index for index, event in enumerate(EVENTS) if "text_delta" in event][1]
WAIT = 60.0
LEASE = 1.0
"""Of servers of which one has to notice that another is dead, or must not take it for dead."""
LONG = 600.0
"""Of servers that notice nothing within a test."""


class HeldModel:
    """A Messages API that begins each answer and goes on with it when it is told to."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                self.wfile.write(b"".join(map(frame_event, EVENTS[:HELD_AT])))
                self.wfile.flush()
                if model.may_end.wait(WAIT):
                    self.wfile.write(b"".join(map(frame_event, EVENTS[HELD_AT:])))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda request, client_address: None  # readers that were killed
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """End all answers."""
        self.may_end.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Answer:
    """An answer that somebody reads."""

    chat: str
    trigger: str = "submit-message"
    text: str = ""
    has_begun: threading.Event = field(default_factory=threading.Event)
    reading: Future[None] = field(default_factory=Future[None])

    def read(self, client: httpx.Client) -> None:
        """Ask, and read to the end or until the server is gone."""
        try:
            asked = {**question(self.chat), "trigger": self.trigger}
            with client.stream("POST", "/api/chat", json=asked, timeout=WAIT) as response:
                for piece in response.iter_text():
                    self.text += piece
                    if "High water" in self.text:
                        self.has_begun.set()
        except httpx.TransportError:
            pass
        finally:
            self.has_begun.set()

    def seen(self) -> str:
        """All that came."""
        self.reading.result(WAIT)
        return self.text

    def is_whole(self) -> bool:
        """Whether its reader has the end of a good answer."""
        return '"type":"finish"' in self.seen() and self.text.endswith("data: [DONE]\n\n")


@dataclass
class Servers:
    """Servers that share a database. A server takes seconds to start, so tests leave those that they have not ended."""

    folder: Path
    url: str
    model: HeldModel
    stack: ExitStack
    readers: ThreadPoolExecutor
    started: list[tuple[float, RunningServer]] = field(default_factory=list[tuple[float, RunningServer]])
    """Each with its lease."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self, *arguments: str, lease: float = LONG, **variables: str) -> RunningServer:
        """Start one more."""
        folder = self.folder / f"server-{next(self.numbers)}"
        folder.mkdir()
        server = self.stack.enter_context(
            serving(
                folder,
                *arguments,
                USECHAT_DATABASE_URL=self.url,
                USECHAT_LEASE_SECONDS=str(lease),
                USECHAT_DISCONNECT="finish",
                USECHAT_SHUTDOWN_SECONDS="60",
                ANTHROPIC_API_KEY="unused",
                ANTHROPIC_BASE_URL=self.model.url,
                **variables,
            )
        )
        self.started.append((lease, server))
        return server

    def find(self, *others: RunningServer, lease: float = LONG) -> RunningServer:
        """Return one that runs, has this lease and is none of the others; start one if there is none."""
        for known, server in self.started:
            if known == lease and server not in others and server.process.poll() is None:
                return server
        return self.start(lease=lease)

    def keep_only(self, *kept: RunningServer) -> None:
        """Stop all others."""
        for _, server in self.started:
            if server not in kept and server.process.poll() is None:
                assert server.stop() == 0

    def chats(self, count: int) -> list[str]:
        """Return ids of new chats."""
        return [f"chat-{next(self.numbers)}" for _ in range(count)]

    def ask(self, server: RunningServer, *chats: str, trigger: str = "submit-message") -> list[Answer]:
        """Return answers that have begun."""
        answers = [Answer(chat, trigger) for chat in chats]
        for answer in answers:
            # A connection each, as pages have, so that each of several workers gets some.
            client = self.stack.enter_context(httpx.Client(base_url=server.client.base_url, verify=False))
            answer.reading = self.readers.submit(answer.read, client)
        for answer in answers:
            assert answer.has_begun.wait(WAIT)
            assert "High water" in answer.text
        return answers


@contextmanager
def sharing(url: str, folder: Path) -> Generator[Servers]:
    """Servers that are started later, and ended."""
    model = HeldModel()
    with ExitStack() as stack:
        readers = stack.enter_context(ThreadPoolExecutor(16))
        stack.callback(model.close)
        yield Servers(folder, url, model, stack, readers)


@pytest.fixture(scope="module", params=DATABASES)
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    with sharing(make_migrated_url(request.param, request, folder), folder) as servers:
        yield servers


@pytest.fixture
def servers(lasting: Servers) -> Iterator[Servers]:
    """Servers of this and earlier tests, whose model holds its answers again."""
    lasting.model.may_end.clear()
    yield lasting
    lasting.model.may_end.set()


@pytest.fixture(params=DATABASES)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    """Servers of this test alone, and their database."""
    with sharing(make_migrated_url(request.param, request, tmp_path), tmp_path) as servers:
        yield servers


def only(fixture: str, database: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(fixture, [database], indirect=True)


def question(chat: str) -> dict[str, Any]:
    message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "?"}]}
    return {"id": chat, "trigger": "submit-message", "messages": [message]}


def statuses(server: RunningServer, chat: str) -> list[str]:
    """How the messages of a chat came about."""
    exported = server.client.get(f"/api/chats/{chat}/export").json()
    return [details["status"] for details in exported["details"]]


def is_answering(server: RunningServer, chat: str) -> bool:
    return server.client.get(f"/api/chats/{chat}").json()["isAnswering"]


def until(look: Callable[[], bool], within: float = WAIT) -> None:
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def let_it_look(server: RunningServer) -> None:
    """Give a server time to look for dead processes several times; it does so at its start, and twice in a lease."""
    server.client.get("/healthz")
    time.sleep(2 * LEASE)


def check_whole(server: RunningServer, answers: list[Answer]) -> None:
    assert [answer.is_whole() for answer in answers] == [True] * len(answers)
    assert [statuses(server, answer.chat) for answer in answers] == [["whole", "whole"]] * len(answers)


def test_second_server_neither_answers_nor_stops_nor_resumes_what_the_first_is_answering(servers: Servers) -> None:
    first, second = servers.find(), servers.find(lease=LEASE)
    [chat] = servers.chats(1)
    answers = servers.ask(first, chat)
    refused = second.client.post("/api/chat", json=question(chat))
    assert (refused.status_code, refused.json()) == (409, {"detail": "This chat is being answered already."})
    stopped = second.client.post(f"/api/chat/{chat}/stop")
    assert stopped.status_code == 409
    assert stopped.json()["detail"].startswith("Another process makes this answer and cannot be told to stop")
    assert second.client.get(f"/api/chat/{chat}/stream").status_code == 204
    assert second.client.post("/api/chat/nothing/stop").json() == {"stopped": False}
    renamed = second.client.patch(f"/api/chats/{chat}", json={"title": "Tides"})
    assert renamed.json()["title"] == "Tides"
    servers.model.may_end.set()
    check_whole(second, answers)
    assert second.client.post(f"/api/chat/{chat}/stop").json() == {"stopped": False}


def test_place_without_a_name_never_shows_the_answer_before_one_of_another_server(servers: Servers) -> None:
    first, second = servers.find(), servers.find(lease=LEASE)
    [chat] = servers.chats(1)

    def read(server: RunningServer, cursor: str = "0") -> tuple[int, str]:
        response = server.client.get(f"/api/chat/{chat}/stream", params={"cursor": cursor})
        places.extend(re.findall(r"id: (.*)\n\n", response.text))
        return response.status_code, re.sub(r"id: .*\n\n", "", response.text)

    places: list[str] = []
    servers.model.may_end.set()
    [before] = servers.ask(first, chat)
    assert before.is_whole()
    assert read(first) == (200, before.text)
    assert read(second) == (204, "")
    servers.model.may_end.clear()
    [after] = servers.ask(second, chat, trigger="regenerate-message")
    assert read(first) == (204, "")
    servers.model.may_end.set()
    assert after.is_whole()
    assert read(first) == (204, "")
    assert read(second) == (200, after.text)
    run_id = places[0].partition(":")[0]
    assert read(first, f"{run_id}:0") == (200, before.text)
    assert first.client.delete(f"/api/chats/{chat}").status_code == 204
    assert [read(first), read(second)] == [(204, ""), (204, "")]


def test_chat_is_not_deleted_while_the_model_would_go_on_elsewhere(servers: Servers) -> None:
    first, second = servers.find(), servers.find(lease=LEASE)
    [deleted] = servers.chats(1)
    answers = servers.ask(first, deleted)
    refusal = second.client.delete(f"/api/chats/{deleted}")
    assert refusal.status_code == 409
    assert "cannot be told to stop" in refusal.json()["detail"]
    servers.model.may_end.set()
    assert answers[0].is_whole()
    assert second.client.delete(f"/api/chats/{deleted}").status_code == 204
    assert deleted not in [chat["id"] for chat in second.client.get("/api/chats").json()["chats"]]


@only("lasting", "postgresql")
def test_server_that_is_paused_for_less_than_a_lease_keeps_its_answers(servers: Servers) -> None:
    first, second = servers.find(), servers.find(lease=LEASE)
    answers = servers.ask(first, *servers.chats(2))
    first.process.send_signal(signal.SIGSTOP)
    let_it_look(second)
    first.process.send_signal(signal.SIGCONT)
    servers.model.may_end.set()
    check_whole(second, answers)


def test_new_server_leaves_answers_of_the_old_one_alone_while_it_runs_and_when_it_stops(servers: Servers) -> None:
    old = servers.find()
    answers = servers.ask(old, *servers.chats(3))
    new = servers.start(lease=LEASE)
    let_it_look(new)
    assert all(is_answering(new, answer.chat) for answer in answers)
    assert new.stop() == 0
    servers.model.may_end.set()
    check_whole(old, answers)
    assert "lost" not in old.log.read_text()


@only("lasting", "sqlite")
def test_answer_of_an_older_version_is_left_alone(servers: Servers) -> None:
    first = servers.find()
    answers = servers.ask(first, *servers.chats(1))
    # Its turns do not name their process.
    connection = sqlite3.connect(servers.folder / "kept" / "chats.db")
    with connection:
        connection.execute("UPDATE usechat_turns SET process_id = NULL")
    connection.close()
    second = servers.start(lease=LEASE)
    let_it_look(second)
    servers.model.may_end.set()
    check_whole(second, answers)


def test_old_server_ends_its_answers_beside_the_new_one(servers: Servers) -> None:
    old = servers.find()
    answers = servers.ask(old, *servers.chats(2))
    new = servers.start(lease=LEASE)
    old.process.terminate()
    let_it_look(new)
    servers.model.may_end.set()
    check_whole(new, answers)
    assert old.process.wait(WAIT) == 0
    [again] = servers.ask(new, *servers.chats(1))
    assert again.is_whole()


@only("lasting", "sqlite")
def test_server_that_is_paused_for_many_leases_keeps_its_answers(servers: Servers) -> None:
    first = servers.find(lease=LEASE)
    second = servers.find(first, lease=LEASE)
    answers = servers.ask(first, *servers.chats(2))
    first.process.send_signal(signal.SIGSTOP)
    let_it_look(second)
    assert is_answering(second, answers[0].chat)
    first.process.send_signal(signal.SIGCONT)
    servers.model.may_end.set()
    check_whole(second, answers)


@only("lasting", "postgresql")
def test_server_that_was_taken_for_dead_tells_its_readers(servers: Servers) -> None:
    first = servers.find(lease=LEASE)
    second = servers.find(first, lease=LEASE)
    chat, other = servers.chats(2)
    [answer] = servers.ask(first, chat)
    first.process.send_signal(signal.SIGSTOP)
    until(lambda: not is_answering(second, chat))
    first.process.send_signal(signal.SIGCONT)
    assert '"type":"error"' in answer.seen()
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "was paused, or cut off, and taken for dead" in first.log.read_text()
    # It is among the living again.
    servers.model.may_end.set()
    check_whole(second, servers.ask(first, other))


def test_second_server_ends_what_a_killed_one_was_answering(servers: Servers) -> None:
    first = servers.find(lease=LEASE)
    second = servers.find(first, lease=LEASE)
    servers.keep_only(first, second)
    lost_chat, other_chat = servers.chats(2)
    [lost] = servers.ask(first, lost_chat)
    [other] = servers.ask(second, other_chat)
    first.process.kill()
    until(lambda: not is_answering(second, lost_chat))
    assert not lost.is_whole()
    assert is_answering(second, other_chat)
    servers.model.may_end.set()
    check_whole(second, [other])
    assert servers.ask(second, lost_chat)[0].is_whole()


@only("lasting", "postgresql")
def test_next_start_ends_what_a_killed_server_was_answering_after_a_lease(servers: Servers) -> None:
    first = servers.find(lease=LEASE)
    servers.keep_only(first)
    [chat] = servers.chats(1)
    servers.ask(first, chat)
    first.process.kill()
    second = servers.start(lease=LEASE)
    until(lambda: not is_answering(second, chat))


@only("own", "sqlite")
def test_question_to_a_chat_of_a_killed_server_is_answered_at_once(own: Servers) -> None:
    # However long a lease is: a lock tells at once.
    first, second = own.start(), own.start()
    own.ask(first, "a")
    first.process.kill()
    first.process.wait()
    own.model.may_end.set()
    check_whole(second, own.ask(second, "a"))


@only("own", "sqlite")
def test_next_start_ends_what_a_killed_server_was_answering(own: Servers) -> None:
    first = own.start()
    own.ask(first, "a")
    first.process.kill()
    first.process.wait()
    second = own.start()
    until(lambda: not is_answering(second, "a"))
    second.stop()
    left = [path.name for path in (own.folder / "kept").iterdir()]
    assert left == ["chats.db"]


def test_workers_end_only_what_a_killed_worker_was_answering(own: Servers) -> None:
    server = own.start("--workers", "2", lease=LEASE)
    answers = own.ask(server, *"abcdefgh")
    workers = workers_of(server)
    assert len(workers) == 2
    os.kill(min(workers), signal.SIGKILL)
    time.sleep(2 * LEASE)
    own.model.may_end.set()
    for answer in answers:
        # One whose worker was killed has nothing to show but its question.
        expected = ["whole", "whole"] if answer.is_whole() else ["whole"]
        until(lambda answer=answer: not is_answering(server, answer.chat))
        assert statuses(server, answer.chat) == expected
    assert server.stop() == 0


@only("own", "sqlite")
def test_servers_that_know_the_file_by_two_names_see_each_other(own: Servers) -> None:
    first = own.start()
    answers = own.ask(first, "a")
    alias = own.folder / "alias"
    alias.symlink_to(own.folder / "kept")
    own.url = f"sqlite:///{alias}/chats.db"
    second = own.start(lease=LEASE)
    let_it_look(second)
    own.model.may_end.set()
    check_whole(second, answers)
