"""The WebSocket edge: what ``WebSocketChatTransport`` of AI SDK 7 speaks.

    @app.websocket("/api/chat/ws")
    async def chat(websocket: WebSocket):
        await ChatSocket(websocket, lambda chat: stream_text(model, messages=chat.messages)).serve()

One connection carries any number of answers, told apart by their request id; each chunk has a number, from 0. A client
that stops an answer sends ``abort``; one that goes away stops all of its answers. Knows frames and who may send them;
what is in a chunk is `usechat.protocol`'s affair. Upstream: ``ai/src/ui/websocket-chat-transport.ts`` (7.0.173),
``WebSocketChatTransportRequest`` and ``…Response``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from starlette.datastructures import Headers
from starlette.websockets import WebSocket, WebSocketDisconnect

from usechat.errors import ConfigurationError, RequestError
from usechat.fastapi import StreamingAnswer
from usechat.generate.answer import Answer
from usechat.messages.ui import ChatRequest, parse_chat_request
from usechat.parts import Part
from usechat.protocol.dialects import parse_dialect
from usechat.protocol.json import decode_json, encode_json
from usechat.protocol.options import MASKED_ERROR
from usechat.protocol.shaping import ChunkShaper

__all__ = ["Authorize", "ChatSocket", "Handler"]

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[ChatRequest], "Answer | Awaitable[Answer]"]
"""Makes the answer to a request, as a route's function does."""
Authorize: TypeAlias = Callable[[Mapping[str, str]], "str | Awaitable[str | None] | None"]
"""Gets the headers of a request, names in lower case. Refuses it with a text, or by raising `RequestError`."""

OLDEST_MAJOR = 7
INVALID_DATA = 1007
MAX_REQUESTS = 16
"""Answers at once on one connection."""


class InvalidFrameError(Exception):
    """The client sent what is no frame, so there is no request to refuse."""


class ChatSocket:
    """One connection.

    Args:
        websocket: Not yet accepted.
        handler: Makes an answer.
        sdk: The client's version. The transport exists from AI SDK 7 on.
        authorize: Whether a request may be answered. A browser can send no headers with the handshake, so the
            transport puts them into its frames.
        options: Others of `StreamingAnswer`: ``message_id`` and the fields of `EncoderOptions`.

    Raises:
        ConfigurationError: ``sdk`` is a version without this transport.
    """

    def __init__(
        self,
        websocket: WebSocket,
        handler: Handler,
        *,
        sdk: str | int = OLDEST_MAJOR,
        authorize: Authorize = lambda headers: None,
        **options: Any,
    ) -> None:
        dialect = parse_dialect(str(sdk))
        if dialect is None or dialect.major < OLDEST_MAJOR:
            raise ConfigurationError("the WebSocket transport needs AI SDK 7")
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
                await self._take(read_frame(await self.websocket.receive()))
        except InvalidFrameError:
            await self._close()
        except WebSocketDisconnect:
            pass
        finally:
            tasks = list(self.requests.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self) -> None:
        try:
            await self.websocket.close(INVALID_DATA)
        except (RuntimeError, WebSocketDisconnect):
            logger.debug("the client had gone already")

    async def _take(self, frame: Mapping[str, Any]) -> None:
        match frame:
            case {"type": "abort", "requestId": str(request_id)}:
                if (task := self.requests.get(request_id)) is not None:
                    task.cancel()
            case {"type": "send" | "resume", "requestId": str(request_id)}:
                await self._begin(request_id, frame)
            case {"requestId": str(request_id)}:
                await self._refuse(request_id, "The frame has no known type.")
            case _:
                raise InvalidFrameError

    async def _begin(self, request_id: str, frame: Mapping[str, Any]) -> None:
        if request_id in self.requests:
            # Nothing is sent: under this id the client would take a refusal for the end of the first request.
            logger.debug("a request id came twice")
            return
        if len(self.requests) >= MAX_REQUESTS:
            await self._refuse(request_id, "There are too many answers on this connection.")
            return
        task = asyncio.create_task(self._serve_request(request_id, frame))
        self.requests[request_id] = task
        task.add_done_callback(lambda _: self.requests.pop(request_id, None))

    # -- one request --------------------------------------------------------------------------------------------

    async def _serve_request(self, request_id: str, frame: Mapping[str, Any]) -> None:
        try:
            await self._answer(request_id, frame)
        except WebSocketDisconnect:
            logger.debug("the client left before its answer was over")
        except RequestError as error:
            await self._refuse(request_id, str(error))
        except Exception:
            logger.exception("a request could not be answered")
            await self._refuse(request_id, MASKED_ERROR)

    async def _answer(self, request_id: str, frame: Mapping[str, Any]) -> None:
        headers = read_headers(frame)
        refusal = self.authorize(headers)
        refusal = await refusal if inspect.isawaitable(refusal) else refusal
        if refusal is not None:
            raise RequestError(refusal, status=401)
        if frame["type"] == "resume":
            # An answer ends with its connection, so there is none to come back to.
            await self._send({"type": "no-active", "requestId": request_id})
            return
        chat = read_request(frame)
        made = self.handler(chat)
        answer = await made if inspect.isawaitable(made) else made
        response = StreamingAnswer(answer, chat, sdk=self.sdk, **self.options)
        response.prepare(Headers(headers))
        if response.dialect.major < OLDEST_MAJOR:
            raise RequestError("The WebSocket transport needs AI SDK 7.")
        try:
            await self._stream(request_id, response)
        finally:
            # Told even when it was stopped before its first part.
            await answer.aclose()

    async def _stream(self, request_id: str, response: StreamingAnswer) -> None:
        await self._send({"type": "start", "requestId": request_id})
        async with aclosing(response.answer.through(ChunkFrames(request_id, response))) as pieces:
            async for frames in pieces:
                await self._send_all(frames)
        await self._send({"type": "end", "requestId": request_id})

    # -- sending ------------------------------------------------------------------------------------------------

    async def _refuse(self, request_id: str, text: str) -> None:
        try:
            await self._send({"type": "error", "requestId": request_id, "errorText": text})
        except WebSocketDisconnect:
            logger.debug("the client left before it could be refused")

    async def _send(self, frame: Mapping[str, Any]) -> None:
        await self._send_all([encode_json(frame).decode()])

    async def _send_all(self, frames: Iterable[str]) -> None:
        for frame in frames:
            try:
                await self.websocket.send_text(frame)
            except RuntimeError as error:
                # How a server says, while the leaving is still on its way here, that the connection is closed.
                raise WebSocketDisconnect from error


class ChunkFrames:
    """An answer as the frames of one request, whose chunks are numbered; a `usechat.generate.view.View`."""

    def __init__(self, request_id: str, response: StreamingAnswer) -> None:
        self.request_id = request_id
        self.response = response
        self.shaper = self.new_shaper()
        self.count = 0

    def new_shaper(self) -> ChunkShaper:
        """What makes the chunks; one more when the first one broke in the middle of its work."""
        return ChunkShaper(self.response.dialect, self.response.encoder_options)

    def begin(self) -> None:
        """Nothing: the request's `start` has been sent."""

    def feed(self, batch: list[Part]) -> list[str]:
        """The frames of some parts."""
        return self.encode(chunk for part in batch for chunk in self.shaper.shape(part))

    def fail(self, error: Exception) -> list[str]:
        """The error's frame."""
        logger.error("the answer could not be sent", exc_info=error)
        self.shaper = self.new_shaper()
        return self.encode(self.shaper.shape(self.response.answer.fail(error)))

    def finish(self) -> list[str]:
        """The last frames."""
        return self.encode(self.shaper.finish())

    def encode(self, chunks: Iterable[dict[str, Any]]) -> list[str]:
        """The chunks as frames; none of them counts when one cannot be written.

        Raises:
            TypeError: A chunk holds what JSON cannot.
        """
        frames = [
            encode_json({"type": "chunk", "requestId": self.request_id, "sequence": number, "chunk": chunk}).decode()
            for number, chunk in enumerate(chunks, self.count)
        ]
        self.count += len(frames)
        return frames


def read_frame(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The frame of a message as the server hands it over.

    Raises:
        InvalidFrameError: It is none.
        WebSocketDisconnect: The client has gone.
    """
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    try:
        frame = decode_json(message.get("text") or "")
    except ValueError:
        frame = None
    if not isinstance(frame, dict):
        raise InvalidFrameError
    return cast("dict[str, Any]", frame)


def read_headers(frame: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a frame, as the HTTP transport would have sent them; what no HTTP header can hold is left out."""
    headers = frame.get("headers")
    given = cast("dict[str, Any]", headers) if isinstance(headers, dict) else {}
    return {
        name.lower(): value
        for name, value in given.items()
        if isinstance(value, str) and max(name + value, default="") <= "\xff"
    }


def read_request(frame: Mapping[str, Any]) -> ChatRequest:
    """A ``send`` frame as the body that the HTTP transport would have posted.

    Raises:
        RequestError: It is no such body.
    """
    body = frame.get("body")
    extra: dict[str, Any] = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    known = {key: frame[key] for key in ("id", "messages", "trigger", "messageId") if frame.get(key) is not None}
    return parse_chat_request(encode_json({**extra, **known}))
