"""What `on_finish` gives to be saved is a message that the AI SDK's own `validateUIMessages` accepts.

So a TypeScript backend can go on with a chat that was saved by this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from tests.conformance.app import make_tools
from tests.conformance.scenarios import SCENARIOS, Scenario
from tests.conformance.sides import Sides, reply_of_turn
from usechat import ChatRequest, FinishEvent, StreamingAnswer, step_count_is, stream_text
from usechat.models import anthropic
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

pytestmark = pytest.mark.anyio

# A client of unknown version gets what all of them take: what is saved then must suit all of them, too.
READERS = {"auto": (5, 6, 7), "5": (5, 6, 7), "6": (6, 7), "7": (7,)}
STORED = [
    scenario for scenario in SCENARIOS if scenario.route == "chat" and not any(reply.hold_after for reply in scenario.replies)
]


@pytest.mark.parametrize("sdk", READERS)
@pytest.mark.parametrize("scenario", STORED, ids=[scenario.name for scenario in STORED])
async def test_the_saved_message_is_valid(sdk: str, scenario: Scenario, sides: Sides):
    message = await answer_and_save(sdk, scenario)
    history = [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}, message]
    for major in READERS[sdk]:
        problem = sides.client(major).ask("validate", messages=history if message["parts"] else history[:1])

        assert problem is None, f"ai {major}: {problem}"


async def answer_and_save(sdk: str, scenario: Scenario) -> Mapping[str, Any]:
    def reply(request: ReplayedRequest) -> Reply:
        return reply_of_turn(scenario, request.json["messages"])

    saved: list[FinishEvent] = []
    with ReplayServer(reply) as upstream:
        app = FastAPI()

        @app.post("/api/chat")
        async def chat(chat: ChatRequest) -> StreamingAnswer:
            result = stream_text(
                anthropic("claude-sonnet-4-6", base_url=upstream.url, api_key="test"),
                messages=chat.messages,
                tools=make_tools(sdk, list(scenario.body.get("extraTools", ()))),
                stop_when=step_count_is(5),
                max_retries=0,
                on_finish=saved.append,
            )
            return result.response(chat, sdk=sdk)

        message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
        async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
            await client.post("/api/chat", json={"id": "c1", "trigger": "submit-message", "messages": [message]})
    (finished,) = saved
    return finished.ui_message
