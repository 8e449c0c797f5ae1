"""The telemetry of one answer.

Attributes and names: OpenTelemetry's semantic conventions for generative AI, release 1.37 and later
(https://opentelemetry.io/docs/specs/semconv/gen-ai/).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple, ParamSpec

import msgspec

from usechat.answers.callbacks import FinishEvent
from usechat.answers.calls.execute import Execution
from usechat.answers.loop.results.recorder import StepResult
from usechat.answers.observing import AnswerObserver, NoteOutput
from usechat.extras import needing
from usechat.models.base import Model, ModelCall
from usechat.parts import ModelFinish, Usage
from usechat.telemetry.content import input_messages, output_messages, text_of
from usechat.telemetry.names import call_attributes, error_type, finish_attributes, usage_attributes

with needing("telemetry"):
    from opentelemetry import context, propagate, trace
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

__all__ = ["Instruments", "TracedAnswer"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")


class Instruments(NamedTuple):
    """Instruments that an answer's telemetry is written with."""

    tracer: Tracer
    duration: Histogram
    tokens: Histogram
    captures_content: bool


class Running:
    """A span that has not ended."""

    def __init__(self, span: Span, labels: Mapping[str, Any]) -> None:
        self.span = span
        self.labels = dict(labels)
        """The attributes of the metric."""
        self.is_measured = bool(labels)
        self.begun = time.monotonic()
        self.ended: tuple[float, int] | None = None
        """The seconds that it took, and the time of its end in nanoseconds, once it is over."""

    def stop(self) -> None:
        """Note the end. The span itself may get attributes later."""
        if self.ended is None:
            self.ended = time.monotonic() - self.begun, time.time_ns()

    def fail(self, error: BaseException | None, *, with_text: bool) -> None:
        """Note an error."""
        if error is not None:
            self.labels["error.type"] = error_type(error)
            self.span.set_attribute("error.type", error_type(error))
            self.span.set_status(StatusCode.ERROR, str(error) if with_text else None)


def quiet(method: Callable[P, None]) -> Callable[P, None]:
    """Log what a method raises: an answer does not fail because of its telemetry."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception:
            logger.exception("telemetry failed")

    return call


class TracedAnswer(AnswerObserver):
    """The spans and metrics of one answer. Make it where the answer was asked for: its span's parent is current there.

    Args:
        instruments: What they are written with.
    """

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.outer = context.get_current()
        self.answer: Running | None = None
        self.step: Running | None = None
        self.call: Running | None = None
        self.number = -1
        """The number of the open step."""
        self.inner = self.step_context = self.outer
        """The contexts with the answer's span, and with the open step's."""
        self.token: Any = None

    @quiet
    def begin(self) -> None:
        """Begin the answer's span and make it the current one of the answer's task."""
        self.answer = self._start("invoke_agent", self.outer, {"gen_ai.operation.name": "invoke_agent"})
        self.inner = trace.set_span_in_context(self.answer.span, self.outer)
        self.token = context.attach(self.inner)

    def begin_call(self, number: int, model: Model, call: ModelCall) -> ModelCall:
        """Begin a model call, and its step if that is new. Return the call with the headers of the trace."""
        carrier: dict[str, str] = {}
        self._begin_call(number, model, call, carrier)
        return msgspec.structs.replace(call, headers={**carrier, **(call.headers or {})}) if carrier else call

    @quiet
    def _begin_call(self, number: int, model: Model, call: ModelCall, carrier: dict[str, str]) -> None:
        self._end_call()
        if number != self.number:
            self._end_step()
            self.number = number
            self.step = self._start(f"step {number}", self.inner, {}, {"usechat.step.number": number})
            self.step_context = trace.set_span_in_context(self.step.span, self.inner)
        labels, more = call_attributes(model, call)
        self.call = self._start(f"chat {model.model_id}", self.step_context, labels, more, SpanKind.CLIENT)
        if self.answer is not None and number == 0:
            known = {key: value for key, value in labels.items() if key != "gen_ai.operation.name"}
            self.answer.labels |= known
            self.answer.span.set_attributes(known)
        if self.instruments.captures_content and self.call.span.is_recording():
            self.call.span.set_attributes(input_messages(call))
        propagate.inject(carrier, trace.set_span_in_context(self.call.span, self.step_context))

    @quiet
    def end_call(self, finish: ModelFinish | None, error: BaseException | None) -> None:
        """Note how the model call ended."""
        if self.call is None:
            return
        self.call.stop()
        self.call.fail(error, with_text=self.instruments.captures_content)
        if finish is not None:
            self.call.span.set_attributes(finish_attributes(finish))
            if finish.model_id is not None:
                self.call.labels["gen_ai.response.model"] = finish.model_id
            self._count(finish.usage, self.call.labels)

    @quiet
    def end_step(self, result: StepResult) -> None:
        """End the step."""
        if self.instruments.captures_content and self.call is not None and self.call.span.is_recording():
            self.call.span.set_attributes(output_messages(result))
        self._end_call()
        self._end_step()

    @contextmanager
    def watch_tool(self, execution: Execution) -> Generator[NoteOutput]:
        """Open a span for a tool, which is the current span while the tool runs."""
        running = self._begin_tool(execution)
        token = context.attach(trace.set_span_in_context(running.span, self.step_context))

        def note(output: Any) -> None:
            if self.instruments.captures_content:
                running.span.set_attribute("gen_ai.tool.call.result", text_of(output))

        try:
            yield note
        except BaseException as error:
            running.fail(error, with_text=self.instruments.captures_content)
            raise
        finally:
            context.detach(token)
            self._finish(running)

    def _begin_tool(self, execution: Execution) -> Running:
        tool = execution.tool
        more: dict[str, Any] = {"gen_ai.tool.call.id": execution.tool_call_id, "gen_ai.tool.type": "function"}
        if tool.description:
            more["gen_ai.tool.description"] = tool.description
        if self.instruments.captures_content:
            more["gen_ai.tool.call.arguments"] = text_of(execution.arguments)
        labels = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool.name}
        return self._start(f"execute_tool {tool.name}", self.step_context, labels, more)

    @quiet
    def end(self, final: FinishEvent) -> None:
        """End the answer's span, and those in it that are open."""
        why = final.error
        with_text = self.instruments.captures_content
        for running in (self.call, self.step):
            if running is not None and running.ended is None:
                running.fail(why, with_text=with_text)
        self._end_call()
        self._end_step()
        if self.answer is not None:
            self.answer.fail(why, with_text=with_text)
            self.answer.span.set_attributes(usage_attributes(final.usage))
            self.answer.span.set_attribute("usechat.answer.steps", len(final.steps))
            self.answer.span.set_attribute("usechat.answer.aborted", final.is_aborted)
            if final.finish_reason is not None:
                self.answer.span.set_attribute("gen_ai.response.finish_reasons", [final.finish_reason.unified])
            self._finish(self.answer)
        if self.token is not None:
            context.detach(self.token)

    def _start(
        self,
        name: str,
        parent: context.Context,
        labels: Mapping[str, Any],
        more: Mapping[str, Any] | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Running:
        attributes = {**labels, **(more or {})}
        return Running(self.instruments.tracer.start_span(name, parent, kind, attributes), labels)

    def _finish(self, running: Running) -> None:
        running.stop()
        assert running.ended is not None
        seconds, end = running.ended
        running.span.end(end)
        if running.is_measured:
            self.instruments.duration.record(seconds, running.labels)

    def _end_call(self) -> None:
        if self.call is not None:
            self._finish(self.call)
        self.call = None

    def _end_step(self) -> None:
        if self.step is not None:
            self._finish(self.step)
        self.step = None

    def _count(self, usage: Usage, labels: Mapping[str, Any]) -> None:
        for kind, count in (("input", usage.input), ("output", usage.output)):
            if count is not None:
                self.instruments.tokens.record(count, {**labels, "gen_ai.token.type": kind})
