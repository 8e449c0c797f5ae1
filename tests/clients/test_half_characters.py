"""A page that cuts an emoji in two: the chat is saved, loaded anew and answered again, with real `useChat` hooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.visits import Outcome, start_visit
from tests.integration.running_server import serving
from tests.support.node import NodeProgram

HALF = "\ud83d"
DRIVER = Path(__file__).parent / "resuming.mjs"
WITHIN = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(tmp_path_factory.mktemp("server"), USECHAT_MODEL="demo") as running:
        yield running.client


@pytest.fixture(params=[5, 7])
def major(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def page(major: int, tmp_path: Path) -> Iterator[NodeProgram]:
    program = NodeProgram(DRIVER, "--major", str(major), log=tmp_path / "log")
    yield program
    program.close()


def test_message_with_half_an_emoji_is_loaded_anew_and_answered_again(
    server: httpx.Client, page: NodeProgram, major: int
):
    url, chat_id = str(server.base_url).rstrip("/"), f"half-{major}"

    def visit(text: str) -> Outcome:
        flow: list[dict[str, Any]] = [{"kind": "send", "text": text}]
        return Outcome(**start_visit(page, [url], major, chat_id, flow).result(WITHIN))

    first = visit(f"{HALF} hello")
    second = visit("And then?")

    assert (first.errors, second.errors) == ([], [])
    assert [message["role"] for message in second.messages] == ["user", "assistant"] * 2
    assert second.messages[0]["parts"][0]["text"] == f"{HALF} hello"
    assert second.messages[:2] == first.messages
    assert second.saved == second.messages
    assert [chat["title"] for chat in server.get("/api/chats").json()["chats"] if chat["id"] == chat_id] == [
        f"{HALF} hello"
    ]
