"""What a step leaves: the messages that the next model call is given, and its result."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from usechat.answers.loop.results.recorder import StepRecorder, StepResult, ToolCallResult
from usechat.messages.model import (
    AssistantMessage,
    CustomContent,
    FileContent,
    ReasoningContent,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
)
from usechat.parts import (
    Custom,
    Data,
    Error,
    File,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceDocument,
    SourceUrl,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputError,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)

FINISH = FinishStep(finish_reason=FinishReason("stop"), usage=Usage(output=3), provider_metadata={"a": {"b": 1}})


def record(*parts: Part, results: tuple[ToolResultContent, ...] = ()) -> StepRecorder:
    recorder = StepRecorder()
    for part in parts:
        recorder.feed(part)
    for result in results:
        recorder.add_result(result)
    return recorder


def content(*parts: Part) -> Any:
    (message,) = record(*parts).messages()
    assert isinstance(message, AssistantMessage)
    return message.content


def called(tool_call_id: str = "c1", **values: Any) -> ToolInputAvailable:
    given: dict[str, Any] = {"tool_call_id": tool_call_id, "tool_name": "t", "input": {"a": 1}, **values}
    return ToolInputAvailable(**given)


def answer(tool_call_id: str) -> ToolResultContent:
    return ToolResultContent(tool_call_id=tool_call_id, tool_name="t", output=ToolResultOutput("json", 1))


def test_blocks_stand_in_their_order_however_they_interleave():
    blocks = content(
        ReasoningStart("0", {"anthropic": {"redactedData": "x"}}),
        TextStart("1"),
        TextDelta("1", "Hel"),
        ReasoningDelta("0", "Hm"),
        ReasoningDelta("0", "", {"anthropic": {"signature": "s"}}),
        TextDelta("1", "lo"),
        TextEnd("1", {"anthropic": {"citations": []}}),
        ReasoningEnd("0"),
    )
    assert blocks == (
        ReasoningContent("Hm", {"anthropic": {"redactedData": "x", "signature": "s"}}),
        TextContent("Hello", {"anthropic": {"citations": []}}),
    )


def test_deltas_may_be_added_to_a_blocks_pieces():
    recorder = record(TextStart("0"), ReasoningStart("0"))
    recorder.text["0"].append("Hi")
    recorder.reasoning["0"].append("Hm")
    assert (recorder.joined("text"), recorder.joined("reasoning")) == ("Hi", "Hm")


@pytest.mark.parametrize("part", [TextDelta("9", "x"), TextEnd("9"), ReasoningDelta("9", "x"), ReasoningEnd("9")])
def test_part_of_an_unknown_block_is_passed_over(part: Part):
    assert record(part).messages() == []


def test_parts_that_are_nothing_to_the_model_leave_nothing():
    assert record(Start(), StartStep(), Data(name="x", data=1), Error("no"), FINISH).messages() == []


def test_tool_call_and_its_result():
    recorder = record(
        called(provider_metadata={"a": {}}),
        ToolOutputAvailable(tool_call_id="c1", tool_name="t", output="…", preliminary=True),
        results=(answer("c1"),),
    )
    assert [call.tool_call_id for call in recorder.open_calls] == ["c1"]
    recorder.feed(ToolOutputAvailable(tool_call_id="c1", tool_name="t", output="done"))
    assert recorder.open_calls == []
    assert set(recorder.answered) == {"c1"}
    call = ToolCallContent(tool_call_id="c1", tool_name="t", input={"a": 1}, provider_options={"a": {}})
    assert recorder.messages() == [AssistantMessage((call,)), ToolMessage((answer("c1"),))]
    assert recorder.result(0, FINISH).tool_calls == (
        ToolCallResult(tool_call_id="c1", tool_name="t", input={"a": 1}, output="done", is_resolved=True),
    )


def test_results_stand_in_the_order_of_the_calls():
    recorder = record(called("c1"), called("c2"), results=(answer("c2"), answer("c1")))
    assert recorder.messages()[1] == ToolMessage((answer("c1"), answer("c2")))


@pytest.mark.parametrize(("given", "sent"), [("{", {}), (5, {}), (None, {}), ([1], [1]), ({"a": 1}, {"a": 1})])
def test_broken_call_goes_back_without_a_text_for_its_input(given: Any, sent: Any):
    part = ToolInputError(tool_call_id="c1", tool_name="t", input=given, error_text="no")
    assert content(part)[0].input == sent
    assert record(part).calls["c1"].input == given


def test_failed_call_says_why():
    recorder = record(called(), ToolOutputError(tool_call_id="c1", tool_name="t", error_text="no"))
    (call,) = recorder.result(0, FINISH).tool_calls
    assert (call.error_text, call.is_resolved) == ("no", True)


def test_denied_call_is_resolved():
    assert record(called(), ToolOutputDenied(tool_call_id="c1")).open_calls == []


def test_output_for_a_call_of_an_earlier_step_is_noted():
    recorder = record(ToolOutputAvailable(tool_call_id="old", tool_name="t", output=1, provider_executed=True))
    assert set(recorder.answered) == {"old"}
    assert recorder.calls == {}


def test_what_the_provider_ran_stands_within_the_assistants_message():
    parts = (
        called(provider_executed=True),
        ToolOutputAvailable(tool_call_id="c1", tool_name="t", output=[1], provider_executed=True),
        called("c2", provider_executed=True),
        ToolOutputError(tool_call_id="c2", tool_name="t", error_text="{}", provider_executed=True),
    )
    recorder = record(*parts)
    assert recorder.own_calls == recorder.open_calls == []
    (message,) = recorder.messages()
    assert isinstance(message, AssistantMessage)
    outputs = [part.output for part in message.content if isinstance(part, ToolResultContent)]
    assert outputs == [ToolResultOutput("json", [1]), ToolResultOutput("error-json", "{}")]
    assert recorder.calls["c1"].provider_executed


def test_approval_stands_with_its_call_and_an_automatic_decision_with_the_results():
    request = ToolApprovalRequest(
        approval_id="a1", tool_call_id="c1", signature="s", is_automatic=True, reason="r", input_schema_input={"b": 1}
    )
    response = ToolApprovalResponse(approval_id="a1", approved=True, reason="small")
    assistant, tools = record(called(), request, response, results=(answer("c1"),)).messages()
    assert isinstance(assistant, AssistantMessage)
    assert assistant.content[1] == ToolApprovalRequestContent(
        approval_id="a1", tool_call_id="c1", signature="s", is_automatic=True, reason="r", input_schema_input={"b": 1}
    )
    decision = ToolApprovalResponseContent(approval_id="a1", approved=True, reason="small")
    assert tools == ToolMessage((decision, answer("c1")))


def test_request_without_another_input_has_none():
    request = content(called(), ToolApprovalRequest(approval_id="a1", tool_call_id="c1"))[1]
    assert request.input_schema_input is msgspec.UNSET


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("data:image/png;base64,AAAA", {"data": "AAAA", "url": None}),
        ("https://a.example/x.png", {"data": None, "url": "https://a.example/x.png"}),
    ],
)
def test_file_goes_back_as_data_or_by_its_url(url: str, values: dict[str, Any]):
    assert content(File(media_type="image/png", url=url)) == (FileContent(media_type="image/png", **values),)


def test_custom_content_goes_back():
    assert content(Custom("a.b", {"a": {}})) == (CustomContent("a.b", {"a": {}}),)


def test_result_holds_everything():
    source = SourceUrl(source_id="s", url="https://a.example")
    document = SourceDocument(source_id="d", media_type="text/plain", title="T")
    file = File(media_type="image/png", url="data:image/png;base64,AAAA")
    recorder = record(
        ReasoningStart("r"), ReasoningDelta("r", "Hm"), TextStart("t"), TextDelta("t", "Hi"),
        source, document, file,
    )  # fmt: skip
    result = recorder.result(2, FINISH)
    assert result == StepResult(
        step_number=2,
        text="Hi",
        reasoning_text="Hm",
        tool_calls=(),
        sources=(source, document),
        files=(file,),
        finish_reason=FINISH.finish_reason,
        usage=FINISH.usage,
        provider_metadata={"a": {"b": 1}},
        messages=tuple(recorder.messages()),
    )
