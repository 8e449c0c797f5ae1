"""The routes with a replayed model behind them. The application is called directly; only the model listens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from usechat.server.app import create_app
from usechat.server.settings import Settings
from usechat.testing.replay import ReplayServer, Reply

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "When is high water?"}
LATER: dict[str, Any] = {"id": "c", "trigger": "submit-message", "messages": [{"id": "1", "role": "user", "parts": []}]}


@pytest.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[ReplayServer]:
    async with ReplayServer(Reply("text")) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "unused")
        yield server


def asking(**settings: Any) -> httpx.AsyncClient:
    app = create_app(Settings.model_validate({"database_url": "off", **settings}))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/api/chat", {"messages": [USER]}, '0:"High water "'),
        ("/api/chat?protocol=data", {"messages": [USER]}, '0:"High water "'),
        ("/api/chat?protocol=text", {"messages": [USER]}, "High water is at 14:20 in Whitby."),
        ("/api/completion", {"prompt": "?"}, '"delta":"High water "'),
        ("/api/completion", {"prompt": "?", "streamProtocol": "text"}, "High water is at 14:20 in Whitby."),
        ("/api/ai/chat/stream", {"messages": [USER]}, 'data: {"text":"High water "}'),
    ],
)
async def test_route_answers_in_its_protocol(
    upstream: ReplayServer, path: str, body: dict[str, Any], expected: str
) -> None:
    async with asking() as client:
        response = await client.post(path, json=body)
    assert response.status_code == 200
    assert expected in response.text


@pytest.mark.parametrize("protocol", ["words", "", 7, None])
async def test_protocol_is_one_of_two(upstream: ReplayServer, protocol: Any) -> None:
    async with asking() as client:
        response = await client.post("/api/completion", json={"prompt": "?", "streamProtocol": protocol})
    assert response.status_code == (200 if protocol is None else 400)


async def test_model_that_a_client_chose_is_named_in_its_message(upstream: ReplayServer) -> None:
    async with asking(models="model-two") as client:
        response = await client.post("/api/chat", json={**LATER, "messages": [USER], "model": "model-two"})
    assert '"messageMetadata":{"model":"model-two"}' in response.text
    assert upstream.requests[0].json["model"] == "model-two"


async def test_demo_has_its_tools() -> None:
    message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "What is the weather in Lisbon?"}]}
    async with asking(model="demo", approval_secret="of-sixteen-characters") as client:
        response = await client.post("/api/chat", json={**LATER, "messages": [message]})
    assert '"type":"tool-output-available"' in response.text


async def test_setting_names_the_clients_version_and_shows_errors_own_words(upstream: ReplayServer) -> None:
    async with asking(sdk="7", error_detail=True, heartbeat=0) as client:
        response = await client.post("/api/chat", json={"messages": [USER]})
    assert '"finishReason":"stop"' in response.text


async def test_nothing_runs_where_nothing_is_stored() -> None:
    async with asking(model="demo") as client:
        resumed = await client.get("/api/chat/c1/stream")
        resumed_v4 = await client.get("/api/chat", params={"chatId": "c1"})
        stopped = [await client.delete("/api/chat/c1/stream"), await client.post("/api/chat/c1/stop")]
    assert (resumed.status_code, resumed.content) == (204, b"")
    assert (resumed_v4.status_code, resumed_v4.content) == (200, b"")
    assert resumed_v4.headers["x-vercel-ai-data-stream"] == "v1"
    assert [(response.status_code, response.json()) for response in stopped] == [(200, {"stopped": False})] * 2


async def test_route_of_ours_that_gets_a_wrong_query_says_so_in_one_sentence() -> None:
    app = create_app(Settings.model_validate({"model": "demo", "database_url": "off"}))

    @app.get("/added/{number}")
    async def added(number: int) -> int:
        return number

    app.router.routes.insert(0, app.router.routes.pop())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        response = await client.get("/added/secret")
    assert response.status_code == 422
    assert response.json() == {"detail": "path.number: is not valid"}


async def test_application_without_settings_takes_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USECHAT_MODEL", "demo")
    monkeypatch.setenv("USECHAT_MODLE", "local")
    monkeypatch.setenv("USECHAT_DATABASE_URL", "off")
    app = create_app()
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        assert (await client.get("http://localhost/api/info")).json()["model"]["id"] == "demo"
    assert "USECHAT_MODLE is no setting" in caplog.text


def test_several_workers_are_warned_of_a_secret_they_do_not_share(caplog: pytest.LogCaptureFixture) -> None:
    several: dict[str, Any] = {"model": "demo", "database_url": "off", "workers": 2}
    create_app(Settings.model_validate(several))
    assert "USECHAT_APPROVAL_SECRET is not set" in caplog.text
    caplog.clear()
    create_app(Settings.model_validate({**several, "approval_secret": "of-sixteen-characters"}))
    create_app(Settings.model_validate({**several, "workers": 1}))
    assert caplog.text == ""
