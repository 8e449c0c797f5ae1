"""The largest bodies that are taken, and those that are refused: nobody else waits while a server works on them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from typing import Self

import httpx
import pytest

from benchmarks.burden import largest_bodies
from tests.integration.running_server import serving
from tests.support.hostile_bodies import LISTS, make_chat
from usechat.testing.replay import ReplayServer

SECONDS = 60.0
PAUSE = 0.02
"""Between two questions of the neighbour, whose own work is not what is looked at."""
BODIES = largest_bodies()
ROUTES = ("/api/chat", "/api/chat?protocol=text", "/api/ai/chat/stream", "/api/completion")


@pytest.fixture(scope="module", params=["client", "server"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    """A server that keeps its chats; its model answers at once."""
    variables = {"USECHAT_MODEL": "claude-sonnet-4-6", "ANTHROPIC_API_KEY": "key-1", "USECHAT_HISTORY": request.param}
    with (
        ReplayServer("text") as upstream,
        serving(tmp_path_factory.mktemp("server"), ANTHROPIC_BASE_URL=upstream.url, **variables) as running,
    ):
        running.client.timeout = httpx.Timeout(SECONDS)
        yield running.client


class Neighbour:
    """Somebody else who asks the server all the time, and notes how long each answer took."""

    def __init__(self, server: httpx.Client) -> None:
        self.url = server.base_url
        self.waits: list[float] = []
        self.is_over = threading.Event()
        self.has_begun = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self) -> None:
        with httpx.Client(base_url=self.url, timeout=SECONDS, verify=False) as client:
            while not self.is_over.is_set():
                began = time.monotonic()
                assert client.get("/healthz").status_code == 200
                self.waits.append(time.monotonic() - began)
                self.has_begun.set()
                self.is_over.wait(PAUSE)

    def __enter__(self) -> Self:
        self.thread.start()
        assert self.has_begun.wait(SECONDS)
        self.waits.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()


def check_that_nobody_waits(server: httpx.Client, path: str, body: bytes, method: str = "POST") -> int:
    """Send a body; return the status of its answer."""
    began = time.monotonic()
    with Neighbour(server) as neighbour:
        try:
            response = server.request(method, path, content=body, headers={"content-type": "application/json"})
            status = response.status_code
        except httpx.WriteError:
            # It was refused before it was read.
            status = 413
        seconds = time.monotonic() - began
    assert status < 500
    # Not in milliseconds, which a busy machine decides: a server that works for one alone has the other wait as long.
    assert max(neighbour.waits, default=0) < max(seconds / 2, 2)
    return status


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("server", ["client"], indirect=True)
def test_nobody_waits_for_a_chat_however_large(server: httpx.Client, name: str):
    check_that_nobody_waits(server, "/api/chat", BODIES[name]())


@pytest.mark.parametrize("name", ["user messages in a row", "answers of one id", "calls in one answer", "data parts"])
@pytest.mark.parametrize("server", ["server"], indirect=True)
def test_nobody_waits_for_a_chat_whose_history_the_server_holds(server: httpx.Client, name: str):
    body = BODIES[name]()
    for _ in range(2):
        check_that_nobody_waits(server, "/api/chat", body)


def in_a_row(count: int, chat: str | None = None) -> bytes:
    return make_chat(LISTS["user messages in a row"](count), chat=chat)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("server", ["client"], indirect=True)
def test_nobody_waits_on_any_route(server: httpx.Client, path: str):
    chat = json.loads(in_a_row(15_000))
    body = {"prompt": "tide " * 3_000_000} if "completion" in path else chat
    assert check_that_nobody_waits(server, path, json.dumps(body).encode()) == 200


@pytest.mark.parametrize("server", ["client"], indirect=True)
def test_nobody_waits_for_a_change_of_a_chat(server: httpx.Client):
    assert check_that_nobody_waits(server, "/api/chat", in_a_row(1, "chat")) == 200
    change = b'{"metadata":{"a":[' + b"[]," * 6_000_000 + b"1]}}"
    assert check_that_nobody_waits(server, "/api/chats/chat", change, "PATCH") == 413


@pytest.mark.parametrize(
    ("make", "detail"),
    [
        (lambda: in_a_row(30_000), "messages: must not be more than 20000"),
        (lambda: make_chat(LISTS["parts of a user"](10_001)), "messages[0].parts: must not be more than 10000"),
        (BODIES["empty lists"], "The body holds more than 500000 values."),
    ],
    ids=["messages", "parts", "values"],
)
@pytest.mark.parametrize("server", ["client"], indirect=True)
def test_what_holds_too_much_is_refused(server: httpx.Client, make: Callable[[], bytes], detail: str):
    response = server.post("/api/chat", content=make(), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()) == (413, {"detail": detail})
