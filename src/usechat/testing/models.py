"""Models for tests: they say what they are told to, without a network.

model = ScriptedModel(calling_tool("get_weather", {"city": "Whitby"}), saying("It is sunny."))
result = stream_text(model, prompt="And the weather?", tools=[get_weather], stop_when=step_count_is(2))
assert await result.text == "It is sunny."
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

from usechat.models.base import ModelCall
from usechat.parts import (
    FinishReason,
    ModelFinish,
    ModelPart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    UnifiedFinishReason,
    Usage,
)

__all__ = ["Hold", "ScriptedModel", "Step", "calling_tool", "calling_tools", "saying"]

Step: TypeAlias = Sequence[Sequence[ModelPart] | BaseException | Callable[[], Awaitable[object]]]
"""One model call: batches of parts, exceptions to raise, and functions to await, in order."""

USAGE = Usage(input_no_cache=10, output=5)


class Hold:
    """Put one into a step where the model is to fall silent, until the call is given up."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        """Set when the model has come to it."""

    async def __call__(self) -> None:
        """Wait for ever."""
        self.reached.set()
        await asyncio.Event().wait()


def saying(*texts: str, finish: UnifiedFinishReason = "stop", usage: Usage = USAGE) -> Step:
    """Return a step of one text block, each text a batch of its own."""
    ended = ModelFinish(finish_reason=FinishReason(finish, finish), usage=usage)
    return [[TextStart("0")], *([TextDelta("0", text)] for text in texts), [TextEnd("0"), ended]]


def calling_tool(name: str, input: Any = None, *, tool_call_id: str = "call-1") -> Step:
    """Return a step that calls one tool."""
    return calling_tools((tool_call_id, name, {} if input is None else input))


def calling_tools(*calls: tuple[str, str, Any], finish: UnifiedFinishReason = "tool-calls") -> Step:
    """Return a step that calls tools.

    Args:
        calls: Id, name and input of each; an input that is text is taken for JSON text as it stands.
        finish: Why the step ends.
    """
    batches: list[list[ModelPart]] = []
    for tool_call_id, name, input in calls:
        text = input if isinstance(input, str) else json.dumps(input)
        batches.append(
            [
                ToolInputStart(tool_call_id=tool_call_id, tool_name=name),
                ToolInputDelta(tool_call_id=tool_call_id, delta=text),
                ToolCall(tool_call_id=tool_call_id, tool_name=name, input_text=text),
            ]
        )
    return [*batches, [ModelFinish(finish_reason=FinishReason(finish, finish), usage=USAGE)]]


class ScriptedModel:
    """A model that answers the first call with the first step and so on, and repeats the last.

    Args:
        steps: What each call brings.
        provider: As a real model says it.
        model_id: As a real model says it.
    """

    def __init__(self, *steps: Step, provider: str = "scripted", model_id: str = "scripted") -> None:
        if not steps:
            raise ValueError("a scripted model needs a step")
        self.steps = steps
        self.provider = provider
        self.model_id = model_id
        self.calls: list[ModelCall] = []
        """What it was asked, in order."""
        self.open_count = 0
        """How many of its streams have begun and not ended."""
        self.closed = asyncio.Event()
        """Set when a stream has ended, whole or not."""

    async def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        """Run one call; see `usechat.models.base.Model.stream`."""
        self.calls.append(call)
        self.open_count += 1
        try:
            for item in self.steps[min(len(self.calls), len(self.steps)) - 1]:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, Sequence):
                    yield list(cast("Sequence[ModelPart]", item))
                else:
                    await item()
        finally:
            self.open_count -= 1
            self.closed.set()
