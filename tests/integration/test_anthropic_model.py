"""`anthropic()` from the request to the parts: the real package, a real server, a real connection."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import httpx2
import pytest
from anthropic import AsyncAnthropic, AsyncStream

from tests.integration.anthropic_calls import CALL, finish, model_for, read, texts
from tests.support.waiting import eventually
from usechat.errors import (
    ConfigurationError,
    ProviderStreamError,
)
from usechat.messages.model import TextContent, UserMessage
from usechat.models import anthropic
from usechat.models.base import FunctionTool, Model, ModelCall, ProviderTool
from usechat.models.claude.client import ClientSettings, shared_client
from usechat.models.claude.request.request import AnthropicRequest
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import Error, ToolCall
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import Framing, read_stream, stream_names

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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


def objects_of_a_request() -> list[object]:
    gc.collect()
    kinds = (AnthropicRequest, AsyncStream, httpx2.Request, httpx2.Response)
    return [each for each in gc.get_objects() if isinstance(each, kinds)]


async def test_open_answer_holds_nothing_that_opened_it():
    others = objects_of_a_request()
    async with ReplayServer(Reply("text", hold_after=4)) as server:
        answer = model_for(server).stream(CALL)
        await anext(answer)
        assert [each for each in objects_of_a_request() if not any(each is other for other in others)] == []
        await answer.aclose()


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
        upstream = await shared_client(settings)
        await read(model_for(server))
        assert await shared_client(settings) is upstream
        await model_for(server).aclose()
        assert upstream.client.is_closed()
        pool = upstream.pool
        assert pool is not None
        await eventually(lambda: not pool.connections)
        assert await shared_client(settings) is not upstream


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
