"""The WebSocket edge, for ``WebSocketChatTransport`` of AI SDK 7.

    @app.websocket("/api/chat/ws")
    async def chat(websocket: WebSocket):
        await ChatSocket(websocket, lambda chat: stream_text(model, messages=chat.messages)).serve()

One connection carries any number of answers, identified by their request id. Chunks are numbered from 0. A client sends
``abort`` to stop an answer. When a client disconnects it leaves all its answers, and those without a log end. Knows
frames and access, and no contents of chunks. Upstream:
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
from typing import Any, NamedTuple, TypeAlias

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

__all__ = ["Authorize", "Caller", "ChatSocket", "FindRunning", "Handler"]

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[
    [ChatRequest], "AnswerToSend | StreamingAnswer | Awaitable[AnswerToSend | StreamingAnswer]"
]
"""Makes the answer to a request, or a response with it, as a route's function does."""
FindRunning: TypeAlias = Callable[[str], Awaitable[StreamingAnswer | None]]
"""Returns the running answer of the chat with this id, or None, as `usechat.http.resume.find_running` does."""


class Caller(NamedTuple):
    """The functions for the requests of one user."""

    handler: Handler
    find_running: FindRunning | None = None


Authorize: TypeAlias = Callable[[Mapping[str, str]], "str | Caller | Awaitable[str | Caller | None] | None"]
"""Gets a request's headers, names in lower case. Refuses the request by returning a text or raising `RequestError`; may
return a `Caller` with the functions for this request."""

OLDEST_MAJOR = 7
OLDEST_RELEASE = "7.0.135"
"""The first release with this transport. Every client here reads what this release reads."""
INVALID_DATA = 1007
POLICY_VIOLATION = 1008
TOO_LARGE = 1009
MAX_REQUESTS = 16
"""Answers at once on one connection."""

FIRST_FRAME_BYTES = 256 * 1024
"""The largest frame before the client has shown a key: the text of a long chat."""
KEY_SECONDS = 30.0
"""Seconds that a connection may stay open without a key."""
MAX_UNKNOWN = 256
"""Connections at once, in this process, that have not shown a key."""
WIDEN = "usechat.frames"
"""The ASGI extension of a server that takes frames of full size only once it is told to."""
PROTOCOL = "usechat"
KEY_PROTOCOL = "bearer."
"""Begins the subprotocol that carries a key: the only part of a handshake that a browser's page can fill."""

STREAM_HEADER = "x-vercel-ai-ui-message-stream"
"""The header of every answer whose bytes hold chunks that this transport can send."""


class RefusedConnectionError(Exception):
    """Raised to end the connection. Its argument is the close code."""


class ChatSocket:
    """Serve one connection.

    A client shows its key in the handshake (the header ``Authorization: Bearer KEY``, or the subprotocols ``usechat``
    and ``bearer.KEY``) or in the headers of its frames. Before that, frames may be at most 256 KB (close code 1009),
    and the connection lasts at most 30 seconds (1008).

    Args:
        websocket: The connection, not accepted yet.
        handler: Makes an answer; None if ``authorize`` returns a `Caller` for each request.
        sdk: The clients' version, which goes before the one in their frames. None: the version in the frames, or
            7.0.135, the first with this transport.
        find_running: Finds the answer for a client that resumes. Without it nothing can be resumed.
        authorize: Decides whether a request is answered. A browser can send no headers with the handshake, so the
            transport puts them into its frames.
        limits: How many messages, parts of one message, and values a request may hold.
        options: Further options of `usechat.http.new_run.respond`, for a handler that returns an answer:
            ``message_id`` and the fields of `EncoderOptions`.

    Raises:
        ConfigurationError: ``sdk`` is a version without this transport.
    """

    def __init__(
        self,
        websocket: WebSocket,
        handler: Handler | None = None,
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
        self.named = {} if sdk is None else {SDK_HEADER: str(sdk)}
        self.caller = None if handler is None else Caller(handler, find_running)
        self.authorize = authorize
        self.limits = limits
        self.options = options
        self.handshake = handshake_key(websocket)
        self.is_known = False
        self.requests: dict[str, asyncio.Task[None]] = {}
        self.readings: dict[str, StreamingAnswer] = {}
        """The responses that are being sent, by request id."""

    async def serve(self) -> None:
        """Accept the connection and answer until the client leaves."""
        self.is_known = not isinstance(await self._admission(self.handshake), str)
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
                # Only the work for large frames is done in threads.
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
        """Return the next message. Before the client is known, return only one that carries a valid key."""
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
        """Return whether to process the message: its sender has a key, or has left."""
        if message["type"] == "websocket.disconnect":
            return True
        text: str = message.get("text") or ""
        if len(text) > FIRST_FRAME_BYTES:
            raise RefusedConnectionError(TOO_LARGE)
        try:
            head = decode_head(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise InvalidFrameError from None
        admission = await self._admission({**self.handshake, **read_headers({"headers": head.headers})})
        if isinstance(admission, str):
            await self._refuse(head.request_id, admission)
            return False
        self.is_known = True
        UNKNOWN.discard(self)
        self._widen()
        return True

    async def _admission(self, headers: Mapping[str, str]) -> Caller | str:
        """Return the functions for a request with these headers, or the reason to refuse it."""
        try:
            decided = self.authorize(Headers(headers))
            admitted = await decided if inspect.isawaitable(decided) else decided
            admitted = self.caller if admitted is None else admitted
            assert admitted is not None, "authorize must return a Caller where there is no handler"
            return admitted
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
            # Nothing is sent: the client would take a refusal with this id for the end of the first request.
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
        caller = await self._admission(headers)
        if isinstance(caller, str):
            raise RequestError(caller, status=401)
        if negotiate(None, headers).major < OLDEST_MAJOR:
            raise RequestError("The WebSocket transport needs AI SDK 7.")
        reading = await (self._find(caller, frame) if frame["type"] == "resume" else self._make(caller, frame))
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

    async def _find(self, caller: Caller, frame: Mapping[str, Any]) -> StreamingAnswer | None:
        chat_id = read_chat_id(frame)
        return None if caller.find_running is None else await caller.find_running(chat_id)

    async def _make(self, caller: Caller, frame: Mapping[str, Any]) -> StreamingAnswer:
        chat = await work_apart(partial(read_request, frame, self.limits))
        made = caller.handler(chat)
        answer = await made if inspect.isawaitable(made) else made
        return answer if isinstance(answer, StreamingAnswer) else respond(answer, chat, **self.options)

    async def _send_chunks(self, request_id: str, run: RunReader) -> None:
        chunks = ChunkFrames(request_id)
        async with aclosing(run.read()) as entries:
            await self._send({"type": "start", "requestId": request_id})
            pieces: list[bytes] = []
            async for entry in entries:
                pieces.append(entry.data)
                if not entry.is_cut:
                    for frame in chunks.encode(b"".join(pieces)):
                        await self._send_text(frame)
                    pieces.clear()
        await self._send({"type": "end", "requestId": request_id})

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
"""The connections of this process that have not shown a key."""


def handshake_key(websocket: WebSocket) -> dict[str, str]:
    """Return the handshake's key as a header, if it has one."""
    if (given := Headers(raw=list(websocket.scope.get("headers", ()))).get("authorization")) is not None:
        return {"authorization": given}
    offered: list[str] = websocket.scope.get("subprotocols", [])
    keys = [name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)]
    return {"authorization": f"Bearer {keys[0]}"} if keys else {}
