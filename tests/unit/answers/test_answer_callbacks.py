"""Callbacks and metadata of an answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.unit.answers.answer_ends import Heard, ask, reading
from usechat import stream_text
from usechat.answers.loop.outputs import Nowhere
from usechat.errors import ConfigurationError
from usechat.parts import Error, Finish, FinishStep, MessageMetadata, Part, Start
from usechat.testing.models import ScriptedModel, saying

pytestmark = pytest.mark.anyio
"""Seconds after which something that should have happened has not."""


# Callbacks


def raising(*_: Any) -> Any:
    raise ZeroDivisionError


async def raising_later(*_: Any) -> Any:
    raise ZeroDivisionError


async def cancelling(*_: Any) -> Any:
    raise asyncio.CancelledError


def cancelled(*_: Any) -> Any:
    raise asyncio.CancelledError


@pytest.mark.parametrize("function", [raising, raising_later, cancelling, cancelled])
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


def giving_a_blank(error: BaseException) -> str:
    return " "


@pytest.mark.parametrize("function", [raising, giving_a_number, giving_nothing, giving_a_blank])
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


async def test_end_of_a_cancelled_answer_is_told_although_a_plain_on_abort_is_cancelled():
    is_waiting, heard = asyncio.Event(), Heard()

    async def wait(part: Part) -> None:
        is_waiting.set()
        await asyncio.Event().wait()

    result = ask(ScriptedModel(saying("Hi")), heard, on_part=wait, on_abort=cancelled)
    task = result.start(Nowhere())
    await is_waiting.wait()
    task.cancel()
    await asyncio.wait({task})
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


@pytest.fixture(autouse=True)
def warnings_are_seen(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
