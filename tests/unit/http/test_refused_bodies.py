"""Bodies that are refused, each with its place."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.types import Message

from tests.unit.http.connections import BODY, answering, post
from usechat.errors import RequestError
from usechat.http.request import chat_request, completion_request, read_body
from usechat.testing.models import saying

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"{", 400, "The body is not JSON."),
        (b"", 400, "The body is not JSON."),
        (b"[]", 422, "The body must be an object."),
        (b"{}", 400, "messages: is missing"),
        (b'{"messages":[]}', 400, "messages: must not be empty"),
        (b'{"messages":[{"role":"hunter2","parts":[]}]}', 422, "messages[0].role: is not one of the values known here"),
        (
            b'{"messages":[{"role":"user","parts":[{"type":"text","text":["hunter2"]}]}]}',
            422,
            "messages[0].parts[0].text: must be text",
        ),
    ],
)
def test_wrong_body_is_refused_with_its_place_and_without_an_echo(content: bytes, status: int, detail: str):
    with TestClient(answering(saying("Hi"))) as client:
        response = client.post("/api/chat", content=content)
    assert response.status_code == status
    assert response.json() == {"detail": detail}


def test_wrong_sdk_header_is_refused():
    response = post(answering(saying("Hi")), headers={"x-usechat-sdk": "9"})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("x-usechat-sdk: ")


def test_message_that_no_model_takes_is_refused_before_the_first_byte():
    bad = {"role": "user", "parts": [{"type": "file", "mediaType": "text/plain", "url": "file:///etc/passwd"}]}
    response = post(answering(saying("Hi")), {**BODY, "messages": [bad]})
    assert response.status_code in (400, 422)
    assert response.json()["detail"].startswith("messages[0].parts[0]")
    assert "passwd" not in response.text


def limited(max_body_bytes: int) -> FastAPI:
    app = FastAPI()
    read_chat, read_completion = Depends(chat_request(max_body_bytes)), Depends(completion_request(max_body_bytes))

    @app.post("/chat")
    async def chat(chat: Any = read_chat) -> str:
        return "taken"

    @app.post("/completion")
    async def complete(completion: Any = read_completion) -> str:
        return completion.prompt

    return app


@pytest.mark.parametrize("is_declared", [True, False])
def test_large_body_is_refused(is_declared: bool):
    content = json.dumps(BODY).encode()
    pieces = [content[:100], content[100:]]
    with TestClient(limited(len(content))) as client:
        assert client.post("/chat", content=content if is_declared else iter(pieces)).json() == "taken"
    with TestClient(limited(len(content) - 1)) as client:
        response = client.post("/chat", content=content if is_declared else iter(pieces))
        assert response.status_code == 413
        assert response.json() == {"detail": f"The body is larger than {len(content) - 1} bytes."}
        assert client.post("/completion", json={"prompt": "x" * len(content)}).status_code == 413


async def test_body_that_breaks_off_is_refused():
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(RequestError, match="incomplete"):
        await read_body(Request({"type": "http", "headers": []}, receive))


def test_length_that_is_no_number_is_not_believed():
    scope = {"type": "http", "headers": [(b"content-length", b"-5")]}

    async def read() -> bytes:
        messages = [{"type": "http.request", "body": b"abc", "more_body": False}]

        async def receive() -> Message:
            return messages.pop()

        return await read_body(Request(scope, receive))

    assert asyncio.run(read()) == b"abc"
