"""The gate before a tool: the decisions of the application and the user on a call, and their consequences.

New calls are decided on as they come (``resolve-tool-approval.ts``). The user's decisions in the request are checked
again before anything runs (``validate-tool-approvals.ts``, 7.0.173). Knows no model and no step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from usechat.answers.calls.execute import Execution, InterruptedToolError, MakeContext, error_text
from usechat.answers.calls.read import ParsedCall, check_input, error_result, no_such_tool
from usechat.answers.loop.asks import Call, Script
from usechat.answers.loop.policy import LoopPolicy
from usechat.answers.writer.data_parts import NOT_GIVEN, data_part
from usechat.answers.writer.valid_parts import maybe_valid_part
from usechat.errors import InvalidToolApprovalError, InvalidToolInputError, ToolError, ToolExecutionError
from usechat.ids import generate_id
from usechat.messages.call_words import INTERRUPTED
from usechat.messages.model import ToolCallContent, ToolResultContent, ToolResultOutput
from usechat.parts import (
    Part,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolCall,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)
from usechat.protocol.options import DENIED
from usechat.tools.approvals import (
    Approval,
    ApprovalStatus,
    Approve,
    AskUser,
    Deny,
    canonical_json,
    read_status,
    sign_request,
)
from usechat.tools.tool import Tool, ToolApproval
from usechat.tools.used_approvals import UsedApprovals

__all__ = ["ApprovalGate", "Verdict"]

logger = logging.getLogger(__name__)

OnError: TypeAlias = Callable[[BaseException], str | None]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The consequences of a decision."""

    parts: tuple[Part, ...] = ()
    """The parts for the client."""
    result: ToolResultContent | None = None
    """The result for the model when the call does not run."""
    execution: Execution | None = None
    """The call when it runs here and now."""


class ApprovalGate:
    """Gate that decides on tool calls.

    Args:
        tools: All tools of the answer, by name.
        policy: The behaviour that the client needs.
        secret: Signs requests and checks answers. None: no signatures.
        tool_approval: The answer's policy for all tools, which goes before what each tool says.
        used: Memory of the signed approvals by which a tool ran. None: an approval may be used again.
        make_context: Makes the context of a call, for tools whose decision needs it.
        on_error: Called with each error. It may return the text for the browser.
    """

    __slots__ = (
        "make_context",
        "on_error",
        "policy",
        "secret",
        "tool_approval",
        "tools",
        "used",
    )

    def __init__(
        self,
        tools: Mapping[str, Tool],
        policy: LoopPolicy,
        secret: str | None,
        used: UsedApprovals | None = None,
        *,
        tool_approval: ToolApproval | None = None,
        make_context: MakeContext,
        on_error: OnError,
    ) -> None:
        self.tools = tools
        self.policy = policy
        self.secret = secret
        self.used = used
        self.tool_approval = tool_approval
        self.make_context = make_context
        self.on_error = on_error

    def decide(self, parsed: ParsedCall) -> Script[Verdict]:
        """Return the verdict on a valid new call of the model."""
        assert parsed.tool is not None
        written = PartList()
        status = yield from self._status(parsed.tool, parsed.call.tool_call_id, parsed.input, written)
        verdict = self._verdict(parsed, status)
        return msgspec.structs.replace(verdict, parts=(*written.parts, *verdict.parts))

    def _verdict(self, parsed: ParsedCall, status: ApprovalStatus | None) -> Verdict:
        match status:
            case None:
                return Verdict(execution=parsed.execution)
            case AskUser() if not self.policy.approvals:
                return self._cannot_ask(parsed.call)
            case AskUser():
                return Verdict(parts=(self._request(parsed, reason=status.reason),))
            case Approve():
                return Verdict(parts=self._automatic(parsed, status), execution=parsed.execution)
            case Deny() if not self._can_show(status):
                reason = status.reason or DENIED
                return self._refused(parsed.call, reason, reason)
            case _:
                denied = ToolOutputDenied(tool_call_id=parsed.call.tool_call_id, tool_name=parsed.call.tool_name)
                result = denial(parsed.call, status.reason)
                return Verdict(parts=(*self._automatic(parsed, status), denied), result=result)

    def _can_show(self, denial: Deny) -> bool:
        """Return whether the client has denials, and a place for the reason if there is one."""
        return self.policy.approvals and (denial.reason is None or self.policy.shows_automatic_approvals)

    def _status(self, tool: Tool, tool_call_id: str, input: object, writer: PartList) -> Script[ApprovalStatus | None]:
        policy: Any = self.tool_approval
        of_answer = cast("Mapping[str, Any]", policy).get(tool.name) if isinstance(policy, Mapping) else policy
        for needs in (of_answer, tool.needs_approval):
            decision: Any = needs
            if callable(needs):
                decision = yield Call(needs, (input, self.make_context(tool_call_id, tool.name, writer)))
            if decision is not None:
                return read_status(decision)
        # A function that forgets its return must not let the call run unasked.
        logger.warning("needs_approval of tool %s returned None, so the user is asked: return True or False", tool.name)
        return AskUser()

    def _cannot_ask(self, call: ToolCall) -> Verdict:
        logger.warning(
            "tool %s needs approval: name the client's AI SDK version (6 or later), by the header x-usechat-sdk or by "
            'sdk="7" of the response',
            call.tool_name,
        )
        text = "The tool needs the user's approval, which this client cannot be asked for."
        error = ToolExecutionError(text, tool_name=call.tool_name, tool_call_id=call.tool_call_id)
        return self._refused(call, text, self.on_error(error) or text)

    def _refused(self, call: ToolCall, text: str, client_text: str) -> Verdict:
        """Return the verdict on a call that does not run, for a client that cannot show the decision itself.

        The client keeps the refusal as the call's result and sends it back, so the model reads the same text again.
        """
        call_id, name = call.tool_call_id, call.tool_name
        shown: Part
        if self.policy.shows_refusals:
            shown = ToolOutputAvailable(tool_call_id=call_id, tool_name=name, output=client_text)
            output = ToolResultOutput("text", client_text)
        else:
            shown = ToolOutputError(tool_call_id=call_id, tool_name=name, error_text=text, client_text=client_text)
            output = ToolResultOutput("error-text", text)
        return Verdict(parts=(shown,), result=ToolResultContent(tool_call_id=call_id, tool_name=name, output=output))

    def _failed(self, error: ToolError) -> Verdict:
        failed = ToolOutputError(
            tool_call_id=error.tool_call_id,
            tool_name=error.tool_name,
            error_text=error_text(error),
            client_text=self.on_error(error),
        )
        return Verdict(parts=(failed,), result=error_result(error))

    def _automatic(self, parsed: ParsedCall, status: Approve | Deny) -> tuple[Part, ...]:
        """Return the request and the response parts by which AI SDK 7 shows the application's own decision."""
        if not self.policy.shows_automatic_approvals:
            return ()
        request = self._request(parsed, is_automatic=True)
        approved = isinstance(status, Approve)
        response = ToolApprovalResponse(approval_id=request.approval_id, approved=approved, reason=status.reason)
        return request, response

    def _request(
        self, parsed: ParsedCall, *, reason: str | None = None, is_automatic: bool | None = None
    ) -> ToolApprovalRequest:
        call = parsed.call
        approval_id, signature = generate_id("aitxt"), None
        if self.secret is not None:
            approval_id, signature = sign_request(
                self.secret,
                approval_id,
                not self.policy.has_signature_field,
                tool_call_id=call.tool_call_id,
                tool_name=call.tool_name,
                input=parsed.input,
            )
        return ToolApprovalRequest(
            approval_id=approval_id,
            tool_call_id=call.tool_call_id,
            signature=signature,
            is_automatic=is_automatic,
            reason=reason,
            input_schema_input=None if is_same(parsed.schema_input, parsed.input) else parsed.schema_input,
        )

    def settle(self, approval: Approval) -> Script[Verdict]:
        """Return the verdict on a call that the user has decided on.

        Raises:
            InvalidToolApprovalError: This server did not ask for this call.
            RunError: The memory cannot tell whether the approval was used before.
        """
        if not approval.response.approved:
            yield from self._use_up(approval)
            return denied_by(approval, approval.response.reason)
        if self.secret is not None:
            approval.check(self.secret)
        call = approval.call
        tool = self.tools.get(call.tool_name)
        made = ToolCall(tool_call_id=call.tool_call_id, tool_name=call.tool_name, input_text="")
        if tool is None:
            return self._failed(no_such_tool(made, self.tools))
        if tool.execute is None:
            return Verdict()  # the client executes it
        given = approval.request.input_schema_input
        parsed = check_input(made, tool, call.input if given is msgspec.UNSET else given)
        if parsed.error is None and not is_same(parsed.input, call.input):
            # The input that runs must be the input that the user has seen.
            parsed = msgspec.structs.replace(parsed, error=altered_input(made))
        if parsed.error is not None:
            return self._failed(parsed.error)
        written = PartList()
        status = yield from self._status(tool, call.tool_call_id, parsed.input, written)
        if isinstance(status, Deny):
            return denied_by(approval, status.reason or approval.response.reason)
        if not (yield from self._claim(approval)):
            return self._failed(used_approval(made))
        return Verdict(parts=tuple(written.parts), execution=parsed.execution)

    def settle_lost(self, call: ToolCallContent, approval: Approval | None) -> Script[Verdict]:
        """Return the verdict on a call that a dead process had begun, and whose outcome is unknown.

        Args:
            call: The call.
            approval: What the user has decided on it.
        """
        tool = self.tools.get(call.tool_name)
        made = ToolCall(tool_call_id=call.tool_call_id, tool_name=call.tool_name, input_text="")
        if tool is not None and tool.idempotent:
            parsed = check_input(made, tool, call.input)
            if parsed.execution is not None and (yield from self._is_allowed(tool, parsed, approval)):
                return Verdict(execution=parsed.execution)
        unknown = InterruptedToolError(INTERRUPTED, tool_name=call.tool_name, tool_call_id=call.tool_call_id)
        text = error_text(unknown)
        failed = ToolOutputError(
            tool_call_id=call.tool_call_id,
            tool_name=call.tool_name,
            error_text=text,
            # No secret: it is what the browser is shown of any call that was interrupted.
            client_text=self.on_error(unknown) or text,
        )
        return Verdict(parts=(failed,), result=error_result(unknown))

    def _is_allowed(self, tool: Tool, parsed: ParsedCall, approval: Approval | None) -> Script[bool]:
        """Return whether the call may run again. The dead process may have died before it had asked."""
        if approval is None:
            status = yield from self._status(tool, parsed.call.tool_call_id, parsed.input, PartList())
            return status is None or isinstance(status, Approve)
        try:
            if self.secret is not None:
                approval.check(self.secret)
        except InvalidToolApprovalError:
            return False
        return True

    def _use_up(self, approval: Approval) -> Script[None]:
        """Claim an approval that the user has denied, so that the same question cannot be answered otherwise later."""
        if self.secret is None:
            return
        try:
            approval.check(self.secret)
        except InvalidToolApprovalError:
            # Without a signature of ours it can never be approved.
            return
        yield from self._claim(approval)

    def _claim(self, approval: Approval) -> Script[bool]:
        """Claim the approval and return whether it may be used. Called last: a refusal uses nothing up."""
        if self.secret is None or self.used is None:
            # The client chooses an unsigned id, so the memory can say nothing about it.
            return True
        return (yield Call(self.used.claim, (approval.signed_id,)))


class PartList:
    """Writer that collects a tool's parts during the decision."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def write(self, part: Part) -> None:
        """Add ``part`` to the parts of the decision.

        Raises:
            InvalidPartError: It is no part, or a field has a wrong value.
        """
        if (valid := maybe_valid_part(part)) is not None:
            self.parts.append(valid)

    def write_data(self, name: Any, data: Any = NOT_GIVEN, *, id: str | None = None, transient: bool = False) -> None:
        """Write a data part; see `usechat.answers.writer.data_parts.data_part`.

        Raises:
            ValueError: JSON cannot hold the data, or it has a key that no client reads.
        """
        self.write(data_part(name, data, id=id, transient=transient))

    async def drain(self) -> None:
        """Return at once: the list has no limit."""


def is_same(a: object, b: object) -> bool:
    return canonical_json(a) == canonical_json(b)


def altered_input(call: ToolCall) -> InvalidToolInputError:
    return InvalidToolInputError(
        f"Invalid input for tool {call.tool_name}: its schema reads the approved input as another one.",
        tool_name=call.tool_name,
        tool_call_id=call.tool_call_id,
    )


def used_approval(call: ToolCall) -> InvalidToolApprovalError:
    return InvalidToolApprovalError(
        f"The approval of tool {call.tool_name} has been used: ask for it again.",
        tool_name=call.tool_name,
        tool_call_id=call.tool_call_id,
    )


def denied_by(approval: Approval, reason: str | None) -> Verdict:
    call = approval.call
    shown = ToolOutputDenied(tool_call_id=call.tool_call_id, tool_name=call.tool_name)
    # The provider gets the decision itself for a call that it would have run.
    return Verdict(parts=(shown,), result=None if call.provider_executed else denial(call, reason))


def denial(call: ToolCall | ToolCallContent, reason: str | None) -> ToolResultContent:
    output = ToolResultOutput("execution-denied", reason)
    return ToolResultContent(tool_call_id=call.tool_call_id, tool_name=call.tool_name, output=output)
