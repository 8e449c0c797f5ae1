"""An answer: read once, in one way or another; and its end, told exactly once whatever happens."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest

from tests.support.waiting import AT_ONCE, PATIENCE
from usechat import FinishEvent, ToolContext, step_count_is, stream_text, tool
from usechat.answers import driven
from usechat.answers.answer import Answer, Callbacks, Outcome
from usechat.answers.loop import driver
from usechat.answers.loop.asks import Open, Script, Stream
from usechat.answers.loop.outputs import Nowhere
from usechat.answers.loop.turn import Turn
from usechat.answers.smooth import smooth_stream
from usechat.errors import ConfigurationError, ProviderStatusError, RequestError
from usechat.messages.model import AssistantMessage, TextContent, ToolMessage, UserMessage
from usechat.parts import (
    Abort,
    Error,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    ModelFinish,
    Part,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    Usage,
)
from usechat.protocol.dialects import AUTO, NEWEST, Dialect
from usechat.protocol.options import EncoderOptions
from usechat.testing.models import Hold, ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio

"""Seconds after which something that should have happened has not."""


class Heard:
    """An answer's callbacks, and what they heard. Made before anything runs."""

    def __init__(self) -> None:
        self.tasks = asyncio.all_tasks()
        self.finished: list[FinishEvent] = []
        self.aborted: list[Any] = []
        self.parts: list[Part] = []
        self.errors: list[BaseException] = []
        self.over = asyncio.Event()

    async def on_finish(self, event: FinishEvent) -> None:
        self.finished.append(event)
        await asyncio.sleep(0)
        self.over.set()

    def options(self) -> dict[str, Any]:
        """For `stream_text`."""
        return {
            "on_finish": self.on_finish,
            "on_abort": self.aborted.append,
            "on_part": self.parts.append,
            "on_error": self._on_error,
        }

    def callbacks(self) -> Callbacks:
        """For an answer of one's own."""
        return Callbacks(on_finish=self.on_finish, on_abort=self.aborted.append)

    def _on_error(self, error: BaseException) -> None:
        self.errors.append(error)

    async def once(self) -> FinishEvent:
        """The only end that was told; after it nothing is left running."""
        async with asyncio.timeout(PATIENCE):
            await self.over.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() <= self.tasks
        assert not driven.DRIVERS
        (event,) = self.finished
        return event


def ask(model: ScriptedModel, heard: Heard | None = None, **options: Any) -> Answer:
    callbacks: dict[str, Any] = {} if heard is None else heard.options()
    arguments: dict[str, Any] = {"prompt": "Hi", **callbacks, **options}
    return stream_text(model, **arguments)


def texts(event: FinishEvent) -> list[str]:
    return [part["text"] for part in event.ui_message["parts"] if part["type"] == "text"]


async def read_until(result: Answer, kind: type) -> None:
    """Read until a part of this kind came, then go away."""
    async with aclosing(result.batches()) as batches:
        async for batch in batches:
            if any(isinstance(part, kind) for part in batch):
                return


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
    told = (await heard.once()).messages
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


async def reading(result: Answer, parts: list[Part]) -> None:
    async for part in result:
        parts.append(part)  # noqa: PERF401 - what was read counts although it is cut off


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

    results.append(ask(ScriptedModel(calling_tool("stop"), saying("never")), heard, tools=[stop], stop_when=[]))
    parts = [part async for part in results[0]]
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


# The reader leaves


@pytest.mark.parametrize("kind", [Start, StartStep, TextDelta, FinishStep])
async def test_reader_that_closes_is_told_as_aborted(kind: type):
    heard = Heard()
    model = ScriptedModel(saying("Hel", "lo"))
    await read_until(ask(model, heard), kind)
    assert (await heard.once()).is_aborted
    assert model.open_count == 0
    assert len(heard.aborted) == 1


async def test_reader_that_breaks_off_is_told_as_aborted():
    heard = Heard()
    model = ScriptedModel([[TextStart("0")], Hold()])
    async for part in ask(model, heard):
        if isinstance(part, TextStart):
            break
    gc.collect()
    assert (await heard.once()).is_aborted
    assert model.open_count == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_reader_that_is_cancelled_is_told_as_aborted(times: int):
    heard = Heard()
    hold = Hold()
    model = ScriptedModel([[TextStart("0"), TextDelta("0", "Hel")], hold])
    parts: list[Part] = []
    task = asyncio.create_task(reading(ask(model, heard), parts))
    await hold.reached.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(AT_ONCE):
        await model.closed.wait()
    with pytest.raises(asyncio.CancelledError):
        await task
    event = await heard.once()
    assert (event.is_aborted, texts(event)) == (True, ["Hel"])


async def test_reader_that_is_cancelled_and_stopped_at_once_stays_cancelled():
    heard = Heard()
    hold = Hold()
    model = ScriptedModel([[TextStart("0")], hold])
    result = ask(model, heard)
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    await hold.reached.wait()
    result.abort()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await heard.once()).is_aborted


async def test_awaited_value_that_is_cancelled_is_told_as_aborted():
    heard = Heard()
    model = ScriptedModel([Hold()])
    result = ask(model, heard)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await result.text
    assert (await heard.once()).is_aborted
    assert await result.text == ""


def test_end_is_told_although_the_event_loop_shuts_down():
    finished: list[FinishEvent] = []

    async def on_finish(event: FinishEvent) -> None:
        await asyncio.sleep(0)
        finished.append(event)

    async def main() -> None:
        hold = Hold()
        model = ScriptedModel([[TextStart("0"), TextDelta("0", "Hel")], hold])
        parts: list[Part] = []
        result = stream_text(model, prompt="Hi", on_finish=on_finish)
        task = asyncio.create_task(reading(result, parts))
        await hold.reached.wait()
        assert not task.done()

    asyncio.run(main())
    (event,) = finished
    assert (event.is_aborted, texts(event)) == (True, ["Hel"])


def test_end_is_told_although_closing_is_cancelled_too():
    """A server that shuts down cancels its requests, and then the event loop cancels all there is."""
    finished: list[FinishEvent] = []

    reached = asyncio.Event()

    async def slow_to_close() -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    async def main() -> None:
        result = stream_text(ScriptedModel([[TextStart("0")], slow_to_close]), prompt="Hi", on_finish=finished.append)
        parts: list[Part] = []
        task = asyncio.create_task(reading(result, parts))
        await reached.wait()
        task.cancel()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert len(finished) == 1


def test_end_is_told_although_the_event_loop_shuts_down_while_the_source_is_closed():
    heard: list[FinishEvent] = []
    closing = asyncio.Event()

    async def run() -> AsyncIterator[list[Part]]:
        try:
            yield [Start()]
        finally:
            closing.set()
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(read_until(Broken(Callbacks(on_finish=heard.append), run), Start))
        await closing.wait()
        assert not task.done()

    asyncio.run(main())
    assert [event.is_aborted for event in heard] == [True]


# Closing


async def test_closing_stops_what_runs():
    heard = Heard()
    hold = Hold()
    model = ScriptedModel([[TextStart("0")], hold])
    result = ask(model, heard)
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    await hold.reached.wait()
    await result.aclose()
    assert heard.over.is_set()
    await task
    assert (await heard.once()).is_aborted


async def test_closing_an_answer_that_was_never_read_tells_its_end():
    heard = Heard()
    model = ScriptedModel(saying("Hi"))
    result = ask(model, heard)
    await result.aclose()
    await result.aclose()
    event = await heard.once()
    assert (event.is_aborted, event.ui_message["parts"], model.calls) == (True, [], [])


async def test_closing_after_the_end_does_nothing():
    heard = Heard()
    result = ask(ScriptedModel(saying("Hi")), heard)
    await result.text
    await result.aclose()
    assert not (await heard.once()).is_aborted


class Broken(Answer):
    """An answer whose source misbehaves."""

    def __init__(self, callbacks: Callbacks, run: Callable[[], AsyncIterator[list[Part]]]) -> None:
        super().__init__(callbacks)
        self.run_source = run

    def make_turn(self) -> Turn:
        return BrokenTurn(self.run_source)


class BrokenTurn(Turn):
    def __init__(self, run: Callable[[], AsyncIterator[list[Part]]]) -> None:
        super().__init__()
        self.run = run

    def script(self) -> Script[None]:
        yield Open(self.run)
        while (batch := (yield Stream.READ)) is not None:
            self.parts += batch

    def outcome(self) -> Outcome:
        return Outcome()


async def test_source_that_raises_is_told_as_failed():
    async def run() -> AsyncIterator[list[Part]]:
        yield [Start()]
        raise ZeroDivisionError

    heard = Heard()
    result = Broken(heard.callbacks(), run)
    with pytest.raises(ZeroDivisionError):
        _ = [part async for part in result]
    event = await heard.once()
    assert isinstance(event.error, ZeroDivisionError)
    assert not event.is_aborted
    assert heard.aborted == []


async def test_source_that_fails_to_close_is_told_all_the_same(caplog: pytest.LogCaptureFixture):
    async def run() -> AsyncIterator[list[Part]]:
        try:
            yield [Start()]
        finally:
            raise ZeroDivisionError

    heard = Heard()
    await read_until(Broken(heard.callbacks(), run), Start)
    assert (await heard.once()).is_aborted
    assert "closing a stream of an answer failed" in caplog.text


async def test_source_that_does_not_close_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(driver, "CLOSE_SECONDS", 0.02)

    async def run() -> AsyncIterator[list[Part]]:
        try:
            yield [Start()]
        finally:
            await asyncio.Event().wait()

    heard = Heard()
    await read_until(Broken(heard.callbacks(), run), Start)
    assert (await heard.once()).is_aborted
    assert "closing a stream of an answer failed" in caplog.text


async def test_failure_to_send_is_told_as_the_error():
    class Unsendable(Nowhere):
        def write(self, parts: list[Part], shaped: Any) -> None:
            raise ValueError("no way")

    heard = Heard()
    await ask(ScriptedModel([[TextStart("0")], Hold()]), heard).drive(Unsendable())
    event = await heard.once()
    assert (str(event.error), event.is_aborted) == ("no way", False)


# Callbacks


def raising(*_: Any) -> Any:
    raise ZeroDivisionError


async def raising_later(*_: Any) -> Any:
    raise ZeroDivisionError


async def cancelling(*_: Any) -> Any:
    raise asyncio.CancelledError


@pytest.mark.parametrize("function", [raising, raising_later, cancelling])
async def test_callback_that_fails_is_logged_and_changes_nothing(function: Any, caplog: pytest.LogCaptureFixture):
    names = ("on_part", "on_step_finish", "on_finish")
    result = stream_text(ScriptedModel(saying("Hi")), prompt="Hi", **dict.fromkeys(names, function))
    assert await result.text == "Hi"
    for name in names:
        assert f"{name} failed" in caplog.text or f"{name} was cancelled" in caplog.text


async def test_end_is_told_although_on_abort_fails():
    heard = Heard()
    result = ask(ScriptedModel(saying("Hi")), heard, on_abort=raising)
    result.abort()
    _ = [part async for part in result]
    assert (await heard.once()).is_aborted


def giving_a_number(error: BaseException) -> Any:
    return 7


def giving_nothing(error: BaseException) -> None:
    return None


@pytest.mark.parametrize("function", [raising, giving_a_number, giving_nothing])
async def test_on_error_that_gives_no_text_masks(function: Any):
    result = stream_text(ScriptedModel([RuntimeError("secret")]), prompt="Hi", on_error=function)
    errors = [part.error_text async for part in result if isinstance(part, Error)]
    assert errors == ["An error occurred."]


async def test_on_error_chooses_the_text():
    result = stream_text(ScriptedModel([RuntimeError("no")]), prompt="Hi", on_error=lambda error: f"Sorry: {error}")
    assert [part.error_text async for part in result if isinstance(part, Error)] == ["Sorry: no"]


async def test_async_on_error_is_refused():
    with pytest.raises(ConfigurationError, match="on_error must be a plain function"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi", on_error=raising_later)  # type: ignore[arg-type]


async def test_callback_that_is_cancelled_with_its_task_lets_go():
    async def wait(part: Part) -> None:
        await asyncio.Event().wait()

    heard = Heard()
    result = ask(ScriptedModel(saying("Hi")), heard, on_part=wait)
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await heard.once()).is_aborted


# Metadata


async def test_metadata_is_asked_for_at_each_part_that_is_no_delta():
    asked: list[str] = []

    def metadata(part: Part) -> Any:
        asked.append(type(part).__name__)
        match part:
            case Start():
                return {"model": "m"}
            case FinishStep():
                return {"step": 1}
            case Finish():
                return {"output": part.total_usage.output}
            case _:
                return None

    heard = Heard()
    result = ask(ScriptedModel(saying("Hi")), heard, message_metadata=metadata)
    await result.text
    assert asked == ["Start", "StartStep", "TextStart", "TextEnd", "FinishStep", "Finish"]
    assert (await heard.once()).ui_message["metadata"] == {"model": "m", "step": 1, "output": 5}
    assert MessageMetadata({"step": 1}) in heard.parts


async def test_metadata_that_fails_is_none(caplog: pytest.LogCaptureFixture):
    result = ask(ScriptedModel(saying("Hi")), message_metadata=raising)
    assert await result.text == "Hi"
    assert "metadata" not in await result.ui_message
    assert "message_metadata failed" in caplog.text


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
