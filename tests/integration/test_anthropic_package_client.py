"""What the package would send is sent, also by requests whose head was written for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import anthropic as package
import pytest
from pydantic import BaseModel

from tests.integration.anthropic_calls import CALL, model_for, read, texts
from usechat.errors import ProviderConnectionError, ProviderStatusError
from usechat.messages.model import AssistantMessage, TextContent, ToolCallContent, UserMessage
from usechat.models import anthropic, anthropic_package_client
from usechat.models.anthropic_client import ClientSettings, shared_client
from usechat.models.anthropic_package_client import AsyncAnthropic
from usechat.models.base import ModelCall
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

LONGER = ModelCall(messages=[UserMessage((TextContent("When is high water in Whitby, and when is it in Hull?"),))])
OF_THE_BODY = ("content-length",)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def head(request: ReplayedRequest, *, without: tuple[str, ...] = OF_THE_BODY) -> Mapping[str, str]:
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


async def test_requests_with_other_headers_have_heads_of_their_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(anthropic_package_client, "_MAX_HEADS", 2)
    async with ReplayServer("text") as server:
        model = model_for(server)
        for number in (1, 2, 3, 1):
            await read(model, ModelCall(messages=CALL.messages, headers={"x-number": str(number)}))
        client = await shared_client(ClientSettings("key-1", server.url))
    assert [request.headers["x-number"] for request in server.requests] == ["1", "2", "3", "1"]
    assert isinstance(client, AsyncAnthropic)
    assert len(client.heads) == 2


async def test_key_that_is_changed_is_the_next_requests():
    async with ReplayServer("text") as server:
        model = model_for(server)
        await read(model)
        (await shared_client(ClientSettings("key-1", server.url))).api_key = "key-2"
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


async def test_other_requests_than_a_models_are_the_packages_own():
    nothing = Reply(body=b'{"data":[],"has_more":false}')
    async with ReplayServer(nothing) as server, AsyncAnthropic(base_url=server.url, api_key="key-1") as client:
        for _ in range(2):
            assert (await client.models.list(limit=3)).data == []
        await client.post("/v1/messages", cast_to=object, content=b"{}", options={"headers": {}, "params": {"a": 1}})
    assert [request.path for request in server.requests] == [*["/v1/models?limit=3"] * 2, "/v1/messages?a=1"]
    assert client.heads == {}


async def test_what_a_later_request_meets_is_the_packages_to_judge():
    """Its first try is not sent by the package: refusals, redirects and other bodies are handed to it."""
    refused = Reply(status=400)
    moved = Reply(status=307, body=b"", headers={"location": "/v1/elsewhere"})
    packed = Reply(stream="text", headers={"content-encoding": "identity"})
    async with ReplayServer("text", refused, moved, "text", packed) as server:
        model = model_for(server)
        whole = texts(await read(model))
        with pytest.raises(ProviderStatusError) as caught:
            await read(model)
        assert caught.value.status == 400
        assert texts(await read(model)) == whole
        assert texts(await read(model)) == whole
    paths = [request.path for request in server.requests]
    assert paths == [*["/v1/messages"] * 3, "/v1/elsewhere", "/v1/messages"]
    assert all(request.json == server.requests[0].json for request in server.requests)


async def test_later_request_that_reaches_nobody_fails_as_the_first_one_does():
    async with ReplayServer("text") as server:
        model = model_for(server, max_retries=0)
        await read(model)
    with pytest.raises(ProviderConnectionError) as caught:
        await read(model)
    assert caught.value.code == "connection_error"


async def test_later_request_that_nobody_waits_for_is_dropped():
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


async def test_response_that_the_package_does_not_take_is_let_go_of():
    endless = Reply(stream="text", content_type="text/plain", hold_after=1)
    async with ReplayServer("text", endless) as server:
        await read(model_for(server))
        client = await shared_client(ClientSettings("key-1", server.url))
        assert isinstance(client, AsyncAnthropic)
        headers = {"accept-encoding": "identity", "anthropic-version": "2023-06-01"}
        wrong: Any = {"headers": headers, "max_retries": "two"}
        with pytest.raises(TypeError):
            await client.open_stream(server.requests[0].body, wrong)
        await server.requests[1].over()
        assert server.requests[1].is_aborted


async def test_whoever_listens_to_the_package_hears_of_every_request(caplog: pytest.LogCaptureFixture):
    async with ReplayServer("text") as server:
        model = model_for(server)
        with caplog.at_level(logging.INFO, "httpx2"):
            await read(model)
            await read(model)
            assert len([line for line in caplog.messages if "/v1/messages" in line]) == 2
        caplog.clear()
        await read(model)
    assert caplog.messages == []
    assert len(server.requests) == 3
