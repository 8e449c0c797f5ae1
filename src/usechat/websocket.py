"""The WebSocket edge: what ``WebSocketChatTransport`` of AI SDK 7 speaks.

One connection carries any number of answers, told apart by their request id; each chunk has a number, from 0. A client
that stops an answer sends ``abort``; one that goes away stops all of its answers. Upstream:
``ai/src/ui/websocket-chat-transport.ts`` (7.0.173), ``WebSocketChatTransportRequest`` and ``…Response``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from starlette.websockets import WebSocket, WebSocketDisconnect

from usechat import parts as p
from usechat.errors import ConfigurationError, RequestError
from usechat.fastapi import continued_message, known_ids
from usechat.generate.answer import Answer
from usechat.messages.ui import ChatRequest, parse_chat_request
from usechat.negotiation import negotiate
from usechat.protocol.json import decode_json, encode_json
from usechat.protocol.options import MASKED_ERROR, EncoderOptions
from usechat.protocol.shaping import ChunkShaper

__all__ = ["Authorize", "ChatSocket", "Handler"]

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[ChatRequest], "Answer | Awaitable[Answer]"]
"""Makes the answer to a request, as a route's function does."""
Authorize: TypeAlias = Callable[[Mapping[str, str]], str | None]
"""Says why a request with these headers (names in lower case) is refused, or None."""

INVALID_DATA = 1007
MAX_REQUESTS = 16
"""Answers at once on one connection."""


class ChatSocket:
    """One connection.

    Args:
        websocket: Not yet accepted.
        handler: Makes an answer.
        sdk: The client's version. The transport exists from AI SDK 7 on.
        authorize: Gets the headers of each request and says why it is refused, or None. A browser can send no headers
            with the handshake, so the transport puts them into its frames.
        options: The fields of `EncoderOptions`.
    """

    def __init__(
        self,
        websocket: WebSocket,
        handler: Handler,
        *,
        sdk: str | int = 7,
        authorize: Authorize = lambda headers: None,
        **options: Any,
    ) -> None:
        self.websocket = websocket
        self.handler = handler
        self.sdk = sdk
        self.authorize = authorize
        self.options = options
        self.requests: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Accept, and answer until the client goes away."""
        await self.websocket.accept()
        try:
            while True:
                await self._take(await self.websocket.receive_text())
        except WebSocketDisconnect:
            pass
        except KeyError:
            # Starlette's word for a binary message, of which this protocol has none.
            await self.websocket.close(INVALID_DATA)
        finally:
            tasks = list(self.requests.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, text: str) -> None:
        try:
            frame = decode_json(text)
        except ValueError:
            frame = None
        match frame:
            case {"type": "abort", "requestId": str(request_id)}:
                task = self.requests.get(request_id)
                if task is not None:
                    task.cancel()
            case {"type": "send", "requestId": str(request_id)}:
                await self._begin(request_id, cast("dict[str, Any]", frame))
            case {"type": "resume", "requestId": str(request_id)}:
                await self._send({"type": "no-active", "requestId": request_id})
            case {"requestId": str(request_id)}:
                await self._refuse(request_id, "The frame has no known type.")
            case _:
                await self.websocket.close(INVALID_DATA)

    async def _begin(self, request_id: str, frame: dict[str, Any]) -> None:
        if request_id in self.requests or len(self.requests) >= MAX_REQUESTS:
            await self._refuse(request_id, "There are too many answers on this connection.")
            return
        task = asyncio.create_task(self._answer(request_id, frame))
        self.requests[request_id] = task
        task.add_done_callback(lambda _: self.requests.pop(request_id, None))

    async def _answer(self, request_id: str, frame: dict[str, Any]) -> None:
        headers = read_headers(frame)
        if (refusal := self.authorize(headers)) is not None:
            await self._refuse(request_id, refusal)
            return
        try:
            chat = read_request(frame)
            made = self.handler(chat)
            answer = await made if inspect.isawaitable(made) else made
            shaper = self._bind(answer, chat, headers)
        except RequestError as error:
            await self._refuse(request_id, str(error))
            return
        except Exception:
            logger.exception("an answer could not be begun")
            await self._refuse(request_id, MASKED_ERROR)
            return
        await self._stream(request_id, answer, shaper)

    def _bind(self, answer: Answer, chat: ChatRequest, headers: Mapping[str, str]) -> ChunkShaper:
        """Fit the answer to the client.

        Raises:
            RequestError: The request cannot be answered.
        """
        dialect = negotiate(chat, headers, self.sdk)
        if dialect.major < 7:
            raise ConfigurationError("the WebSocket transport needs AI SDK 7")
        continued = continued_message(chat)
        known: dict[str, Any] = known_ids(continued)
        options = EncoderOptions(**self.options, **known)
        answer.bind(dialect, options, message=continued)
        answer.prepare()
        return ChunkShaper(dialect, options)

    async def _stream(self, request_id: str, answer: Answer, shaper: ChunkShaper) -> None:
        await self._send({"type": "start", "requestId": request_id})
        sequence = 0
        async with aclosing(answer.batches()) as batches:
            async for batch in batches:
                sequence = await self._send_chunks(request_id, sequence, shape_all(shaper, batch))
        await self._send_chunks(request_id, sequence, shaper.finish())
        await self._send({"type": "end", "requestId": request_id})

    async def _send_chunks(self, request_id: str, sequence: int, chunks: Iterable[dict[str, Any]]) -> int:
        for chunk in chunks:
            await self._send({"type": "chunk", "requestId": request_id, "sequence": sequence, "chunk": chunk})
            sequence += 1
        return sequence

    async def _refuse(self, request_id: str, text: str) -> None:
        await self._send({"type": "error", "requestId": request_id, "errorText": text})

    async def _send(self, frame: dict[str, Any]) -> None:
        await self.websocket.send_text(encode_json(frame).decode())


def shape_all(shaper: ChunkShaper, batch: Iterable[p.Part]) -> list[dict[str, Any]]:
    return [chunk for part in batch for chunk in shaper.shape(part)]


def read_headers(frame: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a frame, as the HTTP transport would have sent them."""
    headers = frame.get("headers")
    given = cast("dict[str, Any]", headers) if isinstance(headers, dict) else {}
    return {name.lower(): str(value) for name, value in given.items()}


def read_request(frame: Mapping[str, Any]) -> ChatRequest:
    """A ``send`` frame as the body that the HTTP transport would have posted.

    Raises:
        RequestError: It is no such body.
    """
    body = frame.get("body")
    extra: dict[str, Any] = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    known = {key: frame[key] for key in ("id", "messages", "trigger", "messageId") if frame.get(key) is not None}
    return parse_chat_request(encode_json({**extra, **known}))
