"""Answers that outlive their reader: made as runs, and read again by whoever comes back (``useChat`` with ``resume``).

    runs = RunService(MemoryLog())                     # or RedisLog("redis://…"), for several processes

    @app.post("/api/chat")
    async def chat(chat: ChatRequest):
        return stream_text(model, messages=chat.messages).response(chat, runs=runs)

    @app.get("/api/chat/{id}/stream")
    async def resume(id: str, request: Request):
        return await replay(runs, id, request)

Knows how a run's bytes get to a reader; what they are is the encoder's affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, nullcontext
from functools import lru_cache, partial
from typing import Any, Final

import msgspec
from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from usechat.apart import work_apart
from usechat.errors import RequestError, RunError
from usechat.fastapi import HEARTBEAT_SECONDS, STOPPED, Frames, StreamingAnswer, error_response
from usechat.generate.answer import Answer
from usechat.guard import Contained
from usechat.messages import ui
from usechat.protocol.encoders import Encoder
from usechat.protocol.retell import retell
from usechat.protocol.sse import DONE, KEEP_ALIVE
from usechat.runs.base import Entry, RunInfo
from usechat.runs.cursor import Cursor
from usechat.runs.service import Make, RunHandle, RunService
from usechat.sender import Sender, is_left

__all__ = ["ReplayResponse", "ResumableAnswer", "find_running", "replay", "run_error_response"]

DATA_STREAM_HEADER: Final = "x-vercel-ai-data-stream"
NOTHING_FOR_V4: Final = {"content-type": "text/plain; charset=utf-8", DATA_STREAM_HEADER: "v1"}


def run_error_response(error: RunError) -> JSONResponse:
    """A refusal by the log of runs, as the client can show it."""
    status = {"missing": 404, "exists": 409}.get(error.code, 503)
    headers = {"retry-after": "1"} if status == 503 else None
    return JSONResponse({"detail": str(error)}, status_code=status, headers=headers)


class ResumableAnswer(StreamingAnswer):
    """The first reader of a run. Its leaving is not the run's end, unless the service's policy says so.

    Args:
        answer: Not begun.
        chat: The request it answers.
        runs: What makes the run.
        chat_id: The chat that it answers in; the request's own without it.
        options: As for `StreamingAnswer`.
    """

    def __init__(
        self,
        answer: Answer,
        chat: ui.ChatRequest | ui.CompletionRequest | None = None,
        *,
        runs: RunService,
        chat_id: str | None = None,
        **options: Any,
    ) -> None:
        # A reader that comes back holds the message already: with an id it is known to be the same one.
        options.setdefault("message_id", True)
        super().__init__(answer, chat, **options)
        self.runs = runs
        self.preamble = b""
        """What a reader that comes later has to read first: the message so far, when the answer goes on with one."""
        self.handle: RunHandle | None = None
        self.chat_id = chat_id or (self.chat.id if self.chat is not None else None) or ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin the run and read it to its end, or until the reader leaves."""
        try:
            encoder, handle = await self.begin(Headers(scope=scope))
        except RequestError as error:
            await error_response(error)(scope, receive, send)
            return
        except RunError as error:
            await run_error_response(error)(scope, receive, send)
            return
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.all_headers(encoder)}
        await send(start)
        body = RunBody(
            runs=self.runs,
            run_id=handle.info.id,
            after=self.after,
            heartbeat=encoder.heartbeat,
            heartbeat_seconds=self.heartbeat_seconds,
        )
        if not is_left(scope, body):
            await body(receive, send)

    @property
    def after(self) -> int:
        """Where its first reader begins to read the run."""
        return 1 if self.preamble else 0

    async def begin(self, headers: Headers) -> tuple[Encoder, RunHandle]:
        """Have the run made for a reader that sent these headers.

        Raises:
            RequestError: The request cannot be answered.
            RunError: Another answer to the chat is in the making, or the log cannot be reached.
        """
        await self.answer.prepare_apart()
        encoder = self.prepare(headers)
        if self.continued is not None:
            self.preamble = await work_apart(partial(retell, self.continued, self.dialect, self.wire_format))
        stored = decode_headers(tuple(self.all_headers(encoder)))
        beginning = asyncio.create_task(self._begin_run(partial(self._make, encoder), stored))
        try:
            handle = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # The reader has gone. A run that is begun by half would leave its chat busy.
            await asyncio.wait({beginning})
            raise
        self.handle = handle
        return encoder, handle

    async def _begin_run(self, make: Make, headers: Mapping[str, str]) -> RunHandle:
        # A store and a log may be the application's.
        with Contained():
            return await self.begin_run(make, headers)

    async def _make(self, encoder: Encoder, handle: RunHandle) -> None:
        await self.answer.drive(Frames(self.answer, encoder, handle))

    async def open(self, headers: Headers) -> AsyncGenerator[bytes]:
        """Begin the run, for a reader that is not reached by HTTP.

        Raises:
            RequestError: The request cannot be answered.
            RunError: As for `begin`; also while it is read: the log went away.
        """
        _, handle = await self.begin(headers)
        return read_run(self.runs, handle.info.id, self.after)

    async def stop(self) -> None:
        """Such a reader wants no more of the answer to be made."""
        stop = self.answer.abort if self.handle is None else self.handle.stop
        stop(STOPPED)

    async def leave(self) -> None:
        """Nothing: that the run lost a reader is known already, and it ends when its policy says so."""

    async def begin_run(self, make: Make, headers: Mapping[str, str]) -> RunHandle:
        """Have the run made.

        Raises:
            RequestError: The answer cannot be begun.
            RunError: Another answer to the chat is in the making, or the log cannot be reached.
        """
        if not self.chat_id:
            raise RequestError("is missing", path="id")
        return await self.runs.start(
            self.chat_id,
            make,
            abort=self.answer.abort,
            headers=headers,
            preamble=self.preamble,
        )


class ReplayResponse(Response):
    """A reader that comes later: the run from its beginning or from a cursor, to its end.

    Args:
        runs: Where it is read.
        info: The run.
        cursor: Where to go on from; None to read from the beginning. With one, an id follows each piece, for a reader
            that will come back with it.
        heartbeat: Seconds of silence that are broken; None for any silence.
    """

    def __init__(
        self,
        runs: RunService,
        info: RunInfo,
        *,
        cursor: Cursor | None = None,
        heartbeat: float | None = HEARTBEAT_SECONDS,
    ) -> None:
        super().__init__()
        self.runs = runs
        self.info = info
        self.after = 0 if cursor is None else cursor.after
        self.gives_cursors = cursor is not None and is_event_stream(info)
        self.heartbeat_seconds = heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the run."""
        headers = [(name.encode(), value.encode()) for name, value in self.info.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        is_data_stream = DATA_STREAM_HEADER in self.info.headers
        heartbeat = KEEP_ALIVE if is_event_stream(self.info) else b"\n" if is_data_stream else None
        body = RunBody(
            runs=self.runs,
            run_id=self.info.id,
            after=self.after,
            heartbeat=heartbeat,
            heartbeat_seconds=self.heartbeat_seconds,
            gives_cursors=self.gives_cursors,
        )
        if not is_left(scope, body):
            await body(receive, send)

    async def open(self, headers: Headers) -> AsyncGenerator[bytes]:
        """The run's bytes, for a reader that is not reached by HTTP.

        Raises:
            RunError: While it is read: the log went away.
        """
        return read_run(self.runs, self.info.id, self.after)

    async def stop(self) -> None:
        """Such a reader wants no more of the answer to be made.

        Raises:
            RunError: The log cannot be reached.
        """
        await self.runs.stop_run(self.info.id, STOPPED)

    async def leave(self) -> None:
        """Nothing: that the run lost a reader is known already."""


async def find_running(runs: RunService, chat_id: str) -> ReplayResponse | None:
    """The chat's running answer, from its beginning; None when nothing runs.

    Raises:
        RunError: The log cannot be reached.
    """
    info = await runs.resume(chat_id)
    return None if info is None else ReplayResponse(runs, info)


async def replay(
    runs: RunService,
    chat_id: str,
    request: Request,
    *,
    is_v4: bool = False,
    heartbeat: float | None = HEARTBEAT_SECONDS,
) -> Response:
    """The response to a client that asks for its chat's stream; one without content when nothing runs.

    Args:
        runs: What made the run.
        chat_id: The chat.
        request: ``?cursor=`` or ``Last-Event-ID`` say where the reader was.
        is_v4: Whether it is AI SDK 4 that asks, whose client cannot read a 204.
        heartbeat: Seconds of silence that are broken.

    Raises:
        HTTPException: 400: the cursor is none.
        RunError: The log cannot be reached.
    """
    cursor = read_cursor(request)
    info = await runs.resume(chat_id, cursor)
    if info is not None:
        return ReplayResponse(runs, info, cursor=cursor, heartbeat=heartbeat)
    return Response(headers=NOTHING_FOR_V4) if is_v4 else Response(status_code=204)


@lru_cache(maxsize=16)
def decode_headers(headers: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
    """The headers as a run's log has them: one mapping for all runs that have the same."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def is_event_stream(info: RunInfo) -> bool:
    return info.headers.get("content-type", "").startswith("text/event-stream")


def read_cursor(request: Request) -> Cursor | None:
    """Where a reader was, as it says; None for one that reads from the beginning."""
    given = request.query_params.get("cursor") or request.headers.get("last-event-id")
    if given is None:
        return None
    try:
        return Cursor.parse(given)
    except ValueError:
        raise HTTPException(400, "cursor: must be the id of an event, or 0") from None


async def read_run(runs: RunService, run_id: str, after: int) -> AsyncGenerator[bytes]:
    """A run's bytes.

    Raises:
        RunError: The log went away.
    """
    async with aclosing(runs.read(run_id, after)) as entries:
        async for entry in entries:
            yield entry.data


class RunBody(msgspec.Struct, kw_only=True):
    """A run's bytes for one reader, as they come; `usechat.sender.SendBody`."""

    runs: RunService
    run_id: str
    after: int
    heartbeat: bytes | None
    heartbeat_seconds: float | None
    gives_cursors: bool = False

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Send it to its end, or until the reader leaves."""
        sender = Sender(receive, send, self.heartbeat_seconds)
        data = read_data(self.runs, self.run_id, self.after, with_cursors=self.gives_cursors)
        with self.runs.coming_back(self.run_id) if self.gives_cursors else nullcontext():
            await sender.send_all(data, self.heartbeat)


async def read_data(
    runs: RunService, run_id: str, after: int = 0, *, with_cursors: bool = False
) -> AsyncGenerator[bytes]:
    """Yield a run's bytes, as an HTTP response has them."""
    # Not by `RunService.read`, which would be one more generator for as long as the answer is open.
    handle = runs.reader_comes(run_id)
    try:
        async with aclosing(runs.log.read(run_id, after)) as entries:
            async for entry in entries:
                yield entry.data + encode_place(run_id, entry) if with_cursors else entry.data
    except RunError:
        # The log went away: the connection is cut rather than ended, so that a client comes back that can.
        raise asyncio.CancelledError from None
    finally:
        runs.reader_leaves(handle)


def encode_place(run_id: str, entry: Entry) -> bytes:
    # Who has the terminator has all, though the log may not know yet that the run has ended, and may lose the last of
    # it with the process that made it. An id without data is no event to a client, but the last one it remembers.
    is_end = entry.is_end or entry.data.endswith(DONE)
    return f"id: {Cursor(run_id=run_id, after=entry.cursor, is_end=is_end)}\n\n".encode()
