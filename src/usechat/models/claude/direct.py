"""Send a request to the Messages API without the ``anthropic`` package, with the headers that the package would send.

Reading options, merging headers and passing a request through its layers costs the package 0.29 ms of the 1.2 ms that
a whole request costs the server. Key, headers and base URL are read from the package's public attributes for each
request. Responses that are neither a stream nor an error are left to the package. `send_directly` is the only entry
point; its tests compare it with the package.

Facts from ``anthropic`` 2.12 (``_base_client.py``: how headers are merged, which answers are errors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from usechat.errors import ProviderStatusError
from usechat.http1 import Limits, Pool, Request, Response, inflated, read_at_most
from usechat.models.claude.errors import CODES, is_retryable_status, read_retry_after
from usechat.models.claude.transport import MAX_ERROR_BYTES, make_origin

if TYPE_CHECKING:
    from usechat.models.claude.client import AnyClient

__all__ = ["send_directly"]

_PATH = b"/v1/messages"


async def send_directly(
    client: AnyClient, pool: Pool, content: bytes, headers: Mapping[str, str], limits: Limits
) -> Response | None:
    """Send a request for a stream of events.

    Args:
        client: The client whose key, headers and base URL are used.
        pool: The connections to use.
        content: The body as JSON text.
        headers: More headers, with names in lower case.
        limits: Seconds of silence after which the request fails.

    Returns:
        The response; ``None`` when the package must send the request, because it authenticates with more than a header
        or the response is a redirect.

    Raises:
        ProviderStatusError: The provider answered with an error status.
        Http1Error: The provider cannot be reached.
        ConfigurationError: The base URL is not a URL of http or https.
    """
    if client.custom_auth is not None:
        return None
    response = await pool.send(_request(client, content, headers), limits)
    if response.status < 300:
        return response
    try:
        if response.status >= 400:
            raise await _status_error(response)
    finally:
        await response.body.aclose()
    return None


def _request(client: AnyClient, content: bytes, headers: Mapping[str, str]) -> Request:
    url = client.base_url
    # The package marks omitted headers with a special object that is not a string.
    own = {name.lower(): value for name, value in client.default_headers.items() if isinstance(value, str)}
    merged = {"host": url.netloc.decode("ascii"), "connection": "keep-alive", **own, **headers}
    return Request(
        make_origin(url),
        b"POST",
        url.raw_path.rstrip(b"/") + _PATH,
        [(name.encode("ascii"), value.encode("utf-8")) for name, value in merged.items()],
        content,
    )


async def _status_error(response: Response) -> ProviderStatusError:
    body = inflated(response.body, response.header(b"content-encoding"))
    text = (await read_at_most(body, MAX_ERROR_BYTES)).decode("utf-8", "replace")
    details = _details(text)
    headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
    code, message, status = details.get("type"), details.get("message"), response.status
    return ProviderStatusError(
        message if isinstance(message, str) and message else _package_message(status, text.strip()),
        provider="anthropic",
        code=code if isinstance(code, str) else CODES.get(status),
        status=status,
        request_id=headers.get("request-id"),
        is_retryable=is_retryable_status(status, code, headers),
        retry_after=read_retry_after(headers),
    )


def _details(text: str) -> Mapping[str, Any]:
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    error: Any = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
    return cast("dict[str, Any]", error) if isinstance(error, dict) else {}


def _package_message(status: int, text: str) -> str:
    # The package's text for a body without an error message (``_make_status_error_from_response``, 2.12).
    try:
        return f"Error code: {status} - {json.loads(text)}"
    except (ValueError, RecursionError):
        return text or f"Error code: {status}"
