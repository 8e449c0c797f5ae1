"""No exception of the ``anthropic`` package or of its transports gets past the edge."""

from __future__ import annotations

import asyncio
import email.utils
import importlib
import pkgutil
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import anthropic
import anthropic.lib as library
import httpx2
import pytest

from usechat.errors import (
    ConfigurationError,
    ProviderConnectionError,
    ProviderError,
    ProviderStatusError,
    ProviderStreamError,
    UsechatError,
)
from usechat.http1 import Http1Error, Http1TimeoutError, ReadError
from usechat.models.claude.errors import maybe_map_error, read_retry_after

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/messages")


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def import_everything() -> None:
    """Errors for single codes live in modules of their own, which the package imports when it needs them."""
    importlib.import_module("anthropic._error_classes")
    for module in pkgutil.iter_modules(library.__path__, library.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except ImportError:
            # An extra that is not installed cannot raise.
            continue


import_everything()

ANTHROPIC_ERRORS = sorted(
    {anthropic.AnthropicError, *subclasses(anthropic.AnthropicError)}, key=lambda kind: kind.__name__
)
STATUS_ERRORS = [kind for kind in ANTHROPIC_ERRORS if issubclass(kind, anthropic.APIStatusError)]
TRANSPORT_ERRORS = sorted(
    {
        kind
        for root in (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, Http1Error)
        for kind in {root, *subclasses(root)}
        if not kind.__module__.startswith("tests")
    }
    | {httpx2.InvalidURL, httpx2.CookieConflict, OSError, ConnectionResetError, BrokenPipeError, TimeoutError}
    | {asyncio.TimeoutError, ssl.SSLError},
    key=lambda kind: kind.__name__,
)


def bare(kind: type[Exception]) -> Exception:
    """An instance without the arguments that each class wants in its own way."""

    class Spoken(kind):
        def __str__(self) -> str:
            return "words"

    return Spoken.__new__(Spoken)


def status_error(kind: type[Any], status: int, body: object = None) -> Any:
    response = httpx2.Response(status, request=REQUEST, headers={"request-id": "req_1"}, json=body)
    return kind("Error code", response=response, body=body)


@pytest.mark.parametrize("is_reading", [False, True])
@pytest.mark.parametrize("kind", ANTHROPIC_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_package_is_mapped(kind: type[Exception], is_reading: bool):
    status = getattr(kind, "status_code", 500)
    error = (
        status_error(kind, status if isinstance(status, int) else 500)
        if issubclass(kind, anthropic.APIStatusError)
        else bare(kind)
    )
    assert isinstance(maybe_map_error(error, is_reading=is_reading), ProviderError | ConfigurationError)


def test_the_package_has_errors_for_the_statuses_of_the_api():
    assert len(STATUS_ERRORS) > 15


@pytest.mark.parametrize("is_reading", [False, True])
@pytest.mark.parametrize("kind", TRANSPORT_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_transports_is_mapped(kind: type[Exception], is_reading: bool):
    mapped = maybe_map_error(bare(kind), is_reading=is_reading)
    assert isinstance(mapped, ProviderError | ConfigurationError)
    if isinstance(mapped, ProviderError):
        assert isinstance(mapped, ProviderStreamError if is_reading else ProviderConnectionError)
        assert mapped.is_retryable


@pytest.mark.parametrize(
    ("status", "code", "is_retryable"),
    [
        (400, "invalid_request_error", False),
        (401, "authentication_error", False),
        (403, "permission_error", False),
        (404, "not_found_error", False),
        (408, "timeout_error", True),
        (409, "conflict_error", True),
        (413, "request_too_large", False),
        (429, "rate_limit_error", True),
        (500, "api_error", True),
        (529, "overloaded_error", True),
    ],
)
def test_http_error_keeps_status_code_request_id_and_the_providers_words(status: int, code: str, is_retryable: bool):
    body = {"type": "error", "error": {"type": code, "message": "their words"}}
    mapped = maybe_map_error(status_error(anthropic.APIStatusError, status, body))
    assert isinstance(mapped, ProviderStatusError)
    assert vars(mapped) == {
        "message": "their words",
        "provider": "anthropic",
        "code": code,
        "status": status,
        "request_id": "req_1",
        "is_retryable": is_retryable,
        "retry_after": None,
    }


def test_error_event_that_the_package_read_is_a_stream_error():
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    mapped = maybe_map_error(status_error(anthropic.APIStatusError, 200, body), is_reading=True)
    assert isinstance(mapped, ProviderStreamError)
    assert (mapped.code, mapped.is_retryable) == ("overloaded_error", True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (anthropic.APITimeoutError(REQUEST), "timeout"),
        (anthropic.APIConnectionError(request=REQUEST), "connection_error"),
        (TimeoutError(), "timeout"),
        (httpx2.ConnectTimeout("slow"), "timeout"),
        (Http1TimeoutError("slow"), "timeout"),
        (ReadError("reset"), "connection_error"),
        (ConnectionRefusedError("refused"), "connection_error"),
    ],
)
def test_unreachable_provider_is_told_from_a_slow_one(error: Exception, expected: str):
    mapped = maybe_map_error(error)
    assert isinstance(mapped, ProviderConnectionError)
    assert mapped.code == expected


def test_what_our_transport_raises_is_told_apart_behind_the_package():
    error = anthropic.APIConnectionError(request=REQUEST)
    error.__cause__ = Http1TimeoutError("slow")
    mapped = maybe_map_error(error)
    assert isinstance(mapped, ProviderConnectionError)
    assert (mapped.code, str(mapped)) == ("timeout", "slow")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "7", "retry-after-ms": "20"}, 0.02),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_pause_that_a_provider_asks_for_is_read(headers: dict[str, str], expected: float | None):
    assert read_retry_after(headers) == expected


def test_date_after_which_to_ask_again_is_read():
    seconds = read_retry_after({"retry-after": email.utils.formatdate(time.time() + 100)})
    assert seconds is not None
    assert 90 < seconds <= 100


def test_long_words_of_a_provider_are_cut():
    error = ProviderError("x" * 10**6, provider="anthropic")
    assert len(str(error)) < 3000
    assert "more characters" in str(error)


def test_cause_is_part_of_the_words():
    error = anthropic.APIConnectionError(request=REQUEST)
    error.__cause__ = OSError("no route to host")
    assert str(maybe_map_error(error)) == "Connection error. (no route to host)"


def test_error_without_words_is_named():
    assert str(maybe_map_error(ConnectionResetError(), is_reading=True)) == "ConnectionResetError"


def test_missing_key_of_a_client_of_ones_own_is_a_configuration_error():
    error = TypeError('"Could not resolve authentication method. Expected one of api_key, auth_token"')
    assert isinstance(maybe_map_error(error), ConfigurationError)


def test_our_own_error_stays_what_it_is():
    error = UsechatError("ours")
    assert maybe_map_error(error) is error


@pytest.mark.parametrize("error", [ValueError("a defect"), TypeError("a defect"), KeyError("x")])
def test_defect_is_not_taken_for_a_failure_of_the_provider(error: Exception):
    assert maybe_map_error(error) is None


def test_errors_are_mapped_where_aiohttp_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert isinstance(maybe_map_error(httpx2.ConnectError("refused", request=REQUEST)), ProviderConnectionError)
