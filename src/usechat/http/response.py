"""The response to a chat request: it reads a run and sends what it reads.

Every answer is a run. Whether it can be read again, who else reads it and what becomes of it when this reader leaves is
the run's affair; see `usechat.http.new_run` and `usechat.http.resume`.
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

from usechat.errors import AnswerFailedError
from usechat.http.refusals import REFUSALS, refusal_response
from usechat.http.sender import Sender, defer_body
from usechat.protocol.sse import DONE
from usechat.runs.cursor import Cursor
from usechat.runs.log import Entry
from usechat.runs.reader import STOPPED, RunReader

__all__ = ["HEARTBEAT_SECONDS", "RunHead", "RunSource", "StreamingAnswer"]

HEARTBEAT_SECONDS: Final = 15.0
"""Proxies cut a stream that is silent for 30 s and more; this stays well below."""


class RunHead(msgspec.Struct, frozen=True):
    """What a response needs to know of a run beside its frames."""

    headers: Mapping[str, str]
    """Of the response; names in lower case."""
    heartbeat: bytes | None = None
    """A frame that clients ignore, to send in a silence; None where the format has none."""
    breaks_on_error: bool = False
    """Whether the client is told by the status, or by a connection that breaks, when the run fails."""
    gives_cursors: bool = False
    """Whether each piece is followed by an id that the client can come back with."""


class RunSource(Protocol):
    """Where a response gets its run from: one that begins with it, or one that was begun before."""

    async def prepare(self, request: Headers) -> RunHead:
        """Fit the run to the client. Nothing is begun yet.

        Args:
            request: The headers of the request.

        Raises:
            RequestError: The request cannot be answered.
        """
        ...

    async def begin(self, headers: Mapping[str, str]) -> RunReader:
        """Return the reader of the run, which is being made by then.

        Args:
            headers: Of the response, as they are sent.

        Raises:
            RequestError: The request cannot be answered.
            RunError: The run cannot be begun, or the log cannot be reached.
            ChatError: The same for a saved chat.
        """
        ...

    def abort(self, reason: str) -> None:
        """Have a run that is being begun end at once."""
        ...


class StreamingAnswer(Response):
    """An answer on its way to one reader: a run, read from a cursor to its end.

    Made by `Answer.response` and `usechat.http.resume.replay`.

    Args:
        source: The run.
        headers: Beside the format's own; None as a value takes one of those away.
        heartbeat: Seconds of silence after which a frame is sent that clients ignore; None for no such frame.
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
        self.run: RunReader | None = None
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.body = b""
        # Filled by whoever sets a header or a cookie on the response.
        self.raw_headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the run; leave it when the reader leaves."""
        try:
            head = await self.source.prepare(Headers(scope=scope))
            headers = self.all_headers(head)
            start = {"type": "http.response.start", "status": self.status_code, "headers": headers}
            if scope["method"] == "HEAD":
                await send(start)
                await send({"type": "http.response.body", "body": b""})
                return
            run = await self.open(headers)
        except REFUSALS as error:
            await refusal_response(error)(scope, receive, send)
            return
        if head.breaks_on_error:
            # The status waits for the first piece, because it tells of a failure before that.
            sender = Sender(receive, send, start, head.heartbeat, self.heartbeat_seconds)
            try:
                await self._send_run(run, head, sender)
            except AnswerFailedError as error:
                if sender.has_begun:
                    # Only a connection that breaks tells the client now: the server closes it for what is raised here.
                    raise
                await JSONResponse({"detail": str(error)}, status_code=500)(scope, receive, send)
            return
        try:
            await send(start)
        except BaseException:
            await self._leave(run)
            raise
        del start, headers
        send_body = partial(self._send_body, run, head)
        if not defer_body(scope, send_body):
            await send_body(receive, send)

    async def _send_body(self, run: RunReader, head: RunHead, receive: Receive, send: Send) -> None:
        await self._send_run(run, head, Sender(receive, send, None, head.heartbeat, self.heartbeat_seconds))

    async def _send_run(self, run: RunReader, head: RunHead, sender: Sender) -> None:
        try:
            await sender.send_all(run.read(), partial(add_place, run.run_id) if head.gives_cursors else None)
        finally:
            await self._leave(run)

    async def _leave(self, run: RunReader) -> None:
        # Told even when the reader left before the first byte.
        await run.leave()
        if self.background is not None:
            await self.background()

    async def open(self, headers: list[tuple[bytes, bytes]]) -> RunReader:
        """Begin the run, if need be. Call it once, after `RunSource.prepare`.

        Args:
            headers: Those that `all_headers` gives.

        Raises:
            RequestError: The request cannot be answered.
            RunError: The run cannot be begun, or the log cannot be reached.
            ChatError: The same for a saved chat.
        """
        self.run = run = await self.source.begin(decode_headers(tuple(headers)))
        return run

    async def stop(self) -> None:
        """Have the run end, as the user wants it.

        Raises:
            RunError: The log cannot be reached.
        """
        if self.run is None:
            self.source.abort(STOPPED)
        else:
            await self.run.stop(STOPPED)

    def all_headers(self, head: RunHead) -> list[tuple[bytes, bytes]]:
        """Return the run's headers, what was asked for beside them, and what the route has set."""
        merged = {**head.headers, **{name.lower(): value for name, value in self.extra_headers.items()}}
        own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in merged.items() if value is not None]
        if not self.raw_headers:
            return own
        named = {name.lower() for name, _ in self.raw_headers}
        return [*((name, value) for name, value in own if name not in named), *self.raw_headers]


@lru_cache(maxsize=16)
def decode_headers(headers: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
    """Return the headers as a run's log has them: one mapping for all runs that have the same."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def add_place(run_id: str, entry: Entry) -> bytes:
    """Return an entry's frames and the id of the place after them."""
    # Who has the terminator has all, though the log may not know yet that the run has ended, and may lose the last of
    # it with the process that made it. An id without data is no event to a client, but the last one it remembers.
    is_end = entry.is_end or entry.data.endswith(DONE)
    return entry.data + f"id: {Cursor(run_id=run_id, after=entry.cursor, is_end=is_end)}\n\n".encode()
