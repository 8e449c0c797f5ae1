"""Errors of an Anthropic stream: the provider's error events, and events that cannot be read."""

from __future__ import annotations

from typing import Any

from usechat.errors import ProviderStreamError
from usechat.models.claude.response.finish import as_object

__all__ = ["RETRYABLE_TYPES", "is_error", "stream_error", "unreadable"]

Json = dict[str, Any]

_ERROR_STATUS = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 400,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "request_too_large": 413,
}
RETRYABLE_TYPES = frozenset({"api_error", "overloaded_error", "rate_limit_error"})
"""Anthropic's error types after which the same request may succeed."""


def is_error(event: Json) -> bool:
    """Return whether an event without a type is an error. Its type is then only in the name of the SSE event."""
    return isinstance(event.get("error"), dict | str) or isinstance(event.get("message"), str)


def stream_error(event: Json) -> ProviderStreamError:
    """Return the error of an ``error`` event."""
    given = event.get("error")
    details = as_object(given)
    code = details.get("type")
    message = given if isinstance(given, str) else details.get("message") or event.get("message")
    return ProviderStreamError(
        str(message or "the provider sent an error"),
        provider="anthropic",
        code=code if isinstance(code, str) else None,
        status=_ERROR_STATUS.get(str(code)),
        request_id=event.get("request_id"),
        is_retryable=code in RETRYABLE_TYPES,
    )


def unreadable(text: str) -> ProviderStreamError:
    """Return the error for content that cannot be read."""
    return ProviderStreamError(text, provider="anthropic", code="invalid_response")
