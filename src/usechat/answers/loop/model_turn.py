"""The turn of a model: model, tools, model, until a stop condition holds.

`usechat.answers.loop.step` reads a step's parts and runs its tools. Knows no HTTP and no wire format.

Upstream: ``streamText`` in ``ai/src/generate-text/stream-text.ts`` (7.0.173).
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from usechat.answers.callbacks import Outcome
from usechat.answers.calls.events import StepStartEvent
from usechat.answers.loop.asks import READ, Call, CallModel, Script, Stream
from usechat.answers.loop.prepare_call import AgentCall, apply_settings
from usechat.answers.loop.request import StepSettings
from usechat.answers.loop.results.recorder import StepRecorder
from usechat.answers.loop.steering import Undelivered
from usechat.answers.loop.step import StepTurn
from usechat.answers.stop import StepCount, is_met, is_paused, without_pauses
from usechat.checks import named
from usechat.errors import ConfigurationError, ProviderError, ProviderStreamError
from usechat.failures import log_failure
from usechat.guard import original_error
from usechat.messages.dicts.ai_sdk import read_model_messages
from usechat.models.base import Model, ModelCall, Timeout
from usechat.parts import (
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    ModelFinish,
    ResetStep,
    Start,
    Usage,
)

__all__ = ["ModelTurn"]

logger = logging.getLogger(__name__)

MAX_STEPS = 100
"""The maximum number of steps of an answer, also when no stop condition holds: each step costs money."""


class ModelTurn(StepTurn):
    """The turn of one answer of a model.

    Args:
        request: The messages, the model, the tools and the options of the answer.
        policy: The behaviour that the client needs.
        abort: Set when the answer is stopped; tools can read it.
    """

    __slots__ = ()

    @property
    def timeout(self) -> Timeout | None:
        """Return the caller's time limits."""
        return self.request.call.timeout

    def outcome(self) -> Outcome:
        """Return how far the answer has come."""
        return Outcome(
            text=self.recorder.joined("text"),
            finish_reason=self.finish,
            usage=self.usage,
            steps=tuple(self.steps),
            response_messages=(
                *self.settled,
                *(m for step in self.steps for m in (*step.steering_messages, *step.messages)),
            ),
            error=self.failure,
        )

    def script(self) -> Script[None]:
        """Make the answer, from `Start` to `Finish`. There is no `Finish` after an error before a step's first part."""
        self.parts.append(Start(message_id=self.request.message_id))
        try:
            yield from self._prepare_answer()
            yield from self.settle_approvals()
            yield from self.settle_lost_calls()
            goes_on = True
            while goes_on:
                failure = yield from self.call_model()
                yield from self.end_step(failure)
                goes_on = self.is_retry or (yield from self.goes_on(self.finish))
        except Exception as error:  # noqa: BLE001 - the client gets a legal end whatever fails
            self.finish = None
            self.request.steering.end("error")
            self.parts.append(self.failed(original_error(error)))
        if self.finish is not None:
            self.parts.append(Finish(finish_reason=self.finish, total_usage=self.usage))

    def _prepare_answer(self) -> Script[None]:
        request = self.request
        if request.prepare_call is None:
            return
        asked = AgentCall(context=request.context, messages=tuple(self.messages), system=self.system)
        apply_settings(request, (yield Call(request.prepare_call, (asked,))))
        self.messages = list(request.call.messages)
        self.system, self.tools = request.call.system, request.tools
        self.step_call = (request.model, request.call)

    def call_model(self) -> Script[ProviderError | None]:
        """Call the model for the next step and show its parts. Return the error that broke the stream, or None."""
        self.recorder, self.executions, self.finish, self.ended = StepRecorder(), [], None, None
        self.waiting = {}
        self.has_begun = self.has_failed = False
        if not self.is_retry:
            yield from self._begin_step()
        self.is_retry = False
        model, call = self.step_call
        yield CallModel(model, self.request.observer.begin_call(len(self.steps), model, call))
        if self._is_last_call():
            self._forget_messages()
        if self.delivered and not self.retries:
            self.parts += [delivery.part() for delivery in self.delivered]
        failure = yield from self._read_stream()
        self.request.observer.end_call(self.ended, failure or (self.failure if self.has_failed else None))
        yield Stream.CLOSE
        return failure

    def _read_stream(self) -> Script[ProviderError | None]:
        """Show the parts of the stream that is open. Return the error that broke it, or None."""
        try:
            while (batch := (yield READ)) is not None:
                if not self.is_open:
                    self.batch_parts, self.batch_start = self.parts, len(self.parts)
                parts = iter(batch)
                while (
                    part := self.recorder.feed_deltas(parts, self.parts) if self.is_open else next(parts, None)
                ) is not None:
                    yield from self.take_part(part)
        except ProviderError as error:
            if not self.has_shown and self.may_retry(error):
                # Nothing of the broken batch has been read yet.
                del self.parts[self.batch_start :]
                self.is_open = False
            return error
        return None

    def _begin_step(self) -> Script[None]:
        self.is_open, self.retries = False, 0
        self.step_call = model, call = yield from self.prepare_call()
        if self.request.on_step_start is None:
            return
        event = StepStartEvent(
            step_number=len(self.steps),
            provider=model.provider,
            model_id=model.model_id,
            system=call.system,
            messages=call.messages,
            tool_names=[tool.name for tool in call.tools],
        )
        yield Call(self.request.on_step_start, (event,))

    def _is_last_call(self) -> bool:
        """Return whether the messages are not needed again after this call."""
        request, number = self.request, len(self.steps) + 1
        may_go_on = not any(isinstance(each, StepCount) and each.count <= number for each in request.stop_when)
        # A provider pauses its model when its own tools take long. They are tools, or MCP servers among its options.
        may_go_on = may_go_on or (request.free_pauses > 0 and bool(self.step_call[1].provider_options))
        return not (may_go_on or request.tools or request.stream_retries)

    def _forget_messages(self) -> None:
        model, call = self.step_call
        self.step_call = model, msgspec.structs.replace(call, messages=())
        self.request.call = msgspec.structs.replace(self.request.call, messages=())
        self.request.continue_paused = False  # There is nothing left to go on with.
        self.messages = []

    def retry(self, error: ProviderError) -> None:
        """Try the step again. Make the client forget the parts of the failed try."""
        self.is_retry = True
        self.retries += 1
        log_failure(logger, "a step is tried again", error)
        self.request.on_error(error)
        if self.is_open:
            self.parts.append(ResetStep())

    def fail_first(self, error: ProviderStreamError) -> FinishStep | None:
        """Show a model call whose stream failed before its first part. Return the step's end, or None."""
        if error.code == "no_events" and self.policy.accepts_empty_answer:
            self._show_empty_step()
            return FinishStep(finish_reason=FinishReason("interrupted"), usage=Usage())
        if not self.policy.first_error_opens_step:
            self.parts.append(self.failed(error))
            return None
        self.parts += [self._start_step(), self.failed(error)]
        return FinishStep(finish_reason=FinishReason("error"), usage=Usage())

    def end_step(self, failure: ProviderError | None) -> Script[None]:
        """Run the tools of a model call and end the step, unless the call failed or is tried again."""
        if failure is not None and self.may_retry(failure):
            self.retry(failure)
        elif failure is not None:
            if self.is_open or not isinstance(failure, ProviderStreamError):
                raise failure
            if (finish := self.fail_first(failure)) is not None:
                yield from self._close_step(finish)
        else:
            yield from self._end_whole_step()

    def _end_whole_step(self) -> Script[None]:
        provider = self.step_call[0].provider
        ended = self.ended or ModelFinish(finish_reason=FinishReason("interrupted"), usage=Usage(), is_complete=False)
        reason = ended.finish_reason
        if is_without_reason(reason) and not self.has_failed and not self._has_answer():
            silence = ProviderStreamError(
                "The provider's stream brought nothing.", provider=provider, code="empty_answer"
            )
            self.parts.append(self.failed(silence))
            return
        if is_truncated(ended) and not self.has_failed:
            cut = ProviderStreamError(
                "The provider's stream ended early.", provider=provider, code="incomplete_answer", is_retryable=True
            )
            if self.may_retry(cut):
                self.retry(cut)
                return
            if self.policy.tells_truncation:
                reason = FinishReason("error")
                self.has_failed = True
                self.parts.append(self.failed(cut))
        if not self.has_failed and self._has_whole_calls(reason, ended):
            yield from self.run_tools()
        self._show_empty_step()
        yield from self._close_step(
            FinishStep(
                finish_reason=reason,
                usage=ended.usage,
                provider_metadata=ended.provider_metadata,
                response_id=ended.response_id,
                model_id=ended.model_id or self.step_call[0].model_id,
            )
        )

    def _show_empty_step(self) -> None:
        """Make a later step of the client's message visible when it has no content."""
        is_later = bool(self.steps) or self.policy.is_continuation
        is_seen = self.recorder.has_sure_content or (self.policy.shows_custom and self.recorder.has_custom)
        if not self.policy.shows_empty_steps or not is_later or is_seen:
            return
        if not self.is_open:
            # The servers of AI SDK 4 and 5 end such a step without having begun it.
            self.parts.append(self._start_step())
        self.parts.append(MessageMetadata({}))

    def _has_whole_calls(self, reason: FinishReason, ended: ModelFinish) -> bool:
        # The calls of a whole message are whole, even if it has no reason.
        return reason.unified in self.policy.runs_tools_after or (is_without_reason(reason) and ended.is_complete)

    def _has_answer(self) -> bool:
        """Return whether the step has something that counts as an answer for the client."""
        policy, recorder = self.policy, self.recorder
        has_begun = policy.counts_begun_blocks and recorder.has_begun_block
        return recorder.has_output or has_begun or policy.accepts_empty_answer

    def _close_step(self, finish: FinishStep) -> Script[None]:
        self.parts.append(finish)
        self.finish = finish.finish_reason
        self.usage += finish.usage
        result = self.recorder.result(len(self.steps), finish, tuple(one.message for one in self.delivered), self.ended)
        self.request.observer.end_step(result)
        self.steps.append(result)
        self.messages += result.messages
        self._note_deferred()
        if self.request.on_step_finish is not None:
            yield Call(self.request.on_step_finish, (result,))

    def _note_deferred(self) -> None:
        for call in self.recorder.calls.values():
            tool = self.tools.get(call.tool_name)
            provider = tool.provider if tool is not None else None
            if call.provider_executed and provider is not None and provider.defers_results:
                self.deferred[call.tool_call_id] = None
        for answered in self.recorder.answered:
            self.deferred.pop(answered, None)

    def goes_on(self, finish: FinishReason | None) -> Script[bool]:
        """Return whether another step follows. When none does, settle the user's waiting messages as undelivered."""
        if (reason := (yield from self._why_ending(finish))) is not None:
            self.request.steering.end(reason)
        return reason is None

    def _why_ending(self, finish: FinishReason | None) -> Script[Undelivered | None]:
        """Return the reason to end. None: calls are answered, somebody has more to say, no stop condition holds."""
        if finish is None:
            return "error"
        if finish.unified == "interrupted" and not self.policy.goes_on_after_truncation:
            return "finished"
        if self.has_failed:
            # What a client was told has failed must not grow behind its back.
            return "error"
        if self.recorder.open_calls:
            return "waiting-for-tool-results"
        if (reason := self._why_nothing_is_left(finish)) is not None:
            return reason
        if self.policy.tool_error_ends and self.tool_failed:
            return "error"
        if self._was_told_of_cut(finish):
            return "finished"
        return "stop-condition" if (yield from self._stop_condition_holds()) else None

    def _was_told_of_cut(self, finish: FinishReason) -> bool:
        """Return whether the model was told once that its call was cut, or has refused to go on.

        It would spend every step on the same call.
        """
        return self.cut_steps > 1 or (self.cut_steps > 0 and finish.unified == "content-filter")

    def _stop_condition_holds(self) -> Script[bool]:
        steps = without_pauses(self.steps, self.request.free_pauses) if self._continues_pause() else self.steps
        return len(self.steps) >= MAX_STEPS or (yield from is_met(self.request.stop_when, steps))

    def _continues_pause(self) -> bool:
        return self.request.continue_paused and is_paused(self.steps[-1])

    def _why_nothing_is_left(self, finish: FinishReason) -> Undelivered | None:
        """Return the reason to end after a step without calls.

        None: it had calls, the provider paused the model, or the user has more to say.
        """
        if self.recorder.own_calls or self.deferred or self._continues_pause():
            return None
        if not self.request.steering.has_next(is_cut_off=finish.unified in ("length", "content-filter")):
            return "finished"
        return "error" if finish.unified == "error" else None

    def prepare_call(self) -> Script[tuple[Model, ModelCall]]:
        """Return the model and the call of the next step."""
        taken = self.request.steering.take()
        self.messages += [delivery.message for delivery in taken]
        settings = yield from self._prepare_step()
        first = self.request.call
        if settings.messages is not None:
            self.messages = read_model_messages(settings.messages, path="prepare_step: messages")
        self.delivered = self.request.steering.deliver(taken, len(self.steps), self.messages)
        if settings.system is not None:
            self.system = settings.system
        active = settings.active_tools if settings.active_tools is not None else self.request.active_tools
        tools = {name: tool for name, tool in self.request.tools.items() if active is None or name in active}
        choice = first.tool_choice if settings.tool_choice is None else settings.tool_choice
        # With the choice ``none`` a call is a call of an unknown tool.
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

    def _prepare_step(self) -> Script[StepSettings]:
        if self.request.prepare_step is None:
            return StepSettings()
        arguments = (len(self.steps), tuple(self.steps), tuple(self.messages))
        settings: Any = yield Call(self.request.prepare_step, arguments)
        if not isinstance(settings, StepSettings | None):
            raise ConfigurationError(f"prepare_step must return StepSettings or None, not {named(settings)}")
        return settings or StepSettings()


def is_without_reason(reason: FinishReason) -> bool:
    """Return whether the provider gave no finish reason."""
    return reason.raw is None and reason.unified == "other"


def is_truncated(ended: ModelFinish) -> bool:
    """Return whether the provider's stream ended before its message did."""
    reason = ended.finish_reason
    is_interrupted = reason.raw is None and reason.unified == "interrupted"
    return is_interrupted or (is_without_reason(reason) and not ended.is_complete)
