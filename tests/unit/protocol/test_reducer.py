from __future__ import annotations

from typing import Any

import pytest

from usechat.errors import StreamProtocolError
from usechat.parts import (
    Data,
    Error,
    File,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    ResetStep,
    SourceUrl,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)
from usechat.protocol.dialects import AUTO, NEWEST, Dialect, parse_dialect
from usechat.protocol.encoders import EncoderOptions
from usechat.protocol.reducer import Reducer, merge_metadata

META = {"anthropic": {"signature": "s"}}
STOP = FinishReason("stop")
STEP_END = FinishStep(finish_reason=STOP, usage=Usage())
END = Finish(finish_reason=STOP, total_usage=Usage())
CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "x"}
CALL_ID: dict[str, Any] = {"tool_call_id": "t1"}
INPUT = ToolInputAvailable(**CALL, input={"a": 1})
TOOL = {"type": "tool-x", "toolCallId": "t1"}
MASKED = "An error occurred."
ALL = ("auto", "4", "5", "6", "7")


def dialect_of(version: str) -> Dialect:
    """The version; a major stands for its newest release here."""
    return Dialect(NEWEST[int(version)], exact=True) if version.isdigit() else parse_dialect(version) or AUTO


def reduce(parts: list[Part], version: str = "7", message: Any = None) -> dict[str, Any]:
    options = EncoderOptions(strict=True, known_tool_calls=frozenset({"known"}), known_approvals=frozenset({"a1"}))
    reducer = Reducer("m0", message=message, dialect=dialect_of(version), options=options)
    reducer.feed_all(parts)
    return reducer.message()


def delta(text: str) -> ToolInputDelta:
    return ToolInputDelta(tool_call_id="t1", delta=text)


Case = tuple[tuple[str, ...], list[Part], list[dict[str, Any]]]

CASES: dict[str, Case] = {
    "text": (
        ALL,
        [StartStep(), TextStart("0"), TextDelta("0", "a"), TextDelta("0", "b"), TextEnd("0"), STEP_END],
        [{"type": "step-start"}, {"type": "text", "text": "ab", "state": "done"}],
    ),
    "text that is still growing": (
        ALL,
        [TextStart("0"), TextDelta("0", "a"), TextDelta("0", "b", META)],
        [{"type": "text", "text": "ab", "state": "streaming", "providerMetadata": META}],
    ),
    "halves of a character": (
        ALL,
        [TextStart("0"), TextDelta("0", "\ud83d"), TextDelta("0", "\ude00\ud83d"), TextEnd("0")],
        [{"type": "text", "text": "😀\ud83d", "state": "done"}],
    ),
    "reasoning with a signature": (
        ("auto", "4", "5", "6", "7"),
        [ReasoningStart("0"), ReasoningDelta("0", "a"), ReasoningDelta("0", "", META), ReasoningEnd("0")],
        [{"type": "reasoning", "id": "0", "text": "a", "state": "done", "providerMetadata": META}],
    ),
    "reasoning in clients that keep no ids": (
        ("5.0.233", "6.0.252", "7.0.62"),
        [ReasoningStart("0"), ReasoningDelta("0", "a"), ReasoningEnd("0")],
        [{"type": "reasoning", "text": "a", "state": "done"}],
    ),
    "citations": (
        ("7",),
        [TextStart("0"), TextEnd("0", META, ({"citedText": "c"},))],
        [{"type": "text", "text": "", "state": "done", "citations": ({"citedText": "c"},), "providerMetadata": META}],
    ),
    "a tool": (
        ALL,
        [ToolInputStart(**CALL), delta("{"), INPUT, ToolOutputAvailable(**CALL, output=None)],
        [{**TOOL, "state": "output-available", "input": {"a": 1}, "output": None}],
    ),
    "a tool whose input is arriving": (
        ALL,
        [ToolInputStart(**CALL), delta('{"a": "b'), delta('", "c')],
        [{**TOOL, "state": "input-streaming", "input": {"a": "b"}, "rawInput": '{"a": "b", "c'}],
    ),
    "a tool whose input has no value yet": (
        ALL,
        [ToolInputStart(**CALL), delta("-")],
        [{**TOOL, "state": "input-streaming", "rawInput": "-"}],
    ),
    "a tool whose input is plain text": (
        ("4", "6", "7"),
        [ToolInputStart(**CALL, input_encoding="text"), delta("*** a")],
        [{**TOOL, "state": "input-streaming", "inputEncoding": "text", "input": "*** a", "rawInput": "*** a"}],
    ),
    "a tool of which only the name is there": (
        ALL,
        [ToolInputStart(**CALL), delta("")],
        [{**TOOL, "state": "input-streaming"}],
    ),
    "a dynamic tool of the provider": (
        ("4", "6", "7"),
        [
            ToolInputAvailable(**CALL, input=1, dynamic=True, provider_metadata=META),
            ToolOutputAvailable(**CALL, output=2, provider_executed=True, provider_metadata=META),
        ],
        [
            {
                "type": "dynamic-tool",
                "toolName": "x",
                "toolCallId": "t1",
                "state": "output-available",
                "input": 1,
                "output": 2,
                "providerExecuted": True,
                "callProviderMetadata": META,
                "resultProviderMetadata": META,
            }
        ],
    ),
    "a dynamic tool of the provider in major 5": (
        ("auto", "5"),
        [
            ToolInputAvailable(**CALL, input=1, dynamic=True, provider_metadata=META),
            ToolOutputAvailable(**CALL, output=2, provider_executed=True, provider_metadata=META),
        ],
        [
            {
                "type": "dynamic-tool",
                "toolName": "x",
                "toolCallId": "t1",
                "state": "output-available",
                "input": 1,
                "output": 2,
                "callProviderMetadata": META,
            }
        ],
    ),
    "a dynamic tool that changes its name": (
        ("auto", "4", "5", "6", "7"),
        [
            ToolInputStart(**CALL_ID, tool_name="y", dynamic=True),
            ToolInputAvailable(**CALL, input=1, dynamic=True),
        ],
        [{"type": "dynamic-tool", "toolName": "x", "toolCallId": "t1", "state": "input-available", "input": 1}],
    ),
    "an invalid input in major 7": (
        ("4", "7"),
        [ToolInputError(**CALL, input="{", error_text="no", title="T", provider_metadata=META)],
        [{**TOOL, "state": "output-error", "input": "{", "errorText": MASKED, "resultProviderMetadata": META}],
    ),
    "an invalid input in major 6": (
        ("6",),
        [ToolInputStart(**CALL, title="T"), ToolInputError(**CALL, input="{", error_text="no", dynamic=True)],
        [{**TOOL, "title": "T", "state": "output-error", "rawInput": "{", "errorText": MASKED}],
    ),
    "an invalid input in major 5": (
        ("5",),
        [
            ToolInputStart(**CALL),
            ToolInputError(**CALL, input="{", error_text="no", provider_metadata=META),
            ToolOutputError(**CALL, error_text="no", invalid_input=True),
        ],
        [{**TOOL, "state": "output-error", "rawInput": "{", "errorText": MASKED}],
    ),
    "a failed tool": (
        ("4", "7"),
        [INPUT, ToolOutputError(**CALL, error_text="no", tool_metadata={"a": 1})],
        [{**TOOL, "state": "output-error", "input": {"a": 1}, "errorText": MASKED, "toolMetadata": {"a": 1}}],
    ),
    "a denial": (
        ("4", "6", "7"),
        [
            INPUT,
            ToolApprovalRequest(approval_id="a", **CALL_ID, signature="s", is_automatic=False),
            ToolOutputDenied(**CALL),
        ],
        [{**TOOL, "state": "output-denied", "input": {"a": 1}, "approval": {"id": "a", "signature": "s"}}],
    ),
    "a denial in a client that knows none": (
        ("auto", "5"),
        [INPUT, ToolApprovalRequest(approval_id="a", **CALL_ID), ToolOutputDenied(**CALL)],
        [{**TOOL, "state": "output-error", "input": {"a": 1}, "errorText": "Tool call execution denied."}],
    ),
    "an automatic approval": (
        ("4", "7"),
        [
            INPUT,
            ToolApprovalRequest(approval_id="a", **CALL_ID, is_automatic=True, reason="small"),
            ToolApprovalResponse(approval_id="a", approved=True, reason="ok", provider_executed=False),
        ],
        [
            {
                **TOOL,
                "state": "approval-responded",
                "input": {"a": 1},
                "providerExecuted": False,
                "approval": {
                    "id": "a",
                    "isAutomatic": True,
                    "requestReason": "small",
                    "approved": True,
                    "reason": "ok",
                },
            }
        ],
    ),
    "files in major 5": (
        ("auto", "5"),
        [File(media_type="m", url="u", provider_metadata=META)],
        [{"type": "file", "mediaType": "m", "url": "u"}],
    ),
    "files": (
        ("4", "6", "7"),
        [File(media_type="m", url="u", provider_metadata=META)],
        [{"type": "file", "mediaType": "m", "url": "u", "providerMetadata": META}],
    ),
    "a source": (
        ALL,
        [SourceUrl(source_id="s", url="u")],
        [{"type": "source-url", "sourceId": "s", "url": "u"}],
    ),
    "data replaced by its id": (
        ALL,
        [Data(name="x", data=1, id="d"), Data(name="x", data=2, id="d"), Data(name="x", data=3, transient=True)],
        [{"type": "data-x", "id": "d", "data": 2}],
    ),
    "a step tried again": (
        ("4", "7"),
        [
            TextStart("0"),
            TextDelta("0", "kept"),
            StartStep(),
            TextStart("1"),
            ToolInputStart(**CALL),
            ResetStep(),
        ],
        [{"type": "text", "text": "kept", "state": "streaming"}, {"type": "step-start"}],
    ),
}


@pytest.mark.parametrize(
    ("version", "parts", "shown"),
    [(version, parts, shown) for versions, parts, shown in CASES.values() for version in versions],
    ids=[f"{name}-{version}" for name, (versions, _, _) in CASES.items() for version in versions],
)
def test_parts_become_the_message_of_the_version(version: str, parts: list[Part], shown: list[dict[str, Any]]):
    assert reduce(parts, version) == {"id": "m0", "role": "assistant", "parts": shown}


def test_the_message_can_be_read_while_it_grows():
    reducer = Reducer("m0")
    reducer.feed_all([TextStart("0"), TextDelta("0", "a"), ToolInputStart(**CALL), delta("[1")])
    first = reducer.message()
    reducer.feed_all([TextDelta("0", "b"), delta(", 2")])
    assert [first["parts"][0]["text"], first["parts"][1]["input"]] == ["a", [1]]
    assert [reducer.message()["parts"][0]["text"], reducer.message()["parts"][1]["input"]] == ["ab", [1, 2]]


def test_the_start_names_the_message_and_metadata_is_merged():
    last = Finish(finish_reason=STOP, total_usage=Usage(), message_metadata={"usage": Usage(output=1)})
    message = reduce([Start(message_id="m1", message_metadata={"a": {"b": 1}}), MessageMetadata({"a": {"c": 2}}), last])
    usage: dict[str, Any] = {"inputTokenDetails": {}, "outputTokens": 1, "outputTokenDetails": {}, "totalTokens": 1}
    assert message == {
        "id": "m1",
        "role": "assistant",
        "metadata": {"a": {"b": 1, "c": 2}, "usage": usage},
        "parts": [],
    }


def test_a_continued_message_is_not_changed():
    approval = {"id": "a1"}
    asked = {"type": "tool-y", "toolCallId": "known", "state": "approval-requested", "input": {}, "approval": approval}
    posted: dict[str, Any] = {"id": "m1", "role": "assistant", "metadata": {"n": 1}, "parts": [{"odd": 1}, asked]}
    answer = ToolApprovalResponse(approval_id="a1", approved=True)
    output = ToolOutputAvailable(tool_call_id="known", tool_name="y", output=1)
    message = reduce([Start(message_metadata={"n": 2}), answer, output], message=posted)
    done = {**asked, "state": "output-available", "output": 1, "approval": {"id": "a1", "approved": True}}
    assert message == {"id": "m1", "role": "assistant", "metadata": {"n": 2}, "parts": [{"odd": 1}, done]}
    assert posted["parts"] == [{"odd": 1}, asked]
    assert (posted["metadata"], approval) == ({"n": 1}, {"id": "a1"})


@pytest.mark.parametrize(
    "part",
    [
        ToolOutputAvailable(tool_call_id="known", tool_name="x", output=1),
        ToolOutputError(tool_call_id="known", tool_name="x", error_text="e"),
        ToolOutputDenied(tool_call_id="known"),
        ToolApprovalRequest(approval_id="a2", tool_call_id="known"),
        ToolApprovalResponse(approval_id="a1", approved=True),
    ],
)
def test_what_is_known_but_not_in_the_message_changes_nothing(part: Part):
    assert reduce([part])["parts"] == []


def test_reasoning_that_is_not_sent_is_not_in_the_message():
    reducer = Reducer("m0", options=EncoderOptions(send_reasoning=False))
    reducer.feed_all([ReasoningStart("0"), ReasoningDelta("0", "a"), ReasoningEnd("0")])
    assert reducer.parts == []


def test_a_broken_off_answer_is_ended_as_the_encoder_ends_it():
    reducer = Reducer("m0")
    for part in (StartStep(), TextStart("0"), TextDelta("0", "a")):
        reducer.feed(part)
    reducer.finish()
    assert reducer.parts[1] == {"type": "text", "text": "a", "state": "done"}


def test_what_follows_an_error_still_counts():
    last = Finish(finish_reason=STOP, total_usage=Usage(), message_metadata={"n": 1})
    message = reduce([StartStep(), TextStart("0"), TextDelta("0", "a"), Error("e"), STEP_END, last])
    assert message["metadata"] == {"n": 1}
    assert message["parts"][1] == {"type": "text", "text": "a", "state": "streaming"}


def test_deltas_after_a_step_end_begin_a_new_block():
    reducer = Reducer("m0", options=EncoderOptions(new_id=lambda: "new"))
    reducer.feed_all([StartStep(), TextStart("0"), TextDelta("0", "a"), STEP_END, TextDelta("0", "b")])
    assert [part.get("text") for part in reducer.message()["parts"]] == [None, "a", "b"]


def test_strict_raises_for_an_illegal_part():
    with pytest.raises(StreamProtocolError):
        reduce([TextEnd("0")])


MERGED: list[tuple[Any, Any, Any]] = [
    (None, {"a": 1}, {"a": 1}),
    ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ({"a": {"b": 1, "c": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
    ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    ({"a": 1}, {"__proto__": 1, "constructor": 1, "prototype": 1}, {"a": 1}),
    ({"a": 1}, 2, 2),
]


@pytest.mark.parametrize(("old", "new", "merged"), MERGED)
def test_metadata_is_merged_deeply(old: Any, new: Any, merged: Any):
    assert merge_metadata(old, new) == merged
