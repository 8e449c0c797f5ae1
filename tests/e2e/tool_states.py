"""An agent whose tools stop in each of the states that a tool call can have; what it is asked names the state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from usechat import Agent, tool
from usechat.messages.model import TextContent, ToolMessage, UserMessage
from usechat.models.base import ModelCall
from usechat.parts import ModelPart, ToolInputDelta, ToolInputStart
from usechat.testing.models import Hold, ScriptedModel, Step, calling_tool, saying

__all__ = ["LETTER", "agent"]

LETTER = {
    "to": "ada.lovelace.of.the.analytical.engine@a-very-long-name-of-a-host.example",
    "cc": "eve\u202emoc.live\u202c@example.com",
    "lines": ["first", {"second": 2}],
    "body": "Dear Ada,\n" + "I write to you at some length about the engine. " * 40 + "\nThis is the last line.",
}
_BEGIN: list[ModelPart] = [
    ToolInputStart(tool_call_id="call-1", tool_name="measure"),
    ToolInputDelta(tool_call_id="call-1", delta='{"place": "Whitby", "depths": [1, 2'),
]


@tool
async def measure(place: str) -> AsyncGenerator[dict[str, str]]:
    """Measure the water, and never come to an end."""
    yield {"place": place, "so_far": "three metres"}
    await asyncio.Event().wait()


@tool
async def fail() -> str:
    """Fail."""
    raise ValueError("the boat has sunk")


@tool(needs_approval=True)
async def send_letter(to: str, cc: str, lines: list[Any], body: str) -> str:
    """Send a letter."""
    return f"sent {len(body)} letters to {to}, {cc}, {len(lines)}"


locate = tool(name="locate", input_schema={"type": "object", "properties": {"what": {"type": "string"}}})

_STEPS: dict[str, Step] = {
    "input": [_BEGIN, Hold()],
    "preliminary": calling_tool("measure", {"place": "Whitby"}),
    "failure": calling_tool("fail"),
    "approval": calling_tool("send_letter", LETTER),
    "question": calling_tool("locate", {"what": "the harbour"}),
}


class StatesModel:
    """A model that makes the call which its user names, and tells what came of it."""

    provider = "scripted"
    model_id = "states"

    async def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        """Run one call; see `usechat.models.base.Model.stream`."""
        last = call.messages[-1]
        step = saying(f"It brought: {last.content}") if isinstance(last, ToolMessage) else _STEPS[_words(last)]
        async for parts in ScriptedModel(step).stream(call):
            yield parts


def _words(message: Any) -> str:
    content = message.content if isinstance(message, UserMessage) else ()
    return "".join(part.text for part in content if isinstance(part, TextContent))


agent = Agent(StatesModel(), name="States", tools=[measure, fail, send_letter, locate])
