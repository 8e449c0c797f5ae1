"""Calls that a dead process had begun, in the answer that goes on: what runs again, and what the model is told."""

from __future__ import annotations

from typing import Any

import pytest

from usechat import ToolContext, stream_text, tool
from usechat.messages.model import ToolMessage
from usechat.messages.ui import UIMessage
from usechat.parts import ToolOutputAvailable, ToolOutputError
from usechat.testing.models import ScriptedModel, saying
from usechat.tools.approvals import sign

pytestmark = pytest.mark.anyio

KEYS: list[str] = []


@tool
async def sound_horn(times: int, context: ToolContext) -> str:
    KEYS.append(context.idempotency_key)
    return f"sounded {times} times"


@tool(idempotent=True)
async def read_gauge() -> str:
    return "3 m"


async def asks_at_night(given: dict[str, Any], _context: ToolContext) -> bool:
    return given["by"] == "night"


@tool(idempotent=True, needs_approval=asks_at_night)
async def open_lock(by: str) -> str:
    KEYS.append(by)
    return "open"


@pytest.fixture(autouse=True)
def keys() -> list[str]:
    KEYS.clear()
    return KEYS


def messages(name: str, given: dict[str, Any], **more: Any) -> list[UIMessage]:
    call = {"type": f"tool-{name}", "toolCallId": "c", "state": "input-available", "input": given, **more}
    chat: list[dict[str, Any]] = [
        {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Sound it"}]},
        {"id": "a", "role": "assistant", "parts": [{"type": "step-start"}, call]},
    ]
    return [UIMessage.model_validate(message) for message in chat]


async def go_on(
    name: str, given: dict[str, Any], approval_secret: str | None = None, **more: Any
) -> tuple[list[Any], ToolMessage]:
    """The outputs that clients get, and what the model is told of the calls."""
    model = ScriptedModel(saying("So."))
    tools = [sound_horn, read_gauge, open_lock]
    answer = stream_text(
        model, messages=messages(name, given, **more), tools=tools, approval_secret=approval_secret or False
    )
    answer.lost_calls = frozenset({"c"})
    outputs = [part async for part in answer if isinstance(part, ToolOutputAvailable | ToolOutputError)]
    told = model.calls[0].messages[-1]
    assert isinstance(told, ToolMessage)
    return outputs, told


async def test_call_that_may_not_run_again_is_told_as_interrupted():
    (failed,), told = await go_on("sound_horn", {"times": 2})
    assert isinstance(failed, ToolOutputError)
    assert failed.client_text is not None
    assert "may have taken effect" in failed.client_text
    assert [result.output.type for result in told.content] == ["error-text"]  # type: ignore[union-attr]
    assert KEYS == []


async def test_idempotent_call_runs_again():
    (output,), told = await go_on("read_gauge", {})
    assert (output.tool_call_id, output.output) == ("c", "3 m")
    assert [result.output.value for result in told.content] == ["3 m"]  # type: ignore[union-attr]


async def test_approved_call_does_not_run_again_by_its_approval():
    approval = {"id": "x", "approved": True}
    (failed,), told = await go_on("sound_horn", {"times": 1}, state="approval-responded", approval=approval)
    assert isinstance(failed, ToolOutputError)
    assert len(told.content) == 2
    assert KEYS == []


async def test_call_of_a_tool_that_is_gone_is_told_as_interrupted():
    (failed,), _ = await go_on("whistle", {})
    assert isinstance(failed, ToolOutputError)


async def test_idempotent_call_runs_again_only_if_nobody_must_be_asked():
    (failed,), _ = await go_on("open_lock", {"by": "night"})
    assert isinstance(failed, ToolOutputError)
    assert KEYS == []
    (output,), _ = await go_on("open_lock", {"by": "day"})
    assert isinstance(output, ToolOutputAvailable)


@pytest.mark.parametrize("is_ours", [True, False])
async def test_approved_idempotent_call_runs_again_if_the_server_has_asked_for_it(is_ours: bool):
    secret = "a-secret" if is_ours else "another"
    signature = sign(secret, approval_id="x", tool_call_id="c", tool_name="open_lock", input={"by": "night"})
    approval = {"id": "x", "approved": True, "signature": signature}
    (output,), _ = await go_on("open_lock", {"by": "night"}, "a-secret", state="approval-responded", approval=approval)
    assert isinstance(output, ToolOutputAvailable if is_ours else ToolOutputError)
    assert len(KEYS) == is_ours
