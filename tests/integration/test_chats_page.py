"""The program of docs/chats.md, run as it is written: a route for clients that send their last message only."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.test_readme import programs, run
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio

FIRST = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Where do tides come from?"}]}
ANSWER = {"id": "2", "role": "assistant", "parts": [{"type": "text", "text": "From the Moon."}]}
NEXT = {"id": "3", "role": "user", "parts": [{"type": "text", "text": "And at noon?"}]}


async def load_messages(_chat_id: str) -> list[Any]:
    return [FIRST, ANSWER]


@pytest.mark.parametrize("body", [{"message": NEXT}, {"messages": [FIRST, ANSWER, NEXT]}])
async def test_application_loads_the_messages_that_a_client_leaves_out(
    body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = programs("docs/chats.md")
    async with ReplayServer("text") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        names: dict[str, Any] = {"__name__": "chats_page"}
        run(code, names)
        names["load_messages"] = load_messages
        transport = httpx.ASGITransport(app=names["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://backend") as browser:
            answer = await browser.post("/api/chat", json={"id": "c", "trigger": "submit-message", **body})
        assert (answer.status_code, '"type":"text-delta"' in answer.text) == (200, True)
        said = [message["content"] for message in upstream.requests[-1].json["messages"]]
        assert [content if isinstance(content, str) else content[0]["text"] for content in said] == [
            "Where do tides come from?",
            "From the Moon.",
            "And at noon?",
        ]
