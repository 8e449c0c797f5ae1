"""An application of one's own with chats, served in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from websockets.asyncio.client import connect

from usechat import ChatTurn, stream_text
from usechat.answers.answer import Answer
from usechat.parts import TextDelta, TextStart
from usechat.testing.models import Hold, ScriptedModel, Step, saying

__all__ = ["OwnApp", "body_of", "current_user", "served", "signed_in"]

HOLD_WORD = "Wait"


async def current_user(request: Request) -> str:
    """Who is signed in: the name in the ``Authorization`` header."""
    name = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not name:
        raise HTTPException(401, "Sign in.")
    return name


def signed_in(name: str | None) -> dict[str, str]:
    return {} if name is None else {"authorization": f"Bearer {name}"}


def body_of(chat_id: str, text: str = "Hello", message_id: str = "u1", before: Any = ()) -> dict[str, Any]:
    message = {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat_id, "trigger": "submit-message", "messages": [*before, message]}


class OwnApp:
    """Answers, holds an answer to "Wait" after its first word, and notes what it was asked."""

    def __init__(self) -> None:
        self.hold = Hold()
        self.models: list[ScriptedModel] = []

    def answer(self, turn: ChatTurn) -> Answer:
        """Answer one turn."""
        return stream_text(self.model_for(turn.messages[-1].text), messages=turn.messages)

    def model_for(self, text: str) -> ScriptedModel:
        held: Step = [[TextStart("0"), TextDelta("0", "Hel")], self.hold]
        model = ScriptedModel(held if text.startswith(HOLD_WORD) else saying("Hello", " there"))
        self.models.append(model)
        return model

    @property
    def calls(self) -> int:
        """How often a model was asked."""
        return sum(len(model.calls) for model in self.models)


class Client:
    """Asks a served application."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, timeout=60)

    async def ask(self, name: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        """Send one request as a user, and read the whole response."""
        return await self.http.request(method, f"/api{path}", headers=signed_in(name), **more)

    async def send_frame(self, name: str | None, frame: Mapping[str, Any]) -> dict[str, Any]:
        """Send a frame over a WebSocket of its own, as a user; return the first frame that comes back."""
        async with connect(f"{self.url.replace('http', 'ws', 1)}/api/chat/ws") as connection:
            await connection.send(json.dumps({"requestId": "r", "headers": signed_in(name), "body": {}, **frame}))
            return json.loads(await connection.recv())


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[Client]:
    """Serve an application on a free port of loopback, with its lifespan."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
    server = uvicorn.Server(config)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    async with AsyncExitStack() as stack:
        stack.enter_context(listening)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            yield client
        finally:
            await client.http.aclose()
            server.should_exit = True
            await serving
