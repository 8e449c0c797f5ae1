"""The ``anthropic`` package's client, which writes a request's head once for all requests that differ in body alone.

Reading options, merging headers and parsing the URL take the package longer than sending a long conversation. All of
it is still the package's: the first request of each kind is built by it, with its key, its base URL and its headers,
and so is every later one that differs in more than its body. Imported with the package, when the first request is made.

Facts from ``anthropic`` 2.12 (``_base_client.py``: `_build_request`, which its clients for other clouds override too).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import anthropic
import httpx2
import msgspec
from anthropic._models import FinalRequestOptions

__all__ = ["AsyncAnthropic"]

_MAX_HEADS = 64
"""How many are remembered; headers with an id of each request's own would fill the memory."""

_Kind: TypeAlias = tuple[Any, ...]


class _Head(msgspec.Struct, frozen=True):
    """A request without its body."""

    method: str
    url: httpx2.URL
    headers: httpx2.Headers
    extensions: Mapping[str, Any]


class AsyncAnthropic(anthropic.AsyncAnthropic):
    """The package's client; the name is the package's too, because the user agent is made of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.heads: dict[_Kind, _Head] = {}
        """Those that were written, by all that they depend on."""

    def _build_request(self, options: FinalRequestOptions, *, retries_taken: int = 0) -> httpx2.Request:
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
        return httpx2.Request(
            head.method,
            head.url,
            headers=head.headers,
            content=cast("bytes", options.content),
            extensions=dict(head.extensions),
        )

    def _maybe_kind(self, options: FinalRequestOptions, retries_taken: int) -> _Kind | None:
        """All that a request's head depends on; None when that cannot be said."""
        headers = options.headers
        if not isinstance(options.content, bytes) or not isinstance(headers, dict) or self.custom_auth is not None:
            return None
        if options.params or options.files or options.extra_json or self._idempotency_header:
            return None
        return (
            options.method,
            options.url,
            retries_taken,
            str(options.timeout),
            self.api_key,
            self.auth_token,
            *headers.items(),
        )


def _head(request: httpx2.Request) -> _Head:
    headers = request.headers.copy()
    del headers["content-length"]
    return _Head(request.method, request.url, headers, dict(request.extensions))
