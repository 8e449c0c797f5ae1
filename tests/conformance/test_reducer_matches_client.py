"""Our reducer and the AI SDK's own clients make the same message of the same answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from tests.conformance.javascript import FOLDER, JavaScript
from usechat import stream_text
from usechat.answers.stream_text import StreamTextResult
from usechat.errors import ProviderStreamError
from usechat.json import decode_json, encode_json
from usechat.parts import (
    Abort,
    Custom,
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
    ReasoningFile,
    ReasoningStart,
    ResetStep,
    SourceDocument,
    SourceUrl,
    Start,
    StartStep,
    SteeringMessage,
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
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.encoders import EncoderOptions, make_encoder
from usechat.protocol.partial_json import parse_partial_json
from usechat.protocol.reducer import Reducer
from usechat.testing.models import ScriptedModel, Step, saying
from usechat.testing.strategies import json_values, legal_parts

MAJORS = (5, 6, 7)
ONE_PROCESS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

STOP = FinishReason("stop", "end_turn")
STEP_END = FinishStep(finish_reason=STOP, usage=Usage())
END = Finish(finish_reason=STOP, total_usage=Usage())
SIGNATURE = {"anthropic": {"signature": "c2ln"}}

CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "get_weather"}
CALL_ID: dict[str, Any] = {"tool_call_id": "t1"}
INPUT = ToolInputAvailable(**CALL, input={"city": "Rome"})


def step(*parts: Part) -> tuple[Part, ...]:
    return (StartStep(), *parts, STEP_END)


def answer(*parts: Part) -> tuple[Part, ...]:
    return (Start(message_id="m1"), *parts, END)


def cut_input(*texts: str, dynamic: bool | None = None) -> tuple[Part, ...]:
    start = ToolInputStart(**CALL, dynamic=dynamic)
    return (Start(), StartStep(), start, *(ToolInputDelta(**CALL_ID, delta=text) for text in texts))


ANSWERS: dict[str, tuple[Part, ...]] = {
    "text": answer(*step(TextStart("0"), TextDelta("0", "It is "), TextDelta("0", "😀"), TextEnd("0"))),
    "half characters": answer(*step(TextStart("0"), TextDelta("0", "\ud83d"), TextDelta("0", "\ude00"))),
    "signed and redacted reasoning": answer(
        *step(
            ReasoningStart("0"),
            ReasoningDelta("0", "hm"),
            ReasoningDelta("0", "", SIGNATURE),
            ReasoningEnd("0"),
            ReasoningStart("1", {"anthropic": {"redactedData": "x"}}),
            ReasoningEnd("1"),
        )
    ),
    "interleaved blocks": answer(
        *step(
            TextStart("a"),
            ReasoningStart("a"),
            TextStart("b"),
            TextDelta("b", "2"),
            TextDelta("a", "1"),
            ReasoningDelta("a", "3"),
            TextEnd("a"),
            ReasoningEnd("a"),
            TextEnd("b", SIGNATURE),
        )
    ),
    "a block id used in two steps": answer(
        *step(TextStart("0"), TextDelta("0", "one"), TextEnd("0")),
        *step(TextStart("0"), TextDelta("0", "two"), TextEnd("0")),
    ),
    "a block left open": answer(*step(TextStart("0"), TextDelta("0", "one")), *step(TextStart("0"))),
    "a tool": answer(
        *step(
            ToolInputStart(**CALL),
            ToolInputDelta(**CALL_ID, delta='{"city":'),
            ToolInputDelta(**CALL_ID, delta='"Rome"}'),
            INPUT,
            ToolOutputAvailable(**CALL, output=None),
        )
    ),
    "a dynamic tool that the provider runs": answer(
        *step(
            ToolInputAvailable(**CALL, input=[1], dynamic=True, provider_executed=True, provider_metadata=SIGNATURE),
            ToolOutputAvailable(**CALL, output=1, preliminary=True, dynamic=True),
            ToolOutputAvailable(**CALL, output=2, provider_executed=True, dynamic=True, provider_metadata=SIGNATURE),
        )
    ),
    "an output whose dynamic was forgotten": answer(
        *step(ToolInputAvailable(**CALL, input={}, dynamic=True), ToolOutputAvailable(**CALL, output=1))
    ),
    "an unknown tool": answer(
        *step(
            ToolInputStart(**CALL, dynamic=False),
            ToolInputDelta(**CALL_ID, delta="{}"),
            ToolInputError(**CALL, input={}, error_text="no such tool", dynamic=True),
            ToolOutputError(**CALL, error_text="no such tool", dynamic=True, invalid_input=True),
        )
    ),
    "an input that is no JSON": answer(
        *step(
            ToolInputError(**CALL, input='{"city', error_text="not JSON", provider_metadata=SIGNATURE),
            ToolOutputError(**CALL, error_text="not JSON", invalid_input=True),
        )
    ),
    "a tool that fails": answer(*step(INPUT, ToolOutputError(**CALL, error_text="boom", provider_metadata=SIGNATURE))),
    "a tool that fails while its input arrives": (
        *cut_input('{"city": "Ro'),
        ToolOutputError(**CALL, error_text="boom"),
    ),
    "an approval": answer(
        *step(INPUT, ToolApprovalRequest(approval_id="a1", **CALL_ID, signature="s", reason="why", is_automatic=True)),
        ToolApprovalResponse(approval_id="a1", approved=False, reason="no", provider_metadata=SIGNATURE),
        ToolOutputDenied(**CALL),
    ),
    "two calls of one id": answer(*step(INPUT, ToolOutputAvailable(**CALL, output=1)), *step(INPUT)),
    "the same call with another name": answer(*step(ToolInputStart(**CALL_ID, tool_name="other"), INPUT)),
    "sources, files and the provider's own": answer(
        *step(
            SourceUrl(source_id="s1", url="https://example.org/", title="T"),
            SourceDocument(source_id="s2", media_type="text/plain", title="D", filename="d.txt"),
            File(media_type="image/png", url="data:image/png;base64,AA==", provider_metadata=SIGNATURE),
            ReasoningFile(media_type="image/png", url="data:image/png;base64,AA=="),
            Custom("anthropic.compaction", SIGNATURE),
            SteeringMessage(id="s", parts=({"type": "text", "text": "faster"},)),
        )
    ),
    "data": answer(
        Data(name="x", data=1, id="d"),
        Data(name="x", data={"a": None}, id="d"),
        Data(name="x", data=2),
        Data(name="x", data=3, transient=True),
        Data(name="x", data=4, transient=False),
    ),
    "metadata": (
        Start(message_metadata={"a": {"b": 1, "c": [1]}, "d": None}),
        MessageMetadata({"a": {"c": [2], "e": {"f": 1}}, "d": 1}),
        MessageMetadata({"constructor": {"x": 1}, "a": None}),
        Finish(finish_reason=STOP, total_usage=Usage(), message_metadata={"a": {"g": 1}}),
    ),
    "a step that is tried again": answer(
        *step(TextStart("0"), TextDelta("0", "kept")),
        StartStep(),
        TextStart("0"),
        TextDelta("0", "gone"),
        INPUT,
        ResetStep(),
        TextStart("0"),
        TextDelta("0", "again"),
        TextEnd("0"),
        STEP_END,
    ),
    "an error in a block": (
        Start(),
        *step(TextStart("0"), TextDelta("0", "so far"), Error("An error occurred.")),
        END,
    ),
    "an abort in a block": (Start(), StartStep(), TextStart("0"), TextDelta("0", "so far"), Abort("stopped")),
    "a cut input": cut_input('{"city": "Ro'),
    "a cut dynamic input": cut_input('{"city": ["Ro', "me", dynamic=True),
    "a cut input without a value": cut_input("-"),
    "a cut input that is no JSON": cut_input('{"city": nope, '),
    "a cut input with a forbidden key": cut_input('{"__proto__": {"a": 1'),
    "an input cut before its first text": cut_input(),
    "an input that is plain text": (
        Start(),
        StartStep(),
        ToolInputStart(**CALL, input_encoding="text"),
        ToolInputDelta(**CALL_ID, delta="*** Begin Patch"),
    ),
    "an input cut by the end of its step": answer(*cut_input('{"a": 1'), STEP_END, *step(INPUT)),
    "an input begun twice": answer(*cut_input('{"a": 1'), *cut_input('{"b": 2')[2:], STEP_END),
}

ASKED: dict[str, Any] = {
    "id": "a1",
    "role": "assistant",
    "metadata": {"n": {"x": 1}},
    "parts": [
        {"type": "step-start"},
        {"type": "text", "text": "Let me see.", "state": "done"},
        {"type": "tool-get_weather", "toolCallId": "t1", "state": "input-available", "input": {"city": "Rome"}},
        {"type": "data-x", "id": "d", "data": 1},
    ],
}
APPROVED: dict[str, Any] = {
    **ASKED,
    "parts": [
        {"type": "step-start"},
        {
            "type": "tool-get_weather",
            "toolCallId": "t1",
            "state": "approval-responded",
            "input": {"city": "Rome"},
            "approval": {"id": "p1", "approved": True},
        },
    ],
}
CONTINUATIONS: dict[str, tuple[dict[str, Any], tuple[Part, ...]]] = {
    "text after a client's tool": (ASKED, (Start(), *step(TextStart("0"), TextDelta("0", "18")), END)),
    "metadata and data of before": (
        ASKED,
        (Start(message_metadata={"n": {"y": 2}}), Data(name="x", data=2, id="d"), END),
    ),
    "an approved tool runs": (
        APPROVED,
        (Start(message_id="a1"), ToolOutputAvailable(**CALL, output=[1]), *step(TextStart("0")), END),
    ),
    "an approved tool fails": (APPROVED, (Start(), ToolOutputError(**CALL, error_text="boom"), END)),
}


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScript]:
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip("the npm packages of tests/conformance/js are not installed: `make conformance` does it")
    with JavaScript() as running:
        yield running


def frames(parts: Iterable[Part], major: int) -> bytes:
    encoder = make_encoder(None, newest(major), options())
    return encoder.feed_all(parts) + encoder.finish()


def newest(major: int) -> Dialect:
    return Dialect(NEWEST[major], exact=True)


def options() -> EncoderOptions:
    numbers = itertools.count()
    return EncoderOptions(
        new_id=lambda: f"new-{next(numbers)}",
        known_tool_calls=frozenset({"t1"}),
        known_approvals=frozenset({"p1"}),
    )


def reduce(parts: Iterable[Part], major: int, message: Mapping[str, Any] | None = None) -> Any:
    reducer = Reducer("m0", message=message, dialect=newest(major), options=options())
    reducer.feed_all(parts)
    reducer.finish()
    return as_javascript(decode_json(encode_json(reducer.message())))


def as_javascript(value: Any) -> Any:
    """``value`` with JavaScript's only kind of number."""
    match value:
        case bool():
            return value
        case int() | float():
            return float(value)
        case dict():
            return {key: as_javascript(item) for key, item in cast("dict[str, Any]", value).items()}
        case list():
            return [as_javascript(item) for item in cast("list[Any]", value)]
        case _:
            return value


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", ANSWERS)
def test_the_message_is_the_one_that_use_chat_holds(javascript: JavaScript, name: str, major: int):
    message, error = javascript.chat(major, frames(ANSWERS[name], major))
    assert as_javascript(message) == reduce(ANSWERS[name], major)
    assert (error is not None) == any(isinstance(part, Error) for part in ANSWERS[name])


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", CONTINUATIONS)
def test_a_continued_message_is_the_one_that_use_chat_holds(javascript: JavaScript, name: str, major: int):
    before, parts = CONTINUATIONS[name]
    message, error = javascript.chat(major, frames(parts, major), before)
    assert error is None
    assert as_javascript(message) == reduce(parts, major, before)


async def collect(answer: StreamTextResult) -> list[Part]:
    return [part async for part in answer]


def test_a_step_that_is_tried_again_is_shown_and_saved_once(javascript: JavaScript):
    error = ProviderStreamError("overloaded", provider="scripted", is_retryable=True)
    failed: Step = [[TextStart("0")], [TextDelta("0", "wro")], [Error("overloaded", error)]]
    result = stream_text(ScriptedModel(failed, saying("right")), prompt="Hi", stream_retries=1)
    result.bind(newest(7), options(), message_id="m1")
    parts = asyncio.run(collect(result))
    message, shown_error = javascript.chat(7, frames(parts, 7))
    assert shown_error is None
    assert result.final is not None
    assert as_javascript(message) == as_javascript(dict(result.final.ui_message))
    assert [part["text"] for part in message["parts"] if part["type"] == "text"] == ["right"]
    assert any(isinstance(part, ResetStep) for part in parts)


@pytest.mark.parametrize("major", MAJORS)
def test_parts_after_an_error_count_as_for_a_server_that_saves(javascript: JavaScript, major: int):
    last = Finish(finish_reason=STOP, total_usage=Usage(), message_metadata={"usage": 1})
    parts = (*ANSWERS["an error in a block"][:-1], last)
    message, error = javascript.read(major, frames(parts, major))
    assert error == "Error: An error occurred."
    assert as_javascript(message) == reduce(parts, major)


@pytest.mark.parametrize("major", MAJORS)
@given(parts=legal_parts())
@ONE_PROCESS
def test_any_legal_answer_makes_the_message_of_the_client(javascript: JavaScript, major: int, parts: list[Part]):
    message, error = javascript.read(major, frames(parts, major))
    failures = [part.error_text for part in parts if isinstance(part, Error)]
    assert (error is None) == (not failures), error
    ours = reduce(parts, major)
    if sum(isinstance(part, Start) and part.message_id is not None for part in parts):
        # readUIMessageStream takes another id for another message, useChat for the same with a new name.
        message, ours = {**message, "id": "m"}, {**ours, "id": "m"}
    message = as_javascript(message)
    if major == 5:
        message, ours = without_cut_escapes(message), without_cut_escapes(ours)
    assert message == ours


def without_cut_escapes(message: dict[str, Any]) -> dict[str, Any]:
    """``message`` without the inputs that major 5 cannot mend: those cut within a ``\\u`` escape."""
    parts = [{**part, "input": None} if "\\u" in str(part.get("rawInput")) else part for part in message["parts"]]
    return {**message, "parts": parts}


@given(parts=legal_parts())
@ONE_PROCESS
def test_the_client_of_major_4_reads_any_legal_answer(javascript: JavaScript, parts: list[Part]):
    failing = (Error, ToolInputError, ToolOutputError)
    parts = list(itertools.takewhile(lambda part: not isinstance(part, failing), parts))
    encoder = make_encoder("data-stream", options=options())
    body = encoder.feed_all(parts) + encoder.finish()
    message, error = javascript.chat(4, body)
    assert error is None
    text = "".join(part.delta for part in parts if isinstance(part, TextDelta))
    said = message["content"] if message else ""
    assert json.loads(json.dumps(said)) == json.loads(json.dumps(text))


def cuts(text: str) -> Sequence[str]:
    return [text[:end] for end in range(len(text) + 1)]


PARTIAL_TEXTS = (
    '{"a": [1, -2.5e+10, true, false, null, {"b\\"c": "\\u00e9\\n"}], "d": {}, "e": [], "": ""}',
    ' [ "\\ud83d\\ude00" , 0.0 , -0 , 1E5 ] ',
    '"plain"',
    "nulls",
    "truth",
    "-1.5e-7",
    "[1 2]",
    "[1}",
    '{"a" 1, "b": 2}',
    '{"a": 1 "b": 2}',
    '{"a": tru, "b": 2}',
    '{"a": 1} and more',
    "```json\n{}",
    '{"constructor": {"prototype": 1}}',
    '[{"__proto__": 1}]',
    '"\\uzz12x"',
    '"\x01"',
)


@pytest.mark.parametrize("text", PARTIAL_TEXTS)
def test_every_cut_of_a_text_has_the_value_that_the_client_sees(javascript: JavaScript, text: str):
    for part in cuts(text):
        assert as_found(parse_partial_json(part)) == as_found_there(javascript, part), part


@given(value=json_values(), indent=st.sampled_from([None, 2]), data=st.data())
@ONE_PROCESS
def test_any_cut_of_any_value_is_seen_as_the_client_sees_it(
    javascript: JavaScript, value: Any, indent: int | None, data: st.DataObject
):
    text = json.dumps(value, indent=indent, ensure_ascii=data.draw(st.booleans()))
    part = text[: data.draw(st.integers(min_value=0, max_value=len(text)))]
    assert as_found(parse_partial_json(part)) == as_found_there(javascript, part)


@given(text=st.text(alphabet='{}[]",:\\u0123456789abcdeE+-. \ntrufalsn', max_size=30))
@ONE_PROCESS
def test_any_text_is_seen_as_the_client_sees_it(javascript: JavaScript, text: str):
    assert as_found(parse_partial_json(text)) == as_found_there(javascript, text)


def as_found(value: Any) -> tuple[bool, Any]:
    found = value is not UNSET
    return found, finite(as_javascript(decode_json(encode_json(value)))) if found else None


def as_found_there(javascript: JavaScript, text: str) -> tuple[bool, Any]:
    found, value = javascript.parse_partial_json(re.sub("[\ud800-\udfff]+", rejoin, text))
    return found, finite(as_javascript(value))


def rejoin(halves: re.Match[str]) -> str:
    return halves[0].encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def finite(value: Any) -> Any:
    return None if value in (float("inf"), float("-inf")) else value
