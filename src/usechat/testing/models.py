"""Models for tests: they stream scripted parts, without a network.

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
    """A pause of the model in a step, which lasts until the call is cancelled."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        """Set when the model has reached the pause."""

    async def __call__(self) -> None:
        """Set `reached`, then wait until the call is cancelled."""
        self.reached.set()
        await asyncio.Event().wait()


def saying(*texts: str, finish: UnifiedFinishReason = "stop", usage: Usage = USAGE) -> Step:
    """Return a step with one text block, whose texts arrive one batch each."""
    ended = ModelFinish(finish_reason=FinishReason(finish, finish), usage=usage)
    return [[TextStart("0")], *([TextDelta("0", text)] for text in texts), [TextEnd("0"), ended]]


def calling_tool(name: str, input: Any = None, *, tool_call_id: str = "call-1") -> Step:
    """Return a step that calls one tool."""
    return calling_tools((tool_call_id, name, {} if input is None else input))


def calling_tools(*calls: tuple[str, str, Any], finish: UnifiedFinishReason = "tool-calls") -> Step:
    """Return a step that calls tools.

    Args:
        calls: Id, name and input of each call. An input that is a string is sent unchanged, as JSON text.
        finish: The finish reason of the step.
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
    """A model that answers each call with the next step, and repeats the last step.

    Args:
        steps: The steps, in the order of the calls.
        provider: The provider name that the model reports.
        model_id: The model id that the model reports.
    """

    def __init__(self, *steps: Step, provider: str = "scripted", model_id: str = "scripted") -> None:
        if not steps:
            raise ValueError("a scripted model needs a step")
        self.steps = steps
        self.provider = provider
        self.model_id = model_id
        self.calls: list[ModelCall] = []
        """All calls so far, in order."""
        self.open_count = 0
        """Number of streams that have begun and not ended."""
        self.closed = asyncio.Event()
        """Set when a stream has ended, complete or not."""

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
