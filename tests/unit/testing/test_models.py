"""The model for tests: it says what it is told to."""

from __future__ import annotations

import pytest

from usechat.models.base import Model, ModelCall
from usechat.parts import ModelFinish, ModelPart, TextDelta, TextStart, ToolCall
from usechat.testing.models import Hold, ScriptedModel, calling_tool, calling_tools, saying

pytestmark = pytest.mark.anyio

CALL = ModelCall(messages=())


async def read(model: ScriptedModel) -> list[ModelPart]:
    return [part async for batch in model.stream(CALL) for part in batch]


async def test_it_is_a_model():
    model = ScriptedModel(saying("Hi"), provider="anthropic", model_id="claude")
    assert isinstance(model, Model)
    assert (model.provider, model.model_id) == ("anthropic", "claude")


async def test_it_takes_its_steps_in_turn_and_repeats_the_last():
    model = ScriptedModel(saying("one"), saying("two"))
    texts = [[part.delta for part in await read(model) if isinstance(part, TextDelta)] for _ in range(3)]
    assert texts == [["one"], ["two"], ["two"]]
    assert model.calls == [CALL] * 3
    assert model.closed.is_set()
    assert model.open_count == 0


async def test_it_calls_tools():
    (call,) = [part for part in await read(ScriptedModel(calling_tool("t", {"a": 1}))) if isinstance(part, ToolCall)]
    assert (call.tool_call_id, call.tool_name, call.input_text) == ("call-1", "t", '{"a": 1}')
    step = calling_tools(("a", "t", {}), ("b", "t", "{"), finish="length")
    parts = await read(ScriptedModel(step))
    assert [part.input_text for part in parts if isinstance(part, ToolCall)] == ["{}", "{"]
    assert isinstance(parts[-1], ModelFinish)
    assert parts[-1].finish_reason.unified == "length"


async def test_it_raises_and_falls_silent_where_it_is_told_to():
    with pytest.raises(ZeroDivisionError):
        await read(ScriptedModel([ZeroDivisionError()]))
    hold = Hold()
    model = ScriptedModel([[TextStart("0")], hold])
    stream = model.stream(CALL)
    await anext(stream)
    assert model.open_count == 1
    assert not hold.reached.is_set()
    await stream.aclose()
    assert model.open_count == 0


async def test_it_needs_a_step():
    with pytest.raises(ValueError, match="needs a step"):
        ScriptedModel()
