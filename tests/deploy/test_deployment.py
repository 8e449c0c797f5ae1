"""The Vercel deployment, built by Vercel's CLI and booted as the platform boots it, with a replayed model behind it."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.deployment import booted
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.testing.replay import Reply
from usechat.testing.streams import read_events

# The build installs the page's npm packages and builds the page: a minute, or several on a busy machine.
pytestmark = pytest.mark.timeout(900)

KEY = "key-of-the-test"
HOST = "chat.example"
BODY = {
    "id": "chat",
    "trigger": "submit-message",
    "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}],
}
TEXT_EVENTS = [event for event in read_events("text") if "text_delta" in event]
BEFORE_SECOND_DELTA = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]


@contextmanager
def running(function: Path, **variables: str) -> Generator[httpx.Client]:
    with (
        booted(function, variables, function.parents[4] / "function.log") as started,
        httpx.Client(base_url=started.platform.url, headers={"host": HOST}, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def upstream() -> Generator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def with_key(function: Path, upstream: ScriptedUpstream) -> Generator[httpx.Client]:
    """The function with a key and a model."""
    variables = {"USECHAT_API_KEYS": KEY, "ANTHROPIC_API_KEY": "unused", "ANTHROPIC_BASE_URL": upstream.url}
    with running(function, **variables) as client:
        client.headers["authorization"] = f"Bearer {KEY}"
        yield client


def text_of(frames: str) -> str:
    chunks = [json.loads(line.removeprefix("data: ")) for line in frames.split("\n") if line.startswith("data: {")]
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


def test_function_has_the_runtime_and_the_time_that_streaming_needs(function: Path) -> None:
    config = json.loads((function / ".vc-config.json").read_text())
    assert {key: config[key] for key in ("runtime", "maxDuration", "supportsResponseStreaming")} == {
        "runtime": "python3.12",
        "maxDuration": 300,
        "supportsResponseStreaming": True,
    }


def test_function_holds_neither_the_page_nor_the_tests(function: Path) -> None:
    assert {"web", "tests", "docs", "node_modules", ".git"} & {path.name for path in function.iterdir()} == set()


def test_api_goes_to_python_and_all_else_to_the_page(output: Path) -> None:
    routes = json.loads((output / "config.json").read_text())["routes"]
    destinations = [route["destination"]["service"] for route in routes if "destination" in route]
    assert destinations == ["api", "web"]
    assert (output / "services" / "web" / "functions" / "index.prerender-fallback.html").is_file()


def test_answer_arrives_while_it_is_made(with_key: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.will(Reply("text", hold_after=BEFORE_SECOND_DELTA), Reply("text", delay=0.2))
    with with_key.stream("POST", "/api/chat", json=BODY) as response:
        seen = ""
        for piece in response.iter_text():
            seen += piece
            if "text-delta" in seen:
                break
        # The model has said no more than this, and has not ended: nothing on the way waited for more.
        assert not upstream.requests[0].is_complete
        assert text_of(seen) == json.loads(TEXT_EVENTS[0])["delta"]["text"]
    with with_key.stream("POST", "/api/chat", json=BODY) as response:
        pieces = list(response.iter_text())
    assert sum("text-delta" in piece for piece in pieces) >= 3
    assert "".join(pieces).endswith("data: [DONE]\n\n")


def test_reader_that_leaves_ends_the_models_work(with_key: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.will(Reply("text", hold_after=BEFORE_SECOND_DELTA))
    with with_key.stream("POST", "/api/chat", json=BODY) as response:
        next(piece for piece in response.iter_text() if "text-delta" in piece)
    upstream.requests[0].wait()
    assert upstream.requests[0].is_aborted


def test_deployment_without_keys_answers_nobody_and_says_what_to_set(function: Path) -> None:
    with running(function, ANTHROPIC_API_KEY="unused") as client:
        response = client.post("/api/chat", json=BODY)
    assert response.status_code == 503
    assert "USECHAT_API_KEYS" in response.json()["detail"]


def test_deployment_with_keys_wants_one(with_key: httpx.Client) -> None:
    refused = httpx.get(f"{with_key.base_url}/api/info", headers={"host": HOST}, timeout=60)
    wrong = with_key.get("/api/info", headers={"authorization": "Bearer another"})
    let_in = with_key.get("/api/info")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert wrong.status_code == 401
    assert let_in.json()["model"]["provider"] == "anthropic"


def test_deployment_that_is_open_on_purpose_lets_everybody_in(function: Path) -> None:
    with running(function, USECHAT_INSECURE="1") as client:
        assert client.get("/api/info").json()["model"]["id"] == "demo"
