"""What goes past the package is what the package would send, and its answer means what the package says."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from typing import Any

import anthropic as package
import pytest
from anthropic.lib.credentials import AccessToken
from pydantic import BaseModel

from tests.integration.anthropic_calls import CALL, model_for, read, texts
from usechat.errors import ConfigurationError, ProviderConnectionError, ProviderStatusError
from usechat.messages.model import AssistantMessage, TextContent, ToolCallContent, UserMessage
from usechat.models import anthropic
from usechat.models.base import ModelCall
from usechat.models.claude.client import ClientSettings, shared_client
from usechat.models.claude.transport import PoolTransport
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

LONGER = ModelCall(messages=[UserMessage((TextContent("When is high water in Whitby, and when is it in Hull?"),))])
NOT_COMPARED = ("content-length", "x-stainless-timeout", "x-stainless-read-timeout")
"""What depends on the body, and how long the package would wait."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def head(request: ReplayedRequest, *, without: tuple[str, ...] = NOT_COMPARED) -> Mapping[str, str]:
    return {name: value for name, value in request.headers.items() if name not in without}


async def test_every_request_has_the_head_that_the_package_writes():
    async with ReplayServer("text") as server:
        model = model_for(server)
        for call in (CALL, LONGER, CALL):
            await read(model, call)
        async with package.AsyncAnthropic(base_url=server.url, api_key="key-1") as client:
            await read(anthropic("claude-sonnet-4-6", client=client), LONGER)
    *ours, theirs = server.requests
    assert [head(request) for request in ours] == [head(theirs)] * 3
    assert ours[1].body != ours[0].body == ours[2].body
    assert ours[1].json == theirs.json
    assert all(int(request.headers["content-length"]) == len(request.body) for request in server.requests)


async def test_retried_request_says_which_attempt_it_is():
    busy = Reply(status=529, headers={"retry-after-ms": "1"})
    async with ReplayServer(busy, "text", busy, "text") as server:
        model = model_for(server)
        await read(model)
        await read(model, LONGER)
    assert [request.headers["x-stainless-retry-count"] for request in server.requests] == ["0", "1", "0", "1"]
    assert [request.json["messages"] for request in server.requests[2:]] == [server.requests[2].json["messages"]] * 2


async def test_key_that_is_changed_is_the_next_requests():
    async with ReplayServer("text") as server:
        model = model_for(server)
        await read(model)
        client = (await shared_client(ClientSettings("key-1", server.url))).client
        assert type(client) is package.AsyncAnthropic
        client.api_key = "key-2"
        await read(model)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer key-1", "Bearer key-2"]


class Range(BaseModel):
    """Something of the application's own, where the request is to hold JSON."""

    minimum: int = 1


async def test_body_that_only_the_package_can_write_is_written_by_it():
    asked = ToolCallContent(tool_call_id="toolu_1", tool_name="tide", input={"hours": Range(minimum=2)})
    call = ModelCall(messages=[*CALL.messages, AssistantMessage((asked,))])
    async with ReplayServer("text") as server:
        assert texts(await read(model_for(server), call))
    assert server.requests[0].json["messages"][1]["content"][0]["input"] == {"hours": {"minimum": 2}}


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(status=400), id="error-object"),
        pytest.param(
            Reply(status=529, headers={"x-should-retry": "false", "retry-after": "7"}), id="not-to-be-retried"
        ),
        pytest.param(Reply(status=418, headers={"x-should-retry": "true"}), id="to-be-retried"),
        pytest.param(Reply(status=502, body=b"<html>Bad gateway</html>", content_type="text/html"), id="html"),
        pytest.param(Reply(status=500, body=b""), id="nothing"),
        pytest.param(Reply(status=500, body=b'{"error":"no object"}'), id="other-json"),
        pytest.param(Reply(status=500, body=b"[" * 100_000), id="nested-deep"),
        pytest.param(Reply(status=500, body=b'{"error":{"type":"api_error","message":"\xff"}}'), id="no-utf-8"),
        pytest.param(
            Reply(
                status=429,
                body=gzip.compress(b'{"error":{"type":"rate_limit_error","message":"slow down"}}'),
                headers={"content-encoding": "gzip", "retry-after-ms": "1500"},
            ),
            id="compressed",
        ),
    ],
)
async def test_refusal_means_what_the_package_says_it_means(reply: Reply):
    async with ReplayServer(reply) as server, package.AsyncAnthropic(base_url=server.url, api_key="k") as client:
        with pytest.raises(ProviderStatusError) as ours:
            await read(model_for(server, max_retries=0))
        with pytest.raises(ProviderStatusError) as theirs:
            await read(anthropic("claude-sonnet-4-6", client=client, max_retries=0))
    decided_on = ("status", "code", "request_id", "is_retryable", "retry_after")
    assert [getattr(ours.value, name) for name in decided_on] == [getattr(theirs.value, name) for name in decided_on]
    if theirs.value.code is not None:
        assert str(ours.value) == str(theirs.value)


async def test_redirect_is_followed_by_the_package_over_the_same_connections():
    moved = Reply(status=307, body=b"", headers={"location": "/v1/elsewhere"})
    async with ReplayServer("text", moved, moved, "text") as server:
        model = model_for(server)
        whole = texts(await read(model))
        assert texts(await read(model)) == whole
    paths = [request.path for request in server.requests]
    assert paths == [*["/v1/messages"] * 3, "/v1/elsewhere"]
    assert all(request.json == server.requests[0].json for request in server.requests)
    assert server.connection_count == 1


async def test_base_url_may_have_a_path():
    async with ReplayServer("text") as server:
        await read(anthropic("m", base_url=server.url + "/gateway/", api_key="k"))
        await read(anthropic("m", base_url=server.url + "/gateway", api_key="k"))
    assert [request.path for request in server.requests] == ["/gateway/v1/messages"] * 2


async def test_header_that_holds_a_line_end_is_a_configuration_error():
    call = ModelCall(messages=CALL.messages, headers={"x-team": "tides\r\nx-other: 1"})
    async with ReplayServer("text") as server:
        with pytest.raises(ConfigurationError, match="line end"):
            await read(model_for(server), call)
    assert server.requests == []


async def test_token_that_the_package_mints_is_sent_by_it_and_minted_anew_when_it_is_refused():
    minted: list[str] = []

    async def mint(**_: Any) -> AccessToken:
        minted.append(f"token-{len(minted) + 1}")
        return AccessToken(token=minted[-1])

    def answer(request: ReplayedRequest) -> Reply:
        is_revoked = len(server.requests) > 1 and request.headers["authorization"] == "Bearer token-1"
        return Reply(status=401) if is_revoked else Reply("text")

    async with ReplayServer(answer) as server:
        settings = ClientSettings("key-1", server.url)
        pool = (await shared_client(settings)).pool
        assert pool is not None
        client = package.AsyncAnthropic(
            base_url=server.url,
            credentials=mint,
            http_client=package.DefaultAsyncHttpxClient(transport=PoolTransport(pool)),
        )
        for _ in range(2):
            assert texts(await read(anthropic("m", client=client, max_retries=0)))
        await client.close()
    sent = [request.headers["authorization"] for request in server.requests]
    assert list(dict.fromkeys(sent)) == ["Bearer token-1", "Bearer token-2"]
    assert server.requests[-1].headers["authorization"] == "Bearer token-2"


async def test_request_that_reaches_nobody_is_a_connection_error():
    async with ReplayServer("text") as server:
        model = model_for(server, max_retries=0)
        await read(model)
    with pytest.raises(ProviderConnectionError) as caught:
        await read(model)
    assert caught.value.code == "connection_error"


async def test_request_that_nobody_waits_for_is_dropped():
    busy = Reply(status=429, headers={"retry-after": "30"})
    async with ReplayServer("text", busy, "text") as server:
        model = model_for(server, max_retries=1)
        await read(model)
        reading = asyncio.create_task(read(model))
        await server.received(2)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert reading.cancelled()
        assert texts(await read(model))
