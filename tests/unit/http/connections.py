"""Applications that answer, and a connection to one, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from tests.support.waiting import PATIENCE
from usechat import ChatRequest, FinishEvent, StreamingAnswer, stream_text
from usechat.answers.answer import Answer
from usechat.testing.models import ScriptedModel, Step

BODY: dict[str, Any] = {
    "id": "chat-1",
    "trigger": "submit-message",
    "messages": [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
}


def app_of(make: Callable[[Any], StreamingAnswer]) -> FastAPI:
    app = FastAPI()

    @app.post("/api/chat")
    async def chat(chat: ChatRequest) -> StreamingAnswer:
        return make(chat)

    return app


def answering(*steps: Step, **options: Any) -> FastAPI:
    return app_of(lambda chat: stream_text(ScriptedModel(*steps), messages=chat.messages).response(chat, **options))


def post(app: FastAPI, body: Any = None, **options: Any) -> Any:
    with TestClient(app) as client:
        return client.post("/api/chat", json=BODY if body is None else body, **options)


def chunks(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def types(text: str) -> list[str]:
    return [chunk["type"] for chunk in chunks(text)]


class Connection:
    """What a server is to an application: it sends what it is given, and says when the reader is gone."""

    def __init__(self, answer: Answer, **options: Any) -> None:
        self.response = answer.response(**options)
        self.headers: list[tuple[bytes, bytes]] = []
        self.sent: list[bytes] = []
        self.messages: list[Message] = []
        self.gone = asyncio.Event()
        self.arrived = asyncio.Condition()
        self.on_send: Callable[[Message], Awaitable[None]] | None = None
        self.task: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.on_send is not None:
            await self.on_send(message)
        self.messages.append(message)
        self.sent.append(message.get("body", b""))
        async with self.arrived:
            self.arrived.notify_all()

    async def run(self, receive: Receive | None = None, send: Send | None = None) -> bytes:
        scope: Scope = {"type": "http", "method": "POST", "headers": self.headers}
        await self.response(scope, receive or self.receive, send or self.send)
        return self.body

    def start(self, **options: Any) -> None:
        self.task = asyncio.create_task(self.run(**options))  # type: ignore[arg-type]

    async def until(self, text: bytes) -> None:
        """Wait until this was sent."""
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: text in self.body)

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)


def spoken(*steps: Step, heard: list[FinishEvent] | None = None) -> tuple[ScriptedModel, Answer]:
    model = ScriptedModel(*steps)
    return model, stream_text(model, prompt="Hi", on_finish=(heard if heard is not None else []).append)
