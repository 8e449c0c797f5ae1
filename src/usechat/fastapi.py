"""The HTTP edge: the request as a FastAPI dependency, the answer as a Starlette response.

All that a route needs: annotate a parameter with `ChatRequest`, return ``stream_text(…).response(chat)``. How the bytes
get to the reader is `usechat.sender`'s job. Knows no chunk and no provider.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar

from fastapi import Depends, HTTPException, Request
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from usechat.apart import mark_large, work_apart
from usechat.errors import RequestError, StreamProtocolError
from usechat.generate.answer import Answer
from usechat.generate.failures import log_failure
from usechat.ids import generate_id
from usechat.messages import ui
from usechat.messages.limits import DEFAULT_LIMITS, LARGE_BYTES, BodyLimits
from usechat.negotiation import negotiate
from usechat.parts import Part
from usechat.protocol.dialects import AUTO, Dialect
from usechat.protocol.encoders import Encoder, EncoderOptions, WireFormat, encode_for
from usechat.protocol.shaping import ChunkShaper, Shaped
from usechat.runs.pipe import Pipe
from usechat.sender import Sender, is_left

__all__ = [
    "STOPPED",
    "BodyLimits",
    "ChatRequest",
    "CompletionRequest",
    "StreamingAnswer",
    "chat_request",
    "completion_request",
    "error_response",
    "parse_apart",
    "read_body",
]

logger = logging.getLogger(__name__)

BodyT = TypeVar("BodyT")
Parse: TypeAlias = Callable[[bytes, BodyLimits], BodyT]

MAX_BODY_BYTES = 20 * 2**20
"""The largest request body by default: a chat carries its attachments with each turn."""
HEARTBEAT_SECONDS = 15.0
"""Proxies cut a stream that is silent for 30 s and more; this stays well below."""
USUAL_OPTIONS = EncoderOptions()
STOPPED = "stopped"
"""The reason of an abort that the user asked for."""


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The request's body.

    Raises:
        RequestError: 413 when it is larger than ``max_bytes``, of which no more is ever held; 400 when the client
            went away before its end.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large(max_bytes)
    # No list of pieces: small ones would take many times their size.
    body = bytearray()
    try:
        async for piece in request.stream():
            if len(body) + len(piece) > max_bytes:
                raise too_large(max_bytes)
            body += piece
    except ClientDisconnect:
        raise RequestError("The body is incomplete.") from None
    return bytes(body)


def too_large(max_bytes: int) -> RequestError:
    return RequestError(f"The body is larger than {max_bytes} bytes.", status=413)


async def parse_apart(parse: Parse[BodyT], body: bytes, limits: BodyLimits) -> BodyT:
    """Return what ``parse`` makes of a body; of a large one it is made in a thread, so that nobody waits for it.

    What is done for a large request later, to plan it or to ask the model, is done in a thread, too.

    Raises:
        RequestError: The body is refused.
    """
    if len(body) >= LARGE_BYTES:
        mark_large()
    return await work_apart(partial(parse, body, limits))


def chat_request(
    max_body_bytes: int = MAX_BODY_BYTES, *, limits: BodyLimits = DEFAULT_LIMITS
) -> Callable[[Request], Any]:
    """Make a dependency that reads a ``useChat`` body of any AI SDK major.

    Args:
        max_body_bytes: The largest body that is read; a larger one gets 413.
        limits: How many messages, parts of one message, and values it may hold; one with more gets 413.
    """
    return body_reader(ui.parse_chat_request, max_body_bytes, limits)


def completion_request(
    max_body_bytes: int = MAX_BODY_BYTES, *, limits: BodyLimits = DEFAULT_LIMITS
) -> Callable[[Request], Any]:
    """Make a dependency that reads a ``useCompletion`` body of any AI SDK major.

    Args:
        max_body_bytes: The largest body that is read; a larger one gets 413.
        limits: How many values it may hold; one with more gets 413.
    """
    return body_reader(ui.parse_completion_request, max_body_bytes, limits)


def body_reader(
    parse: Parse[BodyT], max_body_bytes: int, limits: BodyLimits
) -> Callable[[Request], Coroutine[Any, Any, BodyT]]:
    """Make a dependency that reads a body of any kind."""

    async def read(request: Request) -> BodyT:
        try:
            return await parse_apart(parse, await read_body(request, max_body_bytes), limits)
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
        sdk: The client's AI SDK version: a release (``6.0.100``), or a major or minor (``7``, ``3.4``) for what every
            release of it accepts; ``auto`` or None to tell it from the request.
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
        self.continued = continued_message(self.chat)
        known: dict[str, Any] = known_ids(self.continued)
        self.encoder_options = EncoderOptions(**options, **known) if options or known else USUAL_OPTIONS
        self.dialect: Dialect = AUTO
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.body = b""
        # Filled by whoever sets a header or a cookie on the response.
        self.raw_headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; stops making it when the reader leaves."""
        try:
            await self.answer.prepare_apart()
            encoder = self.prepare(Headers(scope=scope))
        except RequestError as error:
            await error_response(error)(scope, receive, send)
            return
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.all_headers(encoder)}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await send(start)
        except BaseException:
            await self._end()
            raise
        del start
        if not is_left(scope, partial(self._send_body, encoder)):
            await self._send_body(encoder, receive, send)

    async def _send_body(self, encoder: Encoder, receive: Receive, send: Send) -> None:
        try:
            data = self._start(encoder)
            await Sender(receive, send, self.heartbeat_seconds).send_all(data, encoder.heartbeat)
        finally:
            await self._end()

    def _start(self, encoder: Encoder) -> AsyncGenerator[bytes]:
        pipe = Pipe()
        self.answer.start(Frames(self.answer, encoder, pipe))
        return pipe.read()

    async def _end(self) -> None:
        # Told even when the reader left before the first byte.
        await self.answer.aclose()
        if self.background is not None:
            await self.background()

    def prepare(self, headers: Headers) -> Encoder:
        """Fit the answer to the reader; return the encoder that it gets its frames from.

        Raises:
            RequestError: The request cannot be answered.
        """
        self.dialect = negotiate(self.chat, headers, self.sdk)
        message_id = self.choose_message_id(self.continued)
        self.answer.bind(
            self.dialect,
            self.encoder_options,
            message=self.continued,
            message_id=message_id,
            wire_format=self.wire_format,
        )
        self.answer.prepare()
        self.chat = None
        return encode_for(self.wire_format, self.dialect, self.answer.shaper)

    async def open(self, headers: Headers) -> AsyncGenerator[bytes]:
        """The answer's bytes, for a reader that is not reached by HTTP; it says when it stops or leaves.

        Args:
            headers: As it would have sent them with an HTTP request.

        Raises:
            RequestError: The request cannot be answered.
        """
        await self.answer.prepare_apart()
        return self._start(self.prepare(headers))

    async def stop(self) -> None:
        """Such a reader wants no more of the answer to be made."""
        self.answer.abort(STOPPED)

    async def leave(self) -> None:
        """Such a reader has gone, or has it all: the answer ends, and that is told."""
        await self.answer.aclose()

    def choose_message_id(self, continued: Mapping[str, Any] | None) -> str | None:
        """The id to announce. A continuation must not get a new one: the client would show a second message."""
        if self.message_id is None or self.message_id is False:
            return None
        if continued is not None:
            return continued.get("id")
        if self.message_id is True:
            return generate_id("msg", 16)
        return self.message_id() if callable(self.message_id) else self.message_id

    def all_headers(self, encoder: Encoder) -> list[tuple[bytes, bytes]]:
        """The format's headers, what was asked for beside them, and what the route has set."""
        merged = {**encoder.headers, **{name.lower(): value for name, value in self.extra_headers.items()}}
        own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in merged.items() if value is not None]
        if not self.raw_headers:
            return own
        named = {name.lower() for name, _ in self.raw_headers}
        return [*((name, value) for name, value in own if name not in named), *self.raw_headers]


class FrameLog(Protocol):
    """Where an answer's frames go: a run's log, or a pipe to its only reader."""

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that the answer has to wait."""
        ...

    def append(self, data: bytes) -> None:
        """Add frames."""
        ...

    async def room(self) -> None:
        """Wait while it is full."""
        ...

    def end(self, error: Exception | None = None) -> None:
        """Take note that nothing more comes.

        Args:
            error: What the reader is to raise.
        """
        ...


class Frames:
    """Write an answer as a reader's bytes, with a legal end whatever happens; a `usechat.generate.outputs.Output`.

    Args:
        answer: What is written.
        encoder: Of the answer's shaper.
        log: Where the frames go.
    """

    __slots__ = ("answer", "encoder", "is_broken", "log")

    def __init__(self, answer: Answer, encoder: Encoder, log: FrameLog) -> None:
        self.answer = answer
        self.encoder = encoder
        self.log = log
        self.is_broken = False
        """Whether the encoder has failed in the middle of its work, and may not know what was sent."""

    def begin(self) -> None:
        """Write the opening, even when it is empty: a middleware may hold the headers back until the first bytes."""
        self.log.append(self.encoder.opening)

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that the answer has to wait."""
        return self.log.is_full

    async def room(self) -> None:
        """Wait while it is full."""
        await self.log.room()

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Write the frames of some parts."""
        try:
            data = self.encoder.encode(shaped)
        except Exception:
            self.is_broken = True
            raise
        if data:
            self.log.append(data)

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Write the last frames."""
        if isinstance(failure, StreamProtocolError):
            # In strict mode, which is for tests.
            self.log.end(failure)
            return
        if failure is not None:
            log_failure(logger, "the answer could not be sent", failure)
        try:
            if data := self._last_frames(parts, shaped):
                self.log.append(data)
        finally:
            self.log.end()

    def _last_frames(self, parts: list[Part], shaped: Sequence[Shaped]) -> bytes:
        if not self.is_broken:
            try:
                return self.encoder.encode(shaped) + self.encoder.terminator()
            except Exception as error:
                logger.exception("the answer's end could not be sent")
                parts = [*parts, self.answer.error_part(error)]
        # Of what was being encoded nothing was sent: the end is a stream of its own, which refers to nothing.
        shaper = self.encoder.shaper
        encoder = self.encoder.again(ChunkShaper(shaper.dialect, shaper.options))
        return encoder.feed_all(parts) + encoder.finish()


def continued_message(chat: ui.ChatRequest | None) -> Mapping[str, Any] | None:
    """The assistant's message that the answer goes on with, when it is the last one."""
    if chat is None or not chat.is_continuation:
        return None
    return chat.messages[-1].to_json()


def known_ids(message: Mapping[str, Any] | None) -> dict[str, frozenset[str]]:
    """The tool calls and approval requests of the continued message: what comes may refer to them."""
    if message is None:
        return {}
    parts: list[Mapping[str, Any]] = list(message.get("parts", ()))
    none: Mapping[str, Any] = {}
    calls = (part.get("toolCallId") for part in parts)
    approvals = ((part.get("approval") or none).get("id") for part in parts)
    return {
        "known_tool_calls": frozenset(call for call in calls if isinstance(call, str)),
        "known_approvals": frozenset(approval for approval in approvals if isinstance(approval, str)),
    }
