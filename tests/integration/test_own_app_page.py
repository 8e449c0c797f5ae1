"""The programs of docs/your-own-app.md, run as they stand there, with a replayed model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.test_readme import programs
from usechat.testing.replay import ReplayServer

WHOLE, ROUTE, LIFESPAN, TESTS = range(4)
ADA, BOB = {"authorization": "Bearer ada-key"}, {"authorization": "Bearer bob-key"}
BODY = {"id": "c", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}

Run = Callable[[int], dict[str, Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Runs a program in a folder of its own; what it has defined."""
    monkeypatch.chdir(tmp_path)
    with ReplayServer("text") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")

        def run(program: int) -> dict[str, Any]:
            names: dict[str, Any] = {"__name__": "page"}
            exec(
                compile(programs("docs/your-own-app.md")[program], "your-own-app.md", "exec", dont_inherit=True), names
            )
            return names

        yield run


def test_every_program_is_run():
    assert len(programs("docs/your-own-app.md")) == TESTS + 1


def test_the_whole_application_keeps_users_apart(run: Run):
    with TestClient(run(WHOLE)["app"]) as client:
        assert client.post("/api/chat", json=BODY).status_code == 401
        assert client.post("/api/chat", json=BODY, headers=ADA).text.endswith("data: [DONE]\n\n")
        assert client.get("/api/chats/c", headers=BOB).status_code == 404
        assert client.post("/api/chat", json=BODY, headers=BOB).status_code == 404
        assert [chat["id"] for chat in client.get("/api/chats", headers=ADA).json()["chats"]] == ["c"]


def test_route_of_ones_own_stands_in_the_openapi_document_without_a_warning(run: Run):
    with TestClient(run(ROUTE)["app"]) as client:
        assert "/api/chat" in client.get("/openapi.json").json()["paths"]


def test_route_of_ones_own_has_context_title_and_usage(run: Run):
    names = run(ROUTE)
    with TestClient(names["app"]) as client:
        assert client.post("/api/chat", json=BODY, headers=ADA).text.endswith("data: [DONE]\n\n")
        assert client.post("/api/completion", json={"prompt": "Hi"}, headers=ADA).text.endswith("data: [DONE]\n\n")
        [(user, tokens)] = names["usage"]
        assert (user, tokens > 0) == ("ada", True)
        until = time.monotonic() + 60
        while (title := client.get("/api/chats/c", headers=ADA).json()["title"]) == "Hi":
            assert time.monotonic() < until
        assert title.startswith("High water")


def test_lifespan_of_ones_own_opens_the_chats(run: Run):
    with TestClient(run(LIFESPAN)["app"]) as client:
        assert client.post("/api/chat", json=BODY).text.endswith("data: [DONE]\n\n")
        assert len(client.get("/api/chats/c").json()["messages"]) == 2


def test_the_test_passes(run: Run):
    run(TESTS)["test_hello_is_answered_and_saved"]()
