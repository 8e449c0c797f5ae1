"""Which ids chats may have, and how they are read from a path."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from usechat.conversations.routes.chat_ids import ChatId, check_chat_id
from usechat.errors import RequestError

app = FastAPI()


@app.get("/chats/{chat_id:chat}/export")
async def export(chat_id: ChatId) -> str:
    return f"export of {chat_id!a}"


@app.get("/chats/{chat_id:chat}")
async def get(chat_id: ChatId) -> str:
    return ascii(chat_id)


def ask(path: str, *, has_raw_path: bool = True) -> Any:
    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        # As uvicorn decodes it; the test client would not send all of these.
        if scope["type"] == "http":
            scope = {**scope, "path": unquote(path), "raw_path": path.encode() if has_raw_path else None}
        await app(scope, receive, send)

    return TestClient(served).get("/").json()


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/chats/c", "'c'"),
        ("/chats/a%2Fb", "'a/b'"),
        ("/chats/a/b", "'a/b'"),
        ("/chats/a%0A", r"'a\n'"),
        ("/chats/%2541", "'%41'"),
        ("/chats/%F0%9F%98%80", r"'\U0001f600'"),
        ("/chats/%EF%BF%BD", r"'\ufffd'"),
        ("/chats/%ED%A0%80", r"'\ud800'"),
        ("/chats/a%ED%A0%80%F0%9F%98%80/export", r"export of 'a\ud800\U0001f600'"),
        ("/chats/%FF", r"'\ufffd'"),
        ("/chats/export", "'export'"),
        ("/chats/export/export", "export of 'export'"),
    ],
)
def test_id_is_read_from_its_path(path: str, read: str):
    assert ask(path) == read


def test_id_is_read_where_a_server_hands_over_no_bytes():
    assert ask("/chats/%ED%A0%80", has_raw_path=False) == r"'\ufffd\ufffd\ufffd'"


@pytest.mark.parametrize("chat_id", ["a\x00", "\n", "\x7f", "\x9f", "\ud83d", ".", "a/../b", "./a", "a/export"])
def test_id_that_no_path_carries_is_refused(chat_id: str):
    with pytest.raises(RequestError) as refused:
        check_chat_id(chat_id)

    assert (refused.value.status, refused.value.path) == (400, "id")


@pytest.mark.parametrize("chat_id", ["c", "a/b", "...", ".a", "export", "a/exports", " ", "é😀\ufffd", "%2E%2E"])
def test_other_ids_are_taken(chat_id: str):
    check_chat_id(chat_id)
