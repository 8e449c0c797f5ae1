"""The gate before a tool: asked, allowed, refused; and the user's answers, checked again."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import AfterValidator, BaseModel

from tests.support.scripts import follow
from usechat import Approve, AskUser, Deny, Tool, ToolContext, tool
from usechat.answers.calls.gate import ApprovalGate, Verdict
from usechat.answers.calls.read import parse_call
from usechat.answers.loop.policy import LoopPolicy
from usechat.errors import InvalidToolApprovalError
from usechat.messages.model import (
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolResultOutput,
)
from usechat.parts import (
    Data,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolCall,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)
from usechat.tools.approvals import Approval, verify
from usechat.tools.tool import ToolWriter
from usechat.tools.used_approvals import ProcessUsedApprovals

pytestmark = pytest.mark.anyio

SECRET = "a secret of sixteen letters"
V6 = LoopPolicy(shows_automatic_approvals=False)
V6_EARLY = LoopPolicy(shows_automatic_approvals=False, has_signature_field=False)
V4 = LoopPolicy(approvals=False, shows_automatic_approvals=False, shows_refusals=True)
V5 = LoopPolicy(approvals=False, shows_automatic_approvals=False)


def delete(path: str) -> str:
    return path


def make_context(tool_call_id: str, tool_name: str, writer: ToolWriter) -> ToolContext:
    return ToolContext(
        tool_call_id=tool_call_id, tool_name=tool_name, messages=(), writer=writer, abort=asyncio.Event(), deps=7
    )


def gate(
    *tools: Tool,
    policy: LoopPolicy | None = None,
    secret: str | None = None,
    used: ProcessUsedApprovals | None = None,
    told: list[Any] | None = None,
) -> ApprovalGate:
    def on_error(error: BaseException) -> str | None:
        (told if told is not None else []).append(error)
        return None

    by_name = {item.name: item for item in tools}
    policy = policy or LoopPolicy()
    return ApprovalGate(by_name, policy, secret, used, make_context=make_context, on_error=on_error)


def deleting(needs: Any = True, **options: Any) -> Tool:
    return msgspec.structs.replace(tool(delete), needs_approval=needs, **options)


async def decide(opened: ApprovalGate, text: str = '{"path":"/x"}') -> Verdict:
    call = ToolCall(tool_call_id="c1", tool_name=next(iter(opened.tools)), input_text=text)
    parsed = await follow(parse_call(call, opened.tools, repair=None))
    return await follow(opened.decide(parsed))


def the(kind: Any, verdict: Verdict) -> Any:
    (found,) = (part for part in verdict.parts if isinstance(part, kind))
    return found


# New calls


def never(value: Any, context: ToolContext) -> bool:
    return False


@pytest.mark.parametrize("needs", [False, never])
async def test_call_that_needs_nothing_just_runs(needs: Any):
    verdict = await decide(gate(deleting(needs)))
    assert verdict.parts == ()
    assert verdict.execution is not None
    assert verdict.result is None


@pytest.mark.parametrize("is_async", [True, False])
async def test_function_decides_by_the_input_and_the_context(is_async: bool):
    seen: list[Any] = []

    def needs(value: Any, context: ToolContext) -> Any:
        seen.append((value, context.tool_call_id, context.tool_name, context.deps))
        return AskUser("It is a root folder.")

    async def needs_later(value: Any, context: ToolContext) -> Any:
        return needs(value, context)

    verdict = await decide(gate(deleting(needs_later if is_async else needs)))
    assert seen == [({"path": "/x"}, "c1", "delete", 7)]
    assert the(ToolApprovalRequest, verdict).reason == "It is a root folder."
    assert verdict.execution is verdict.result is None


async def test_function_that_fails_lets_nothing_run():
    def needs(value: Any, context: ToolContext) -> Any:
        raise ValueError("no idea")

    with pytest.raises(ValueError, match="no idea"):
        await decide(gate(deleting(needs)))


async def test_what_a_function_writes_comes_before_the_decision():
    async def needs(value: Any, context: ToolContext) -> Any:
        context.writer.write(Data(name="check", data=1))
        await context.writer.drain()
        return True

    parts = (await decide(gate(deleting(needs)))).parts
    assert [type(part) for part in parts] == [Data, ToolApprovalRequest]


async def test_request_is_signed_where_there_is_a_secret():
    unsigned = the(ToolApprovalRequest, await decide(gate(deleting())))
    assert unsigned.signature is None
    signed = the(ToolApprovalRequest, await decide(gate(deleting(), secret=SECRET)))
    fields: dict[str, Any] = {"tool_call_id": "c1", "tool_name": "delete", "input": {"path": "/x"}}
    assert verify(SECRET, signed.signature, approval_id=signed.approval_id, **fields)
    assert signed.is_automatic is None


async def test_signature_is_in_the_id_where_the_client_keeps_none():
    asked = the(ToolApprovalRequest, await decide(gate(deleting(), secret=SECRET, policy=V6_EARLY)))
    assert asked.signature is None
    approval_id, _, signature = asked.approval_id.partition(".")
    fields: dict[str, Any] = {"tool_call_id": "c1", "tool_name": "delete", "input": {"path": "/x"}}
    assert verify(SECRET, signature, approval_id=approval_id, **fields)


async def test_input_that_the_schema_changed_goes_with_the_request():
    same = the(ToolApprovalRequest, await decide(gate(deleting())))
    assert same.input_schema_input is None
    changed = the(ToolApprovalRequest, await decide(gate(deleting()), '{"path":"/x","more":1}'))
    assert changed.input_schema_input == {"path": "/x", "more": 1}


async def test_client_that_cannot_be_asked_gets_an_error(caplog: pytest.LogCaptureFixture):
    told: list[Any] = []
    verdict = await decide(gate(deleting(), policy=V5, told=told))
    text = "The tool needs the user's approval, which this client cannot be asked for."
    shown = ToolOutputError(tool_call_id="c1", tool_name="delete", error_text=text, client_text=text)
    assert verdict.parts == (shown,)
    assert verdict.result is not None
    assert verdict.result.output == ToolResultOutput("error-text", text)
    assert verdict.execution is None
    assert len(told) == 1
    assert "name the client's AI SDK version" in caplog.text


@pytest.mark.parametrize("needs", [True, Deny("It is locked."), Deny()])
async def test_refusal_is_a_calls_output_to_a_client_that_ends_at_errors(needs: Any):
    verdict = await decide(gate(deleting(needs), policy=V4))
    (shown,) = verdict.parts
    assert isinstance(shown, ToolOutputAvailable)
    assert verdict.result is not None
    assert verdict.result.output == ToolResultOutput("text", shown.output)
    assert verdict.execution is None


async def test_automatic_approval_is_shown_and_runs():
    verdict = await decide(gate(deleting(Approve("It is small.")), secret=SECRET))
    request, response = verdict.parts
    assert isinstance(request, ToolApprovalRequest)
    assert request.is_automatic
    assert request.signature is not None
    assert request.reason is None
    expected = ToolApprovalResponse(approval_id=request.approval_id, approved=True, reason="It is small.")
    assert response == expected
    assert verdict.execution is not None


async def test_automatic_denial_is_shown_and_does_not_run():
    verdict = await decide(gate(deleting(Deny("It is locked."))))
    request, response, denied = verdict.parts
    assert isinstance(request, ToolApprovalRequest)
    assert isinstance(response, ToolApprovalResponse)
    assert (response.approved, response.reason) == (False, "It is locked.")
    assert denied == ToolOutputDenied(tool_call_id="c1", tool_name="delete")
    assert verdict.execution is None
    assert verdict.result is not None
    assert verdict.result.output == ToolResultOutput("execution-denied", "It is locked.")


@pytest.mark.parametrize("policy", [V6, V5])
async def test_older_client_sees_of_an_automatic_decision_only_what_follows(policy: LoopPolicy):
    approved = await decide(gate(deleting(Approve()), policy=policy))
    assert approved.parts == ()
    assert approved.execution is not None


async def test_denial_without_a_reason_is_shown_as_a_denial_by_who_knows_one():
    denied = await decide(gate(deleting(Deny()), policy=V6))
    assert denied.parts == (ToolOutputDenied(tool_call_id="c1", tool_name="delete"),)


@pytest.mark.parametrize(("policy", "reason"), [(V6, "It is locked."), (V5, "It is locked."), (V5, None)])
async def test_denial_that_a_client_has_no_place_for_is_an_error_in_the_models_words(
    policy: LoopPolicy, reason: str | None
):
    denied = await decide(gate(deleting(Deny(reason)), policy=policy))
    (shown,) = denied.parts
    assert isinstance(shown, ToolOutputError)
    assert denied.result is not None
    assert denied.result.output == ToolResultOutput("error-text", reason or "Tool call execution denied.")
    assert shown.client_text == denied.result.output.value


async def test_clients_own_tool_may_be_approved_too():
    ask = tool(name="ask", input_schema={}, needs_approval=True)
    assert (await decide(gate(ask), "{}")).execution is None
    assert the(ToolApprovalRequest, await decide(gate(ask), "{}")).tool_call_id == "c1"


# Answers


def answer(
    request: ToolApprovalRequest,
    *,
    approved: bool = True,
    reason: str | None = None,
    provider_executed: bool | None = None,
    **call: Any,
) -> Approval:
    values: dict[str, Any] = {"tool_call_id": "c1", "tool_name": "delete", "input": {"path": "/x"}, **call}
    schema_input = msgspec.UNSET if request.input_schema_input is None else request.input_schema_input
    return Approval(
        call=ToolCallContent(provider_executed=provider_executed, **values),
        request=ToolApprovalRequestContent(
            approval_id=request.approval_id,
            tool_call_id="c1",
            signature=request.signature,
            input_schema_input=schema_input,
        ),
        response=ToolApprovalResponseContent(approval_id=request.approval_id, approved=approved, reason=reason),
    )


async def ask(opened: ApprovalGate, text: str = '{"path":"/x"}') -> ToolApprovalRequest:
    return the(ToolApprovalRequest, await decide(opened, text))


@pytest.mark.parametrize("policy", [LoopPolicy(), V6_EARLY])
async def test_approved_call_runs_with_its_checked_input(policy: LoopPolicy):
    opened = gate(deleting(), secret=SECRET, policy=policy)
    verdict = await follow(opened.settle(answer(await ask(opened))))
    assert verdict.parts == ()
    assert verdict.execution is not None
    assert verdict.execution.arguments == {"path": "/x"}


async def test_denied_call_is_told_with_its_reason_and_needs_no_signature():
    opened = gate(deleting(), secret=SECRET)
    unsigned = msgspec.structs.replace(await ask(opened), signature=None)
    verdict = await follow(opened.settle(answer(unsigned, approved=False, reason="Not now.")))
    assert verdict.parts == (ToolOutputDenied(tool_call_id="c1", tool_name="delete"),)
    assert verdict.result is not None
    assert verdict.result.output == ToolResultOutput("execution-denied", "Not now.")


async def test_denial_of_what_the_provider_runs_leaves_no_result():
    opened = gate(deleting())
    verdict = await follow(opened.settle(answer(await ask(opened), approved=False, provider_executed=True)))
    assert verdict.result is None
    assert verdict.parts == (ToolOutputDenied(tool_call_id="c1", tool_name="delete"),)


@pytest.mark.parametrize("changes", [{"input": {"path": "/etc"}}, {"tool_name": "delete_all"}, {"tool_call_id": "c2"}])
async def test_answer_to_another_call_is_refused(changes: dict[str, Any]):
    opened = gate(deleting(), secret=SECRET)
    with pytest.raises(InvalidToolApprovalError):
        await follow(opened.settle(answer(await ask(opened), **changes)))


@pytest.mark.parametrize("changes", [{"signature": None}, {"approval_id": "other"}])
async def test_forged_answer_is_refused(changes: dict[str, Any]):
    opened = gate(deleting(), secret=SECRET)
    forged = msgspec.structs.replace(await ask(opened), **changes)
    with pytest.raises(InvalidToolApprovalError):
        await follow(opened.settle(answer(forged)))


@pytest.mark.parametrize("policy", [LoopPolicy(), V6_EARLY])
async def test_approval_that_comes_again_runs_nothing_and_says_why(policy: LoopPolicy):
    opened = gate(deleting(), secret=SECRET, policy=policy, used=ProcessUsedApprovals())
    approval = answer(await ask(opened))
    assert (await follow(opened.settle(approval))).execution is not None
    verdict = await follow(opened.settle(approval))
    assert verdict.execution is None
    (failed,) = verdict.parts
    assert isinstance(failed, ToolOutputError)
    assert (
        failed.error_text == "AI_InvalidToolApprovalError: The approval of tool delete has been used: ask for it again."
    )
    assert verdict.result is not None
    assert verdict.result.output.type == "error-text"


async def test_signature_moved_out_of_the_id_does_not_make_it_another_approval():
    opened = gate(deleting(), secret=SECRET, policy=V6_EARLY, used=ProcessUsedApprovals())
    asked = await ask(opened)
    approval_id, _, signature = asked.approval_id.partition(".")
    assert (await follow(opened.settle(answer(asked)))).execution is not None
    moved = msgspec.structs.replace(asked, approval_id=approval_id, signature=signature)
    assert (await follow(opened.settle(answer(moved)))).execution is None


async def test_approval_that_was_refused_for_its_input_is_not_used_up():
    opened = gate(deleting(), secret=SECRET, used=ProcessUsedApprovals())
    approval = answer(await ask(opened))
    opened.tools = {"delete": tool(name="delete", input_schema=Older, execute=delete)}
    assert (await follow(opened.settle(approval))).execution is None
    opened.tools = {"delete": deleting()}
    assert (await follow(opened.settle(approval))).execution is not None


async def test_denied_approval_cannot_be_approved_later():
    opened = gate(deleting(), secret=SECRET, used=ProcessUsedApprovals())
    asked = await ask(opened)
    for _ in range(2):
        # A denial may come again: an edit after it posts the same history.
        denied = await follow(opened.settle(answer(asked, approved=False)))
        assert denied.execution is None
    verdict = await follow(opened.settle(answer(asked)))
    assert verdict.execution is None
    assert isinstance(verdict.parts[0], ToolOutputError)


@pytest.mark.parametrize("changes", [{"signature": None}, {"approval_id": "other"}])
async def test_denial_of_a_question_that_was_never_asked_is_remembered_nowhere(changes: dict[str, Any]):
    used = ProcessUsedApprovals()
    opened = gate(deleting(), secret=SECRET, used=used)
    forged = msgspec.structs.replace(await ask(opened), **changes)
    assert (await follow(opened.settle(answer(forged, approved=False)))).execution is None
    assert not used.used


async def test_oldest_used_approvals_are_forgotten_first():
    used = ProcessUsedApprovals(limit=2)
    assert [await used.claim(name) for name in ("a", "b", "c")] == [True, True, True]
    assert [await used.claim(name) for name in ("c", "b", "a")] == [False, False, True]


async def test_without_a_secret_any_answer_counts():
    opened = gate(deleting())
    assert (await follow(opened.settle(answer(await ask(opened))))).execution is not None


async def test_tool_that_is_gone_is_an_error():
    asked = await ask(gate(deleting()))
    verdict = await follow(gate().settle(answer(asked)))
    (failed,) = verdict.parts
    assert isinstance(failed, ToolOutputError)
    assert failed.error_text.startswith("AI_NoSuchToolError: ")
    assert verdict.result is not None
    assert verdict.execution is None


async def test_tool_that_the_client_carries_out_stays_open():
    asked = await ask(gate(deleting()))
    assert await follow(gate(deleting(execute=None)).settle(answer(asked))) == Verdict()


class Older(BaseModel):
    """What the tool took before."""

    folder: str


async def test_input_that_no_longer_fits_is_an_error():
    asked = await ask(gate(deleting()))
    changed = tool(name="delete", input_schema=Older, execute=delete)
    verdict = await follow(gate(changed).settle(answer(asked)))
    (failed,) = verdict.parts
    assert isinstance(failed, ToolOutputError)
    assert failed.error_text.startswith("AI_InvalidToolInputError: Invalid input for tool delete: folder")


def grow(path: str) -> str:
    return path + "/"


class Growing(BaseModel):
    """An input whose check changes it each time."""

    path: Annotated[str, AfterValidator(grow)]


async def test_what_runs_is_what_was_approved_even_when_its_check_changes_it():
    growing = tool(name="delete", input_schema=Growing, execute=delete, needs_approval=True)
    opened = gate(growing, secret=SECRET)
    asked = await ask(opened)
    assert asked.input_schema_input == {"path": "/x"}
    verdict = await follow(opened.settle(answer(asked, input={"path": "/x/"})))
    assert verdict.execution is not None
    assert verdict.execution.arguments == Growing.model_construct(path="/x/")


@pytest.mark.parametrize("schema_input", [None, {"path": "/etc"}])
async def test_input_whose_check_gives_something_else_now_does_not_run(schema_input: Any):
    growing = tool(name="delete", input_schema=Growing, execute=delete, needs_approval=True)
    opened = gate(growing, secret=SECRET)
    asked = msgspec.structs.replace(await ask(opened), input_schema_input=schema_input)
    verdict = await follow(opened.settle(answer(asked, input={"path": "/x/"})))
    assert verdict.execution is None
    (failed,) = verdict.parts
    assert isinstance(failed, ToolOutputError)
    assert "its schema reads the approved input as another one" in failed.error_text


@pytest.mark.parametrize(("own", "shown"), [("Locked since.", "Locked since."), (None, "Please.")])
async def test_application_may_still_deny_what_the_user_approved(own: str | None, shown: str):
    asked = await ask(gate(deleting()))
    verdict = await follow(gate(deleting(Deny(own))).settle(answer(asked, reason="Please.")))
    assert verdict.execution is None
    assert verdict.result is not None
    assert verdict.result.output == ToolResultOutput("execution-denied", shown)


async def test_what_a_function_writes_at_the_second_look_is_shown():
    def needs(value: Any, context: ToolContext) -> bool:
        context.writer.write(Data(name="check", data=1))
        return True

    opened = gate(deleting(needs))
    verdict = await follow(opened.settle(answer(await ask(opened))))
    assert verdict.parts == (Data(name="check", data=1),)
    assert verdict.execution is not None


@pytest.fixture(autouse=True)
def warnings_are_seen(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
