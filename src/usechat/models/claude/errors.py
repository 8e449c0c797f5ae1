"""Map the exceptions of the ``anthropic`` package and of its transports to the errors of this package.

While a body is read, the package does not catch all exceptions of its transport. So the exceptions of httpx2, aiohttp,
`usechat.http1` and the operating system are mapped too. The mapped errors carry the data on which a caller decides: a
status, a code, and whether to retry. No other module maps them.

Facts from ``anthropic`` 2.12 (``_exceptions.py``, ``_base_client.py``, the vendored ``httpx_aiohttp``).
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Callable, Mapping

from usechat.errors import (
    ConfigurationError,
    ProviderConnectionError,
    ProviderError,
    ProviderStatusError,
    ProviderStreamError,
    UsechatError,
)
from usechat.models.claude.response.event_errors import RETRYABLE_TYPES

__all__ = ["CODES", "is_retryable_status", "maybe_map_error", "raise_mapped", "read_retry_after"]

_PROVIDER = "anthropic"
_RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""The statuses below 500 that the package retries. Every status from 500 is retryable too."""
CODES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
"""Anthropic's error types for these statuses, used when the body has none (for instance the page of a proxy)."""


def maybe_map_error(error: Exception, *, is_reading: bool = False) -> UsechatError | None:
    """Return the mapped error for an exception of the ``anthropic`` package or its transport.

    Args:
        error: The raised exception.
        is_reading: Whether the response had begun. If so, the result is an error of the stream and not of the request.

    Returns:
        The error to raise instead; ``None`` when the exception comes from elsewhere and must not be changed.
    """
    import anthropic
    import httpx2

    from usechat import http1

    if isinstance(error, anthropic.APIConnectionError) and isinstance(error.__cause__, http1.Http1Error | UsechatError):
        # The package wraps any error of our transport as a lost connection.
        error = error.__cause__
    bad_addresses, failures = _errors_of_aiohttp()
    fail = _broken if is_reading else _unreachable
    table: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Exception], UsechatError]], ...] = (
        (UsechatError, _same),
        (anthropic.APIStatusError, _status_error),
        ((anthropic.APIResponseValidationError, anthropic.APIWebhookValidationError), _unreadable),
        (
            (anthropic.APITimeoutError, httpx2.TimeoutException, http1.Http1TimeoutError, TimeoutError),
            _stalled if is_reading else _timeout,
        ),
        ((anthropic.APIError, anthropic.RetryableError), fail),
        # The package's remaining errors: credentials, missing extras, arguments that exclude each other.
        ((anthropic.AnthropicError, httpx2.InvalidURL, httpx2.UnsupportedProtocol, *bad_addresses), _misconfigured),
        (http1.LocalProtocolError, _misconfigured),
        (
            (
                http1.Http1Error,
                httpx2.HTTPError,
                httpx2.StreamError,
                httpx2.CookieConflict,
                *failures,
                OSError,
            ),
            fail,
        ),
    )
    for kinds, make in table:
        if isinstance(error, kinds):
            return make(error)
    # The package raises this TypeError when the caller's client has no key.
    return _misconfigured(error) if isinstance(error, TypeError) and "authentication method" in str(error) else None


def is_retryable_status(status: int, code: object, headers: Mapping[str, str]) -> bool:
    """Return whether the same request may succeed later, by the package's rules.

    Args:
        status: The HTTP status.
        code: The error type in the body.
        headers: The headers of the response, with names in lower case.
    """
    match headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
        case _:
            return status in _RETRYABLE_STATUSES or status >= 500 or code in RETRYABLE_TYPES


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which the provider allows a retry; ``None`` when the headers do not say.

    Args:
        headers: The headers of the response, with names in lower case.
    """
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        written = headers.get("retry-after")
        seconds = _number(written)
        date = email.utils.parsedate_tz(written) if seconds is None and written else None
        if date is not None:
            seconds = email.utils.mktime_tz(date) - time.time()
    return seconds if seconds is not None and seconds > 0 else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _errors_of_aiohttp() -> tuple[tuple[type[Exception], ...], tuple[type[Exception], ...]]:
    # Without aiohttp installed, no client uses it.
    try:
        import aiohttp
    except ImportError:
        return (), ()
    return (aiohttp.InvalidURL,), (aiohttp.ClientError,)


def raise_mapped(error: Exception, *, is_reading: bool = False) -> None:
    """Raise the mapped error for an exception; return when the exception must not be changed. See `maybe_map_error`.

    Args:
        error: The raised exception.
        is_reading: Whether the response had begun.

    Raises:
        ProviderError: The provider failed.
        ConfigurationError: The client cannot be used as it is configured.
    """
    mapped = maybe_map_error(error, is_reading=is_reading)
    if mapped is not None and mapped is not error:
        raise mapped from error


def _same(error: Exception) -> UsechatError:
    assert isinstance(error, UsechatError)
    return error


def _status_error(error: Exception) -> ProviderError:
    import anthropic

    assert isinstance(error, anthropic.APIStatusError)
    status = error.status_code
    # For an error event in a stream that the package reads, it raises the same class with status 200.
    kind = ProviderStatusError if status >= 400 else ProviderStreamError
    return kind(
        error.api_message or error.message,
        provider=_PROVIDER,
        code=error.type or CODES.get(status),
        status=status,
        request_id=error.request_id,
        is_retryable=is_retryable_status(status, error.type, error.response.headers),
        retry_after=read_retry_after(error.response.headers),
    )


def _misconfigured(error: Exception) -> UsechatError:
    return ConfigurationError(f"the Anthropic client cannot be used as it is configured: {_words(error)}")


def _unreadable(error: Exception) -> UsechatError:
    return ProviderStreamError(_words(error), provider=_PROVIDER, code="invalid_response")


def _timeout(error: Exception) -> UsechatError:
    return ProviderConnectionError(_words(error), provider=_PROVIDER, code="timeout", is_retryable=True)


def _unreachable(error: Exception) -> UsechatError:
    return ProviderConnectionError(_words(error), provider=_PROVIDER, code="connection_error", is_retryable=True)


def _stalled(error: Exception) -> UsechatError:
    return ProviderStreamError(_words(error), provider=_PROVIDER, code="timeout", is_retryable=True)


def _broken(error: Exception) -> UsechatError:
    return ProviderStreamError(_words(error), provider=_PROVIDER, code="connection_lost", is_retryable=True)


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    cause = error.__cause__
    return f"{text} ({cause})" if cause is not None and str(cause) and str(cause) not in text else text
