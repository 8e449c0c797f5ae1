"""Tools run with the input that the model gave, or not at all, whatever version the client names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usechat import parse_chat_request, step_count_is, stream_text, tool
from usechat.models import anthropic
from usechat.testing.replay import ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

VERSIONS = ("auto", "4", "4.3.19", "5", "5.0.277", "6.0.324", "7.0.173")
CHAT = b'{"id":"c","messages":[{"id":"u","role":"user","parts":[{"type":"text","text":"Tidy up"}]}]}'
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "x", "usage": {}},
}


def calling(name: str, *pieces: str, input: dict[str, Any], stop: str) -> Reply:
    block = {"type": "tool_use", "id": "t1", "name": name, "input": input}
    return Reply(
        events=[
            START,
            {"type": "content_block_start", "index": 0, "content_block": block},
            *(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "input_json_delta", "partial_json": piece},
                }
                for piece in pieces
            ),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
    )


class Tidying:
    """A conversation with a model that wants to remove files."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.sent = ""
        self.asked: list[Any] = []

    async def hold(self, sdk: str, reply: Reply, **options: Any) -> None:
        @tool
        def remove(path: str = "/") -> str:
            self.removed.append(path)
            return "gone"

        async with ReplayServer(reply, Reply("text")) as upstream:
            model = anthropic("claude-sonnet-4-6", base_url=upstream.url, api_key="k", max_retries=0)
            chat = parse_chat_request(CHAT)
            answer = stream_text(model, messages=chat.messages, tools=[remove], stop_when=step_count_is(5))
            stream = await answer.stream({}, chat, sdk=sdk, **options)
            self.sent = b"".join([piece async for piece in stream.body]).decode()
            await model.aclose()
            self.asked = [request.json["messages"] for request in upstream.requests]


@pytest.mark.parametrize("sdk", VERSIONS)
async def test_input_within_the_start_of_a_call_reaches_the_tool_the_page_and_the_model(sdk: str):
    tidying = Tidying()
    await tidying.hold(sdk, calling("remove", input={"path": "/tmp/x"}, stop="tool_use"))
    assert tidying.removed == ["/tmp/x"]
    assert json.dumps({"path": "/tmp/x"}, separators=(",", ":")) in tidying.sent
    assert tidying.asked[1][1]["content"][0]["input"] == {"path": "/tmp/x"}


@pytest.mark.parametrize("sdk", VERSIONS)
@pytest.mark.parametrize("pieces", [(), ('{"path":"/tm',)])
async def test_page_is_told_that_a_call_was_cut_off(sdk: str, pieces: tuple[str, ...]):
    tidying = Tidying()
    await tidying.hold(sdk, calling("remove", *pieces, input={}, stop="max_tokens"))
    assert tidying.removed == []
    assert "The call was cut off, because the answer ended before it was whole. The tool did not run." in tidying.sent
