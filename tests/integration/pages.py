"""Programs of pages of docs/, run as they stand there, with a stand-in for the Messages API behind them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from tests.conformance.replies import call, said, text
from tests.integration.test_readme import programs
from usechat import RequestError, handle_refusal
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

__all__ = ["ASKED", "browsing", "post", "run_program", "running"]

ASKED: dict[str, Any] = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


def stand_in(first: tuple[str, Mapping[str, Any]] | None) -> Callable[[ReplayedRequest], Reply]:
    """What the API answers: a call of a tool first, if one is given, and then a text."""

    def answer(request: ReplayedRequest) -> Reply:
        has_called = any(message["role"] == "assistant" for message in request.json["messages"])
        if first is not None and not has_called:
            return said(call(first[0], dict(first[1]), id="toolu_1"), stop="tool_use")
        return said(text("So", "up"))

    return answer


async def run_program(page: str, number: int, **given: Any) -> dict[str, Any]:
    """Run a program of a page, which may await. Return its names."""
    names: dict[str, Any] = {"__name__": "page", "app": FastAPI(), **given}
    code = compile(programs(page)[number], page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    made = eval(code, names)
    if inspect.isawaitable(made):
        await made
    return names


@asynccontextmanager
async def running(monkeypatch: Any, first: tuple[str, Mapping[str, Any]] | None = None) -> AsyncGenerator[ReplayServer]:
    """Let programs ask a stand-in for the API."""
    async with ReplayServer(stand_in(first)) as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        yield upstream


@asynccontextmanager
async def browsing(app: FastAPI, **options: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """A browser of an application that is up."""
    app.add_exception_handler(RequestError, handle_refusal)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://backend", **options) as browser,
    ):
        yield browser


async def post(app: FastAPI, *messages: Mapping[str, Any], sdk: str = "7.0.173") -> httpx.Response:
    """What the application answers to a chat."""
    async with browsing(app) as browser:
        body = {"id": "c", "trigger": "submit-message", "messages": messages or (ASKED,)}
        return await browser.post("/api/chat", json=body, headers={"x-usechat-sdk": sdk})
