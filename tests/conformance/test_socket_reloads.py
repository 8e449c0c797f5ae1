"""`WebSocketChatTransport` of AI SDK 7 with `usechat serve`: who reloads a page has the answer once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.sides import JS
from tests.integration.running_server import serving
from tests.support.node import NodeProgram


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProgram]:
    """The program of the pages."""
    program = NodeProgram(JS / "reloads.mjs", log=tmp_path_factory.mktemp("pages") / "log")
    yield program
    program.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that keeps chats, whose model answers word by word."""
    with serving(tmp_path_factory.mktemp("server"), USECHAT_MODEL="demo") as server:
        yield str(server.client.base_url).rstrip("/")


def text_of(message: Any) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@pytest.mark.parametrize(("text", "leave_at"), [("sources", 12), ("tool", 8)])
def test_a_reloaded_page_shows_the_answer_that_is_saved(pages: NodeProgram, url: str, text: str, leave_at: int):
    came = pages.ask("visit", url=url, chatId=f"visit-{text}", text=text, leaveAt=leave_at)
    assert came["errors"] == []
    assert came["chunks"] > leave_at
    assert [message["role"] for message in came["saved"]] == ["user", "assistant"]
    assert came["messages"] == came["saved"]


def test_stop_ends_the_answer_and_what_the_page_shows_is_saved(pages: NodeProgram, url: str):
    came = pages.ask("stop", url=url, chatId="stop", text="sources", stopAt=12)
    assert came["errors"] == []
    assert [message["role"] for message in came["saved"]] == ["user", "assistant"] * 2
    stopped, whole = (text_of(message) for message in came["saved"][1::2])
    assert stopped.startswith(text_of(came["messages"][1]))
    assert 0 < len(stopped) < len(whole)
