"""The one place where failures of the ``anthropic`` package and of its transports become errors of our own.

The package lets some of its transport's exceptions through while a body is read, so httpx2's, aiohttp's and the
operating system's are mapped too. Our errors say what a caller decides on: a status, a code, whether to try again.
Facts from ``anthropic`` 2.12 (``_exceptions.py``, ``_base_client.py``, the vendored ``httpx_aiohttp``).
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from usechat.errors import (
    ConfigurationError,
    ProviderConnectionError,
    ProviderError,
    ProviderStatusError,
    ProviderStreamError,
    UsechatError,
)

__all__ = ["mapped_errors", "maybe_map_error"]

_PROVIDER = "anthropic"
_RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""As the package's own retries see it; every status from 500 is retryable too."""
_RETRYABLE_TYPES = frozenset({"api_error", "overloaded_error", "rate_limit_error"})


def maybe_map_error(error: Exception, *, is_reading: bool = False) -> UsechatError | None:
    """Our error for one that the ``anthropic`` package or its transport raised.

    Args:
        error: What was raised.
        is_reading: Whether the response had begun: what fails then is the stream, not the way to it.

    Returns:
        The error to raise in its place, or ``None`` when it is none of theirs and goes on as it is.
    """
    import anthropic
    import httpx2

    bad_addresses, failures = _errors_of_aiohttp()
    fail = _broken if is_reading else _unreachable
    table: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Exception], UsechatError]], ...] = (
        (UsechatError, _same),
        (anthropic.APIStatusError, _status_error),
        ((anthropic.APIResponseValidationError, anthropic.APIWebhookValidationError), _unreadable),
        ((anthropic.APITimeoutError, httpx2.TimeoutException, TimeoutError), _stalled if is_reading else _timeout),
        ((anthropic.APIError, anthropic.RetryableError), fail),
        # What is left of the package's own: credentials, missing extras, arguments that exclude each other.
        ((anthropic.AnthropicError, httpx2.InvalidURL, httpx2.UnsupportedProtocol, *bad_addresses), _misconfigured),
        ((httpx2.HTTPError, httpx2.StreamError, httpx2.CookieConflict, *failures, OSError), fail),
    )
    for kinds, make in table:
        if isinstance(error, kinds):
            return make(error)
    # How the package says that a client of the caller's own has no key.
    return _misconfigured(error) if isinstance(error, TypeError) and "authentication method" in str(error) else None


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
        code=error.type,
        status=status,
        request_id=error.request_id,
        is_retryable=status in _RETRYABLE_STATUSES or status >= 500 or error.type in _RETRYABLE_TYPES,
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
