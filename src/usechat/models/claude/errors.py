"""The one place where failures of the ``anthropic`` package and of its transports become errors of our own.

The package lets some of its transport's exceptions through while a body is read, so httpx2's, aiohttp's, those of
`usechat.http1` and the operating system's are mapped too. Our errors say what a caller decides on: a status, a code,
whether to try again.
Facts from ``anthropic`` 2.12 (``_exceptions.py``, ``_base_client.py``, the vendored ``httpx_aiohttp``).
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from usechat.errors import (
    ConfigurationError,
    ProviderConnectionError,
    ProviderError,
    ProviderStatusError,
    ProviderStreamError,
    UsechatError,
)

__all__ = ["CODES", "is_retryable_status", "mapped_errors", "maybe_map_error", "read_retry_after"]

_PROVIDER = "anthropic"
_RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""As the package's own retries see it; every status from 500 is retryable too."""
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
"""What Anthropic calls these statuses, for a body that does not say it: a proxy's page, for instance."""
_RETRYABLE_TYPES = frozenset({"api_error", "overloaded_error", "rate_limit_error"})


def maybe_map_error(error: Exception, *, is_reading: bool = False) -> UsechatError | None:
    """Return our error for one that the ``anthropic`` package or its transport raised.

    Args:
        error: What was raised.
        is_reading: Whether the response had begun: what fails then is the stream, not the way to it.

    Returns:
        The error to raise in its place, or ``None`` when it is none of theirs and goes on as it is.
    """
    import anthropic
    import httpx2

    from usechat import http1

    if isinstance(error, anthropic.APIConnectionError) and isinstance(error.__cause__, http1.Http1Error | UsechatError):
        # The package takes whatever our transport raises for a lost connection.
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
        # What is left of the package's own: credentials, missing extras, arguments that exclude each other.
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
    # How the package says that a client of the caller's own has no key.
    return _misconfigured(error) if isinstance(error, TypeError) and "authentication method" in str(error) else None


def is_retryable_status(status: int, code: object, headers: Mapping[str, str]) -> bool:
    """Return whether the same request may succeed later, as the package sees it.

    Args:
        status: The HTTP status.
        code: The type of the error that the body names.
        headers: The response's, with names in lower case.
    """
    match headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
        case _:
            return status in _RETRYABLE_STATUSES or status >= 500 or code in _RETRYABLE_TYPES


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return after how many seconds the provider wants to be asked again; None where it does not say.

    Args:
        headers: The response's, with names in lower case.
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
    # Where it is not installed, no client speaks through it.
    try:
        import aiohttp
    except ImportError:
        return (), ()
    return (aiohttp.InvalidURL,), (aiohttp.ClientError,)


class _MappedErrors:
    # No generator, as `contextlib` would have it: this is entered for each read.
    __slots__ = ("_is_reading",)

    def __init__(self, *, is_reading: bool) -> None:
        self._is_reading = is_reading

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        mapped = maybe_map_error(error, is_reading=self._is_reading) if isinstance(error, Exception) else None
        if mapped is not None and mapped is not error:
            raise mapped from error


_OPENING = _MappedErrors(is_reading=False)
_READING = _MappedErrors(is_reading=True)


def mapped_errors(*, is_reading: bool = False) -> _MappedErrors:
    """For ``with``: what is raised within and can be mapped is raised as our error; see `maybe_map_error`.

    Args:
        is_reading: Whether the response had begun.

    Raises:
        ProviderError: The provider failed.
        ConfigurationError: The client cannot be used as it is configured.
    """
    return _READING if is_reading else _OPENING


def _same(error: Exception) -> UsechatError:
    assert isinstance(error, UsechatError)
    return error


def _status_error(error: Exception) -> ProviderError:
    import anthropic

    assert isinstance(error, anthropic.APIStatusError)
    status = error.status_code
    # The package raises the same class, with status 200, for an error event in a stream that it reads itself.
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
