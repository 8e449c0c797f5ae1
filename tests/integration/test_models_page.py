"""The models of docs/models.md, against servers on loopback."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from usechat import step_count_is, stream_text, tool
from usechat.errors import ProviderStatusError
from usechat.models.base import Model
from usechat.parts import FinishReason

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).resolve().parents[2] / "docs/models.md").read_text()
ADDRESSES, *_, OWN = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def program(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/models.md", "exec"), names)
    return names


def is_model(made: object) -> bool:
    return isinstance(made, Model)


class Server:
    """A server of chat completions that answers each request with the next list of chunks, or refuses it."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.requests: list[Any] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        [size] = [int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")]
        self.requests.append(json.loads(await reader.readexactly(size)))
        reply = self.replies.pop(0)
        if isinstance(reply, int):
            writer.write(b"HTTP/1.1 %d No\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfull" % reply)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            writer.writelines(b"data: " + json.dumps(each).encode() + b"\n\n" for each in reply)
        await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    yield made
    listening.close()


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(index: int, **function: str) -> dict[str, Any]:
    return chunk({"tool_calls": [{"index": index, "id": f"c{index}", "function": function}]})


async def test_own_model_runs_tools_in_steps(server: Server):
    @tool
    def get_tide(port: str) -> dict[str, int]:
        """The tide."""
        return {"metres": 3}

    asks = [call(0, name="get_tide", arguments='{"port": '), call(0, arguments='"Whitby"}'), chunk({}, "tool_calls")]
    says: list[Any] = [chunk({"content": "Three "}), chunk({"content": "metres."}), chunk({}, "stop"), {"choices": []}]
    server.replies = [asks, says]
    model: Any = program(OWN)["ChatModel"]("my-model", server.url)
    assert is_model(model)
    answer = stream_text(model, system="Be brief.", prompt="The tide?", tools=[get_tide], stop_when=step_count_is(2))
    assert await answer.text == "Three metres."
    assert await answer.finish_reason == FinishReason("stop", "stop")
    second = server.requests[1]
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "tool"]
    assert json.loads(second["messages"][-1]["content"]) == {"metres": 3}
    assert second["tools"][0]["function"]["name"] == "get_tide"
    await model.client.aclose()


@pytest.mark.parametrize(("reason", "told"), [(None, "The user denied this tool call."), ("too early", "too early")])
async def test_own_model_is_told_that_the_user_denied_a_call(server: Server, reason: str | None, told: str):
    @tool(needs_approval=True)
    def get_tide(port: str) -> int:
        """The tide."""
        return 3

    decision = {"id": "ap", "approved": False, **({} if reason is None else {"reason": reason})}
    denied = {"type": "tool-get_tide", "toolCallId": "c0", "state": "approval-responded", "input": {"port": "Whitby"}}
    messages: list[Any] = [
        {"id": "1", "role": "user", "parts": [{"type": "text", "text": "The tide?"}]},
        {"id": "2", "role": "assistant", "parts": [{**denied, "approval": decision}]},
    ]
    server.replies = [[chunk({"content": "Then not."}), chunk({}, "stop")]]
    model: Any = program(OWN)["ChatModel"]("my-model", server.url)
    answer = stream_text(model, messages=messages, tools=[get_tide], approval_secret=False)
    assert await answer.text == "Then not."
    [result] = [message for message in server.requests[0]["messages"] if message["role"] == "tool"]
    assert result["content"].startswith(told)
    await model.client.aclose()


async def test_own_model_tells_a_refusal_of_its_server(server: Server):
    server.replies = [503]
    model: Any = program(OWN)["ChatModel"]("my-model", server.url)
    with pytest.raises(ProviderStatusError, match="full"):
        await stream_text(model, prompt="Hi").text
    await model.client.aclose()


async def test_own_model_tells_that_its_stream_was_cut(server: Server):
    server.replies = [[chunk({"content": "Thr"})]]
    model: Any = program(OWN)["ChatModel"]("my-model", server.url)
    event = [part async for part in stream_text(model, prompt="Hi")]
    assert type(event[-1]).__name__ in ("Error", "Finish")
    assert any(type(part).__name__ == "Error" for part in event)
    await model.client.aclose()


def test_models_behind_other_addresses_are_made():
    names = program(ADDRESSES)
    assert names["through_litellm"].model_id == "gpt-5"
    assert names["local"].model_id == "qwen3"
