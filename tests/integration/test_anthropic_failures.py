"""What goes wrong between the model and its provider, and readers that leave: real package, real server, real cuts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import anyio
import pytest

from tests.integration.anthropic_calls import CALL, OVERLOADED, finish, model_for, read, texts
from tests.support.waiting import AT_ONCE, PATIENCE
from usechat.errors import (
    ConfigurationError,
    ProviderConnectionError,
    ProviderStatusError,
    ProviderStreamError,
)
from usechat.models import anthropic
from usechat.models.base import ModelCall, ProviderTool
from usechat.models.claude.client import ClientSettings, shared_client
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import Error, ModelPart
from usechat.testing.replay import ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# Failures


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
async def test_http_error_is_raised_with_what_it_says(status: int, code: str):
    async with ReplayServer(Reply(status=status)) as server:
        with pytest.raises(ProviderStatusError) as caught:
            await read(model_for(server, max_retries=0))
    error = caught.value
    assert (error.status, error.code, error.request_id) == (status, code, "req_replay")
    assert error.is_retryable == (status in (429, 500, 529))
    assert str(error) == f"scripted {status}"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("max_retries", "expected"), [(0, 1), (1, 2)])
async def test_retries_are_the_models_or_the_calls(max_retries: int, expected: int):
    busy = Reply(status=529, headers={"retry-after-ms": "1"})
    async with ReplayServer(busy) as server:
        with pytest.raises(ProviderStatusError):
            await read(model_for(server, max_retries=max_retries))
        assert len(server.requests) == expected
        with pytest.raises(ProviderStatusError):
            await read(model_for(server), ModelCall(messages=CALL.messages, max_retries=max_retries))
        assert len(server.requests) == 2 * expected


async def test_retry_that_succeeds_is_the_answer():
    busy = Reply(status=529, headers={"retry-after-ms": "1"})
    async with ReplayServer(busy, "text") as server:
        assert texts(await read(model_for(server)))


async def test_unreachable_server_is_a_connection_error():
    async with ReplayServer("text") as server:
        pass
    with pytest.raises(ProviderConnectionError) as caught:
        await read(model_for(server, max_retries=0))
    assert caught.value.is_retryable


async def test_wrong_base_url_is_a_configuration_error():
    with pytest.raises((ConfigurationError, ProviderConnectionError)):
        await read(anthropic("m", base_url="nonsense://x", api_key="k", max_retries=0))


async def test_error_event_before_anything_else_is_raised():
    async with ReplayServer("error-overloaded") as server:
        with pytest.raises(ProviderStreamError) as caught:
            await read(model_for(server, max_retries=0))
    assert (caught.value.code, caught.value.status, caught.value.is_retryable) == ("overloaded_error", 529, True)


async def test_overload_that_comes_with_status_200_is_retried():
    async with ReplayServer(Reply(events=[OVERLOADED]), "text") as server:
        assert texts(await read(model_for(server, max_retries=1)))
    assert len(server.requests) == 2


async def test_error_event_that_trying_again_will_not_mend_is_not_retried():
    async with ReplayServer("error-invalid-request") as server:
        with pytest.raises(ProviderStreamError):
            await read(model_for(server))
    assert len(server.requests) == 1


async def test_error_event_in_mid_answer_is_a_part():
    async with ReplayServer("error-midway") as server:
        *said, part, last = await read(model_for(server))
    assert texts(said) == "Until "
    assert isinstance(part, Error)
    assert isinstance(part.error, ProviderStreamError)
    assert part.error.code == "overloaded_error"
    assert finish([last]).finish_reason.unified == "error"
    assert len(server.requests) == 1


async def test_cut_connection_is_an_error_part_and_an_error_finish():
    async with ReplayServer(Reply("text", cut_after=4)) as server:
        *said, part, last = await read(model_for(server))
    assert texts(said) == "High water is at "
    assert isinstance(part, Error)
    assert part.error_text == "An error occurred."
    assert isinstance(part.error, ProviderStreamError)
    assert (part.error.code, part.error.is_retryable) == ("connection_lost", True)
    assert finish([last]).finish_reason.unified == "error"


async def test_connection_cut_before_the_first_event_is_raised():
    async with ReplayServer(Reply("text", cut_after=0)) as server:
        with pytest.raises(ProviderStreamError) as caught:
            await read(model_for(server, max_retries=0))
    assert caught.value.code == "connection_lost"


async def test_early_end_is_interrupted():
    async with ReplayServer(Reply("text", end_after=4)) as server:
        parts = await read(model_for(server))
    assert not any(isinstance(part, Error) for part in parts)
    assert finish(parts).finish_reason.unified == "interrupted"


async def test_answer_that_is_no_event_stream_is_raised():
    async with ReplayServer(Reply(body=b"<html>Bad gateway</html>", content_type="text/html")) as server:
        with pytest.raises(ProviderStreamError) as caught:
            await read(model_for(server))
    assert caught.value.code == "no_events"


async def test_server_that_does_not_end_its_body_costs_no_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("usechat.models.claude.source._DRAIN_SECONDS", 0.05)
    async with ReplayServer(Reply("text", hold_after=99)) as server:
        parts = await read(model_for(server))
        assert finish(parts).finish_reason.unified == "stop"
        await server.requests[0].wait_async()
        assert server.requests[0].is_aborted


async def test_second_message_of_an_answer_is_read_while_waiting_for_the_end():
    async with ReplayServer(Reply("sequential-messages", delay=0.005)) as server:
        parts = await read(model_for(server))
    assert texts(parts) == "One.Two."
    assert finish(parts).finish_reason.raw == "max_tokens"


async def test_defect_is_not_taken_for_a_failure_of_the_provider(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(AnthropicStream, "feed", broken)
    async with ReplayServer("text") as server:
        with pytest.raises(KeyError):
            await read(model_for(server))


async def test_calls_that_begin_together_share_one_client():
    async with ReplayServer("text") as server:
        settings = ClientSettings("key-1", server.url)
        first, second = await asyncio.gather(shared_client(settings), shared_client(settings))
        assert first is second


async def test_warning_about_the_request_is_logged_once(caplog: pytest.LogCaptureFixture):
    call = ModelCall(messages=CALL.messages, tools=[ProviderTool(id="anthropic.no_such_tool", name="x")])
    async with ReplayServer("text") as server:
        model = model_for(server)
        await read(model, call)
        await read(model, call)
    assert len([record for record in caplog.records if record.name == "usechat.models.claude.model"]) == 1


# The reader leaves


async def first_text(answer: AsyncIterator[list[ModelPart]]) -> None:
    async for batch in answer:
        if texts(batch):
            return


async def test_closing_the_iterator_closes_the_connection_at_once():
    async with ReplayServer(Reply("text", hold_after=4)) as server:
        answer = model_for(server).stream(CALL)
        await first_text(answer)
        left_at = time.monotonic()
        await answer.aclose()
        (request,) = server.requests
        await request.wait_async()
        assert request.aborted_at is not None
        assert request.aborted_at - left_at < AT_ONCE


async def reading(server: ReplayServer, has_text: asyncio.Event) -> None:
    async for batch in model_for(server).stream(CALL):
        if texts(batch):
            has_text.set()


async def test_cancelling_the_task_closes_the_connection_at_once():
    async with ReplayServer(Reply("text", hold_after=4)) as server:
        has_text = asyncio.Event()
        task = asyncio.create_task(reading(server, has_text))
        await asyncio.wait_for(has_text.wait(), PATIENCE)
        left_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (request,) = server.requests
        await request.wait_async()
        assert request.aborted_at is not None
        assert request.aborted_at - left_at < AT_ONCE


async def test_cancelling_a_scope_closes_the_connection_at_once():
    async with ReplayServer(Reply("text", hold_after=4)) as server:
        has_text = asyncio.Event()
        left_at = 0.0
        async with anyio.create_task_group() as group:
            group.start_soon(reading, server, has_text)
            await asyncio.wait_for(has_text.wait(), PATIENCE)
            left_at = time.monotonic()
            group.cancel_scope.cancel()
        (request,) = server.requests
        await request.wait_async()
        assert request.aborted_at is not None
        assert request.aborted_at - left_at < AT_ONCE


async def test_connection_left_half_read_is_not_used_again():
    async with ReplayServer(Reply("text", hold_after=4), "text") as server:
        model = model_for(server)
        answer = model.stream(CALL)
        await first_text(answer)
        await answer.aclose()
        assert texts(await read(model)) == "High water is at 14:20 in Whitby."
    assert server.connection_count == 2


async def test_leaving_before_the_answer_begins_closes_the_connection_too():
    async with ReplayServer(Reply("text", hold_after=0)) as server:
        task = asyncio.create_task(read(model_for(server)))
        request = await server.received()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await request.wait_async()
        assert request.is_aborted
