"""The frames that ``WebSocketChatTransport`` of AI SDK 7 sends and reads.

Upstream: ``ai/src/ui/websocket-chat-transport.ts`` (7.0.173), ``WebSocketChatTransportRequest`` and ``…Response``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context, copy_context
from typing import Any, cast

import msgspec
from starlette.websockets import WebSocketDisconnect

from usechat.apart import mark_large
from usechat.errors import RequestError
from usechat.json import LONE_SURROGATE, decode_json, encode_json
from usechat.messages.limits import LARGE_BYTES, BodyLimits, decode_limited
from usechat.messages.ui import ChatRequest, parse_chat_request
from usechat.protocol.sse import chunks_of

__all__ = [
    "ChunkFrames",
    "InvalidFrameError",
    "decode_head",
    "large_context",
    "read_chat_id",
    "read_frame",
    "read_headers",
    "read_request",
]


class InvalidFrameError(Exception):
    """The client sent something that is not a frame, so no request can be refused."""


class FrameHead(msgspec.Struct, rename="camel"):
    """The part of a frame that tells its sender. The rest is not decoded."""

    request_id: str
    headers: dict[str, Any] | None = None


decode_head = msgspec.json.Decoder(FrameHead).decode


class ChunkFrames:
    """Encode a UI message stream as frames of one request, with numbered chunks."""

    def __init__(self, request_id: str) -> None:
        self.opening = b'{"type":"chunk","requestId":%s,"sequence":' % encode_json(request_id)
        self.count = 0

    def encode(self, data: bytes) -> list[str]:
        """Return the frames of the chunks in an entry of a run, which holds whole events."""
        frames: list[str] = []
        for chunk in chunks_of(data):
            frames.append((self.opening + b'%d,"chunk":%s}' % (self.count, chunk)).decode())
            self.count += 1
        return frames


def large_context(message: Mapping[str, Any]) -> Context | None:
    """Return a context that marks a large frame's work; None for a small frame."""
    if len(message.get("text") or "") < LARGE_BYTES:
        return None
    context = copy_context()
    context.run(mark_large)
    return context


def read_frame(message: Mapping[str, Any], limits: BodyLimits) -> Mapping[str, Any]:
    """Return the frame in a server's message.

    Raises:
        InvalidFrameError: The message is not a frame, or holds too much.
        WebSocketDisconnect: The client has gone.
    """
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    text: str = message.get("text") or ""
    try:
        frame = decode_json(text) if len(text) < LARGE_BYTES else decode_limited(text.encode(), limits)
    except (ValueError, RequestError):
        frame = None
    if not isinstance(frame, dict):
        raise InvalidFrameError
    return cast("dict[str, Any]", frame)


def read_headers(frame: Mapping[str, Any]) -> dict[str, str]:
    """Return a frame's headers as the HTTP transport would send them, without those that HTTP cannot hold."""
    headers = frame.get("headers")
    given = cast("dict[str, Any]", headers) if isinstance(headers, dict) else {}
    return {
        name.lower(): value
        for name, value in given.items()
        if isinstance(value, str) and max(name + value, default="") <= "\xff"
    }


def read_request(frame: Mapping[str, Any], limits: BodyLimits) -> ChatRequest:
    """Return a ``send`` frame as the body that the HTTP transport would have posted.

    Raises:
        RequestError: The frame has no valid body.
    """
    body = frame.get("body")
    extra: dict[str, Any] = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    known = {key: frame[key] for key in ("id", "messages", "trigger", "messageId") if frame.get(key) is not None}
    return parse_chat_request(encode_json({**extra, **known}), limits)


def read_chat_id(frame: Mapping[str, Any]) -> str:
    """Return the chat that a ``resume`` frame asks for.

    Raises:
        RequestError: The id is missing, or no chat can have it.
    """
    chat_id = frame.get("id")
    if not isinstance(chat_id, str):
        raise RequestError("must be a string", path="id")
    if LONE_SURROGATE.search(chat_id) is not None:
        raise RequestError("must not hold half of a character", path="id")
    return chat_id
