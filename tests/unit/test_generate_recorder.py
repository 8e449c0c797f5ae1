"""What a step leaves: the messages that the next model call is given, and its result."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from usechat import parts as p
from usechat.generate.recorder import StepRecorder, StepResult, ToolCallResult
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

FINISH = p.FinishStep(finish_reason=p.FinishReason("stop"), usage=p.Usage(output=3), provider_metadata={"a": {"b": 1}})


def record(*parts: p.Part, results: tuple[ToolResultContent, ...] = ()) -> StepRecorder:
    recorder = StepRecorder()
    for part in parts:
        recorder.take(part)
    for result in results:
        recorder.take_result(result)
    return recorder


def content(*parts: p.Part) -> Any:
    (message,) = record(*parts).messages()
    assert isinstance(message, AssistantMessage)
    return message.content


def called(tool_call_id: str = "c1", **values: Any) -> p.ToolInputAvailable:
    given: dict[str, Any] = {"tool_call_id": tool_call_id, "tool_name": "t", "input": {"a": 1}, **values}
    return p.ToolInputAvailable(**given)


def answer(tool_call_id: str) -> ToolResultContent:
    return ToolResultContent(tool_call_id=tool_call_id, tool_name="t", output=ToolResultOutput("json", 1))


def test_blocks_stand_in_their_order_however_they_interleave():
    blocks = content(
        p.ReasoningStart("0", {"anthropic": {"redactedData": "x"}}),
        p.TextStart("1"),
        p.TextDelta("1", "Hel"),
        p.ReasoningDelta("0", "Hm"),
        p.ReasoningDelta("0", "", {"anthropic": {"signature": "s"}}),
        p.TextDelta("1", "lo"),
        p.TextEnd("1", {"anthropic": {"citations": []}}),
        p.ReasoningEnd("0"),
    )
    assert blocks == (
        ReasoningContent("Hm", {"anthropic": {"redactedData": "x", "signature": "s"}}),
        TextContent("Hello", {"anthropic": {"citations": []}}),
    )


def test_deltas_may_be_added_to_a_blocks_pieces():
    recorder = record(p.TextStart("0"), p.ReasoningStart("0"))
    recorder.text["0"].append("Hi")
    recorder.reasoning["0"].append("Hm")
    assert (recorder.joined("text"), recorder.joined("reasoning")) == ("Hi", "Hm")


@pytest.mark.parametrize(
    "part", [p.TextDelta("9", "x"), p.TextEnd("9"), p.ReasoningDelta("9", "x"), p.ReasoningEnd("9")]
)
def test_part_of_an_unknown_block_is_passed_over(part: p.Part):
    assert record(part).messages() == []


def test_parts_that_are_nothing_to_the_model_leave_nothing():
    assert record(p.Start(), p.StartStep(), p.Data(name="x", data=1), p.Error("no"), FINISH).messages() == []


def test_tool_call_and_its_result():
    recorder = record(
        called(provider_metadata={"a": {}}),
        p.ToolOutputAvailable(tool_call_id="c1", tool_name="t", output="…", preliminary=True),
        results=(answer("c1"),),
    )
    assert [call.tool_call_id for call in recorder.open_calls] == ["c1"]
    recorder.take(p.ToolOutputAvailable(tool_call_id="c1", tool_name="t", output="done"))
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


@pytest.mark.parametrize(("given", "sent"), [("{", {}), (5, {}), (None, None), ([1], [1]), ({"a": 1}, {"a": 1})])
def test_broken_call_goes_back_without_a_text_for_its_input(given: Any, sent: Any):
    part = p.ToolInputError(tool_call_id="c1", tool_name="t", input=given, error_text="no")
    assert content(part)[0].input == sent
    assert record(part).calls["c1"].input == given


def test_failed_call_says_why():
    recorder = record(called(), p.ToolOutputError(tool_call_id="c1", tool_name="t", error_text="no"))
    (call,) = recorder.result(0, FINISH).tool_calls
    assert (call.error_text, call.is_resolved) == ("no", True)


def test_denied_call_is_resolved():
    assert record(called(), p.ToolOutputDenied(tool_call_id="c1")).open_calls == []


def test_output_for_a_call_of_an_earlier_step_is_noted():
    recorder = record(p.ToolOutputAvailable(tool_call_id="old", tool_name="t", output=1, provider_executed=True))
    assert set(recorder.answered) == {"old"}
    assert recorder.calls == {}


def test_what_the_provider_ran_stands_within_the_assistants_message():
    parts = (
        called(provider_executed=True),
        p.ToolOutputAvailable(tool_call_id="c1", tool_name="t", output=[1], provider_executed=True),
        called("c2", provider_executed=True),
        p.ToolOutputError(tool_call_id="c2", tool_name="t", error_text="{}", provider_executed=True),
    )
    recorder = record(*parts)
    assert recorder.own_calls == recorder.open_calls == []
    (message,) = recorder.messages()
    assert isinstance(message, AssistantMessage)
    outputs = [part.output for part in message.content if isinstance(part, ToolResultContent)]
    assert outputs == [ToolResultOutput("json", [1]), ToolResultOutput("error-json", "{}")]
    assert recorder.calls["c1"].provider_executed


def test_approval_stands_with_its_call_and_an_automatic_decision_with_the_results():
    request = p.ToolApprovalRequest(
        approval_id="a1", tool_call_id="c1", signature="s", is_automatic=True, reason="r", input_schema_input={"b": 1}
    )
    response = p.ToolApprovalResponse(approval_id="a1", approved=True, reason="small")
    assistant, tools = record(called(), request, response, results=(answer("c1"),)).messages()
    assert isinstance(assistant, AssistantMessage)
    assert assistant.content[1] == ToolApprovalRequestContent(
        approval_id="a1", tool_call_id="c1", signature="s", is_automatic=True, reason="r", input_schema_input={"b": 1}
    )
    decision = ToolApprovalResponseContent(approval_id="a1", approved=True, reason="small")
    assert tools == ToolMessage((decision, answer("c1")))


def test_request_without_another_input_has_none():
    request = content(called(), p.ToolApprovalRequest(approval_id="a1", tool_call_id="c1"))[1]
    assert request.input_schema_input is msgspec.UNSET


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("data:image/png;base64,AAAA", {"data": "AAAA", "url": None}),
        ("https://a.example/x.png", {"data": None, "url": "https://a.example/x.png"}),
    ],
)
def test_file_goes_back_as_data_or_by_its_url(url: str, values: dict[str, Any]):
    assert content(p.File(media_type="image/png", url=url)) == (FileContent(media_type="image/png", **values),)


def test_custom_content_goes_back():
    assert content(p.Custom("a.b", {"a": {}})) == (CustomContent("a.b", {"a": {}}),)


def test_result_holds_everything():
    source = p.SourceUrl(source_id="s", url="https://a.example")
    document = p.SourceDocument(source_id="d", media_type="text/plain", title="T")
    file = p.File(media_type="image/png", url="data:image/png;base64,AAAA")
    recorder = record(
        p.ReasoningStart("r"), p.ReasoningDelta("r", "Hm"), p.TextStart("t"), p.TextDelta("t", "Hi"),
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
