"""What an answer gives, and that its end is told once."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import Any

import pytest

from tests.support.waiting import AT_ONCE
from tests.unit.answers.answer_ends import Heard, ask, read_until, reading, texts
from usechat import ToolContext, step_count_is, stream_text, tool
from usechat.answers.answer import Answer, Callbacks
from usechat.answers.smooth import smooth_stream
from usechat.errors import ConfigurationError, ProviderStatusError, RequestError
from usechat.messages.model import AssistantMessage, TextContent, ToolMessage, UserMessage
from usechat.parts import Abort, Error, FinishReason, ModelFinish, Part, Start, TextDelta, TextEnd, TextStart, Usage
from usechat.protocol.dialects import AUTO, NEWEST, Dialect
from usechat.protocol.options import EncoderOptions
from usechat.testing.models import Hold, ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio
"""Seconds after which something that should have happened has not."""


# What one can get


async def test_parts_come_one_by_one():
    kinds = [type(part).__name__ async for part in ask(ScriptedModel(saying("Hi")))]
    assert kinds == ["Start", "StartStep", "TextStart", "TextDelta", "TextEnd", "FinishStep", "Finish"]


async def test_values_can_be_awaited_before_and_after_the_end():
    result = ask(ScriptedModel(saying("Hel", "lo")))
    text, usage, reason, steps, message = await asyncio.gather(
        result.text, result.usage, result.finish_reason, result.steps, result.ui_message
    )
    assert text == await result.text == "Hello"
    assert usage == Usage(input_no_cache=10, output=5)
    assert reason == FinishReason("stop", "stop")
    assert [step.text for step in steps] == ["Hello"]
    assert message["parts"][-1] == {"type": "text", "text": "Hello", "state": "done"}
    assert message["role"] == "assistant"


async def test_value_raises_what_went_wrong_but_the_message_is_there():
    error = ProviderStatusError("overloaded", provider="scripted", status=529)
    result = ask(ScriptedModel([error]))
    with pytest.raises(ProviderStatusError):
        await result.text
    with pytest.raises(ProviderStatusError):
        await result.usage
    assert (await result.ui_message)["parts"] == []


async def test_answer_can_be_read_once():
    result = ask(ScriptedModel(saying("Hi")))
    await result.text
    with pytest.raises(ConfigurationError, match="can be read once"):
        await anext(result.batches())
    with pytest.raises(ConfigurationError, match="can be read once"):
        result.bind(AUTO, EncoderOptions())


async def test_nothing_runs_until_it_is_read():
    model = ScriptedModel(saying("Hi"))
    ask(model)
    await asyncio.sleep(0)
    assert model.calls == []


async def test_request_that_cannot_be_answered_is_refused_before_anything_is_told():
    heard = Heard()
    messages = [{"role": "user", "parts": [{"type": "file", "mediaType": "text/plain", "url": "file:///etc/passwd"}]}]
    result = ask(ScriptedModel(saying("Hi")), heard, messages=messages, prompt=None)
    with pytest.raises(RequestError):
        result.prepare()
    with pytest.raises(RequestError):
        await result.text
    assert heard.finished == []


async def test_answer_without_a_source_is_none():
    with pytest.raises(TypeError, match="make_turn"):
        Answer(Callbacks())  # type: ignore[abstract]


async def test_bound_answer_announces_its_id_and_continues_its_message():
    heard = Heard()
    result = ask(ScriptedModel(saying("Hi")), heard)
    message = {"id": "m1", "role": "assistant", "parts": [{"type": "text", "text": "Before."}]}
    result.bind(Dialect(NEWEST[7], exact=True), EncoderOptions(), message=message, message_id="m1")
    await result.text
    event = await heard.once()
    assert event.is_continuation
    assert event.ui_message["id"] == "m1"
    assert texts(event) == ["Before.", "Hi"]
    assert heard.parts[0] == Start(message_id="m1")


async def test_transform_changes_what_is_shown_and_saved():
    heard = Heard()
    result = ask(ScriptedModel(saying("One two thr", "ee")), heard, transform=smooth_stream(delay=None))
    await result.text
    deltas = [part.delta for part in heard.parts if isinstance(part, TextDelta)]
    assert deltas == ["One ", "two ", "three"]
    assert texts(await heard.once()) == ["One two three"]


# The end is told once


async def test_whole_answer_is_told():
    heard = Heard()
    result = ask(ScriptedModel(saying("Hello")), heard)
    await result.text
    event = await heard.once()
    assert (event.is_aborted, event.error, event.text) == (False, None, "Hello")
    assert heard.aborted == []
    assert len(heard.parts) == 7


@tool
async def stand() -> str:
    """Do little."""
    return "ok"


async def test_end_tells_the_messages_that_a_later_call_can_take():
    heard = Heard()
    model = ScriptedModel(calling_tool("stand"), saying("Sunny."), saying("Again."))
    await stream_text(model, prompt="?", tools=[stand], stop_when=step_count_is(2), on_finish=heard.on_finish).text
    told = (await heard.once()).response_messages
    assert list(map(type, told)) == [AssistantMessage, ToolMessage, AssistantMessage]
    assert await stream_text(model, messages=[UserMessage((TextContent("?"),)), *told]).text == "Again."
    assert model.calls[-1].messages[1:] == tuple(told)


async def test_each_step_tells_which_model_answered():
    ended = ModelFinish(finish_reason=FinishReason("stop"), usage=Usage(), response_id="msg_1", model_id="m-1")
    model = ScriptedModel([[TextStart("0"), TextEnd("0"), ended]], saying("Hi"), model_id="m")
    first, second = [(await stream_text(model, prompt="?").steps)[0] for _ in range(2)]
    assert (first.response_id, first.model_id) == ("msg_1", "m-1")
    assert (second.response_id, second.model_id) == (None, "m")


async def test_failed_answer_is_told_with_its_error():
    heard = Heard()
    error = RuntimeError("no")
    await read_until(ask(ScriptedModel([*saying("Hel")[:-1], error]), heard), Error)
    event = await heard.once()
    assert (event.is_aborted, event.error, texts(event)) == (True, error, ["Hel"])
    assert heard.errors == [error]


async def test_failed_answer_that_is_read_to_its_end_is_not_aborted():
    heard = Heard()
    error = RuntimeError("no")
    _ = [part async for part in ask(ScriptedModel([*saying("Hel")[:-1], error]), heard)]
    event = await heard.once()
    assert (event.is_aborted, event.error, event.finish_reason) == (False, error, None)


async def test_abort_before_the_beginning():
    heard = Heard()
    model = ScriptedModel(saying("Hi"))
    result = ask(model, heard)
    result.abort("too late")
    assert [part async for part in result] == [Abort("too late")]
    assert (await heard.once()).is_aborted
    assert model.calls == []


@pytest.mark.parametrize("times", [1, 2])
async def test_abort_while_the_model_is_silent(times: int):
    heard = Heard()
    hold = Hold()
    model = ScriptedModel([[TextStart("0"), TextDelta("0", "Hel")], hold])
    result = ask(model, heard)
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    await hold.reached.wait()
    for _ in range(times):
        result.abort("enough")
    async with asyncio.timeout(AT_ONCE):
        await model.closed.wait()
    await task
    assert task.cancelling() == 0
    assert parts[-1] == Abort("enough")
    event = await heard.once()
    assert (event.is_aborted, texts(event), event.error) == (True, ["Hel"], None)
    assert heard.aborted == [()]
    # As the client has it, which a stop leaves as it is.
    assert event.ui_message["parts"][-1]["state"] == "streaming"


async def test_abort_while_a_tool_runs():
    heard = Heard()
    begun = asyncio.Event()
    cancelled = asyncio.Event()

    async def wait(context: ToolContext) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert context.abort.is_set()
            cancelled.set()

    result = ask(ScriptedModel(calling_tool("wait")), heard, tools=[wait])
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    await begun.wait()
    result.abort()
    await task
    assert cancelled.is_set()
    assert parts[-1] == Abort(None)
    assert (await heard.once()).ui_message["parts"][-1]["state"] == "input-available"


async def test_abort_by_a_tool():
    heard = Heard()
    results: list[Answer] = []

    async def stop() -> str:
        results[0].abort("by a tool")
        return "never seen"

    results.append(
        ask(ScriptedModel(calling_tool("stop"), saying("never")), heard, tools=[stop], stop_when=step_count_is(5))
    )
    parts = [part async for part in results[0]]
    assert parts[-1] == Abort("by a tool")
    assert (await heard.once()).is_aborted


async def test_abort_by_a_tool_on_a_thread():
    heard = Heard()
    results: list[Answer] = []
    is_heard = threading.Event()
    heard_at_once: list[bool] = []

    def stop() -> str:
        results[0].abort("by a tool")
        # Nothing else wakes the event loop.
        heard_at_once.append(is_heard.wait(AT_ONCE))
        return "never seen"

    results.append(
        ask(ScriptedModel(calling_tool("stop"), saying("never")), heard, tools=[stop], stop_when=step_count_is(5))
    )
    parts: list[Part] = []
    task = asyncio.create_task(reading(results[0], parts))
    await results[0].aborting.wait()
    is_heard.set()
    await task
    assert heard_at_once == [True]
    assert parts[-1] == Abort("by a tool")
    assert (await heard.once()).is_aborted


@pytest.mark.parametrize("where", ["on_part", "on_step_finish", "prepare_step"])
async def test_abort_by_a_callback(where: str):
    """It runs within the very task that reads."""
    heard = Heard()
    results: list[Answer] = []

    def stop(*_: Any) -> None:
        results[0].abort("by a callback")

    model = ScriptedModel([[TextStart("0")], [ModelFinish(finish_reason=FinishReason("stop"), usage=Usage())]])
    options: dict[str, Any] = {**heard.options(), where: stop}
    results.append(stream_text(model, prompt="Hi", **options))
    parts: list[Part] = []
    task = asyncio.create_task(reading(results[0], parts))
    await task
    assert task.cancelling() == 0
    assert parts[-1] == Abort("by a callback")
    assert (await heard.once()).is_aborted


async def test_abort_while_the_reader_is_busy_with_a_part():
    """A slow reader does not keep the model going."""
    heard = Heard()
    model = ScriptedModel(saying("Hel", "lo", "more"))
    result = ask(model, heard)
    batches = result.batches()
    for _ in range(3):
        await anext(batches)
    assert model.open_count == 1
    result.abort("enough")
    async with asyncio.timeout(AT_ONCE):
        await model.closed.wait()
    event = await heard.once()
    assert (event.is_aborted, texts(event)) == (True, ["Hel"])
    # Told already; the reader, when it comes back, learns of it.
    assert [batch async for batch in batches] == [[Abort("enough")]]
    assert len(heard.finished) == 1


async def test_abort_after_the_end_does_nothing():
    heard = Heard()
    result = ask(ScriptedModel(saying("Hi")), heard)
    await result.text
    result.abort()
    assert not (await heard.once()).is_aborted
    assert await result.text == "Hi"


async def test_model_that_ignores_its_cancellation_is_stopped_at_its_next_batch():
    heard = Heard()
    waiting = asyncio.Event()

    async def stubborn() -> None:
        waiting.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    result = ask(ScriptedModel([[TextStart("0")], stubborn, [TextDelta("0", "late")], Hold()]), heard)
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    await waiting.wait()
    result.abort()
    await task
    assert task.cancelling() == 0
    assert parts[-2:] == [TextDelta("0", "late"), Abort(None)]
    assert texts(await heard.once()) == ["late"]


# Several steps


async def test_text_is_the_last_steps_even_when_it_is_cut_off():
    heard = Heard()

    async def look() -> str:
        return "seen"

    model = ScriptedModel(calling_tool("look"), [[TextStart("0"), TextDelta("0", "I s")], Hold()])
    result = ask(model, heard, tools=[tool(look)], stop_when=step_count_is(2))
    await read_until(result, TextDelta)
    event = await heard.once()
    assert (event.text, len(event.steps), event.usage.output) == ("I s", 1, 5)


@pytest.fixture(autouse=True)
def warnings_are_seen(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
