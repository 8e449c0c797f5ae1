"""The HTTP edge: the request as a FastAPI dependency, the answer as a Starlette response.

All that a route needs: annotate a parameter with `ChatRequest`, return ``stream_text(…).response(chat)``. Knows how
bytes get to a reader and how its leaving is noticed; knows no chunk and no provider.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, HTTPException, Request
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from usechat import parts as p
from usechat.errors import RequestError
from usechat.generate.answer import Answer
from usechat.ids import generate_id
from usechat.messages import ui
from usechat.negotiation import negotiate
from usechat.protocol.dialects import Dialect
from usechat.protocol.encoders import Encoder, EncoderOptions, WireFormat, make_encoder
from usechat.protocol.options import MASKED_ERROR

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "StreamingAnswer",
    "chat_request",
    "completion_request",
    "error_response",
    "read_body",
]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 20 * 2**20
"""The largest request body by default: a chat carries its attachments with each turn."""
MAX_SEND_BYTES = 64 * 2**10
"""The most that is handed to the server in one piece, so that one stream's burst does not hold up the others."""
HEARTBEAT_SECONDS = 15.0
"""Proxies cut a stream that is silent for 30 s and more; this stays well below."""


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The request's body.

    Raises:
        RequestError: 413 when it is larger than ``max_bytes``; no more than that is ever held.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large(max_bytes)
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > max_bytes:
            raise too_large(max_bytes)
        pieces.append(piece)
    return b"".join(pieces)


def too_large(max_bytes: int) -> RequestError:
    return RequestError(f"The body is larger than {max_bytes} bytes.", status=413)


def chat_request(max_body_bytes: int = MAX_BODY_BYTES) -> Callable[[Request], Any]:
    """A dependency that reads a ``useChat`` body of any AI SDK major, of at most so many bytes."""

    async def read(request: Request) -> ui.ChatRequest:
        try:
            return ui.parse_chat_request(await read_body(request, max_body_bytes))
        except RequestError as error:
            raise HTTPException(error.status, str(error)) from error

    return read


def completion_request(max_body_bytes: int = MAX_BODY_BYTES) -> Callable[[Request], Any]:
    """A dependency that reads a ``useCompletion`` body of any AI SDK major, of at most so many bytes."""

    async def read(request: Request) -> ui.CompletionRequest:
        try:
            return ui.parse_completion_request(await read_body(request, max_body_bytes))
        except RequestError as error:
            raise HTTPException(error.status, str(error)) from error

    return read


ChatRequest: TypeAlias = Annotated[ui.ChatRequest, Depends(chat_request())]
"""The body of a ``useChat`` request, as a route's parameter. A wrong one is refused with one short JSON error."""
CompletionRequest: TypeAlias = Annotated[ui.CompletionRequest, Depends(completion_request())]
"""The body of a ``useCompletion`` request, as a route's parameter."""


def error_response(error: RequestError) -> JSONResponse:
    """A refusal, in the form that FastAPI gives its own."""
    return JSONResponse({"detail": str(error)}, status_code=error.status)


class StreamingAnswer(Response):
    """An answer on its way to one reader, in the protocol that the reader speaks.

    Args:
        answer: Made by `stream_text` or `ui_message_stream`.
        chat: The request it answers, from which the client's version is told and the continued message taken.
        wire_format: ``ui-message-stream``, ``data-stream``, ``text-stream`` or ``events``; without it, the chat
            format of the client's version.
        sdk: The client's AI SDK version (``7``, ``6.0.100``); ``auto`` or None to tell it from the request.
        message_id: The new message's id, or a function that makes one; True for a random one. Without it the client
            keeps the id it made itself.
        headers: Beside the format's own; None as a value takes one of those away.
        heartbeat: Seconds of silence after which a frame is sent that clients ignore; None for no such frame.
        options: The fields of `EncoderOptions`: ``send_reasoning``, ``send_sources``, ``send_usage`` and so on.
    """

    def __init__(
        self,
        answer: Answer,
        chat: ui.ChatRequest | ui.CompletionRequest | None = None,
        *,
        wire_format: WireFormat | None = None,
        sdk: str | int | None = None,
        message_id: str | Callable[[], str] | bool | None = None,
        headers: Mapping[str, str | None] | None = None,
        heartbeat: float | None = HEARTBEAT_SECONDS,
        **options: Any,
    ) -> None:
        self.answer = answer
        self.chat = chat if isinstance(chat, ui.ChatRequest) else None
        self.wire_format: WireFormat | None = wire_format
        self.sdk = sdk
        self.message_id = message_id
        self.extra_headers = headers or {}
        self.heartbeat_seconds = heartbeat
        self.options = options
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.body = b""
        # Filled by whoever sets a header or a cookie on the response.
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.last_sent = 0.0
        self.reader_left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; stops making it when the reader leaves."""
        try:
            encoder = self.prepare(Headers(scope=scope))
        except RequestError as error:
            await error_response(error)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._all_headers(encoder)})
        try:
            await self._send_all(encoder, receive, send)
        finally:
            if self.background is not None:
                await self.background()

    def prepare(self, headers: Headers) -> Encoder:
        """The encoder for this reader, with the answer fitted to it.

        Raises:
            RequestError: The request cannot be answered.
        """
        dialect = negotiate(self.chat, headers, self.sdk)
        continued = continued_message(self.chat)
        known: dict[str, Any] = known_ids(continued)
        options = EncoderOptions(**self.options, **known)
        self.answer.bind(dialect, options, message=continued, message_id=self.choose_message_id(continued))
        self.answer.prepare()
        return self._make_encoder(dialect, options)

    def _make_encoder(self, dialect: Dialect, options: EncoderOptions) -> Encoder:
        return make_encoder(self.wire_format, dialect, options)

    def choose_message_id(self, continued: Mapping[str, Any] | None) -> str | None:
        """The id to announce. A continuation must not get a new one: the client would show a second message."""
        if self.message_id is None or self.message_id is False:
            return None
        if continued is not None:
            return continued.get("id")
        if self.message_id is True:
            return generate_id("msg", 16)
        return self.message_id() if callable(self.message_id) else self.message_id

    def _all_headers(self, encoder: Encoder) -> list[tuple[bytes, bytes]]:
        merged = {**encoder.headers, **{name.lower(): value for name, value in self.extra_headers.items()}}
        own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in merged.items() if value is not None]
        return [*own, *self.raw_headers]

    # -- sending ------------------------------------------------------------------------------------------------

    async def _send_all(self, encoder: Encoder, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        sender = asyncio.current_task()
        assert sender is not None
        watcher = asyncio.create_task(self.watch(encoder, receive, send, sender))
        self.last_sent = loop.time()
        try:
            async with aclosing(self.frames(encoder)) as frames:
                async for data in frames:
                    for piece in slices(data):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    self.last_sent = loop.time()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not self.reader_left:
                raise
            # It was the watcher that cancelled, to get this task out of its wait for the model.
            sender.uncancel()
        finally:
            watcher.cancel()

    async def frames(self, encoder: Encoder) -> AsyncGenerator[bytes]:
        """The answer's bytes, with a legal end whatever happens."""
        if encoder.opening:
            yield encoder.opening
        async with aclosing(self.answer.batches()) as batches:
            async for batch in batches:
                try:
                    data = encoder.feed_all(batch)
                except Exception:
                    if self.options.get("strict"):
                        raise
                    logger.exception("a part could not be encoded")
                    yield encoder.feed(p.Error(MASKED_ERROR))
                    break
                if data:
                    yield data
        if ending := encoder.finish():
            yield ending

    async def watch(self, encoder: Encoder, receive: Receive, send: Send, sender: asyncio.Task[Any]) -> None:
        """Notice that the reader leaves, and break silences."""
        interval = self.heartbeat_seconds if encoder.heartbeat else None
        loop = asyncio.get_running_loop()
        while not self.reader_left:
            idle = loop.time() - self.last_sent
            try:
                async with asyncio.timeout(None if interval is None else max(interval - idle, 0)):
                    self.reader_left = (await receive())["type"] == "http.disconnect"
            except TimeoutError:
                if interval is not None and loop.time() - self.last_sent >= interval:
                    self.last_sent = loop.time()
                    await send({"type": "http.response.body", "body": encoder.heartbeat, "more_body": True})
        sender.cancel()


def slices(data: bytes) -> Iterator[bytes]:
    if len(data) <= MAX_SEND_BYTES:
        yield data
        return
    for start in range(0, len(data), MAX_SEND_BYTES):
        yield data[start : start + MAX_SEND_BYTES]


def continued_message(chat: ui.ChatRequest | None) -> Mapping[str, Any] | None:
    """The assistant's message that the answer goes on with, when it is the last one."""
    if chat is None or not chat.is_continuation:
        return None
    return chat.messages[-1].to_json()


def known_ids(message: Mapping[str, Any] | None) -> dict[str, frozenset[str]]:
    """The tool calls and approval requests of the continued message: what comes may refer to them."""
    parts: list[Mapping[str, Any]] = list(message.get("parts", ())) if message is not None else []
    none: Mapping[str, Any] = {}
    calls = (part.get("toolCallId") for part in parts)
    approvals = ((part.get("approval") or none).get("id") for part in parts)
    return {
        "known_tool_calls": frozenset(call for call in calls if isinstance(call, str)),
        "known_approvals": frozenset(approval for approval in approvals if isinstance(approval, str)),
    }
