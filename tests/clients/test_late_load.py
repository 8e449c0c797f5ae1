"""An answer that ends between a page's load and its resume is shown, by the page that docs/saving.md has for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running_server import serving
from tests.integration.test_readme import ROOT
from tests.support.node import NodeProgram

PAGE = re.findall(r"^```tsx\n(.*?)^```", (ROOT / "docs/saving.md").read_text(), re.MULTILINE | re.DOTALL)[1]
WITHIN = 60.0


@pytest.mark.parametrize("major", [5, 6, 7])
def test_answer_that_ended_while_the_page_was_loaded_is_shown(major: int, tmp_path: Path):
    asked: dict[str, Any] = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    page = NodeProgram(Path(__file__).parent / "late_load.mjs", "--major", str(major), log=tmp_path / "log")
    try:
        with serving(tmp_path, USECHAT_MODEL="demo") as server:
            body = {"id": "c", "trigger": "submit-message", "messages": [asked]}
            assert server.client.post("/api/chat", json=body).text.endswith("data: [DONE]\n\n")
            assert server.client.get("/api/chat/c/stream").status_code == 204
            saved = server.client.get("/api/chats/c").json()["messages"]
            url = str(server.client.base_url).rstrip("/")
            loaded = {"messages": [asked], "isAnswering": True}
            shown = page.start("show", url=url, page=PAGE, chatId="c", loaded=loaded).result(WITHIN)
    finally:
        page.close()
    assert shown == saved
    assert [message["role"] for message in shown] == ["user", "assistant"]
