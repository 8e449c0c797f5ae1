"""Guards every route: checks the key in the head, then bounds the body.

`KeyGate` refuses requests without a key before a byte of their body is read. `BodyGate` counts the bytes of a body as
they come. Both are plain ASGI and stand before all routes, so no new route can forget them, and FastAPI cannot read a
body before it runs the dependency that checks the key.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usechat.http.refusals import refusal_response
from usechat.server.access.asking import asking
from usechat.server.access.limits.bills import Costs
from usechat.server.access.limits.quotas import LimitError
from usechat.server.access.sign_in.keys import CHECKED, KeyGuard

__all__ = ["BodyGate", "KeyGate", "is_api_path"]

GUARDED: Final = ("/api", "/docs", "/openapi.json", "/metrics")
ANSWERING: Final = ("/api/chat", "/api/completion", "/api/ai/chat/stream")
INFO: Final = "/api/info"
"""What a page asks first: a stranger learns there how to sign in."""
MIN_BYTES_PER_SECOND: Final = 4096
"""The slowest body after the first seconds: slower than any connection that people chat over."""
SMALL_BYTES: Final = 64 * 1024
"""The most bytes of an unread body that are left to the server, which keeps the connection."""
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 64 * 2**20
"""The most bytes of a refused body that are read and dropped. A connection that is closed while data arrives is reset,
and the client would see that instead of the answer."""


class KeyGate:
    """Refuse requests below ``/api``, and for what tells of the server, that carry no valid key or are too many.

    A WebSocket passes: its key may be in its frames, where `usechat.http.websocket.ChatSocket` looks for it.
    """

    def __init__(self, app: ASGIApp, guard: KeyGuard, costs: Costs) -> None:
        self.app = app
        self.guard = guard
        self.costs = costs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and is_api_path(scope):
            try:
                await self.guard.check(HTTPConnection(scope))
            except HTTPException as error:
                told: dict[str, Any] = {"detail": error.detail}
                if error.status_code == 401 and scope["path"].endswith(INFO):
                    told["signIn"] = self.guard.describe_sign_in()
                refusal = JSONResponse(told, error.status_code, error.headers)
                await refusal(scope, receive, send)
                return
            try:
                await self.costs.admit(asking.get(), makes_answer=scope["method"] == "POST" and makes_answer(scope))
            except LimitError as error:
                await refusal_response(error)(scope, receive, send)
                return
            scope = {**scope, CHECKED: True}
        await self.app(scope, receive, send)


def makes_answer(scope: Scope) -> bool:
    """Return whether a request is for a route that begins an answer."""
    path: str = scope["path"]
    return path.endswith(ANSWERING)


def is_api_path(scope: Scope) -> bool:
    """Return whether a request is for a route that needs a key: the API, or what tells of the server."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # With a root path, routers look at what follows it; where it is missing, at the whole.
    return any(
        each == guarded or each.startswith(guarded + "/")
        for each in (path, path.removeprefix(root))
        for guarded in GUARDED
    )


class BodyGate:
    """Bound what is read of a request's body, in bytes and in time.

    Args:
        app: What is guarded. It gets an `HTTPException` where it reads a body that is compressed (415), too large
            (413) or too slow (408).
        max_bytes: The largest body.
        seconds: How long a body may take; longer by a second for each 4096 bytes that have come.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and may_have_body(scope):
            body = Body(self, scope, receive, send)
            await self.app(scope, body.receive, body.send)
        else:
            await self.app(scope, receive, send)


def may_have_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    # From HTTP/2 on a body needs no header that announces it.
    is_announced = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return is_announced or scope.get("http_version", "1.1") >= "2"


class Body:
    """The body of one request as it is read."""

    def __init__(self, gate: BodyGate, scope: Scope, receive: Receive, send: Send) -> None:
        self.gate = gate
        self.headers = Headers(scope=scope)
        self.can_close = scope.get("http_version", "1.1") < "2"
        declared = self.headers.get("content-length", "")
        self.declared = int(declared) if declared.isdecimal() else None
        self.next_message = receive
        self.pass_on = send
        self.size = 0
        self.is_over = False
        self.is_late = False
        self.is_left_unread = False
        self.started_at: float | None = None

    async def receive(self) -> Message:
        """Return the next message of the body.

        Raises:
            HTTPException: The body is refused.
        """
        if self.is_over:
            return await self.next_message()
        now = asyncio.get_running_loop().time()
        if self.started_at is None:
            self.check_head()
            self.started_at = now
        deadline = self.started_at + self.gate.seconds + self.size / MIN_BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(min(deadline, now + self.gate.seconds)):
                message = await self.next_message()
        except TimeoutError:
            self.is_late = True
            raise HTTPException(408, "The body came too slowly.") from None
        self.is_over = message["type"] != "http.request" or not message.get("more_body", False)
        self.size += len(message.get("body", b""))
        if self.size > self.gate.max_bytes:
            raise self.too_large()
        return message

    def check_head(self) -> None:
        if self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise HTTPException(415, "The body must not be compressed.")
        if self.declared is not None and self.declared > self.gate.max_bytes:
            raise self.too_large()

    def too_large(self) -> HTTPException:
        return HTTPException(413, f"The body is larger than {self.gate.max_bytes} bytes.")

    async def send(self, message: Message) -> None:
        """Send the response. Close the connection after it when much of the body is unread."""
        if message["type"] == "http.response.start":
            is_small = self.declared is not None and self.declared <= SMALL_BYTES and not self.is_late
            self.is_left_unread = self.can_close and not self.is_over and not is_small
            if self.is_left_unread:
                MutableHeaders(scope=message)["connection"] = "close"
        elif self.is_left_unread and not message.get("more_body", False):
            await self.pass_on({**message, "more_body": True})
            if not self.is_late:
                await self.throw_away()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self.pass_on(message)

    async def throw_away(self) -> None:
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0:
                    message = await self.next_message()
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
                    left -= len(message.get("body", b""))
