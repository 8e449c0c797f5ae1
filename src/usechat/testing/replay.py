"""A stand-in for the Anthropic Messages API: a real HTTP server on loopback that replays scripted streams.

    with ReplayServer(Reply("text"), Reply(status=529)) as server:
        client = anthropic.Anthropic(base_url=server.url, api_key="none")

The server answers each request with the next reply, and repeats the last reply. It records each request, and the time
at which a client disconnected before the end of a reply. It runs its own event loop in its own thread, so that the code
under test may block, be synchronous, or be cancelled. It implements only the part of HTTP/1.1 that clients of the API
use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self, TypeAlias

import msgspec

from usechat.testing.streams import Framing, frame_event, read_events

__all__ = ["ReplayServer", "ReplayedRequest", "Reply"]

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_BEFORE_RESET_SECONDS = 0.02
_WAIT_SECONDS = 60.0
"""Only a failing test waits so long. On a busy machine, even an immediate action takes seconds."""
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Reply(msgspec.Struct, frozen=True):
    """The reply to one request.

    Give either ``stream`` (a name from `usechat.testing.streams`) or ``events``; for an HTTP error, only ``status``.
    """

    stream: str | None = None
    """The name of a stream that ships with this package."""
    events: Sequence[str | Mapping[str, Any]] | None = None
    """Your own events, as JSON text or as objects that are encoded as JSON."""
    status: int = 200
    """The HTTP status. With any other than 200, the body is an Anthropic error object unless ``body`` is given."""
    body: bytes | None = None
    """The whole body, instead of events."""
    content_type: str | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    framing: Framing = "lf"
    delay: float = 0.0
    """Seconds before each event."""
    split: int | None = None
    """Size of the pieces in bytes; -1 sends everything in one piece. By default each event is one piece."""
    cut_after: int | None = None
    """Reset the connection after this many pieces."""
    end_after: int | None = None
    """End the body in an orderly way after this many events."""
    hold_after: int | None = None
    """Stop sending after this many pieces, until `ReplayedRequest.go_on`. The client or the server may close before."""


Script: TypeAlias = Callable[["ReplayedRequest"], Reply]


class ReplayedRequest:
    """A recorded request, and how its reply ended."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        """The headers, with names in lower case."""
        self.body = body
        self.aborted_at: float | None = None
        """The `time.monotonic` at which the client disconnected before the end of the reply; otherwise ``None``."""
        self.is_complete = False
        """Whether the server sent the whole reply."""
        self._over: Future[None] = Future()
        self._goes_on: Future[None] = Future()

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)

    @property
    def is_aborted(self) -> bool:
        """Whether the client disconnected before the end of the reply."""
        return self.aborted_at is not None

    def wait(self, *, within: float = _WAIT_SECONDS) -> None:
        """Block until the reply has ended or the client has disconnected.

        Args:
            within: Seconds to wait at most.

        Raises:
            TimeoutError: Neither happened in time.
        """
        self._over.result(within)

    async def wait_async(self, *, within: float = _WAIT_SECONDS) -> None:
        """Wait until the reply has ended or the client has disconnected.

        Args:
            within: Seconds to wait at most.

        Raises:
            TimeoutError: Neither happened in time.
        """
        async with asyncio.timeout(within):
            await asyncio.shield(asyncio.wrap_future(self._over))

    def go_on(self) -> None:
        """Send the rest of a reply that is held; see `Reply.hold_after`."""
        self._goes_on.set_result(None)

    async def held(self) -> None:
        """Wait until `go_on`. Only the server calls this."""
        await asyncio.shield(asyncio.wrap_future(self._goes_on))

    def end(self, *, aborted: bool) -> None:
        """Note how the reply ended. Only the server calls this."""
        if self._over.done():
            return
        self.is_complete = not aborted
        self.aborted_at = time.monotonic() if aborted else None
        self._over.set_result(None)


class ReplayServer:
    """A server that sends replies in turn. Use it as a context manager, synchronous or asynchronous.

    Args:
        replies: The replies to the first, second, … request; the last one is repeated. Each is a `Reply`, the name of a
            stream, or a function that takes the request and returns a `Reply`.
        port: The port on 127.0.0.1; 0 for any free port.
        tls: A context with a loaded certificate; the server then uses HTTPS.

    Raises:
        ValueError: There is no reply.
    """

    def __init__(self, *replies: Reply | str | Script, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        if not replies:
            raise ValueError("a replay server needs a reply")
        self._replies = replies
        self._port = port
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replay-server", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._awaited: list[tuple[int, Future[None]]] = []
        self.requests: list[ReplayedRequest] = []
        """All requests so far, in order."""
        self.connection_count = 0
        """Number of connections that clients have opened."""

    @property
    def url(self) -> str:
        """The base URL for clients of the ``anthropic`` package, without ``/v1``."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    async def received(self, count: int = 1, *, within: float = _WAIT_SECONDS) -> ReplayedRequest:
        """Wait until this many requests have arrived, and return the last of them.

        Args:
            count: The number of requests, counted from the start of the server.
            within: Seconds to wait at most.

        Raises:
            TimeoutError: They did not arrive in time.
        """
        arrival: Future[None] = Future()
        with self._lock:
            self._awaited.append((count, arrival))
            self._wake_waiters()
        async with asyncio.timeout(within):
            await asyncio.shield(asyncio.wrap_future(arrival))
        return self.requests[count - 1]

    def start(self) -> None:
        """Start listening. Call `close` at the end."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_WAIT_SECONDS)

    def close(self) -> None:
        """Stop listening, reset the open connections, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(_WAIT_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WAIT_SECONDS)
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, ssl=self._tls)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connection_count += 1
        ahead: bytes | None = b""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while ahead is not None:
                    ahead = await self._serve_one(ahead, reader, writer)
        except asyncio.CancelledError:
            # Only `_shut` cancels this task and waits for its end, so the cancellation is not raised further.
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_one(
        self, ahead: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answer one request. Return the first bytes of the next one, or ``None`` once the connection is over."""
        request = await _read_request(ahead, reader)
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
            self._wake_waiters()
        reply = self._reply_to(request, number)
        next_byte = asyncio.ensure_future(reader.read(1))
        sending = asyncio.ensure_future(_send(reply, request, writer))
        try:
            await asyncio.wait({next_byte, sending}, return_when=asyncio.FIRST_COMPLETED)
            is_sent = sending.done() and sending.exception() is None
            request.end(aborted=not is_sent)
            if not is_sent or not sending.result() or "close" in request.headers.get("connection", ""):
                return None
        finally:
            request.end(aborted=True)
            sending.cancel()
            next_byte.cancel()
            ahead_of, _ = await asyncio.gather(next_byte, sending, return_exceptions=True)
        return ahead_of if isinstance(ahead_of, bytes) else b""

    def _wake_waiters(self) -> None:
        come = len(self.requests)
        for _, arrival in (waiter for waiter in self._awaited if waiter[0] <= come):
            arrival.set_result(None)
        self._awaited = [waiter for waiter in self._awaited if waiter[0] > come]

    def _reply_to(self, request: ReplayedRequest, number: int) -> Reply:
        reply = self._replies[min(number, len(self._replies)) - 1]
        if isinstance(reply, str):
            return Reply(reply)
        return reply if isinstance(reply, Reply) else reply(request)


async def _read_request(ahead: bytes, reader: asyncio.StreamReader) -> ReplayedRequest:
    head = (ahead + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, path, _ = line.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return ReplayedRequest(method, path, headers, body)


async def _send(reply: Reply, request: ReplayedRequest, writer: asyncio.StreamWriter) -> bool:
    """Send the reply. Return whether the connection can serve another request."""
    if reply.body is not None or reply.status != 200:
        await _send_whole(reply, writer)
        return True
    writer.write(_head(reply, {"transfer-encoding": "chunked"}, "text/event-stream; charset=utf-8"))
    pieces = _pieces(reply)
    held_at = None if reply.hold_after is None else min(reply.hold_after, len(pieces))
    for number, piece in enumerate(pieces):
        if number == reply.cut_after:
            break
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if number == held_at:
            await request.held()
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    if held_at == len(pieces):
        await request.held()
    if reply.cut_after is not None:
        # A reset discards unread bytes, so the client gets time to read them first.
        await asyncio.sleep(_BEFORE_RESET_SECONDS)
        writer.transport.abort()
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _send_whole(reply: Reply, writer: asyncio.StreamWriter) -> None:
    body = reply.body
    if body is None:
        kind = _ERROR_TYPES.get(reply.status, "api_error")
        error = {"type": "error", "error": {"type": kind, "message": f"scripted {reply.status}"}}
        body = json.dumps(error).encode()
    writer.write(_head(reply, {"content-length": str(len(body))}, "application/json") + body)
    await writer.drain()


def _head(reply: Reply, more: Mapping[str, str], content_type: str) -> bytes:
    headers = {"content-type": reply.content_type or content_type, "request-id": "req_replay", **more, **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Scripted')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _pieces(reply: Reply) -> list[bytes]:
    events = read_events(reply.stream) if reply.stream is not None else list(reply.events or ())
    if reply.end_after is not None:
        events = events[: reply.end_after]
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    framed = [frame_event(text, reply.framing, number=number) for number, text in enumerate(texts)]
    if reply.split is None:
        return framed
    whole = b"".join(framed)
    size = len(whole) if reply.split < 0 else reply.split
    return [whole[start : start + size] for start in range(0, len(whole), size)]
