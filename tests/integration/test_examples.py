"""The examples that are no tools: each starts as its first lines say, and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.replies import said, text
from tests.support.backend import Backend
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

ASK = {
    "id": "1",
    "trigger": "submit-message",
    "messages": [{"id": "2", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
}
RECIPE = {"title": "Soup", "items": ["water"]}
Start = Callable[[str], str]


def reply(request: ReplayedRequest) -> Reply:
    schema = json.dumps(request.json.get("output_config", {}))
    if '"elements"' in schema:
        return said(text(json.dumps({"elements": [RECIPE, RECIPE]})))
    if '"result"' in schema:
        return said(text('{"result": "glad"}'))
    return said(text(json.dumps(RECIPE))) if '"title"' in schema else Reply("text")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an example; its address."""
    started: list[Backend] = []
    with ReplayServer(reply) as upstream:

        def one(app: str) -> str:
            started.append(Backend(app, upstream=upstream.url, log=tmp_path / "log"))
            return started[-1].url

        yield one
        for backend in started:
            backend.close()


def chunks(url: str) -> list[dict[str, object]]:
    answer = httpx.post(f"{url}/api/chat", json=ASK, timeout=60)
    events = answer.text.removesuffix("data: [DONE]\n\n").split("\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in events if event.startswith("data: ")]


def test_five_lines_are_a_backend(start: Start):
    assert [chunk["delta"] for chunk in chunks(start("examples.five_lines:app")) if chunk["type"] == "text-delta"]


def test_an_own_stream_has_its_data_around_the_text(start: Start):
    types = [chunk["type"] for chunk in chunks(start("examples.own_stream:app"))]
    assert types[:2] == ["start", "data-status"]
    assert types[-2:] == ["data-status", "finish"]
    assert "text-delta" in types


def test_objects_come_in_every_shape(start: Start):
    url = start("examples.objects:app")
    answers = {
        name: httpx.post(f"{url}/api/{name}", json={"prompt": "soup"}, timeout=60)
        for name in ("recipe", "recipes", "mood")
    }
    assert {name: answer.json() for name, answer in answers.items()} == {
        "recipe": RECIPE,
        "recipes": [RECIPE, RECIPE],
        "mood": {"mood": "glad"},
    }
