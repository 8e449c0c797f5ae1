"""The least that a translator can do: what our design would cost without anything that makes it safe.

It splits lines, decodes deltas, puts a prefix before each text, and sends once a read. No lifecycle, no errors, no
dialects, no messages. PEER_SERVER=fastapi puts a FastAPI route around it; PEER_CLIENT as in byte_proxy.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from benchmarks.peers.asgi import Receive, Scope, Send, read_body, start
from benchmarks.peers.byte_proxy import reads

HEADERS = {"cache-control": "no-cache", "x-vercel-ai-ui-message-stream": "v1"}
DELTA_LINE = b'data: {"type":"content_block_delta"'
TEXT_PREFIX = b'data: {"type":"text-delta","id":"0","delta":'
START = b'data: {"type":"start"}\n\ndata: {"type":"start-step"}\n\ndata: {"type":"text-start","id":"0"}\n\n'
END = b'data: {"type":"text-end","id":"0"}\n\ndata: {"type":"finish-step"}\n\ndata: {"type":"finish"}\n\n'


class Delta(msgspec.Struct):
    """The text of a ``text_delta``."""

    text: msgspec.Raw


class Event(msgspec.Struct):
    """A ``content_block_delta``."""

    delta: Delta


decode = msgspec.json.Decoder(Event).decode


def translate(lines: list[bytes]) -> bytes:
    """The frames of all deltas among the lines."""
    deltas = [decode(line[6:]).delta for line in lines if line.startswith(DELTA_LINE)]
    return b"".join([b"%b%b}\n\n" % (TEXT_PREFIX, delta.text) for delta in deltas])


async def frames(body: bytes) -> AsyncIterator[bytes]:
    """The answer's frames, one piece a read."""
    text = "".join(part["text"] for message in msgspec.json.decode(body)["messages"] for part in message["parts"])
    call: dict[str, Any] = {"stream": True, "messages": [{"role": "user", "content": text}]}
    yield START
    rest = b""
    async for data in reads(msgspec.json.encode(call)):
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        if translated := translate(lines):
            yield translated
    yield END + b"data: [DONE]\n\n"


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a framework."""
    if scope["type"] != "http":
        return
    body = await read_body(receive)
    await start(send)
    async for data in frames(body):
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def chat(request: Request) -> StreamingResponse:
    """Answer through FastAPI."""
    return StreamingResponse(frames(await request.body()), media_type="text/event-stream", headers=HEADERS)


def make_app() -> Any:
    """What the environment asks for."""
    if os.environ.get("PEER_SERVER") != "fastapi":
        return bare
    made = FastAPI()
    made.post("/api/chat")(chat)
    return made


app = make_app()
