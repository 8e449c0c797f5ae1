"""The loop: model, tools, model, until a stop condition holds. Yields the answer's parts in batches.

Upstream: ``streamText`` in ``ai/src/generate-text/stream-text.ts`` (7.0.173). What a model brought in one read is
yielded in one batch, and a delta passes through with one look-up: no queue, task or lock stands between.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from usechat import parts as p
from usechat.errors import ProviderError, ProviderStreamError, RequestError, UsechatError
from usechat.generate.approvals import Approval, collect_approvals
from usechat.generate.callbacks import Outcome
from usechat.generate.calls import error_result, parse_call, show_broken_call, show_call, show_input_start
from usechat.generate.execute import Execution, ToolRunner
from usechat.generate.gate import ApprovalGate, Verdict
from usechat.generate.happening import Happening
from usechat.generate.loop_request import LoopRequest, PrepareStep, StepSettings
from usechat.generate.policy import LoopPolicy
from usechat.generate.recorder import StepRecorder, StepResult
from usechat.generate.steering import Delivery, Undelivered
from usechat.generate.stop import StepCount, is_met
from usechat.generate.tool_outputs import convert_outputs
from usechat.generate.tools import Tool, ToolContext, ToolWriter
from usechat.ids import generate_id
from usechat.messages.model import ModelMessage, ToolContent, ToolMessage, ToolResultContent
from usechat.models.base import Model, ModelCall
from usechat.protocol.options import MASKED_ERROR
from usechat.sink import Divertible, Taker

__all__ = ["Loop", "LoopRequest", "PrepareStep", "StepSettings"]

logger = logging.getLogger(__name__)

MAX_STEPS = 100
"""No answer takes more steps than this, whatever its stop conditions say: each one is paid for."""


class Loop:
    """Makes one answer.

    Args:
        request: What to answer, with what.
        policy: How to behave towards the client.
        abort: That the answer is stopped; tools see it.
    """

    __slots__ = (
        "abort",
        "deferred",
        "delivered",
        "ended",
        "executions",
        "failure",
        "finish",
        "grown",
        "has_begun",
        "is_open",
        "is_retry",
        "messages",
        "policy",
        "recorder",
        "request",
        "retries",
        "step_call",
        "steps",
        "system",
        "taker",
        "tool_failed",
        "tools",
        "usage",
    )

    def __init__(self, request: LoopRequest, policy: LoopPolicy, abort: Happening) -> None:
        self.request = request
        self.policy = policy
        self.abort = abort
        self.messages: list[ModelMessage] = list(request.call.messages)
        self.system = request.call.system
        self.tools: Mapping[str, Tool] = request.tools
        """Those of the step."""
        self.steps: list[StepResult] = []
        self.usage = p.Usage()
        self.recorder = StepRecorder()
        self.executions: list[Execution] = []
        """The step's calls that are to be run."""
        self.deferred: dict[str, None] = {}
        """Calls whose results the provider owes until a later step."""
        self.finish: p.FinishReason | None = None
        self.failure: BaseException | None = None
        self.tool_failed = False
        self.is_open = False
        """Whether anything of the step was shown."""
        self.has_begun = False
        """Whether this try of the step has brought anything."""
        self.retries = 0
        """How often the step was tried again."""
        self.is_retry = False
        """Whether what comes next is the same step once more."""
        self.step_call: tuple[Model, ModelCall] = (request.model, request.call)
        self.delivered: Sequence[Delivery] = ()  # The user's messages that the step began with.
        self.taker: Taker[list[p.Part]] | None = None
        self.grown = 0
        """How many of the next batch's first parts are recorded already."""
        self.ended: p.ModelFinish | None = None

    def outcome(self) -> Outcome:
        """How far the answer has come."""
        return Outcome(
            text=self.recorder.joined("text"),
            finish_reason=self.finish,
            usage=self.usage,
            steps=tuple(self.steps),
            error=self.failure,
        )

    async def run(self) -> AsyncGenerator[list[p.Part]]:
        """The answer's parts, from `Start` to `Finish`; after an error before a step's first part there is no end.

        A model's batches are read here and nowhere deeper: each generator between would cost every delta a turn.
        """
        yield [p.Start(message_id=self.request.message_id)]
        try:
            async with aclosing(self.settle_approvals()) as batches:
                async for batch in batches:
                    yield batch
            # It has ended, and would be held for as long as the model speaks.
            del batches
            goes_on = True
            while goes_on:
                stream, failure = await self.begin_step(), None
                try:
                    if self.delivered and not self.retries:
                        yield [delivery.part() for delivery in self.delivered]
                    async for batch in stream:
                        grown, self.grown = self.recorder.grow(batch, self.grown), 0
                        # A batch of mere deltas goes on as it is, without a coroutine of its own.
                        passes = self.is_open and grown == len(batch)
                        if shown := cast("list[p.Part]", batch) if passes else await self.absorb(batch, grown):
                            yield shown
                except ProviderError as error:
                    failure = error
                finally:
                    await close(stream)
                async with aclosing(self.end_step(failure)) as batches:
                    async for batch in batches:
                        yield batch
                goes_on = self.is_retry or await self.goes_on(self.finish)
        except Exception as error:  # noqa: BLE001 - the client gets a legal end whatever fails
            self.finish = None
            self.request.steering.end("error")
            yield [self.fail(error)]
        if self.finish is not None:
            yield [p.Finish(finish_reason=self.finish, total_usage=self.usage)]

    def divert(self, taker: Taker[list[p.Part]]) -> None:
        """Offer ``taker`` batches of mere deltas that come while somebody waits for the next one."""
        self.taker = taker

    def pass_on(self, batch: list[Any]) -> bool:
        """What `run` does with a batch of mere deltas, without it; False for what is left to it."""
        self.grown = self.recorder.grow(batch)
        if self.is_open and self.grown == len(batch) and self.taker is not None and self.taker(batch):
            self.grown = 0
            return True
        return False

    def fail(self, error: BaseException) -> p.Error:
        """The error as the client is told of it."""
        self.failure = error
        if isinstance(error, UsechatError):
            logger.warning("the answer failed: %s", error)
        else:
            logger.error("the answer failed", exc_info=error)
        text = self.request.on_error(error)
        if text is None:
            # What is wrong with a request is for whoever made it to know, and repeats nothing of it.
            text = str(error) if isinstance(error, RequestError) else MASKED_ERROR
        return p.Error(text, error)

    # -- one step -----------------------------------------------------------------------------------------------

    async def begin_step(self) -> AsyncIterator[Sequence[p.ModelPart]]:
        """The stream of the next model call."""
        self.recorder, self.executions, self.finish, self.ended = StepRecorder(), [], None, None
        self.has_begun, self.grown = False, 0
        if not self.is_retry:
            self.is_open, self.retries = False, 0
            self.step_call = await self.prepare_call()
        self.is_retry = False
        model, call = self.step_call
        stream = model.stream(call)
        if self._is_last_call():
            self._forget_messages()
        if self.taker is not None and isinstance(stream, Divertible):
            stream.divert(self.pass_on)
        return stream

    def _is_last_call(self) -> bool:
        """Whether nobody will look at the messages again, whatever the model says."""
        request, number = self.request, len(self.steps) + 1
        may_go_on = not any(isinstance(each, StepCount) and each.count <= number for each in request.stop_when)
        return not (may_go_on or request.tools or request.stream_retries)

    def _forget_messages(self) -> None:
        model, call = self.step_call
        self.step_call = model, msgspec.structs.replace(call, messages=())
        self.request.call = msgspec.structs.replace(self.request.call, messages=())
        self.messages = []

    def may_retry(self, error: ProviderError) -> bool:
        """Whether the step is to be tried again. What it has shown is shown anew, so the client must forget it."""
        can_forget = self.policy.resets_steps or not self.is_open
        return self.has_begun and error.is_retryable and can_forget and self.retries < self.request.stream_retries

    def retry(self, error: ProviderError) -> list[p.Part]:
        """Have the step tried again; what the client is told of it."""
        self.is_retry = True
        self.retries += 1
        logger.warning("a step is tried again: %s", error)
        self.request.on_error(error)
        return [p.ResetStep()] if self.is_open else []

    def _start_step(self) -> p.StartStep:
        # AI SDK 4 takes the message's id from here; its own server makes a new one for each step.
        return p.StartStep(message_id=self.request.message_id or generate_id("msg"))

    def fail_first(self, error: ProviderStreamError) -> list[p.Part]:
        """A model call whose stream failed before its first part."""
        if error.code == "no_events" and self.policy.accepts_empty_answer:
            return [p.FinishStep(finish_reason=p.FinishReason("interrupted"), usage=p.Usage())]
        if not self.policy.first_error_opens_step:
            return [self.fail(error)]
        finish = p.FinishStep(finish_reason=p.FinishReason("error"), usage=p.Usage())
        return [self._start_step(), self.fail(error), finish]

    async def end_step(self, failure: ProviderError | None) -> AsyncGenerator[list[p.Part]]:
        """What follows a model call: its tools, and the step's end, unless it failed or is tried again."""
        if failure is not None and self.may_retry(failure):
            yield self.retry(failure)
            return
        if failure is not None:
            if self.is_open or not isinstance(failure, ProviderStreamError):
                raise failure
            shown = self.fail_first(failure)
            yield shown
            if isinstance(shown[-1], p.FinishStep):
                await self._close_step(shown[-1])
            return
        provider = self.step_call[0].provider
        ended = self.ended or p.ModelFinish(finish_reason=p.FinishReason("interrupted"), usage=p.Usage())
        reason = ended.finish_reason
        has_answer = self.policy.counts_begun_blocks and self.recorder.has_begun_block
        if is_silent(reason) and not (has_answer or self.policy.accepts_empty_answer):
            yield [self.fail(ProviderStreamError("The provider's stream brought nothing.", provider=provider))]
            return
        cut = ProviderStreamError("The provider's stream ended early.", provider=provider, is_retryable=True)
        if is_truncated(reason) and self.may_retry(cut):
            yield self.retry(cut)
            return
        if is_truncated(reason) and self.policy.tells_truncation:
            reason = p.FinishReason("error")
            yield [self.fail(cut)]
        if reason.unified in self.policy.runs_tools_after:
            async with aclosing(self.run_tools()) as batches:
                async for batch in batches:
                    yield batch
        finish = p.FinishStep(finish_reason=reason, usage=ended.usage, provider_metadata=ended.provider_metadata)
        is_hidden = self.policy.shows_empty_steps and not self.recorder.has_content
        yield [p.MessageMetadata({}), finish] if is_hidden else [finish]
        await self._close_step(finish)

    async def _close_step(self, finish: p.FinishStep) -> None:
        self.finish = finish.finish_reason
        self.usage += finish.usage
        result = self.recorder.result(len(self.steps), finish, tuple(one.message for one in self.delivered))
        self.steps.append(result)
        self.messages += result.messages
        self._note_deferred()
        if self.request.on_step_finish is not None:
            await self.request.on_step_finish(result)

    def _note_deferred(self) -> None:
        for call in self.recorder.calls.values():
            tool = self.tools.get(call.tool_name)
            provider = tool.provider if tool is not None else None
            if call.provider_executed and provider is not None and provider.defers_results:
                self.deferred[call.tool_call_id] = None
        for answered in self.recorder.answered:
            self.deferred.pop(answered, None)

    async def goes_on(self, finish: p.FinishReason | None) -> bool:
        """Whether another step follows. If none does, nor will a message that the user has sent reach the model."""
        if (reason := await self._why_ending(finish)) is not None:
            self.request.steering.end(reason)
        return reason is None

    async def _why_ending(self, finish: p.FinishReason | None) -> Undelivered | None:
        """None where every call is answered, the model or the user has more to say, and no stop condition holds."""
        if finish is None or (finish.unified == "interrupted" and not self.policy.goes_on_after_truncation):
            return "error" if finish is None else "finished"
        if self.recorder.open_calls:
            return "waiting-for-tool-results"
        if not (self.recorder.own_calls or self.deferred):
            if not self.request.steering.has_next(is_cut_off=finish.unified in ("length", "content-filter")):
                return "finished"
            if finish.unified == "error":
                return "error"
        if self.policy.tool_error_ends and self.tool_failed:
            return "error"
        ends = len(self.steps) >= MAX_STEPS or await is_met(self.request.stop_when, self.steps)
        return "stop-condition" if ends else None

    async def prepare_call(self) -> tuple[Model, ModelCall]:
        """The model and the call of the next step."""
        taken = self.request.steering.take()
        self.messages += [delivery.message for delivery in taken]
        settings = await self._prepare_step()
        first = self.request.call
        if settings.messages is not None:
            self.messages = list(settings.messages)
        self.delivered = self.request.steering.deliver(taken, len(self.steps), self.messages)
        if settings.system is not None:
            self.system = settings.system
        active = settings.active_tools if settings.active_tools is not None else self.request.active_tools
        tools = {name: tool for name, tool in self.request.tools.items() if active is None or name in active}
        choice = first.tool_choice if settings.tool_choice is None else settings.tool_choice
        # A model that calls a tool although it must not, calls one that is not there.
        self.tools = {} if choice == "none" else tools
        call = msgspec.structs.replace(
            first,
            messages=tuple(self.messages),
            tools=[tool.definition for tool in tools.values()],
            system=self.system,
            tool_choice=choice,
            provider_options=settings.provider_options or first.provider_options,
        )
        return settings.model or self.request.model, call

    async def _prepare_step(self) -> StepSettings:
        if self.request.prepare_step is None:
            return StepSettings()
        prepared = self.request.prepare_step(len(self.steps), tuple(self.steps), tuple(self.messages))
        return (await prepared if inspect.isawaitable(prepared) else prepared) or StepSettings()

    # -- what the model brought ---------------------------------------------------------------------------------

    async def absorb(self, batch: Sequence[p.ModelPart], grown: int) -> list[p.Part]:
        """A batch as the client gets it, recorded; the model's end is kept for later.

        Args:
            batch: What the model brought.
            grown: How many of its first parts are recorded already.
        """
        shown: list[Any] = [*batch[:grown]]
        while grown < len(batch):
            for part in p.one_by_one((batch[grown],)):
                shown += await self._absorb_one(part)
            first = grown + 1
            grown = self.recorder.grow(batch, first)
            shown += batch[first:grown]
        self.has_begun = self.has_begun or bool(shown)
        if shown and not self.is_open:
            self.is_open = True
            return [self._start_step(), *shown]
        return shown

    async def _absorb_one(self, part: p.ModelPart) -> Sequence[p.Part]:
        if isinstance(part, p.ModelFinish):
            self.ended = part
            return ()
        if isinstance(part, p.ToolCall):
            return await self._absorb_call(part)
        shown: list[p.Part] = []
        if isinstance(part, p.Error) and isinstance(part.error, ProviderError):
            self.has_begun = True
            if self.may_retry(part.error):
                raise part.error
        if isinstance(part, p.Error) and self.policy.runs_tools_before_error:
            shown += [output async for outputs in self.run_tools() for output in outputs]
        shown.append(self._adapt(part))
        self.recorder.take(shown[-1])
        return shown

    def _adapt(self, part: p.ModelPart) -> Any:
        match part:
            case p.ToolInputStart():
                return show_input_start(part, self.tools)
            case p.Error():
                return self.fail(part.error or ProviderError(part.error_text, provider=self.request.model.provider))
            case p.ToolOutputError():
                return msgspec.structs.replace(part, client_text=None)
            case _:
                return part

    async def _absorb_call(self, call: p.ToolCall) -> list[p.Part]:
        parsed = await parse_call(
            call,
            self.tools,
            reads_start_input=self.policy.reads_start_input,
            repair=self.request.repair_tool_call,
        )
        if parsed.error is None:
            shown: list[p.Part] = [show_call(parsed)]
            self.recorder.take(shown[0])
            if parsed.tool is not None and not call.provider_executed:
                shown += self._follow(await self._make_gate().decide(parsed))
            return shown
        self.tool_failed = True
        shown = show_broken_call(parsed, self.request.on_error)
        for part in shown:
            self.recorder.take(part)
        self.recorder.take_result(error_result(parsed.error))
        return shown

    def _follow(self, verdict: Verdict) -> tuple[p.Part, ...]:
        """Do what the gate says, and what of it the client is shown."""
        for part in verdict.parts:
            self.recorder.take(part)
        if verdict.result is not None:
            self.recorder.take_result(verdict.result)
        if verdict.execution is not None:
            self.executions.append(verdict.execution)
        return verdict.parts

    # -- tools --------------------------------------------------------------------------------------------------

    async def run_tools(self) -> AsyncGenerator[list[p.Part]]:
        """Run the calls that are to be run."""
        executions, self.executions = self.executions, []
        if not executions:
            return
        runner = ToolRunner(self._make_context, self.request.on_error)
        async with aclosing(runner.run(executions)) as batches:
            async for batch in batches:
                for part in batch:
                    self.recorder.take(part)
                    self.tool_failed = self.tool_failed or isinstance(part, p.ToolOutputError)
                yield batch
        for result in runner.results.values():
            self.recorder.take_result(result)

    def _make_gate(self) -> ApprovalGate:
        # Not kept: it refers back to the loop.
        return ApprovalGate(
            self.request.tools,
            self.policy,
            self.request.approval_secret,
            self.request.used_approvals,
            make_context=self._make_context,
            on_error=self.request.on_error,
        )

    def _make_context(self, tool_call_id: str, tool_name: str, writer: ToolWriter) -> ToolContext:
        return ToolContext(
            tool_call_id=tool_call_id,
            tool_name=tool_name,
            messages=tuple(self.messages),
            writer=writer,
            abort=self.abort.event,
            request=self.request.context,
        )

    async def _settle(self, gate: ApprovalGate, approval: Approval) -> Verdict:
        # Others have their turn in between: to check a signature takes a while, and there may be many.
        await asyncio.sleep(0)
        return await gate.settle(approval)

    async def settle_approvals(self) -> AsyncGenerator[list[p.Part]]:
        """Carry out the decisions that came with the request: refusals first, then what was allowed."""
        if self.request.converts_outputs:
            self.messages = await convert_outputs(self.messages, self.request.tools)
        approvals = collect_approvals(self.messages)
        if not approvals:
            return
        gate = self._make_gate()
        verdicts = [await self._settle(gate, approval) for approval in approvals]
        verdicts.sort(key=lambda verdict: (verdict.execution is not None, not is_denial(verdict)))
        shown = [part for verdict in verdicts for part in self._follow(verdict)]
        if shown:
            yield shown
        async with aclosing(self.run_tools()) as batches:
            async for batch in batches:
                yield batch
        last = self.messages[-1]
        assert isinstance(last, ToolMessage)
        results: dict[str | None, ToolContent] = {**self.recorder.results}
        # A refusal stands where the client has it; what was run now comes after all that there was.
        content = [results.pop(answered_call(part), part) for part in last.content]
        self.messages[-1] = ToolMessage((*content, *results.values()), last.provider_options)


def is_denial(verdict: Verdict) -> bool:
    return any(isinstance(part, p.ToolOutputDenied) for part in verdict.parts)


def answered_call(part: ToolContent) -> str | None:
    return part.tool_call_id if isinstance(part, ToolResultContent) else None


def is_silent(reason: p.FinishReason) -> bool:
    """Whether the provider's stream began and ended, and nothing was in it."""
    return reason.raw is None and reason.unified == "other"


def is_truncated(reason: p.FinishReason) -> bool:
    """Whether the provider's stream ended without saying why."""
    return reason.raw is None and reason.unified in ("interrupted", "other")


async def close(stream: AsyncIterator[Any]) -> None:
    """Close a model's stream, and with it the provider's connection."""
    aclose = getattr(stream, "aclose", None)
    if aclose is not None:
        await aclose()
