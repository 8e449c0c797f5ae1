"""The ``anthropic`` package's client, which has the package do once what is the same for many requests.

Reading options, merging headers and passing a request through its layers take the package longer than sending a long
conversation. All of it is still the package's: the first request of each kind is built and sent by it, with its key,
its base URL and its headers. A later one that differs in its body alone gets the same head, and its first try goes to
the transport at once; whatever comes of that try other than a stream of events is handed to the package as if it had
sent it, so that retries, redirects and errors stay its own. Imported with the package, when the first request is made.

Facts from ``anthropic`` 2.12 (``_base_client.py``: `_build_request`, which its clients for other clouds override too).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import anthropic
import httpx2
import msgspec
from anthropic import AsyncStream
from anthropic._models import FinalRequestOptions

from usechat.models.anthropic_transport import TRY, Exchange, RequestHead, ResponseBody, StreamingTransport

if TYPE_CHECKING:
    from anthropic import RequestOptions

__all__ = ["AsyncAnthropic"]

_MAX_HEADS = 64
"""How many are remembered; headers with an id of each request's own would fill the memory."""
_PATH: Final = "/v1/messages"
_EVENTS: Final = b"text/event-stream"
_NO_TIMEOUT: Final = str(FinalRequestOptions.construct(method="post", url=_PATH).timeout)
_LISTENERS: Final = ((logging.getLogger("anthropic"), logging.DEBUG), (logging.getLogger("httpx2"), logging.INFO))
"""Where the package and its transport tell of each request, and on which level."""

_Kind: TypeAlias = tuple[Any, ...]


class _Head(msgspec.Struct):
    """A request without its body."""

    method: str
    url: httpx2.URL
    headers: httpx2.Headers
    extensions: Mapping[str, Any]
    _on_wire: RequestHead | None = None

    def request(self, content: bytes) -> httpx2.Request:
        """The request with a body."""
        return httpx2.Request(
            self.method, self.url, headers=self.headers, content=content, extensions=dict(self.extensions)
        )

    def on_wire(self, content: bytes) -> RequestHead:
        """As the transport sends it with this body and every other.

        Raises:
            httpx2.TransportError: It cannot be sent.
        """
        if self._on_wire is None:
            self._on_wire = RequestHead(self.request(content))
        return self._on_wire


class _FirstTry:
    """What came of sending a request: for whoever asks first."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.error: httpx2.TransportError | None = None

    def maybe_take(self) -> Exchange | None:
        """The exchange, once.

        Raises:
            httpx2.TransportError: The server could not be reached.
        """
        exchange, self.exchange = self.exchange, None
        error, self.error = self.error, None
        if error is not None:
            raise error
        return exchange

    async def aclose(self) -> None:
        """Let go of a response that nobody has asked for."""
        if self.exchange is not None:
            await self.exchange.body.aclose()


_first_try: ContextVar[_FirstTry | None] = ContextVar("first_try", default=None)
"""That of the request which the current task has the package send."""


class AsyncAnthropic(anthropic.AsyncAnthropic):
    """The package's client; the name is the package's too, because the user agent is made of it.

    Args:
        transport: What requests go through; None where the package finds a way by itself.
        options: The package's own.
    """

    def __init__(self, *, transport: StreamingTransport | None = None, **options: Any) -> None:
        if transport is not None:
            options["http_client"] = anthropic.DefaultAsyncHttpxClient(transport=transport)
        super().__init__(**options)
        self.transport = transport
        self.heads: dict[_Kind, _Head] = {}
        """Those that were written, by all that they depend on."""

    async def open_stream(self, content: bytes, options: RequestOptions) -> ResponseBody | AsyncStream[object]:
        """Ask for a stream of events.

        Args:
            content: The body, as JSON text.
            options: ``headers``, a plain dictionary, and ``max_retries``.

        Returns:
            The events as they come, or the response as the package gives it.

        Raises:
            AnthropicError: As the package raises it.
        """
        first = await self._maybe_try(content, cast("Mapping[str, str]", options.get("headers", {})))
        if first is not None and first.exchange is not None and _is_plain_stream(first.exchange):
            # Its head has said what it had to say.
            first.exchange.response.take_headers()
            return first.exchange.body
        token = _first_try.set(first)
        try:
            return await self.post(
                _PATH, cast_to=object, content=content, options=options, stream=True, stream_cls=AsyncStream[object]
            )
        finally:
            _first_try.reset(token)
            if first is not None:
                await first.aclose()

    async def _maybe_try(self, content: bytes, headers: Mapping[str, str]) -> _FirstTry | None:
        """The first try of a request that is sent without the package; None where it has to send it itself."""
        head = self.heads.get(self._kind("post", _PATH, 0, _NO_TIMEOUT, headers))
        if head is None or self.transport is None or self._is_watched():
            return None
        first = _FirstTry()
        try:
            first.exchange = await self.transport.exchange(head.on_wire(content), content)
        except httpx2.TransportError as error:
            first.error = error
        return first

    def _is_watched(self) -> bool:
        """Whether the package is to tell somebody of each request, or to let it be changed."""
        # Spans, which it makes of calls of its own methods, there are none of.
        if self.custom_auth is not None or self._middleware:
            return True
        return any(listener.isEnabledFor(level) for listener, level in _LISTENERS)

    def _build_request(self, options: FinalRequestOptions, *, retries_taken: int = 0) -> httpx2.Request:
        request = self._written(options, retries_taken)
        first = _first_try.get()
        if first is not None and retries_taken == 0:
            request.extensions[TRY] = first.maybe_take
        return request

    def _written(self, options: FinalRequestOptions, retries_taken: int) -> httpx2.Request:
        kind = self._maybe_kind(options, retries_taken)
        if kind is None:
            return super()._build_request(options, retries_taken=retries_taken)
        head = self.heads.get(kind)
        if head is None:
            request = super()._build_request(options, retries_taken=retries_taken)
            if len(self.heads) >= _MAX_HEADS:
                self.heads.clear()
            self.heads[kind] = _head(request)
            return request
        return head.request(cast("bytes", options.content))

    def _maybe_kind(self, options: FinalRequestOptions, retries_taken: int) -> _Kind | None:
        """All that a request's head depends on; None when that cannot be said."""
        headers = options.headers
        if not isinstance(options.content, bytes) or not isinstance(headers, dict) or self.custom_auth is not None:
            return None
        if options.params or options.files or options.extra_json or self._idempotency_header:
            return None
        return self._kind(
            options.method, options.url, retries_taken, str(options.timeout), cast("Mapping[str, Any]", headers)
        )

    def _kind(self, method: str, url: str, retries_taken: int, timeout: str, headers: Mapping[str, Any]) -> _Kind:
        return (method, url, retries_taken, timeout, self.api_key, self.auth_token, *headers.items())


def _is_plain_stream(exchange: Exchange) -> bool:
    """Whether what follows the head are events, as they are."""
    headers = {name.lower(): value for name, value in exchange.response.headers}
    is_events = headers.get(b"content-type", b"").lower().startswith(_EVENTS)
    return exchange.response.status == 200 and is_events and b"content-encoding" not in headers


def _head(request: httpx2.Request) -> _Head:
    headers = request.headers.copy()
    del headers["content-length"]
    return _Head(request.method, request.url, headers, dict(request.extensions))
