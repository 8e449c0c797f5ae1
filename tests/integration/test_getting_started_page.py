"""The programs of docs/getting-started.md, run as they stand there, with a replayed model."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.test_readme import ROOT, programs
from usechat.testing.client_rules import find_refusals
from usechat.testing.replay import ReplayServer

PAGE = "docs/getting-started.md"
TEXT = (ROOT / PAGE).read_text()


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Asks the backend that the page's programs make, one after the other."""
    with ReplayServer("text") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        names: dict[str, Any] = {"__name__": "app"}
        for program in programs(PAGE):
            exec(compile(program, PAGE, "exec", dont_inherit=True), names)
        with TestClient(names["app"]) as browser:
            yield browser


def test_backend_answers_the_request_of_the_page(browser: TestClient) -> None:
    [body] = re.findall(r"-d '(.*)'$", TEXT, re.MULTILINE)
    answer = browser.post("/api/chat", json=json.loads(body))
    assert answer.status_code == 200
    assert '{"type":"text-delta",' in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_client_that_names_its_version_gets_what_it_reads(browser: TestClient) -> None:
    message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    body = {"id": "c", "messages": [message], "trigger": "submit-message"}
    answer = browser.post("/api/chat", json=body, headers={"x-usechat-sdk": "7.0.173"})
    assert find_refusals(answer.content, (7, 0, 173)) == []
    assert '"finishReason":"stop"' in answer.text


@pytest.mark.parametrize(("origin", "is_allowed"), [("https://chat.example", True), ("https://other.example", False)])
def test_page_on_another_host_may_send_its_version(browser: TestClient, origin: str, is_allowed: bool) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type, x-usechat-sdk"}
    allowed = browser.options("/api/chat", headers={"origin": origin, **asks}).headers
    assert (allowed.get("access-control-allow-origin") == origin) is is_allowed
    assert "x-usechat-sdk" in allowed["access-control-allow-headers"]


def test_each_extra_has_a_row() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert sorted(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == sorted(extras)
