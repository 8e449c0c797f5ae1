"""The loop: model, tools, model, until a stop condition holds. Yields the answer's parts in batches.

Upstream: ``streamText`` in ``ai/src/generate-text/stream-text.ts`` (7.0.173). What a model brought in one read is
yielded in one batch, and a delta passes through with one look-up: no queue, task or lock stands between.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from usechat import parts as p
from usechat.errors import InvalidToolApprovalError, ProviderError, ProviderStreamError
from usechat.generate.answer import Outcome
from usechat.generate.approvals import Approval, collect_approvals, sign_request
from usechat.generate.calls import ParsedCall, RepairToolCall, check_input, no_such_tool, parse_call, show_input_start
from usechat.generate.execute import Execution, ToolRunner, error_text
from usechat.generate.policy import LoopPolicy
from usechat.generate.recorder import StepRecorder, StepResult
from usechat.generate.stop import StopCondition, is_met
from usechat.generate.tools import Tool, ToolContext
from usechat.ids import generate_id
from usechat.messages.model import ModelMessage, ToolMessage, ToolResultContent, ToolResultOutput
from usechat.models.base import Model, ModelCall, ToolChoice
from usechat.protocol.options import MASKED_ERROR

__all__ = ["Loop", "LoopRequest", "PrepareStep", "StepSettings"]

logger = logging.getLogger(__name__)

MAX_STEPS = 100
"""No answer takes more steps than this, whatever its stop conditions say: each one is paid for."""


class StepSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `prepare_step` may change for one step; None leaves a setting as it is."""

    model: Model | None = None
    system: str | None = None
    messages: Sequence[ModelMessage] | None = None
    active_tools: Sequence[str] | None = None
    tool_choice: ToolChoice | None = None
    provider_options: Mapping[str, Mapping[str, Any]] | None = None


PrepareStep: TypeAlias = Callable[
    [int, Sequence[StepResult], Sequence[ModelMessage]],
    "StepSettings | Awaitable[StepSettings | None] | None",
]
"""Gets the step's number, the steps before it and the messages; called before each model call."""


class LoopRequest(msgspec.Struct, kw_only=True):
    """One answer to be made."""

    model: Model
    call: ModelCall
    """The first call; later ones differ in their messages only."""
    tools: Mapping[str, Tool]
    stop_when: Sequence[StopCondition]
    active_tools: Sequence[str] | None = None
    prepare_step: PrepareStep | None = None
    repair_tool_call: RepairToolCall | None = None
    approval_secret: str | None = None
    context: Any = None
    message_id: str | None = None
    on_error: Callable[[BaseException], str | None] = lambda error: None
    on_step_finish: Callable[[StepResult], Awaitable[None]] | None = None


class Loop:
    """Makes one answer.

    Args:
        request: What to answer, with what.
        policy: How to behave towards the client.
        abort: Set when the answer is stopped; tools see it.
    """

    def __init__(self, request: LoopRequest, policy: LoopPolicy, abort: asyncio.Event) -> None:
        self.request = request
        self.policy = policy
        self.abort = abort
        self.messages: list[ModelMessage] = list(request.call.messages)
        self.steps: list[StepResult] = []
        self.usage = p.Usage()
        self.recorder = StepRecorder()
        self.parsed: dict[str, ParsedCall] = {}
        self.finish: p.FinishReason | None = None
        self.failure: BaseException | None = None
        self.tool_failed = False
        self.ended: p.ModelFinish | None = None

    def outcome(self) -> Outcome:
        """How far the answer has come."""
        return Outcome(
            text=self.steps[-1].text if self.steps else self.recorder.joined("text"),
            finish_reason=self.finish,
            usage=self.usage,
            steps=tuple(self.steps),
            error=self.failure,
        )

    async def run(self) -> AsyncGenerator[list[p.Part]]:
        """The answer's parts, from `Start` to `Finish`; after an error before a step's first part there is no end."""
        yield [p.Start(message_id=self.request.message_id)]
        try:
            async for batch in self.settle_approvals():
                yield batch
            while True:
                async for batch in self.run_step():
                    yield batch
                if self.finish is None or not await self.goes_on():
                    break
        except Exception as error:  # noqa: BLE001 - the client gets a legal end whatever fails
            self.finish = None
            yield [self.fail(error)]
        if self.finish is not None:
            yield [p.Finish(finish_reason=self.finish, total_usage=self.usage)]

    def fail(self, error: BaseException) -> p.Error:
        """The error as the client is told of it."""
        self.failure = error
        if not isinstance(error, ProviderError | InvalidToolApprovalError):
            logger.error("the answer failed", exc_info=error)
        text = self.request.on_error(error)
        return p.Error(MASKED_ERROR if text is None else text, error)

    # -- one step -----------------------------------------------------------------------------------------------

    async def run_step(self) -> AsyncIterator[list[p.Part]]:
        """One model call, then its tools. Sets ``finish``, to None when the call failed before its first part."""
        self.recorder, self.parsed, self.finish = StepRecorder(), {}, None
        model, call = await self.prepare_call()
        self.ended = None
        is_open = False
        stream = model.stream(call)
        try:
            async for batch in stream:
                shown = await self.absorb(batch)
                if not shown:
                    continue
                yield shown if is_open else [p.StartStep(message_id=generate_id("msg")), *shown]
                is_open = True
        except ProviderStreamError as error:
            if is_open:
                raise
            shown = self.fail_first(error)
            yield shown
            if isinstance(shown[-1], p.FinishStep):
                await self._close_step(shown[-1])
            return
        finally:
            await close(stream)
        async for batch in self._end_step(self.ended, provider=model.provider):
            yield batch

    def fail_first(self, error: ProviderStreamError) -> list[p.Part]:
        """A model call whose stream failed before its first part."""
        if error.code == "no_events" and self.policy.accepts_empty_answer:
            return [p.FinishStep(finish_reason=p.FinishReason("interrupted"), usage=p.Usage())]
        if not self.policy.first_error_opens_step:
            return [self.fail(error)]
        finish = p.FinishStep(finish_reason=p.FinishReason("error"), usage=p.Usage())
        return [p.StartStep(message_id=generate_id("msg")), self.fail(error), finish]

    async def _end_step(self, ended: p.ModelFinish | None, *, provider: str) -> AsyncIterator[list[p.Part]]:
        reason = ended.finish_reason if ended is not None else p.FinishReason("interrupted")
        if is_truncated(reason) and self.policy.tells_truncation:
            error = ProviderStreamError("The provider's stream ended early.", provider=provider, is_retryable=True)
            reason = p.FinishReason("error")
            yield [self.fail(error)]
        if reason.unified in self.policy.runs_tools_after:
            async for batch in self.run_tools():
                yield batch
        usage = ended.usage if ended is not None else p.Usage()
        finish = p.FinishStep(
            finish_reason=reason,
            usage=usage,
            provider_metadata=ended.provider_metadata if ended is not None else None,
        )
        yield [finish]
        await self._close_step(finish)

    async def _close_step(self, finish: p.FinishStep) -> None:
        self.finish = finish.finish_reason
        # A single call's raw numbers are kept; several calls' cannot be added up.
        self.usage = finish.usage if not self.steps else self.usage + finish.usage
        result = self.recorder.result(len(self.steps), finish)
        self.steps.append(result)
        self.messages += result.messages
        if self.request.on_step_finish is not None:
            await self.request.on_step_finish(result)

    async def goes_on(self) -> bool:
        """Whether another step follows: every call is answered, and no stop condition holds."""
        calls = self.recorder.own_calls
        if self.finish is None or self.finish.unified == "interrupted" or not calls or self.recorder.open_calls:
            return False
        if self.policy.tool_error_ends and self.tool_failed:
            return False
        return len(self.steps) < MAX_STEPS and not await is_met(self.request.stop_when, self.steps)

    async def prepare_call(self) -> tuple[Model, ModelCall]:
        """The model and the call of the next step."""
        settings = StepSettings()
        if self.request.prepare_step is not None:
            prepared = self.request.prepare_step(len(self.steps), self.steps, self.messages)
            settings = (await prepared if inspect.isawaitable(prepared) else prepared) or settings
        active = settings.active_tools if settings.active_tools is not None else self.request.active_tools
        definitions = [item.definition for name, item in self.request.tools.items() if active is None or name in active]
        first = self.request.call
        call = msgspec.structs.replace(
            first,
            messages=self.messages if settings.messages is None else settings.messages,
            tools=definitions,
            system=first.system if settings.system is None else settings.system,
            tool_choice=first.tool_choice if settings.tool_choice is None else settings.tool_choice,
            provider_options=settings.provider_options or first.provider_options,
        )
        return settings.model or self.request.model, call

    # -- what the model brought ---------------------------------------------------------------------------------

    async def absorb(self, batch: Sequence[p.ModelPart]) -> list[p.Part]:
        """A batch as the client gets it; the model's end is kept for later."""
        shown: list[p.Part] = []
        text = self.recorder.text
        for part in batch:
            if isinstance(part, p.TextDelta) and part.id in text:
                text[part.id].append(part.delta)
                shown.append(part)
            elif isinstance(part, p.ToolInputDelta):
                shown.append(part)
            elif isinstance(part, p.ModelFinish):
                self.ended = part
            else:
                if isinstance(part, p.Error) and self.policy.runs_tools_before_error:
                    async for outputs in self.run_tools():
                        shown += outputs
                shown += await self._absorb_one(part)
        return shown

    async def _absorb_one(self, part: p.ModelPart) -> list[p.Part]:
        match part:
            case p.ToolCall():
                return await self._absorb_call(part)
            case p.ToolInputStart():
                part = show_input_start(part, self.request.tools)
            case p.Error():
                part = self.fail(part.error or ProviderError(part.error_text, provider=self.request.model.provider))
            case p.ToolOutputError():
                part = msgspec.structs.replace(part, client_text=None)
            case _:
                pass
        self.recorder.take(part)  # type: ignore[arg-type]
        return [part]  # type: ignore[list-item]

    async def _absorb_call(self, call: p.ToolCall) -> list[p.Part]:
        parsed = await parse_call(
            call,
            self.request.tools,
            reads_start_input=self.policy.reads_start_input,
            repair=self.request.repair_tool_call,
        )
        self.parsed[call.tool_call_id] = parsed
        shown: list[p.Part] = [show_call(parsed)]
        if parsed.error is not None:
            shown = show_broken_call(parsed, self.request.on_error)
        for part in shown:
            self.recorder.take(part)
        if parsed.error is not None:
            self.tool_failed = True
            text = ToolResultOutput("error-text", error_text(parsed.error))
            self.recorder.take_result(tool_result(parsed.call, text))
        return shown

    # -- tools --------------------------------------------------------------------------------------------------

    async def run_tools(self) -> AsyncIterator[list[p.Part]]:
        """Ask for approvals, then run what may run."""
        executions: list[Execution] = []
        for call in self.recorder.open_calls:
            parsed = self.parsed[call.tool_call_id]
            if parsed.tool is None:
                continue
            if await self._needs_approval(parsed):
                yield [self.ask_approval(parsed)]
            elif parsed.execution is not None:
                executions.append(parsed.execution)
        async for batch in self._execute(executions):
            yield batch

    async def _execute(self, executions: Sequence[Execution]) -> AsyncIterator[list[p.Part]]:
        if not executions:
            return
        runner = ToolRunner(self._make_context, self.request.on_error)
        async for batch in runner.run(executions):
            for part in batch:
                self.recorder.take(part)
                self.tool_failed = self.tool_failed or isinstance(part, p.ToolOutputError)
            yield batch
        for result in runner.results.values():
            self.recorder.take_result(result)

    def _make_context(self, execution: Execution, runner: ToolRunner) -> ToolContext:
        return ToolContext(
            tool_call_id=execution.tool_call_id,
            tool_name=execution.tool.name,
            messages=tuple(self.messages),
            writer=runner,
            abort=self.abort,
            request=self.request.context,
        )

    async def _needs_approval(self, parsed: ParsedCall) -> bool:
        assert parsed.tool is not None
        needs = parsed.tool.needs_approval
        if not callable(needs):
            return needs
        execution = Execution(tool=parsed.tool, tool_call_id=parsed.call.tool_call_id, arguments=parsed.input)
        answer = needs(
            parsed.input, self._make_context(execution, ToolRunner(self._make_context, self.request.on_error))
        )
        return bool(await answer if inspect.isawaitable(answer) else answer)

    def ask_approval(self, parsed: ParsedCall) -> p.Part:
        """The request for the user's decision; a refusal towards a client that cannot be asked."""
        call = parsed.call
        if not self.policy.approvals:
            text = "The tool needs the user's approval, which this client cannot be asked for."
            self.recorder.take_result(tool_result(call, ToolResultOutput("error-text", text)))
            refused = p.ToolOutputError(tool_call_id=call.tool_call_id, tool_name=call.tool_name, error_text=text)
            self.recorder.take(refused)
            logger.warning("tool %s needs approval: name the client's AI SDK version (6 or later)", call.tool_name)
            return refused
        approval_id, signature = generate_id("aitxt"), None
        if self.request.approval_secret is not None:
            approval_id, signature = sign_request(
                self.request.approval_secret,
                approval_id,
                not self.policy.has_signature_field,
                tool_call_id=call.tool_call_id,
                tool_name=call.tool_name,
                input=parsed.input,
            )
        asked = p.ToolApprovalRequest(approval_id=approval_id, tool_call_id=call.tool_call_id, signature=signature)
        self.recorder.take(asked)
        return asked

    # -- approvals that came with the request -------------------------------------------------------------------

    async def settle_approvals(self) -> AsyncIterator[list[p.Part]]:
        """Carry out the user's decisions: denials first, then the approved calls, before the first step."""
        approvals = collect_approvals(self.messages)
        if not approvals:
            return
        self.recorder = StepRecorder()
        denied = [approval for approval in approvals if not approval.response.approved]
        if denied:
            yield [self._deny(approval) for approval in denied]
        executions: list[Execution] = []
        for approval in approvals:
            if approval.response.approved:
                ready = self.check_approval(approval)
                if isinstance(ready, Execution):
                    executions.append(ready)
                else:
                    yield [ready]
        async for batch in self._execute(executions):
            yield batch
        last = self.messages[-1]
        assert isinstance(last, ToolMessage)
        settled = tuple(
            part
            for part in last.content
            if not (isinstance(part, ToolResultContent) and part.tool_call_id in self.recorder.results)
        )
        self.messages[-1] = ToolMessage((*settled, *self.recorder.results.values()), last.provider_options)

    def _deny(self, approval: Approval) -> p.Part:
        output = ToolResultOutput("execution-denied", approval.response.reason)
        self.recorder.take_result(tool_result(approval.call, output))
        return p.ToolOutputDenied(tool_call_id=approval.call.tool_call_id, tool_name=approval.call.tool_name)

    def check_approval(self, approval: Approval) -> Execution | p.Part:
        """The call to run; or the error it ends in, when the tool is gone or the input no longer fits.

        Raises:
            InvalidToolApprovalError: This server did not ask for this call.
        """
        if self.request.approval_secret is not None:
            approval.check(self.request.approval_secret)
        call = p.ToolCall(tool_call_id=approval.call.tool_call_id, tool_name=approval.call.tool_name, input_text="")
        tool = self.request.tools.get(call.tool_name)
        if tool is None or tool.execute is None:
            error = no_such_tool(call, self.request.tools)
        else:
            parsed = check_input(call, tool, approval.call.input)
            if parsed.execution is not None:
                return parsed.execution
            assert parsed.error is not None
            error = parsed.error
        text = error_text(error)
        self.recorder.take_result(tool_result(call, ToolResultOutput("error-text", text)))
        return p.ToolOutputError(
            tool_call_id=call.tool_call_id,
            tool_name=call.tool_name,
            error_text=text,
            client_text=self.request.on_error(error),
        )


def is_truncated(reason: p.FinishReason) -> bool:
    """Whether the provider's stream ended without saying why."""
    return reason.raw is None and reason.unified in ("interrupted", "other")


def tool_result(call: Any, output: ToolResultOutput) -> ToolResultContent:
    return ToolResultContent(tool_call_id=call.tool_call_id, tool_name=call.tool_name, output=output)


def show_call(parsed: ParsedCall) -> p.ToolInputAvailable:
    tool, call = parsed.tool, parsed.call
    return p.ToolInputAvailable(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        input=parsed.input,
        provider_executed=call.provider_executed,
        dynamic=True if tool is not None and tool.dynamic else call.dynamic,
        title=tool.title if tool is not None else None,
        provider_metadata=call.provider_metadata,
    )


def show_broken_call(parsed: ParsedCall, on_error: Callable[[BaseException], str | None]) -> list[p.Part]:
    """A call that cannot be carried out: shown as made, and as answered with its error."""
    assert parsed.error is not None
    call = parsed.call
    dynamic = True if parsed.tool is None or parsed.tool.dynamic else None
    text, client_text = error_text(parsed.error), on_error(parsed.error)
    return [
        p.ToolInputError(
            tool_call_id=call.tool_call_id,
            tool_name=call.tool_name,
            input=parsed.input,
            error_text=text,
            client_text=client_text,
            dynamic=dynamic,
            title=parsed.tool.title if parsed.tool is not None else None,
            provider_metadata=call.provider_metadata,
        ),
        p.ToolOutputError(
            tool_call_id=call.tool_call_id,
            tool_name=call.tool_name,
            error_text=text,
            client_text=client_text,
            dynamic=dynamic,
            invalid_input=True,
        ),
    ]


async def close(stream: AsyncIterator[Any]) -> None:
    """Close a model's stream, and with it the provider's connection."""
    aclose = getattr(stream, "aclose", None)
    if aclose is not None:
        await aclose()
