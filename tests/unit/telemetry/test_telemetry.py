"""The telemetry of answers, as OpenTelemetry's own SDK gets it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode

from usechat import step_count_is, stream_object, stream_text, tool, ui_message_stream
from usechat.errors import ProviderStreamError
from usechat.models.claude.model import anthropic
from usechat.parts import Part, TextDelta
from usechat.telemetry import instrument, uninstrument
from usechat.testing.models import Hold, ScriptedModel, calling_tool, saying
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Telemetry:
    """What the SDK got."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.metrics = MeterProvider(metric_readers=[self.reader])
        self.on()

    def on(self, *, capture_content: bool = False) -> None:
        instrument(capture_content=capture_content, tracer_provider=self.traces, meter_provider=self.metrics)

    def spans(self) -> list[ReadableSpan]:
        """All spans, in the order of their beginning."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def tree(self) -> list[tuple[str, str | None]]:
        """The name of each span and of its parent."""
        names = {known(span).span_id: span.name for span in self.spans()}
        return [(span.name, names.get(span.parent.span_id) if span.parent else None) for span in self.spans()]

    def attributes(self, name: str) -> dict[str, Any]:
        [found] = [span for span in self.spans() if span.name == name]
        return dict(found.attributes or {})

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data: Any = self.reader.get_metrics_data()
        metrics = [
            each for resource in data.resource_metrics for scope in resource.scope_metrics for each in scope.metrics
        ]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


def known(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    uninstrument()
    made.metrics.shutdown()


@tool
def get_tide(port: str) -> dict[str, int]:
    """The tide."""
    if port == "nowhere":
        raise ValueError(f"no port {port}")
    return {"metres": 3}


TIDE = (calling_tool("get_tide", {"port": "Whitby"}), saying("Three ", "metres."))


def answer(*steps: Any, **options: Any) -> Any:
    return stream_text(
        ScriptedModel(*steps),
        prompt="The tide?",
        tools=[get_tide],
        stop_when=step_count_is(3),
        max_retries=0,
        **options,
    )


async def test_answer_step_model_call_and_tool_have_a_span_each(telemetry: Telemetry):
    await answer(*TIDE, max_output_tokens=50).text
    assert telemetry.tree() == [
        ("invoke_agent", None),
        ("step 0", "invoke_agent"),
        ("chat scripted", "step 0"),
        ("execute_tool get_tide", "step 0"),
        ("step 1", "invoke_agent"),
        ("chat scripted", "step 1"),
    ]
    agent = telemetry.attributes("invoke_agent")
    assert agent["gen_ai.operation.name"] == "invoke_agent"
    assert agent["gen_ai.request.model"] == "scripted"
    assert (agent["gen_ai.usage.input_tokens"], agent["gen_ai.usage.output_tokens"]) == (20, 10)
    assert agent["usechat.answer.steps"] == 2
    chat = dict(telemetry.spans()[2].attributes or {})
    assert chat == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.response.finish_reasons": ("tool-calls",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
    }
    assert telemetry.attributes("execute_tool get_tide") == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_tide",
        "gen_ai.tool.call.id": "call-1",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "The tide.",
    }


async def test_durations_and_tokens_are_measured(telemetry: Telemetry):
    await answer(*TIDE).text
    durations = telemetry.points("gen_ai.client.operation.duration")
    assert {point.attributes["gen_ai.operation.name"]: point.count for point in durations} == {
        "chat": 2,
        "execute_tool": 1,
        "invoke_agent": 1,
    }
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum for point in telemetry.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": 20, "output": 10}


async def test_contents_are_left_out_unless_they_are_asked_for(telemetry: Telemetry):
    await answer(*TIDE, system="Be brief.").text
    told = json.dumps([dict(span.attributes or {}) for span in telemetry.spans()])
    assert not any(secret in told for secret in ("Whitby", "metres", "tide?", "Be brief"))


async def test_contents_that_are_asked_for_are_in_the_spans(telemetry: Telemetry):
    telemetry.on(capture_content=True)
    await answer(*TIDE, system="Be brief.").text
    chat = dict(telemetry.spans()[-1].attributes or {})
    roles = [message["role"] for message in json.loads(chat["gen_ai.input.messages"])]  # pyright: ignore[reportArgumentType]
    assert roles == ["user", "assistant", "tool"]
    assert "Be brief." in str(chat["gen_ai.system_instructions"])
    assert "Three metres." in str(chat["gen_ai.output.messages"])
    called = telemetry.attributes("execute_tool get_tide")
    assert json.loads(called["gen_ai.tool.call.arguments"]) == {"port": "Whitby"}
    assert json.loads(called["gen_ai.tool.call.result"]) == {"metres": 3}


async def test_trace_of_the_request_goes_on_to_the_provider(telemetry: Telemetry):
    async with ReplayServer("text") as provider:
        model = anthropic("claude-sonnet-4-6", base_url=provider.url, api_key="test")
        with telemetry.traces.get_tracer("app").start_as_current_span("POST /api/chat") as request:
            await stream_text(model, prompt="Hi").text
    [sent] = [span for span in telemetry.spans() if span.name == "chat claude-sonnet-4-6"]
    trace_id, span_id = f"{known(sent).trace_id:032x}", f"{known(sent).span_id:016x}"
    assert provider.requests[0].headers["traceparent"][:-3] == f"00-{trace_id}-{span_id}"
    assert known(sent).trace_id == request.get_span_context().trace_id
    assert ("invoke_agent", "POST /api/chat") in telemetry.tree()


async def test_spans_of_a_tool_belong_to_it(telemetry: Telemetry):
    tracer = telemetry.traces.get_tracer("app")

    @tool
    async def look(port: str) -> str:
        """Look."""
        with tracer.start_as_current_span("await"):
            return "seen"

    @tool
    def peer(port: str) -> str:
        """Look in a thread."""
        with tracer.start_as_current_span("thread"):
            return "seen"

    for each in (look, peer):
        model = ScriptedModel(calling_tool(each.name, {"port": "Whitby"}), saying("Seen."))
        await stream_text(model, prompt="Look", tools=[each], stop_when=step_count_is(2)).text
    assert {("await", "execute_tool look"), ("thread", "execute_tool peer")} <= set(telemetry.tree())


async def test_failed_tool_has_an_error_without_its_text(telemetry: Telemetry):
    await answer(calling_tool("get_tide", {"port": "nowhere"}), saying("None.")).text
    [failed] = [span for span in telemetry.spans() if span.name == "execute_tool get_tide"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description is None
    assert (failed.attributes or {})["error.type"] == "ValueError"


@pytest.mark.parametrize("place", [0, 2])
async def test_failed_call_is_an_error_of_its_span_and_of_all_around_it(telemetry: Telemetry, place: int):
    error = ProviderStreamError("secret", provider="scripted", code="overloaded_error")
    async for _ in answer([*saying("Hi")[:place], error]):
        pass
    assert {span.name for span in telemetry.spans()} == {"invoke_agent", "step 0", "chat scripted"}
    for span in telemetry.spans():
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
    assert telemetry.attributes("chat scripted")["error.type"] == "overloaded_error"
    kinds = [point.attributes.get("error.type") for point in telemetry.points("gen_ai.client.operation.duration")]
    assert kinds == ["overloaded_error", "overloaded_error"]


async def test_step_that_is_tried_again_has_a_span_for_each_call(telemetry: Telemetry):
    cut = ProviderStreamError("cut", provider="scripted", code="connection_lost", is_retryable=True)
    model = ScriptedModel([*saying("Hi")[:2], cut], saying("Hello"))
    await stream_text(model, prompt="Hi", stream_retries=1).text
    assert [name for name, _ in telemetry.tree()] == ["invoke_agent", "step 0", "chat scripted", "chat scripted"]


async def test_answer_that_is_stopped_ends_its_spans(telemetry: Telemetry):
    made = answer([*saying("Hi")[:2], Hold()])
    async for part in made:
        if isinstance(part, TextDelta):
            made.abort()
    assert len(telemetry.spans()) == 3
    assert telemetry.attributes("invoke_agent")["usechat.answer.aborted"] is True


async def test_answers_of_a_writer_and_in_it_are_one_trace(telemetry: Telemetry):
    async def write(writer: Any) -> None:
        await writer.merge(answer(saying("Hi")))

    async for _ in ui_message_stream(write):
        pass
    assert telemetry.tree()[:2] == [("invoke_agent", None), ("invoke_agent", "invoke_agent")]


async def test_structured_output_is_told(telemetry: Telemetry):
    model = ScriptedModel(saying('{"a": 1}'))
    await stream_object(model, schema={"type": "object", "properties": {"a": {"type": "number"}}}, prompt="Hi").object
    assert telemetry.attributes("chat scripted")["gen_ai.output.type"] == "json"


async def test_nothing_is_done_for_a_delta(telemetry: Telemetry):
    async def calls(deltas: int) -> int:
        count = 0

        def profile(frame: FrameType, event: str, _: Any) -> None:
            nonlocal count
            named = frame.f_code.co_filename
            count += event == "call" and ("opentelemetry" in named or "telemetry/" in named) and "tests" not in named

        model = ScriptedModel(saying(*["word "] * deltas))
        sys.setprofile(profile)
        try:
            await stream_text(model, prompt="Hi").text
        finally:
            sys.setprofile(None)
        return count

    await calls(1)
    one, many = await calls(1), await calls(500)
    assert one > 0
    # The SDK draws which of its measurements it keeps as examples.
    assert abs(many - one) < 50


async def test_broken_telemetry_breaks_no_answer(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch):
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("broken exporter")

    monkeypatch.setattr(telemetry.traces.get_tracer("x").__class__, "start_span", fail)
    assert await answer(*TIDE).text == "Three metres."


async def test_without_instrument_nothing_is_traced(telemetry: Telemetry):
    uninstrument()
    await answer(*TIDE).text
    assert telemetry.spans() == []


async def test_caller_has_its_own_span_again_after_an_answer(telemetry: Telemetry):
    with telemetry.traces.get_tracer("app").start_as_current_span("request") as request:
        parts: list[Part] = [part async for part in answer(*TIDE)]
        assert parts
        assert trace.get_current_span() is request
