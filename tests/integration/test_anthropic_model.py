"""`anthropic()` from the request to the parts: the real package, a real server, a real connection."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anthropic import AsyncAnthropic

from usechat.errors import (
    ConfigurationError,
    ProviderConnectionError,
    ProviderStatusError,
    ProviderStreamError,
)
from usechat.messages.model import TextContent, UserMessage
from usechat.models import anthropic
from usechat.models.anthropic_client import ClientSettings, shared_client
from usechat.models.anthropic_events import AnthropicStream
from usechat.models.anthropic_model import AnthropicModel
from usechat.models.base import FunctionTool, Model, ModelCall, ProviderTool
from usechat.parts import Error, ModelFinish, ModelPart, TextDelta, ToolCall
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import Framing, read_stream, stream_names

pytestmark = pytest.mark.anyio

CALL = ModelCall(messages=[UserMessage((TextContent("When is high water?"),))])
OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


async def read(model: AnthropicModel, call: ModelCall = CALL) -> list[ModelPart]:
    return [part async for batch in model.stream(call) for part in batch]


def texts(parts: list[ModelPart]) -> str:
    return "".join(part.delta for part in parts if isinstance(part, TextDelta))


def finish(parts: list[ModelPart]) -> ModelFinish:
    last = parts[-1]
    assert isinstance(last, ModelFinish)
    return last


def model_for(server: ReplayServer, **options: Any) -> AnthropicModel:
    return anthropic("claude-sonnet-4-6", base_url=server.url, api_key="key-1", **options)


# The answer


@pytest.mark.parametrize("name", [name for name in stream_names() if not name.startswith("error-")])
async def test_answer_is_what_the_stream_means(name: str):
    stream = AnthropicStream(generate_id=lambda: "")
    expected = stream.feed(read_stream(name)) + stream.finish()
    async with ReplayServer(name) as server:
        parts = await read(model_for(server))
    assert [type(part) for part in parts] == [type(part) for part in expected]
    assert texts(parts) == texts(expected)
    assert finish(parts) == finish(expected)


@pytest.mark.parametrize("framing", ["crlf", "cr", "multiline", "no-space", "comments", "no-event"])
@pytest.mark.parametrize("split", [None, -1, 1])
async def test_framing_and_pieces_make_no_difference(framing: Framing, split: int | None):
    async with ReplayServer(Reply("text", framing=framing, split=split)) as server:
        assert texts(await read(model_for(server))) == "High water is at 14:20 in Whitby."


async def test_what_one_read_brought_is_one_batch():
    async with ReplayServer(Reply("text", split=-1)) as server:
        batches = [batch async for batch in model_for(server).stream(CALL)]
    assert [len(batch) for batch in batches] == [7, 1]


async def test_batches_follow_the_reads():
    async with ReplayServer(Reply("text", hold_after=4)) as server:
        model = model_for(server)
        answer = model.stream(CALL)
        seen = ""
        while seen != "High water is at ":
            seen += texts(await anext(answer))
        await answer.aclose()


async def test_model_is_what_the_protocol_asks():
    model = anthropic("claude-sonnet-4-6")
    assert isinstance(model, Model)
    assert (model.provider, model.model_id) == ("anthropic", "claude-sonnet-4-6")
    assert repr(model) == "anthropic('claude-sonnet-4-6')"


# The request


async def test_request_is_the_built_body_with_key_betas_and_headers():
    call = ModelCall(
        messages=CALL.messages,
        tools=[ProviderTool(id="anthropic.code_execution_20250825", name="run")],
        headers={"X-Team": "tides", "anthropic-beta": "from-call"},
    )
    async with ReplayServer("text") as server:
        await read(model_for(server, headers={"x-app": "usechat", "Anthropic-Beta": "from-model"}), call)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.json["model"] == "claude-sonnet-4-6"
    assert request.json["stream"] is True
    assert request.headers["authorization"] == "Bearer key-1"
    assert request.headers["x-team"] == "tides"
    assert request.headers["x-app"] == "usechat"
    assert request.headers["accept-encoding"] == "identity"
    betas = request.headers["anthropic-beta"].split(",")
    assert {"from-call", "from-model"} < set(betas)
    assert len(betas) == len(set(betas)) > 2


async def test_request_names_the_api_version_whose_parameters_it_uses():
    async with ReplayServer("text") as server:
        await read(model_for(server))
        await read(model_for(server, headers={"Anthropic-Version": "2026-10-21"}))
    assert [request.headers["anthropic-version"] for request in server.requests] == ["2023-06-01", "2026-10-21"]


async def test_half_an_emoji_from_the_browser_does_not_break_the_request():
    call = ModelCall(messages=[UserMessage((TextContent("half \ud83c"),))])
    async with ReplayServer("text") as server:
        assert texts(await read(model_for(server), call))
    assert "half \ufffd" in json.dumps(server.requests[0].json, ensure_ascii=False)


async def test_connection_is_kept_for_the_next_call():
    async with ReplayServer("text") as server:
        model = model_for(server)
        for _ in range(3):
            await read(model)
    assert (len(server.requests), server.connection_count) == (3, 1)


async def test_connection_is_not_kept_when_the_model_says_so():
    async with ReplayServer("text") as server:
        model = model_for(server, headers={"connection": "close"})
        await read(model)
        await read(model)
    assert server.requests[0].headers["connection"] == "close"
    assert server.connection_count == 2


async def test_models_with_the_same_settings_share_a_client():
    async with ReplayServer("text") as server:
        settings = ClientSettings("key-1", server.url)
        await read(model_for(server))
        client = await shared_client(settings)
        await read(model_for(server))
        assert await shared_client(settings) is client
        await model_for(server).aclose()
        assert client.is_closed()
        assert await shared_client(settings) is not client


async def test_closing_what_was_never_opened_is_nothing():
    await anthropic("m", api_key="never-used").aclose()


async def test_own_client_is_used_and_left_open():
    async with ReplayServer("text") as server, AsyncAnthropic(base_url=server.url, api_key="own") as client:
        model = anthropic("m", client=client)
        assert texts(await read(model))
        await model.aclose()
        assert not client.is_closed()
    assert server.requests[0].headers["authorization"] == "Bearer own"


async def test_compressed_answer_is_inflated():
    import gzip

    body = gzip.compress(read_stream("text"))
    reply = Reply(body=body, content_type="text/event-stream", headers={"content-encoding": "gzip"})
    async with ReplayServer(reply) as server:
        assert texts(await read(model_for(server))) == "High water is at 14:20 in Whitby."


# Keys


async def test_missing_key_is_one_clear_line():
    with pytest.raises(ConfigurationError, match=r"^no key for Anthropic: set ANTHROPIC_API_KEY, or [^\n]+$"):
        await read(anthropic("claude-sonnet-4-6"))


async def test_key_and_base_url_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    async with ReplayServer("text") as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "from-environment")
        assert texts(await read(anthropic("m")))
    assert server.requests[0].headers["authorization"] == "Bearer from-environment"


async def test_token_from_the_environment_will_do(monkeypatch: pytest.MonkeyPatch):
    async with ReplayServer("text") as server:
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-1")
        assert texts(await read(anthropic("m", base_url=server.url)))
    assert server.requests[0].headers["authorization"] == "Bearer token-1"


async def test_server_of_ones_own_needs_no_key():
    async with ReplayServer("text") as server:
        assert texts(await read(anthropic("qwen3", base_url=server.url)))


async def test_client_of_ones_own_without_a_key_is_a_configuration_error():
    async with ReplayServer("text") as server, AsyncAnthropic(base_url=server.url) as client:
        with pytest.raises(ConfigurationError, match="authentication method"):
            await read(anthropic("m", client=client))


async def test_profile_that_is_broken_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_PROFILE", "no-such-profile")
    with pytest.raises(ConfigurationError):
        await read(anthropic("m"))


def test_client_and_key_exclude_each_other():
    client = AsyncAnthropic(api_key="own")
    with pytest.raises(ConfigurationError, match="not both"):
        anthropic("m", client=client, api_key="k")


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
    monkeypatch.setattr("usechat.models.anthropic_model._DRAIN_SECONDS", 0.05)
    async with ReplayServer(Reply("text", hold_after=99)) as server:
        parts = await read(model_for(server))
        assert finish(parts).finish_reason.unified == "stop"
        await server.requests[0].over()
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
    assert len([record for record in caplog.records if record.name == "usechat.models.anthropic_model"]) == 1


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
        await request.over()
        assert request.aborted_at is not None
        assert request.aborted_at - left_at < 0.1


async def reading(server: ReplayServer, has_text: asyncio.Event) -> None:
    async for batch in model_for(server).stream(CALL):
        if texts(batch):
            has_text.set()


async def test_cancelling_the_task_closes_the_connection_at_once():
    async with ReplayServer(Reply("text", hold_after=4)) as server:
        has_text = asyncio.Event()
        task = asyncio.create_task(reading(server, has_text))
        await asyncio.wait_for(has_text.wait(), 5)
        left_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (request,) = server.requests
        await request.over()
        assert request.aborted_at is not None
        assert request.aborted_at - left_at < 0.1


async def test_cancelling_a_scope_closes_the_connection_at_once():
    async with ReplayServer(Reply("text", hold_after=4)) as server:
        has_text = asyncio.Event()
        left_at = 0.0
        async with anyio.create_task_group() as group:
            group.start_soon(reading, server, has_text)
            await asyncio.wait_for(has_text.wait(), 5)
            left_at = time.monotonic()
            group.cancel_scope.cancel()
        (request,) = server.requests
        await request.over()
        assert request.aborted_at is not None
        assert request.aborted_at - left_at < 0.1


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
        await request.over()
        assert request.is_aborted


# Tools and clouds


async def test_tool_call_comes_with_the_applications_name_for_it():
    call = ModelCall(messages=CALL.messages, tools=[ProviderTool(id="anthropic.web_search_20250305", name="look_up")])
    async with ReplayServer("web-search") as server:
        parts = await read(model_for(server), call)
    assert [part.tool_name for part in parts if isinstance(part, ToolCall)] == ["look_up"]


@pytest.mark.parametrize(("tool", "expected"), [("web_search_20260209", True), ("web_search_20250305", None)])
async def test_code_run_by_a_web_tool_is_dynamic(tool: str, expected: bool | None):
    call = ModelCall(messages=CALL.messages, tools=[ProviderTool(id=f"anthropic.{tool}", name="web_search")])
    async with ReplayServer("code-execution") as server:
        parts = await read(model_for(server), call)
    assert [part.dynamic for part in parts if isinstance(part, ToolCall)] == [expected]


async def test_function_tool_is_called_by_its_name():
    call = ModelCall(messages=CALL.messages, tools=[FunctionTool(name="get_tide")])
    async with ReplayServer("tool") as server:
        parts = await read(model_for(server), call)
    assert [part.input_text for part in parts if isinstance(part, ToolCall)] == [
        '{"port": "Whitby", "day": "2026-11-22"}'
    ]


@pytest.mark.parametrize(
    "name", ["text", "thinking", "tool", "web-search", "mcp", "compaction", "unknown-block", "ping"]
)
async def test_framing_that_only_the_package_reads_gives_the_same_parts(name: str):
    stream = AnthropicStream(generate_id=lambda: "")
    expected = stream.feed(read_stream(name)) + stream.finish()
    # A client for Bedrock decodes AWS's binary framing; what it makes of it does not depend on the framing.
    async with ReplayServer(Reply(name, content_type="application/vnd.amazon.eventstream")) as server:
        parts = await read(model_for(server))
    assert [type(part) for part in parts] == [type(part) for part in expected]
    assert finish(parts) == finish(expected)


async def test_error_event_that_the_package_reads_is_a_part_too():
    async with ReplayServer(Reply("error-midway", content_type="application/vnd.amazon.eventstream")) as server:
        *said, part, last = await read(model_for(server))
    assert texts(said) == "Until "
    assert isinstance(part, Error)
    assert isinstance(part.error, ProviderStreamError)
    assert part.error.code == "overloaded_error"
    assert finish([last]).finish_reason.unified == "error"


# The price of importing


def test_importing_the_model_does_not_import_the_package():
    program = "import sys, usechat.models as m; m.anthropic('x'); print({'anthropic', 'aiohttp'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_models_names_what_it_has():
    import usechat.models

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = usechat.models.nothing


def test_a_script_that_closes_nothing_ends_without_complaint():
    program = """
import asyncio
from usechat.models import anthropic
from usechat.models.base import ModelCall
from usechat.messages.model import TextContent, UserMessage
from usechat.testing.replay import ReplayServer

async def main(url):
    call = ModelCall(messages=[UserMessage((TextContent("hi"),))])
    async for batch in anthropic("claude-sonnet-4-6", base_url=url, api_key="k").stream(call):
        pass

with ReplayServer("text") as server:
    asyncio.run(main(server.url))
"""
    result = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr == ""
