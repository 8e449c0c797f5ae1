"""Approvals of tool calls within a turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.unit.answers.loop.model_turns import ASKED, GUESSED, WEATHER, answer, echo
from usechat import Approve, AskUser, Deny, ToolContext, tool
from usechat.answers.loop.request import LoopRequest
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
)
from usechat.models.base import ModelCall
from usechat.parts import ToolApprovalRequest, ToolOutputAvailable
from usechat.testing.models import ScriptedModel, calling_tool, calling_tools, saying
from usechat.tools.tool import Tool

pytestmark = pytest.mark.anyio


def approved(request: ToolApprovalRequest, **response: Any) -> list[ModelMessage]:
    """The history in which the user has answered."""
    call = ToolCallContent(tool_call_id=request.tool_call_id, tool_name="any", input={"a": 1})
    asked = ToolApprovalRequestContent(
        approval_id=request.approval_id, tool_call_id=request.tool_call_id, signature=request.signature
    )
    values: dict[str, Any] = {"approval_id": request.approval_id, "approved": True, **response}
    answered = ToolApprovalResponseContent(**values)
    return [ASKED, AssistantMessage((call, asked)), ToolMessage((answered,))]


def any_tool(needs: Any = True) -> Tool:
    return tool(name="any", input_schema={}, execute=echo, needs_approval=needs)


async def test_call_that_needs_approval_is_asked_about_where_it_stands():
    step = [*calling_tool("any", {"a": 1})[:-1], *saying("Shall I?")]
    done = await answer(step, tools=[any_tool()])
    assert done.kinds()[4:7] == ["ToolInputAvailable", "ToolApprovalRequest", "TextStart"]
    assert done.kinds()[-2:] == ["FinishStep", "Finish"]
    assert done.of(ToolOutputAvailable) == []
    assert len(done.model.calls) == 1


async def test_only_what_needs_no_approval_runs():
    step = calling_tools(("c1", "any", {"a": 1}), ("c2", "get_weather", {"city": "x"}))
    done = await answer(step, tools=[any_tool(), WEATHER])
    assert [part.tool_call_id for part in done.of(ToolOutputAvailable)] == ["c2"]
    assert len(done.model.calls) == 1


async def test_approved_call_runs_before_the_first_step():
    asked = (await answer(calling_tool("any", {"a": 1}), tools=[any_tool()], approval_secret="s")).of(
        ToolApprovalRequest
    )[0]
    done = await answer(saying("Done."), tools=[any_tool()], approval_secret="s", messages=approved(asked))
    assert done.kinds()[:3] == ["Start", "ToolOutputAvailable", "StartStep"]
    result = done.last_messages[-1].content[-1]  # type: ignore[union-attr]
    assert isinstance(result, ToolResultContent)
    assert result.output == ToolResultOutput("json", {"a": 1})


async def test_forged_approval_runs_nothing_and_says_why(caplog: pytest.LogCaptureFixture):
    forged = ToolApprovalRequest(approval_id="a1", tool_call_id="call-1", signature="forged")
    done = await answer(saying("Done."), tools=[any_tool()], approval_secret="s", messages=approved(forged))
    assert done.kinds() == ["Start", "Error"]
    assert done.model.calls == []
    assert "signature does not fit" in str(done.told[0])
    assert "signature does not fit" in caplog.text


async def test_denials_come_first_then_errors_then_outputs():
    def ask(number: int, name: str) -> tuple[ToolCallContent, ToolApprovalRequestContent]:
        call = ToolCallContent(tool_call_id=f"c{number}", tool_name=name, input={})
        return call, ToolApprovalRequestContent(approval_id=f"a{number}", tool_call_id=f"c{number}")

    calls = [ask(1, "any"), ask(2, "gone"), ask(3, "any")]
    decisions = [
        ToolApprovalResponseContent(approval_id=f"a{number}", approved=number != 3, reason="No.")
        for number in (1, 2, 3)
    ]
    refused = ToolResultContent(
        tool_call_id="c3", tool_name="any", output=ToolResultOutput("execution-denied", "as the client has it")
    )
    messages = [
        ASKED,
        AssistantMessage(tuple(part for pair in calls for part in pair)),
        ToolMessage((*decisions, refused)),
    ]
    done = await answer(saying("Done."), tools=[any_tool()], messages=messages)
    assert done.kinds()[1:4] == ["ToolOutputDenied", "ToolOutputError", "ToolOutputAvailable"]
    content = tool_content(done.last_messages)
    results = {part.tool_call_id: part.output.type for part in content if isinstance(part, ToolResultContent)}
    assert results == {"c1": "json", "c2": "error-text", "c3": "execution-denied"}
    assert len(content) == 6


async def test_approval_of_the_clients_own_tool_leaves_it_open():
    asked = ToolApprovalRequest(approval_id="a1", tool_call_id="call-1")
    client = tool(name="any", input_schema={}, needs_approval=True)
    done = await answer(saying("Done."), tools=[client], messages=approved(asked))
    assert done.kinds()[:2] == ["Start", "StartStep"]


@pytest.mark.parametrize(
    ("needs", "kinds", "call_count"),
    [
        (Approve("small"), ["ToolApprovalRequest", "ToolApprovalResponse", "ToolOutputAvailable"], 2),
        (Deny("locked"), ["ToolApprovalRequest", "ToolApprovalResponse", "ToolOutputDenied"], 2),
        (AskUser("large"), ["ToolApprovalRequest"], 1),
    ],
)
async def test_application_may_decide_by_itself(needs: Any, kinds: list[str], call_count: int):
    def decide(value: Any, context: ToolContext) -> Any:
        return needs

    done = await answer(calling_tool("any", {"a": 1}), saying("."), tools=[any_tool(decide)])
    assert done.kinds()[5 : 5 + len(kinds)] == kinds
    assert len(done.model.calls) == call_count


def tool_content(messages: Sequence[ModelMessage]) -> Sequence[Any]:
    """The last message, which the tools answered."""
    last = messages[-1]
    assert isinstance(last, ToolMessage)
    return last.content


async def test_automatic_denial_is_told_to_the_model():
    done = await answer(calling_tool("any"), saying("."), tools=[any_tool(Deny("locked"))])
    content = tool_content(done.last_messages)
    assert [part.output for part in content if isinstance(part, ToolResultContent)] == [
        ToolResultOutput("execution-denied", "locked")
    ]


async def test_client_that_cannot_be_asked_is_told_so_and_the_loop_goes_on():
    done = await answer(calling_tool("any"), saying("Sorry."), tools=[any_tool()], policy=GUESSED)
    assert done.kinds()[4:6] == ["ToolInputAvailable", "ToolOutputError"]
    assert len(done.model.calls) == 2


def test_default_of_on_error_is_to_mask():
    request = LoopRequest(model=ScriptedModel(saying(".")), call=ModelCall(messages=()), tools={}, stop_when=[])
    on_error: Callable[[BaseException], str | None] = request.on_error
    assert on_error(ValueError()) is None
