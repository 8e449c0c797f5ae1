"""Anthropic's models behind other clouds: the package's own clients for them, and what their servers send."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from anthropic import DefaultAsyncHttpxClient
from anthropic.lib.bedrock import AsyncAnthropicBedrock
from anthropic.lib.foundry import AsyncAnthropicFoundry
from anthropic.lib.vertex import AsyncAnthropicVertex

from tests.integration.anthropic_calls import CALL, finish, read, texts
from usechat.errors import ProviderStreamError
from usechat.models import anthropic
from usechat.models.claude.client import AnyClient
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import Error, ModelPart
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events, read_stream, stream_names

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

AWS_EVENT_STREAM = "application/vnd.amazon.eventstream"
NAMES = [name for name in stream_names() if not name.startswith("error-")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def aws_frame(headers: dict[str, str], payload: bytes) -> bytes:
    """A message of AWS's event stream encoding: lengths, their checksum, headers, payload, checksum of it all."""
    names = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(names) + len(payload), len(names))
    checked = prelude + struct.pack(">I", zlib.crc32(prelude)) + names + payload
    return checked + struct.pack(">I", zlib.crc32(checked))


def aws_chunk(event: str) -> bytes:
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return aws_frame(headers, json.dumps({"bytes": b64encode(event.encode()).decode()}).encode())


def aws_exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return aws_frame(headers, json.dumps({"message": message}).encode())


def over_http(url: str) -> dict[str, Any]:
    # To load certificates that plain HTTP does not need takes a client longer than a test.
    return {"base_url": url, "max_retries": 0, "http_client": DefaultAsyncHttpxClient(verify=False)}


def vertex(url: str) -> AsyncAnthropicVertex:
    return AsyncAnthropicVertex(region="us-east5", project_id="p", access_token="token", **over_http(url))


def foundry(url: str) -> AsyncAnthropicFoundry:
    return AsyncAnthropicFoundry(api_key="key", **over_http(url))


def bedrock(url: str) -> AsyncAnthropicBedrock:
    return AsyncAnthropicBedrock(aws_access_key="a", aws_secret_key="s", aws_region="us-east-1", **over_http(url))


async def answer(client: AnyClient, name: str = "claude-sonnet-4-6") -> list[ModelPart]:
    async with client:
        return await read(anthropic(name, client=client), CALL)


def meaning(name: str) -> list[ModelPart]:
    """What a stream means, whoever brings it."""
    stream = AnthropicStream(generate_id=lambda: "")
    return stream.feed(read_stream(name)) + stream.finish()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make_client", [vertex, foundry])
async def test_answer_through_a_cloud_is_what_the_stream_means(make_client: Callable[[str], Any], name: str):
    async with ReplayServer(name) as server:
        parts = await answer(make_client(server.url))
    assert texts(parts) == texts(meaning(name))
    assert finish(parts) == finish(meaning(name))


async def test_vertex_is_asked_at_its_own_address_as_the_package_does():
    async with ReplayServer("text") as server:
        await answer(vertex(server.url))
        (request,) = server.requests
    assert (
        request.path == "/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-6:streamRawPredict"
    )
    assert "anthropic_version" in request.json
    assert "model" not in request.json


@pytest.mark.parametrize("name", NAMES)
async def test_answer_in_aws_framing_is_what_the_stream_means(name: str):
    body = b"".join(aws_chunk(event) for event in read_events(name))
    async with ReplayServer(Reply(body=body, content_type=AWS_EVENT_STREAM)) as server:
        parts = await answer(bedrock(server.url), "anthropic.claude-sonnet-4-6-v1:0")
        (request,) = server.requests
    assert [type(part) for part in parts] == [type(part) for part in meaning(name)]
    assert texts(parts) == texts(meaning(name))
    assert finish(parts) == finish(meaning(name))
    assert request.path.endswith("/invoke-with-response-stream")
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


async def test_exception_of_aws_in_mid_answer_is_an_error():
    events = list(read_events("text"))
    body = b"".join(aws_chunk(event) for event in events[:4]) + aws_exception("throttlingException", "Too many tokens")
    async with ReplayServer(Reply(body=body, content_type=AWS_EVENT_STREAM)) as server:
        parts = await answer(bedrock(server.url))
    (error,) = (part for part in parts if isinstance(part, Error))
    assert isinstance(error.error, ProviderStreamError)
    assert "Too many tokens" in str(error.error)
    assert finish(parts).finish_reason.unified == "error"
