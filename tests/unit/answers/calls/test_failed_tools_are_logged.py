"""The log line of a failed tool: the browser is shown nothing of the error, so it is where one looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from usechat import Agent, Chats, tool
from usechat.testing.models import ScriptedModel, calling_tool, saying

BODY = {"id": "c1", "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "Weather?"}]}]}


async def broken() -> str:
    """Fail."""
    raise ConnectionError("no route to 10.0.0.7")


def leaving() -> str:
    """End the process, as argparse does."""
    raise SystemExit(2)


async def odd() -> object:
    """Return what JSON cannot hold."""
    return object()


async def slow() -> None:
    """Never end."""
    await asyncio.Event().wait()


FAILURES: dict[str, tuple[Callable[..., Any], str]] = {
    "an error": (broken, "ConnectionError: no route to 10.0.0.7"),
    "no Exception": (leaving, "SystemExit: 2"),
    "no JSON": (odd, "The tool's result cannot be written as JSON."),
    "too slow": (slow, "The tool did not end within 0.01 seconds."),
}


@pytest.mark.parametrize(("function", "said"), FAILURES.values(), ids=FAILURES)
def test_failed_tool_is_logged_once_with_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, function: Callable[..., Any], said: str
):
    chats = Chats(f"sqlite:///{tmp_path}/chats.db")
    failing = tool(timeout=0.01 if function is slow else 30)(function)
    agent = Agent(ScriptedModel(calling_tool(failing.name), saying("Sorry.")), tools=[failing])
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(agent, user=lambda: "ada"), prefix="/api")
    with TestClient(app) as client:
        text = client.post("/api/chat", json=BODY, headers={"x-usechat-sdk": "7.0.173"}).text
    assert '"type":"tool-output-error"' in text
    (line,) = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert line.getMessage() == f"tool {failing.name} failed (call 'call-1', chat 'c1')"
    assert f"{said}" in caplog.text
    assert "Traceback" in caplog.text or function is slow
