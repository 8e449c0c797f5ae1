"""The WebSocket edge: what ``WebSocketChatTransport`` of AI SDK 7 speaks.

    @app.websocket("/api/chat/ws")
    async def chat(websocket: WebSocket):
        await ChatSocket(websocket, lambda chat: stream_text(model, messages=chat.messages)).serve()

One connection carries any number of answers, told apart by their request id; each chunk has a number, from 0. A client
that stops an answer sends ``abort``; one that goes away leaves all of its answers, and those that are no runs end with
it. Knows frames and who may send them; what is in a chunk is `usechat.protocol`'s affair. Upstream:
``ai/src/ui/websocket-chat-transport.ts`` (7.0.173), ``WebSocketChatTransportRequest`` and ``…Response``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import Context
from functools import partial
from typing import Any, TypeAlias

import msgspec
from starlette.datastructures import Headers
from starlette.websockets import WebSocket, WebSocketDisconnect

from usechat.apart import work_apart
from usechat.errors import ConfigurationError, RequestError, RunError
from usechat.guard import Contained
from usechat.http.negotiation import SDK_HEADER, negotiate
from usechat.http.new_run import AnswerToSend, respond
from usechat.http.refusals import REFUSALS
from usechat.http.response import StreamingAnswer
from usechat.http.socket_frames import (
    ChunkFrames,
    InvalidFrameError,
    decode_head,
    large_context,
    read_chat_id,
    read_frame,
    read_headers,
    read_request,
)
from usechat.json import encode_json
from usechat.messages.limits import DEFAULT_LIMITS, BodyLimits
from usechat.messages.ui import ChatRequest
from usechat.protocol.dialects import parse_dialect
from usechat.protocol.options import MASKED_ERROR
from usechat.runs.reader import RunReader

__all__ = ["Authorize", "ChatSocket", "FindRunning", "Handler"]

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[
    [ChatRequest], "AnswerToSend | StreamingAnswer | Awaitable[AnswerToSend | StreamingAnswer]"
]
"""Makes the answer to a request, as a route's function does; also as a response, which may be a resumable one."""
FindRunning: TypeAlias = Callable[[str], Awaitable[StreamingAnswer | None]]
"""Gets a chat's id. Returns the answer that is being made there, or None: `usechat.http.resume.find_running`."""
Authorize: TypeAlias = Callable[[Mapping[str, str]], "str | Awaitable[str | None] | None"]
"""Gets the headers of a request, names in lower case. Refuses it with a text, or by raising `RequestError`."""

OLDEST_MAJOR = 7
OLDEST_RELEASE = "7.0.135"
"""The first with the transport: whatever speaks here reads what it reads."""
INVALID_DATA = 1007
POLICY_VIOLATION = 1008
TOO_LARGE = 1009
MAX_REQUESTS = 16
"""Answers at once on one connection."""

FIRST_FRAME_BYTES = 256 * 1024
"""The largest frame of a client that has not shown a key yet: the text of a long chat."""
KEY_SECONDS = 30.0
"""How long a connection may stay open without a key."""
MAX_UNKNOWN = 256
"""Connections at once, in this process, that have not shown a key."""
WIDEN = "usechat.frames"
"""The ASGI extension of a server that takes frames of full size only once it is told to."""
PROTOCOL = "usechat"
KEY_PROTOCOL = "bearer."
"""Begins the subprotocol that carries a key: the only part of a handshake that a browser's page can fill."""

STREAM_HEADER = "x-vercel-ai-ui-message-stream"
"""Has every answer whose bytes hold the chunks that this transport sends."""


class RefusedConnectionError(Exception):
    """The connection must end; its argument is the close code."""


class ChatSocket:
    """One connection.

    A client shows its key with the handshake (the header ``Authorization: Bearer KEY``, or the subprotocols ``usechat``
    and ``bearer.KEY``) or in the headers of its frames. Until it has, its frames may be no larger than 256 KB (close
    code 1009), and the connection lasts no longer than 30 seconds (1008).

    Args:
        websocket: Not yet accepted.
        handler: Makes an answer.
        sdk: The clients' version, which goes before what their frames say; None to leave it to these, and to take
            7.0.135, the first with this transport, where they do not say it.
        find_running: What a client that resumes is to read. Without it there is nothing to come back to.
        authorize: Whether a request may be answered. A browser can send no headers with the handshake, so the
            transport puts them into its frames.
        limits: How many messages, parts of one message, and values a request may hold.
        options: Others of `usechat.http.new_run.respond`, where the handler makes no response itself: ``message_id``
            and the fields of `EncoderOptions`.

    Raises:
        ConfigurationError: ``sdk`` is a version without this transport.
    """

    def __init__(
        self,
        websocket: WebSocket,
        handler: Handler,
        *,
        sdk: str | int | None = None,
        find_running: FindRunning | None = None,
        authorize: Authorize = lambda headers: None,
        limits: BodyLimits = DEFAULT_LIMITS,
        **options: Any,
    ) -> None:
        dialect = parse_dialect(OLDEST_RELEASE if sdk is None else str(sdk))
        if dialect is None or dialect.major < OLDEST_MAJOR:
            raise ConfigurationError("the WebSocket transport needs AI SDK 7")
        self.websocket = websocket
        self.handler = handler
        self.named = {} if sdk is None else {SDK_HEADER: str(sdk)}
        self.find_running = find_running
        self.authorize = authorize
        self.limits = limits
        self.options = options
        self.handshake = handshake_key(websocket)
        self.is_known = False
        self.requests: dict[str, asyncio.Task[None]] = {}
        self.readings: dict[str, StreamingAnswer] = {}
        """What is being read for requests, by their ids."""

    async def serve(self) -> None:
        """Accept, and answer until the client goes away."""
        self.is_known = await self._refusal(self.handshake) is None
        if not self.is_known and len(UNKNOWN) >= MAX_UNKNOWN:
            await self.websocket.close(POLICY_VIOLATION)
            return
        offered: list[str] = self.websocket.scope.get("subprotocols", [])
        await self.websocket.accept(PROTOCOL if PROTOCOL in offered else None)
        known_by = asyncio.get_running_loop().time() + KEY_SECONDS
        if self.is_known:
            self._widen()
        else:
            UNKNOWN.add(self)
        try:
            while True:
                message = await self._receive(known_by)
                # For the requests of large frames, and for them only, work is done apart.
                context = large_context(message)
                reading = asyncio.create_task(self._read(message), context=context) if context else self._read(message)
                await self._take(await reading, context)
        except InvalidFrameError:
            await self._close(INVALID_DATA)
        except RefusedConnectionError as error:
            await self._close(error.args[0])
        except WebSocketDisconnect:
            pass
        finally:
            UNKNOWN.discard(self)
            tasks = list(self.requests.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        return await work_apart(partial(read_frame, message, self.limits))

    async def _receive(self, known_by: float) -> Mapping[str, Any]:
        """Return the next message; until the client is known, only one that makes it so."""
        if self.is_known:
            return await self.websocket.receive()
        try:
            async with asyncio.timeout_at(known_by):
                while True:
                    message = await self.websocket.receive()
                    if await self._admit(message):
                        return message
        except TimeoutError:
            raise RefusedConnectionError(POLICY_VIOLATION) from None

    async def _admit(self, message: Mapping[str, Any]) -> bool:
        """Return whether the message is to be looked at: its sender has a key, or has gone."""
        if message["type"] == "websocket.disconnect":
            return True
        text: str = message.get("text") or ""
        if len(text) > FIRST_FRAME_BYTES:
            raise RefusedConnectionError(TOO_LARGE)
        try:
            head = decode_head(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise InvalidFrameError from None
        refusal = await self._refusal({**self.handshake, **read_headers({"headers": head.headers})})
        if refusal is not None:
            await self._refuse(head.request_id, refusal)
            return False
        self.is_known = True
        UNKNOWN.discard(self)
        self._widen()
        return True

    async def _refusal(self, headers: Mapping[str, str]) -> str | None:
        try:
            refusal = self.authorize(Headers(headers))
            return await refusal if inspect.isawaitable(refusal) else refusal
        except RequestError as error:
            return str(error)
        except Exception:
            logger.exception("a key could not be checked")
            return MASKED_ERROR

    def _widen(self) -> None:
        extensions: Mapping[str, Any] = self.websocket.scope.get("extensions") or {}
        if WIDEN in extensions:
            extensions[WIDEN]["widen"]()

    async def _close(self, code: int) -> None:
        try:
            await self.websocket.close(code)
        except (RuntimeError, WebSocketDisconnect):
            logger.debug("the client had gone already")

    async def _take(self, frame: Mapping[str, Any], context: Context | None) -> None:
        match frame:
            case {"type": "abort", "requestId": str(request_id)}:
                await self._stop(request_id)
            case {"type": "send" | "resume", "requestId": str(request_id)}:
                await self._begin(request_id, frame, context)
            case {"requestId": str(request_id)}:
                await self._refuse(request_id, "The frame has no known type.")
            case _:
                raise InvalidFrameError

    async def _begin(self, request_id: str, frame: Mapping[str, Any], context: Context | None) -> None:
        if request_id in self.requests:
            # Nothing is sent: under this id the client would take a refusal for the end of the first request.
            logger.debug("a request id came twice")
            return
        if len(self.requests) >= MAX_REQUESTS:
            await self._refuse(request_id, "There are too many answers on this connection.")
            return
        task = asyncio.create_task(self._serve_request(request_id, frame), context=context)
        self.requests[request_id] = task
        task.add_done_callback(lambda _: self.requests.pop(request_id, None))

    async def _stop(self, request_id: str) -> None:
        # Its making, too, whoever began it: so does the server in the transport's documentation.
        reading, task = self.readings.get(request_id), self.requests.get(request_id)
        try:
            if reading is not None:
                await reading.stop()
        except RunError:
            logger.warning("an answer could not be stopped: the log of runs cannot be reached")
        if task is not None:
            task.cancel()

    # -- one request --------------------------------------------------------------------------------------------

    async def _serve_request(self, request_id: str, frame: Mapping[str, Any]) -> None:
        try:
            with Contained():
                await self._answer(request_id, frame)
        except WebSocketDisconnect:
            logger.debug("the client left before its answer was over")
        except REFUSALS as error:
            await self._refuse(request_id, str(error))
        except Exception:
            logger.exception("a request could not be answered")
            await self._refuse(request_id, MASKED_ERROR)

    async def _answer(self, request_id: str, frame: Mapping[str, Any]) -> None:
        headers = Headers({SDK_HEADER: OLDEST_RELEASE, **self.handshake, **read_headers(frame), **self.named})
        refusal = await self._refusal(headers)
        if refusal is not None:
            raise RequestError(refusal, status=401)
        if negotiate(None, headers).major < OLDEST_MAJOR:
            raise RequestError("The WebSocket transport needs AI SDK 7.")
        reading = await (self._find(frame) if frame["type"] == "resume" else self._make(frame))
        if reading is None:
            await self._send({"type": "no-active", "requestId": request_id})
            return
        self.readings[request_id] = reading
        try:
            head = await reading.source.prepare(headers)
            if STREAM_HEADER not in head.headers:
                raise RequestError("This answer is in a protocol that the WebSocket transport does not have.")
            run = await reading.open(reading.all_headers(head))
            try:
                await self._send_chunks(request_id, run)
            finally:
                await run.leave()
        finally:
            del self.readings[request_id]

    async def _find(self, frame: Mapping[str, Any]) -> StreamingAnswer | None:
        chat_id = read_chat_id(frame)
        return None if self.find_running is None else await self.find_running(chat_id)

    async def _make(self, frame: Mapping[str, Any]) -> StreamingAnswer:
        chat = await work_apart(partial(read_request, frame, self.limits))
        made = self.handler(chat)
        answer = await made if inspect.isawaitable(made) else made
        return answer if isinstance(answer, StreamingAnswer) else respond(answer, chat, **self.options)

    async def _send_chunks(self, request_id: str, run: RunReader) -> None:
        chunks = ChunkFrames(request_id)
        async with aclosing(run.read()) as entries:
            await self._send({"type": "start", "requestId": request_id})
            async for entry in entries:
                for frame in chunks.encode(entry.data):
                    await self._send_text(frame)
        await self._send({"type": "end", "requestId": request_id})

    # -- sending ------------------------------------------------------------------------------------------------

    async def _refuse(self, request_id: str, text: str) -> None:
        try:
            await self._send({"type": "error", "requestId": request_id, "errorText": text})
        except WebSocketDisconnect:
            logger.debug("the client left before it could be refused")

    async def _send(self, frame: Mapping[str, Any]) -> None:
        await self._send_text(encode_json(frame).decode())

    async def _send_text(self, frame: str) -> None:
        try:
            await self.websocket.send_text(frame)
        except RuntimeError as error:
            # How a server says, while the leaving is still on its way here, that the connection is closed.
            raise WebSocketDisconnect from error


UNKNOWN: set[ChatSocket] = set()
"""Connections of this process that have not shown a key."""


def handshake_key(websocket: WebSocket) -> dict[str, str]:
    """Return the header that carries the key, if the handshake has one."""
    if (given := Headers(raw=list(websocket.scope.get("headers", ()))).get("authorization")) is not None:
        return {"authorization": given}
    offered: list[str] = websocket.scope.get("subprotocols", [])
    keys = [name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)]
    return {"authorization": f"Bearer {keys[0]}"} if keys else {}
