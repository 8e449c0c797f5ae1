"""Middleware of every request: its id, headers for browsers, refusals without a key, the last resort.

Plain ASGI throughout: Starlette's ``BaseHTTPMiddleware`` would hide a reader's leaving from the answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from usechat.errors import UsechatError
from usechat.http.sender import DEFERRED_BODIES, SendBody
from usechat.ids import generate_id
from usechat.server.access.asking import Asking, asking
from usechat.server.loopback import is_loopback_host, is_loopback_url

__all__ = ["REQUEST_ID_HEADER", "FailedStarts", "LastResort", "LoopbackOnly", "RequestIds"]

REQUEST_ID_HEADER: Final = "x-request-id"
GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
NOT_FOR_STRANGERS: Final = (
    "Without API keys this server answers only pages and programs on its own machine. "
    "Set USECHAT_API_KEYS, or USECHAT_INSECURE=1 to let everybody in."
)
NOT_FOR_OTHER_ORIGINS: Final = (
    "Without API keys this server answers its own page, and those that reach it through their own origin's proxy. "
    "Name the page's origin in USECHAT_CORS_ORIGINS, or set USECHAT_API_KEYS."
)
ENDING: Final = "This server is ending. Try again."

HARDENING: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of every answer that has none of its own. Only pages need a wider policy."""
FORWARDED_FOR: Final = ("x-forwarded-for", "x-real-ip")
SAME_SITE: Final = ("same-origin", "none")

logger = logging.getLogger(__name__)


class RequestIds:
    """Gives each request an id, or keeps the one a proxy gave it, and tells browsers not to guess content types."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        own = asked if GIVEN_ID.fullmatch(asked) else generate_id("req", 20)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = own
                given = {name for name, _ in message["headers"]}
                message["headers"] += [header for header in HARDENING if header[0] not in given]
            await send(message)

        # Nothing between here and the routes looks at bodies.
        bodies: list[SendBody] = []
        client = scope.get("client")
        token = asking.set(Asking(own, address=client[0] if client else "-"))
        try:
            # A scope of its own: frameworks tie much to it that the rest of an answer does not need.
            await self.app({**scope, DEFERRED_BODIES: bodies}, receive, send_with_id)
            if bodies:
                await bodies.pop()(receive, send)
        finally:
            asking.reset(token)


class LastResort:
    """Turns whatever a route did not catch into a short JSON answer and a line in the log.

    A request that the server cancels because it ends, before its answer has begun, is refused with 503.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            # The server ends, and the request still waits for a database: who comes back may reach another process.
            if is_started or scope["type"] != "http":
                raise
            refusal = JSONResponse({"detail": ENDING}, status_code=503, headers={"retry-after": "1"})
            await refusal(scope, receive, send)
        except Exception:
            # Once the answer has begun, only the server can end it, by closing the connection; it logs the error too.
            if is_started or scope["type"] != "http":
                raise
            logger.exception("the request failed")
            await JSONResponse({"detail": "Internal Server Error"}, status_code=500)(scope, receive, send)


class LoopbackOnly:
    """Lets nobody in from beyond this machine: for a server without keys.

    Listening on loopback is not enough. A page of any site, and of any other port of this machine, can send requests
    there (and, with a name that resolves to 127.0.0.1, read the answers). A proxy on this machine can pass on those of
    strangers: it shows by its own headers, or by the origins of the pages that it serves. One that rewrites the host
    and says nothing of itself passes on what a program without an origin asks for; before such a proxy keys are needed.

    Args:
        app: What is guarded.
        origins: Pages elsewhere that may come in all the same; ``*`` for all.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str] = ()) -> None:
        self.app = app
        self.origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refusal = self.refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await JSONResponse({"detail": refusal}, status_code=403)(scope, receive, send)

    def refusal(self, scope: Scope) -> str | None:
        """Return why a request is refused; None when it is not."""
        headers = Headers(scope=scope)
        host, client = headers.get("host"), scope.get("client")
        is_named_elsewhere = host is not None and not is_loopback_url(f"//{host}")
        if is_named_elsewhere or (client and is_elsewhere(client[0])) or is_from_proxy(headers):
            return NOT_FOR_STRANGERS
        origin = headers.get("origin")
        if origin is None:
            # Browsers name no origin where a page reads from its own, but our page lets them say where it lies.
            is_of_page = headers.get("sec-fetch-site") == "same-origin"
            is_here = is_loopback_url(headers.get("referer", "//localhost"))
            return NOT_FOR_STRANGERS if is_of_page and not is_here else None
        is_named = "*" in self.origins or origin.lower() in self.origins
        return None if is_named or is_own_origin(origin, headers) else NOT_FOR_OTHER_ORIGINS


def is_own_origin(origin: str, headers: Headers) -> bool:
    """Return whether the page that asks is the server's own, on this machine."""
    # It may lie on another port: that of the proxy of its own development server.
    own = {headers.get("host"), headers.get("x-forwarded-host")}
    is_own = headers.get("sec-fetch-site") in SAME_SITE or origin.partition("://")[2] in own
    return is_own and is_loopback_url(origin)


def is_from_proxy(headers: Headers) -> bool:
    """Return whether a request has come through a proxy that does not serve this machine alone."""
    hosts = [host.strip() for host in headers.get("x-forwarded-host", "").split(",") if host.strip()]
    return not all(is_loopback_url(f"//{host}") for host in hosts) or any(
        is_elsewhere(address.strip())
        for name in FORWARDED_FOR
        for value in headers.getlist(name)
        for address in value.split(",")
    )


@lru_cache(maxsize=64)
def is_elsewhere(address: str) -> bool:
    """Return whether it is the address of another machine. What is no address (a socket's file, a test) is not."""
    try:
        ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not is_loopback_host(address)


class FailedStarts:
    """Tells a start that the settings or the database prevent in one line, where Starlette sends a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything but the message of a failed start, which waits for its exception."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        failed: list[Message] = []

        async def send_later(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.append(message)
            else:
                await send(message)

        try:
            await self.app(scope, receive, send_later)
        except UsechatError as error:
            if not failed:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        except BaseException:
            for message in failed:
                await send(message)
            raise
