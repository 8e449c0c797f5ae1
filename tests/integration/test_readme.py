"""The README's programs, run as they are written, against a real server and a replayed model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def programs(path: str) -> list[str]:
    return BLOCK.findall((ROOT / path).read_text())


def run(code: str, names: dict[str, Any]) -> None:
    exec(compile(code, "README.md", "exec"), names)


async def test_application_of_the_readme_saves_chats_for_their_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert len(programs("README.md")) == 2
    async with ReplayServer("text") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        names: dict[str, Any] = {"__name__": "readme"}
        for block in programs("README.md"):
            run(block, names)
        app = names["app"]
        transport = httpx.ASGITransport(app=app)
        key = {"authorization": "Bearer ada-key"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://backend") as browser,
        ):
            message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
            body = {"id": "c", "messages": [message], "trigger": "submit-message"}
            assert (await browser.post("/api/chat", json=body)).status_code == 401
            answer = await browser.post("/api/chat", json=body, headers=key)
            saved = (await browser.get("/api/chats/c", headers=key)).json()
            plain = await browser.post("/api/answer", json=body)
    for each in (answer, plain):
        assert '"type":"text-delta"' in each.text
        assert each.text.endswith("data: [DONE]\n\n")
    assert [one["role"] for one in saved["messages"]] == ["user", "assistant"]
    assert (tmp_path / "chats.db").is_file()


def test_the_protocol_page_encodes_a_message():
    names: dict[str, Any] = {}
    run(programs("docs/protocol.md")[0], names)
    assert b'"delta":"Hello"' in names["body"]
    assert names["body"].endswith(b"data: [DONE]\n\n")


def test_readme_is_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 105
