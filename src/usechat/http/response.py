"""The response to a chat request: it reads a run and sends the frames.

Every answer is a run. The run decides whether it can be read again, and whether it ends when this reader leaves; see
`usechat.http.new_run` and `usechat.http.resume`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Final, Protocol

import msgspec
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from usechat.errors import AnswerFailedError, RunError
from usechat.http.refusals import REFUSALS, refusal_response
from usechat.http.sender import Sender, defer_body
from usechat.http.stream import AnswerStream, RequestHeaders, open_stream
from usechat.protocol.sse import DONE
from usechat.runs.cursor import Cursor
from usechat.runs.log import Entry
from usechat.runs.reader import STOPPED, RunReader

__all__ = ["HEARTBEAT_SECONDS", "RunHead", "RunSource", "StreamingAnswer"]

HEARTBEAT_SECONDS: Final = 15.0
"""Seconds between heartbeats. Proxies cut a stream that is silent for 30 s."""


class RunHead(msgspec.Struct, frozen=True):
    """The properties of a run that a response needs."""

    headers: Mapping[str, str]
    """The response's headers; names in lower case."""
    heartbeat: bytes | None = None
    """A frame that clients ignore, sent in a silence; None when the format has none."""
    breaks_on_error: bool = False
    """Whether a failure is told by the status or a broken connection."""
    gives_cursors: bool = False
    """Whether each piece is followed by an id from which the client can resume."""


class RunSource(Protocol):
    """The source of a response's run: a new run, or one that was begun before.

    Implemented by: `usechat.http.new_run.NewRun`, `usechat.http.resume.KnownRun`.
    """

    async def prepare(self, request: Headers) -> RunHead:
        """Fit the run to the client. Nothing is begun yet.

        Args:
            request: The headers of the request.

        Raises:
            RequestError: The request cannot be answered.
        """
        ...

    async def begin(self, headers: Mapping[str, str]) -> RunReader:
        """Begin the run if it is new, and return a reader of it.

        Args:
            headers: The response's headers, as they are sent.

        Raises:
            RequestError: The request cannot be answered.
            RunError: The run cannot be begun, or the log cannot be reached.
            ChatError: The saved chat cannot be read or written.
        """
        ...

    def abort(self, reason: str) -> None:
        """End a run that is just beginning."""
        ...


class StreamingAnswer(Response):
    """The response that sends a run to one reader, from a cursor to the run's end.

    Made by `Answer.response` and `usechat.http.resume.replay`.

    Args:
        source: The run.
        headers: Further headers. None as a value removes one of the format's own.
        heartbeat: Seconds of silence after which a frame is sent that clients ignore; None for no heartbeat.
    """

    def __init__(
        self,
        source: RunSource,
        *,
        headers: Mapping[str, str | None] | None = None,
        heartbeat: float | None = HEARTBEAT_SECONDS,
    ) -> None:
        self.source = source
        self.extra_headers = headers or {}
        self.heartbeat_seconds = heartbeat
        self.reader: RunReader | None = None
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.body = b""
        # Headers and cookies that a route sets on the response.
        self.raw_headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the run. Leave it when the reader leaves."""
        try:
            head = await self.source.prepare(Headers(scope=scope))
            headers = self.all_headers(head)
            start = {"type": "http.response.start", "status": self.status_code, "headers": headers}
            if scope["method"] == "HEAD":
                await send(start)
                await send({"type": "http.response.body", "body": b""})
                return
            reader = await self.open(headers)
        except REFUSALS as error:
            await refusal_response(error)(scope, receive, send)
            return
        if head.breaks_on_error:
            # The status waits for the first piece, because it tells of a failure before that.
            sender = Sender(receive, send, start, head.heartbeat, self.heartbeat_seconds)
            try:
                await self._send_run(reader, head, sender)
            except AnswerFailedError as error:
                if sender.has_begun:
                    # Only a connection that breaks tells the client now: the server closes it for what is raised here.
                    raise
                await JSONResponse({"detail": str(error)}, status_code=500)(scope, receive, send)
            except RunError as error:
                if sender.has_begun:
                    raise
                # The run was there a moment ago. A client that asks again gets it, or learns that nothing runs.
                await refusal_response(RunError(str(error), code="unavailable"))(scope, receive, send)
            return
        try:
            await send(start)
        except BaseException:
            await self._leave(reader)
            raise
        del start, headers
        send_body = partial(self._send_body, reader, head)
        if not defer_body(scope, send_body):
            await send_body(receive, send)

    async def stream(self, headers: RequestHeaders | None = None) -> AnswerStream:
        """Begin the response; return its status, headers and body, for a framework that is not built on Starlette.

        A request that is refused has its status and a body of JSON, too.

        Args:
            headers: The request's. They tell the client's version.
        """
        return await open_stream(self, headers)

    async def _send_body(self, reader: RunReader, head: RunHead, receive: Receive, send: Send) -> None:
        await self._send_run(reader, head, Sender(receive, send, None, head.heartbeat, self.heartbeat_seconds))

    async def _send_run(self, reader: RunReader, head: RunHead, sender: Sender) -> None:
        try:
            await sender.send_all(reader.read(), partial(add_place, reader.run_id) if head.gives_cursors else None)
        finally:
            await self._leave(reader)

    async def _leave(self, reader: RunReader) -> None:
        # Called even when the reader left before the first byte.
        await reader.leave()
        if self.background is not None:
            await self.background()

    async def open(self, headers: list[tuple[bytes, bytes]]) -> RunReader:
        """Begin the run if it is new. Call this once, after `RunSource.prepare`.

        Args:
            headers: The result of `all_headers`.

        Raises:
            RequestError: The request cannot be answered.
            RunError: The run cannot be begun, or the log cannot be reached.
            ChatError: The saved chat cannot be read or written.
        """
        self.reader = reader = await self.source.begin(decode_headers(tuple(headers)))
        # It holds the answer with all its text, which ends long before a reader that does not read.
        del self.source
        return reader

    async def stop(self) -> None:
        """Stop the run, as the user asked.

        Raises:
            RunError: The log cannot be reached.
        """
        if self.reader is None:
            self.source.abort(STOPPED)
        else:
            await self.reader.stop(STOPPED)

    def all_headers(self, head: RunHead) -> list[tuple[bytes, bytes]]:
        """Return the headers of the run, of the caller and of the route, merged."""
        merged = {**head.headers, **{name.lower(): value for name, value in self.extra_headers.items()}}
        own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in merged.items() if value is not None]
        if not self.raw_headers:
            return own
        named = {name.lower() for name, _ in self.raw_headers}
        return [*((name, value) for name, value in own if name not in named), *self.raw_headers]


@lru_cache(maxsize=16)
def decode_headers(headers: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
    """Return the headers as a mapping, shared by all runs with equal headers."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def add_place(run_id: str, entry: Entry) -> bytes:
    """Return an entry's frames and the cursor after them as an event id. None stands within a frame."""
    if entry.is_cut:
        return entry.data
    # A reader with the terminator has everything, though the log may not have the end yet and may lose it with its
    # process. Clients remember an id without data, but see no event.
    is_end = entry.is_end or entry.data.endswith(DONE)
    return entry.data + f"id: {Cursor(run_id=run_id, after=entry.cursor, is_end=is_end)}\n\n".encode()
