"""`writer.merge(answer)`: an answer within another one is made for the same client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from usechat import FinishEvent, UIMessageStreamWriter, step_count_is, stream_text, tool, ui_message_stream
from usechat.answers.stream_text import StreamTextResult
from usechat.answers.writer.ui_message_stream import UIMessageStream
from usechat.messages.ui import UIMessage
from usechat.parts import TextDelta
from usechat.protocol.dialects import AUTO, Dialect
from usechat.protocol.options import EncoderOptions
from usechat.testing.models import Hold, ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio

CLIENTS = [
    AUTO,
    *(Dialect(version, exact=True) for version in ((4, 3, 19), (5, 0, 277), (6, 0, 37), (6, 0, 324), (7, 0, 173))),
]


@tool(needs_approval=True)
async def delete(path: str) -> str:
    """Delete a file."""
    return path


def asking(**options: Any) -> StreamTextResult:
    model = ScriptedModel(calling_tool("delete", {"path": "/a"}), saying("Done."))
    return stream_text(model, prompt="?", tools=[delete], stop_when=step_count_is(2), **options)


def with_answer(inner: StreamTextResult, **options: Any) -> UIMessageStream:
    """An answer that shows another one, and nothing else."""

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.merge(inner)

    return ui_message_stream(execute, **options)


def without_ids(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The message's parts, of an approval only which keys it has, and the form of its id."""
    parts = [dict(part) for part in message["parts"]]
    for part in parts:
        if "approval" in part:
            part["approval"] = {**dict.fromkeys(part["approval"]), "id": "." in part["approval"]["id"]}
    return parts


@pytest.mark.parametrize("client", CLIENTS, ids=str)
async def test_merged_answer_is_made_for_the_client_of_the_outer_one(client: Dialect):
    alone, outer = asking(), with_answer(asking())
    for answer in (alone, outer):
        answer.bind(client, EncoderOptions())
    assert without_ids(await outer.ui_message) == without_ids(await alone.ui_message)


async def test_merged_answer_that_continues_a_message_is_mended_nowhere(caplog: pytest.LogCaptureFixture):
    asked = {"id": "m", "role": "assistant", "parts": [{"type": "step-start"}]}
    first = asking(approval_secret=False)
    first.bind(CLIENTS[-1], EncoderOptions(), message=asked)
    message: Any = await first.ui_message
    call = next(part for part in message["parts"] if part["type"] == "tool-delete")
    call |= {"state": "approval-responded", "approval": {**call["approval"], "approved": True}}
    posted = UIMessage.model_validate(message)
    outer = with_answer(
        stream_text(ScriptedModel(saying("Done.")), messages=[posted], tools=[delete], approval_secret=False)
    )
    known: dict[str, Any] = {
        "known_tool_calls": frozenset({"call-1"}), "known_approvals": frozenset({call["approval"]["id"]}),
    }  # fmt: skip
    outer.bind(CLIENTS[-1], EncoderOptions(**known), message=message)
    outputs = [part.get("output") for part in (await outer.ui_message)["parts"] if part["type"] == "tool-delete"]
    assert outputs == ["/a"]
    assert "mended" not in caplog.text


async def test_what_is_mended_of_a_merged_answer_is_logged_once(caplog: pytest.LogCaptureFixture):
    outer = with_answer(stream_text(ScriptedModel([[TextDelta("0", "no start")]]), prompt="?"))
    outer.bind(AUTO, EncoderOptions())
    await outer.ui_message
    assert caplog.text.count("mended an illegal part: TextDelta") == 1


async def test_end_tells_the_steps_and_messages_of_merged_answers():
    finished: list[FinishEvent] = []
    inner = asking()
    outer = with_answer(inner, on_finish=finished.append)
    outer.bind(AUTO, EncoderOptions())
    await outer.ui_message
    assert list(finished[0].steps) == list(await inner.steps)
    assert [step.text for step in finished[0].steps] == ["", "Done."]
    assert [type(message).__name__ for message in finished[0].response_messages] == [
        "AssistantMessage", "ToolMessage", "AssistantMessage",
    ]  # fmt: skip


async def test_answer_that_was_fitted_to_a_client_already_stays_so():
    inner = asking()
    inner.bind(CLIENTS[-1], EncoderOptions())
    outer = with_answer(inner)
    outer.bind(AUTO, EncoderOptions())
    await outer.ui_message
    assert inner.shaper.dialect == CLIENTS[-1]


async def test_outcomes_of_merged_answers_tools_are_kept_when_the_outer_one_is_stopped():
    has_begun = asyncio.Event()

    @tool
    async def charge() -> str:
        """Charge."""
        has_begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "charged"

    finished: list[FinishEvent] = []
    inner = stream_text(ScriptedModel(calling_tool("charge")), prompt="?", tools=[charge])
    outer = with_answer(inner, on_finish=finished.append)
    running = asyncio.ensure_future(outer.ui_message)
    await has_begun.wait()
    outer.abort()
    await running
    assert [part["output"] for part in finished[0].ui_message["parts"] if "output" in part] == ["charged"]


async def never(path: str) -> None:
    """Do nothing."""
    raise AssertionError(path)


async def test_calls_of_merged_answers_that_never_began_are_told_so():
    hold = Hold()
    finished: list[FinishEvent] = []
    model = ScriptedModel([*calling_tool("delete", {"path": "/a"})[:-1], hold])
    inner = stream_text(model, prompt="?", tools=[tool(name="delete")(never)])
    outer = with_answer(inner, on_finish=finished.append)
    running = asyncio.ensure_future(outer.ui_message)
    await hold.reached.wait()
    outer.abort()
    await running
    assert finished[0].tool_errors == {"call-1": "The tool call was not carried out."}
