"""What the browser and the log are told of a failure: fixed words for each kind, and one id in both."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from usechat import stream_text, ui_message_stream
from usechat.errors import (
    ConfigurationError,
    InvalidPartError,
    InvalidToolApprovalError,
    ProviderConnectionError,
    ProviderError,
    ProviderStatusError,
    ProviderStreamError,
    RequestError,
)
from usechat.failures import WORDS, shown_text
from usechat.models import anthropic
from usechat.parts import Error, Part
from usechat.testing.models import ScriptedModel
from usechat.testing.replay import ReplayServer, Reply

SECRET = "sk-ant-secret of org-7 for claude-x"


def status(code: int | None = None, kind: str | None = None, text: str = SECRET) -> ProviderError:
    return ProviderStatusError(text, provider="x", status=code, code=kind)


KINDS: list[tuple[BaseException, str]] = [
    (status(401, "authentication_error"), "authentication"),
    (status(401), "authentication"),
    (status(402, "billing_error"), "billing"),
    (status(400, "invalid_request_error", "Your credit balance is too low"), "billing"),
    (status(403, "permission_error"), "permission"),
    (status(404, "not_found_error"), "unknown-model"),
    (status(408), "timeout"),
    (status(504, "timeout_error"), "timeout"),
    (status(413, "request_too_large"), "too-long"),
    (status(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), "too-long"),
    (status(400, "invalid_request_error", "messages.0.content.0.image.source: could not process"), "file"),
    (status(400, "invalid_request_error", "messages.1.content.0.document: The PDF specified was not valid."), "file"),
    (status(400, "invalid_request_error", "temperature: must be at most 1"), "invalid-request"),
    (status(422), "invalid-request"),
    (status(429, "rate_limit_error"), "rate-limit"),
    (status(500, "api_error"), "failed"),
    (status(502), "failed"),
    (status(503), "busy"),
    (status(529, "overloaded_error"), "busy"),
    (ProviderStreamError(SECRET, provider="x", code="overloaded_error"), "busy"),
    (ProviderStreamError(SECRET, provider="x", code="timeout"), "timeout"),
    (ProviderStreamError(SECRET, provider="x", code="empty_answer"), "empty"),
    (ProviderStreamError(SECRET, provider="x"), "broken"),
    (ProviderConnectionError(SECRET, provider="x", code="timeout"), "timeout"),
    (ProviderConnectionError(SECRET, provider="x", code="connection_error"), "connection"),
    (ProviderConnectionError(SECRET, provider="x"), "connection"),
    (ConfigurationError(SECRET), "misconfigured"),
    (InvalidPartError(SECRET, part="Foo"), "invalid-part"),
    (InvalidToolApprovalError(SECRET, tool_name="pay"), "approval"),
]


@pytest.mark.parametrize(("error", "kind"), KINDS, ids=[f"{error!r}-{kind}" for error, kind in KINDS])
def test_each_kind_has_words_of_its_own_and_none_of_the_errors(error: Any, kind: str):
    assert shown_text(error, None) == f"{WORDS[kind]} (error {error.log_id})"
    assert shown_text(error, "Sorry.") == "Sorry."


def test_every_kind_is_told_of():
    assert {kind for _, kind in KINDS} == WORDS.keys()


def test_a_failure_that_is_of_no_kind_is_masked():
    error = status(418)
    assert shown_text(error, None) == f"An error occurred. (error {error.log_id})"
    assert shown_text(ValueError(SECRET), None) == "An error occurred."


def test_what_is_wrong_with_a_request_is_told():
    assert shown_text(RequestError("is no image", path="messages[0]"), None) == "messages[0]: is no image"


def test_no_two_failures_have_one_id():
    first, second = status(401), status(401)
    assert first.log_id == first.log_id
    assert first.log_id != second.log_id


def shown_id(parts: list[Part]) -> str:
    error = next(part for part in parts if isinstance(part, Error))
    found = re.search(r"\(error ([0-9a-f]{8})\)$", error.error_text)
    assert found is not None
    return found[1]


@pytest.mark.anyio
async def test_the_id_finds_the_log_line(caplog: pytest.LogCaptureFixture):
    parts = [part async for part in stream_text(ScriptedModel([status(429, "rate_limit_error")]), prompt="?")]
    line = f"(error {shown_id(parts)}, rate_limit_error): {SECRET}"
    assert [line in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [True]


@pytest.mark.anyio
async def test_the_id_of_what_is_no_part_finds_the_log_line(caplog: pytest.LogCaptureFixture):
    async def items() -> AsyncIterator[Any]:
        yield "Hel"
        yield 3

    assert f"(error {shown_id([part async for part in ui_message_stream(items())])})" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "code", "is_retryable"),
    [
        (Reply(status=401), "authentication_error", False),
        (Reply(status=404), "not_found_error", False),
        (Reply(status=429), "rate_limit_error", True),
        (Reply(status=529), "overloaded_error", True),
        (Reply(status=529, body=b"<html>", content_type="text/html"), "overloaded_error", True),
        (Reply("error-midway"), "overloaded_error", True),
        (Reply("text", cut_after=4), "connection_lost", True),
        (Reply(events=[]), "no_events", False),
    ],
)
async def test_code_and_retryability_travel_to_the_application(reply: Reply, code: str, is_retryable: bool):
    heard: list[Any] = []

    def on_error(error: BaseException) -> str:
        heard.append(error)
        return "Sorry."

    async with ReplayServer(reply) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
        result = stream_text(model, prompt="?", max_retries=0, on_error=on_error)
        shown = [part.error_text async for part in result if isinstance(part, Error)]
    assert [(error.code, error.is_retryable) for error in heard] == [(code, is_retryable)]
    assert shown == ["Sorry."]
