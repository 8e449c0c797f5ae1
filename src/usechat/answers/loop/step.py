"""One step of a model's turn: its parts, its tool calls and their tools.

Knows no stop condition and does not choose the next step: `usechat.answers.loop.model_turn` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from usechat.answers.calls.execute import Execution, ToolOutcomes
from usechat.answers.calls.gate import ApprovalGate, Verdict
from usechat.answers.calls.read import (
    ParsedCall,
    error_result,
    parse_call,
    show_broken_call,
    show_call,
    show_input_start,
)
from usechat.answers.calls.stored_outputs import convert_outputs
from usechat.answers.loop.asks import READ, RunTools, Script
from usechat.answers.loop.policy import LoopPolicy
from usechat.answers.loop.request import LoopRequest
from usechat.answers.loop.results.recorder import StepRecorder, StepResult
from usechat.answers.loop.steering import Delivery
from usechat.answers.loop.turn import Turn
from usechat.errors import ProviderError
from usechat.failures import log_failure, shown_text
from usechat.ids import generate_id
from usechat.messages.call_words import NOT_CARRIED_OUT
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ToolCallContent,
    ToolContent,
    ToolMessage,
    ToolResultContent,
)
from usechat.models.base import Model, ModelCall
from usechat.parts import (
    Error,
    FinishReason,
    ModelFinish,
    ModelPart,
    Part,
    StartStep,
    ToolCall,
    ToolInputStart,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)
from usechat.tools.approvals import collect_approvals
from usechat.tools.tool import Tool, ToolContext, ToolWriter

__all__ = ["StepTurn"]

logger = logging.getLogger(__name__)


class StepTurn(Turn):
    """The part of `ModelTurn` that reads one step.

    Args:
        request: The messages, the model, the tools and the options of the answer.
        policy: The behaviour that the client needs.
        abort: Set when the answer is stopped; tools can read it.
    """

    __slots__ = (
        "abort",
        "batch_parts",
        "batch_start",
        "cut_steps",
        "deferred",
        "delivered",
        "ended",
        "executions",
        "failure",
        "finish",
        "has_begun",
        "has_failed",
        "is_open",
        "is_retry",
        "messages",
        "outcomes",
        "policy",
        "recorder",
        "request",
        "retries",
        "settled",
        "step_call",
        "steps",
        "system",
        "tool_failed",
        "tools",
        "usage",
        "waiting",
    )

    def __init__(self, request: LoopRequest, policy: LoopPolicy, abort: asyncio.Event) -> None:
        super().__init__()
        self.request = request
        self.policy = policy
        self.abort = abort
        self.messages: list[ModelMessage] = list(request.call.messages)
        self.system = request.call.system
        self.tools: Mapping[str, Tool] = request.tools
        """The tools of the step, by name."""
        self.steps: list[StepResult] = []
        self.settled: Sequence[ModelMessage] = ()
        """The results of the approvals in the request, from before the first step."""
        self.usage: Usage = Usage()
        self.recorder = StepRecorder()
        self.executions: list[Execution] = []
        """The step's calls that wait to run."""
        self.waiting: dict[str, None] = {}
        """Ids of the step's calls that may run here and have not begun. An ordered set."""
        self.outcomes: ToolOutcomes = ToolOutcomes()
        """What is known of the calls that were begun last."""
        self.deferred: dict[str, None] = {}
        """Ids of calls whose results the provider sends in a later step. An ordered set."""
        self.finish: FinishReason | None = None
        self.failure: BaseException | None = None
        self.tool_failed = False
        self.has_failed = False
        """Whether the client was sent an error in the step: it reads no further."""
        self.cut_steps = 0
        """Steps that ended in a cut call."""
        self.is_open = False
        """Whether a part of the step was shown."""
        self.has_begun = False
        """Whether this try of the step has brought a part."""
        self.retries = 0
        """How often the step was tried again."""
        self.is_retry = False
        """Whether the next model call tries the same step again."""
        self.step_call: tuple[Model, ModelCall] = (request.model, request.call)
        self.delivered: Sequence[Delivery] = ()  # The user's messages at the begin of the step.
        self.ended: ModelFinish | None = None
        self.batch_parts: list[Part] | None = None
        """The list `parts` at the step's first part. While it is `parts`, the driver has read nothing of the step."""
        self.batch_start = 0
        """The index of the step's first part in `batch_parts`."""

    def failed(self, error: BaseException) -> Error:
        """Record and log a failure. Return the error part for the client."""
        self.failure = error
        log_failure(logger, "the answer failed", error)
        return Error(shown_text(error, self.request.on_error(error)), error)

    @property
    def has_shown(self) -> bool:
        """Whether the client may have a part of the step: the driver has read the batch that opened it."""
        return self.is_open and self.parts is not self.batch_parts

    def may_retry(self, error: ProviderError) -> bool:
        """Return whether to try the step again. The client must then forget the first try: all is shown anew."""
        can_forget = self.policy.resets_steps or not self.has_shown
        return self.has_begun and error.is_retryable and can_forget and self.retries < self.request.stream_retries

    def _start_step(self) -> StartStep:
        # AI SDK 4 takes the message's id from here; its own server makes a new one for each step.
        return StartStep(message_id=self.request.message_id or generate_id("msg"))

    def take_part(self, part: ModelPart) -> Script[None]:
        """Record a part of the model and show it to the client."""
        if isinstance(part, ModelFinish):
            self.ended = part
            return
        if isinstance(part, ToolCall):
            yield from self._take_call(part)
            return
        if isinstance(part, Error) and isinstance(part.error, ProviderError):
            self.has_begun = True
            if self.may_retry(part.error):
                raise part.error
        if isinstance(part, Error) and self.policy.runs_tools_before_error:
            yield from self.run_tools()
        self._show(self._adapt(part))

    def _show(self, part: Part) -> None:
        """Record a part of the step and show it."""
        self.has_begun = True
        if not self.is_open:
            self.is_open = True
            self.parts.append(self._start_step())
        self.recorder.feed(part)
        self.parts.append(part)

    def _adapt(self, part: ModelPart) -> Any:
        match part:
            case ToolInputStart():
                return show_input_start(part, self.tools)
            case Error():
                self.has_failed = True
                return self.failed(part.error or ProviderError(part.error_text, provider=self.request.model.provider))
            case ToolOutputError():
                return msgspec.structs.replace(part, client_text=None)
            case _:
                return part

    def _take_call(self, call: ToolCall) -> Script[None]:
        parsed = yield from parse_call(call, self.tools, repair=self.request.repair_tool_call)
        if parsed.error is None:
            self._show(show_call(parsed))
            if parsed.tool is not None and not call.provider_executed:
                yield from self._decide(parsed)
            return
        for part in show_broken_call(parsed, self.request.on_error):
            self._show(part)
        if call.is_cut:
            self.cut_steps += 1
        if not call.provider_executed:
            self.tool_failed = True
            self.recorder.add_result(error_result(parsed.error))

    def _decide(self, parsed: ParsedCall) -> Script[None]:
        call_id = parsed.call.tool_call_id
        if parsed.execution is not None:
            # The application may take long to decide, and the answer may be stopped meanwhile.
            self.waiting[call_id] = None
        verdict = yield from self._make_gate().decide(parsed)
        if verdict.execution is None:
            self.waiting.pop(call_id, None)
        self._follow(verdict)

    def _follow(self, verdict: Verdict) -> None:
        """Record the gate's verdict and show its parts."""
        for part in verdict.parts:
            self.recorder.feed(part)
        self.parts += verdict.parts
        if verdict.result is not None:
            self.recorder.add_result(verdict.result)
        if verdict.execution is not None:
            self.executions.append(verdict.execution)

    def run_tools(self) -> Script[None]:
        """Run the waiting calls and show their parts."""
        executions, self.executions = self.executions, []
        if not executions:
            return
        request = self.request
        self.outcomes = yield RunTools(
            executions,
            self._make_context,
            request.on_error,
            request.tool_call_concurrency,
            request.tell_of_tool,
            request.observer.watch_tool,
            request.chat_id,
        )
        try:
            while (batch := (yield READ)) is not None:
                self._show_outputs(batch)
        except Exception:
            # The time of the answer is up.
            self._end_tools()
            raise
        self._end_tools()
        self.outcomes = ToolOutcomes()

    def _show_outputs(self, batch: list[Part]) -> None:
        for part in batch:
            self.recorder.feed(part)
            self.tool_failed = self.tool_failed or isinstance(part, ToolOutputError)
        self.parts += batch

    def _end_tools(self) -> None:
        """Record how the calls have ended that were begun last."""
        for call_id in self.outcomes.begun:
            self.waiting.pop(call_id, None)
        late = [*self.outcomes.late]
        self.outcomes.late.clear()
        self._show_outputs(late)
        for result in self.outcomes.results.values():
            self.recorder.add_result(result)

    def late_parts(self) -> list[Part]:
        """Remove and return the outputs of tools that ended after the answer was stopped."""
        self._end_tools()
        return self.take()

    @property
    def unbegun(self) -> Mapping[str, str]:
        """The model's words for the calls that the end of the answer kept from beginning, by call id."""
        return dict.fromkeys(self.waiting, NOT_CARRIED_OUT)

    def _make_gate(self) -> ApprovalGate:
        # Not stored: the gate refers to the turn, which would be a cycle.
        return ApprovalGate(
            self.request.tools,
            self.policy,
            self.request.approval_secret,
            self.request.used_approvals,
            tool_approval=self.request.tool_approval,
            make_context=self._make_context,
            on_error=self.request.on_error,
        )

    def _make_context(self, tool_call_id: str, tool_name: str, writer: ToolWriter) -> ToolContext:
        return ToolContext(
            tool_call_id=tool_call_id,
            tool_name=tool_name,
            messages=tuple(self.messages),
            writer=writer,
            abort=self.abort,
            idempotency_key=":".join(filter(None, (self.request.message_id, tool_call_id))),
            deps=self.request.context,
        )

    def settle_approvals(self) -> Script[None]:
        """Apply the decisions in the request: refusals first, then approvals."""
        if self.request.converts_outputs:
            self.messages = yield from convert_outputs(self.messages, self.request.tools)
        lost = self.request.lost_calls
        approvals = [one for one in collect_approvals(self.messages) if one.call.tool_call_id not in lost]
        if not approvals:
            return
        gate = self._make_gate()
        verdicts: list[Verdict] = []
        for approval in approvals:
            verdicts += [(yield from gate.settle(approval))]
        verdicts.sort(key=lambda verdict: (verdict.execution is not None, not is_denial(verdict)))
        for verdict in verdicts:
            self._follow(verdict)
        yield from self.run_tools()
        last = self.messages[-1]
        assert isinstance(last, ToolMessage)
        results: dict[str | None, ToolContent] = {**self.recorder.results}
        # A refusal stays at its place in the client's message; results of calls that run now come last.
        content = [results.pop(answered_call(part), part) for part in last.content]
        if self.recorder.results:
            self.settled = (ToolMessage(tuple(self.recorder.results.values())),)
        self.messages[-1] = ToolMessage((*content, *results.values()), last.provider_options)

    def settle_lost_calls(self) -> Script[None]:
        """Run the calls again that a dead process had begun, if they may; the outcome of the others is unknown."""
        lost = self.request.lost_calls
        if not lost:
            return
        said = [part for message in self.messages if isinstance(message, AssistantMessage) for part in message.content]
        gate = self._make_gate()
        approvals = {one.call.tool_call_id: one for one in collect_approvals(self.messages)}
        for call in said:
            if isinstance(call, ToolCallContent) and call.tool_call_id in lost:
                self._follow((yield from gate.settle_lost(call, approvals.get(call.tool_call_id))))
        yield from self.run_tools()
        results = tuple(result for call_id, result in self.recorder.results.items() if call_id in lost)
        self.settled = (*self.settled, ToolMessage(results))
        last = self.messages[-1]
        if isinstance(last, ToolMessage):
            self.messages[-1] = ToolMessage((*last.content, *results), last.provider_options)
        else:
            self.messages.append(ToolMessage(results))


def is_denial(verdict: Verdict) -> bool:
    return any(isinstance(part, ToolOutputDenied) for part in verdict.parts)


def answered_call(part: ToolContent) -> str | None:
    return part.tool_call_id if isinstance(part, ToolResultContent) else None
