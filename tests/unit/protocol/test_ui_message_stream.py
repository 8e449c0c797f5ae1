from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from usechat.errors import StreamProtocolError
from usechat.json import encode_json
from usechat.parts import (
    Abort,
    Custom,
    Data,
    Error,
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
from usechat.protocol.encoders import (
    DataStreamEncoder,
    Encoder,
    EncoderOptions,
    EventsEncoder,
    TextStreamEncoder,
    UIMessageStreamEncoder,
    make_encoder,
)
from usechat.protocol.sse import DONE

META = {"anthropic": {"signature": "s"}}
STOP = FinishReason("stop", "end_turn")
STEP_END = FinishStep(finish_reason=STOP, usage=Usage())
END = Finish(finish_reason=STOP, total_usage=Usage())
CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "x"}
OF_CALL = {"toolCallId": "t1", "toolName": "x"}
INPUT = ToolInputAvailable(**CALL, input={})
INPUT_CHUNK: dict[str, Any] = {"type": "tool-input-available", **OF_CALL, "input": {}}
ALL = ("auto", "5.0.0", "5.0.91", "5.0.92", "5", "6.0.0", "6.0.100", "6", "7.0.0", "7.0.149", "7")
FROM_5_0_92 = ALL[3:]
MASKED = "An error occurred."


def dialect_of(version: str) -> Dialect:
    """The version; a major stands for its newest release here."""
    return Dialect(NEWEST[int(version)], exact=True) if version.isdigit() else parse_dialect(version) or AUTO


def frames(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % encode_json(chunk) for chunk in chunks)


def encoder_for(version: str, **options: Any) -> Encoder:
    numbers = itertools.count(1)
    settings: dict[str, Any] = {"new_id": lambda: f"new-{next(numbers)}", "strict": True, **options}
    return make_encoder("ui-message-stream", dialect_of(version), EncoderOptions(**settings))


def block(kind: str, id: str, *deltas: str) -> list[dict[str, Any]]:
    middle = [{"type": f"{kind}-delta", "id": id, "delta": delta} for delta in deltas]
    return [{"type": f"{kind}-start", "id": id}, *middle, {"type": f"{kind}-end", "id": id}]


Case = tuple[tuple[str, ...], list[Part], list[dict[str, Any]]]

CASES: dict[str, Case] = {
    "text": (
        ALL,
        [TextStart("0"), *(TextDelta("0", text) for text in ("Hi ", "", "é\n\u2028")), TextEnd("0")],
        block("text", "0", "Hi ", "é\n\u2028"),
    ),
    "text with lone halves, quotes and NUL": (
        ALL,
        [TextStart('a"\ud800'), TextDelta('a"\ud800', '\ud83d\x00"'), TextEnd('a"\ud800')],
        block("text", 'a"\ud800', '\ud83d\x00"'),
    ),
    "reasoning with a signature": (
        ALL,
        [ReasoningStart("0"), ReasoningDelta("0", "hm"), ReasoningDelta("0", "", META), ReasoningEnd("0")],
        [
            {"type": "reasoning-start", "id": "0"},
            {"type": "reasoning-delta", "id": "0", "delta": "hm"},
            {"type": "reasoning-delta", "id": "0", "delta": "", "providerMetadata": META},
            {"type": "reasoning-end", "id": "0"},
        ],
    ),
    "reasoning that is empty": (
        ALL,
        [ReasoningStart("0"), ReasoningDelta("0", ""), ReasoningEnd("0")],
        block("reasoning", "0", ""),
    ),
    "a tool with streamed input": (
        ALL,
        [
            ToolInputStart(**CALL),
            ToolInputDelta(tool_call_id="t1", delta=""),
            ToolInputDelta(tool_call_id="t1", delta='{"a"'),
            INPUT,
            ToolOutputAvailable(**CALL, output=None),
        ],
        [
            {"type": "tool-input-start", **OF_CALL},
            {"type": "tool-input-delta", "toolCallId": "t1", "inputTextDelta": '{"a"'},
            INPUT_CHUNK,
            {"type": "tool-output-available", "toolCallId": "t1", "output": None},
        ],
    ),
    "interleaved blocks": (
        ALL,
        [
            TextStart("a"),
            ReasoningStart("a"),
            TextDelta("a", "1"),
            ReasoningDelta("a", "2"),
            TextEnd("a"),
            ReasoningEnd("a"),
        ],
        [
            {"type": "text-start", "id": "a"},
            {"type": "reasoning-start", "id": "a"},
            {"type": "text-delta", "id": "a", "delta": "1"},
            {"type": "reasoning-delta", "id": "a", "delta": "2"},
            {"type": "text-end", "id": "a"},
            {"type": "reasoning-end", "id": "a"},
        ],
    ),
    "a block id used again": (
        ("auto", "6.0.0", "6", "7.0.0", "7"),
        [
            *(TextStart("0"), TextEnd("0")),
            *(TextStart("0"), TextDelta("0", "a"), TextEnd("0")),
            ReasoningStart("0"),
        ],
        [*block("text", "0"), *block("text", "new-1", "a"), {"type": "reasoning-start", "id": "0"}],
    ),
    "a block id used again in major 5": (
        ("5.0.0", "5"),
        [TextStart("0"), TextEnd("0"), TextStart("0"), TextDelta("0", "a"), TextEnd("0")],
        [*block("text", "0"), *block("text", "0", "a")],
    ),
    "a finish reason": (FROM_5_0_92, [END], [{"type": "finish", "finishReason": "stop"}]),
    "a finish reason for clients that refuse it": (ALL[:3], [END], [{"type": "finish"}]),
    "an abort with its reason": (("6.0.100", "7"), [Abort("r")], [{"type": "abort", "reason": "r"}]),
    "an abort without": (("auto", "5", "6.0.0"), [Abort("r")], [{"type": "abort"}]),
    "usage in metadata": (
        ("auto", "5"),
        [Start(message_metadata={"usage": Usage(output=1)})],
        [{"type": "start", "messageMetadata": {"usage": {"outputTokens": 1, "totalTokens": 1}}}],
    ),
    "metadata that is nothing": (ALL, [MessageMetadata(None)], []),
    "an error of a tool": (
        ALL,
        [INPUT, ToolOutputError(**CALL, error_text="Error: boom")],
        [INPUT_CHUNK, {"type": "tool-output-error", "toolCallId": "t1", "errorText": MASKED}],
    ),
    "an error of a tool that the application words": (
        ALL,
        [INPUT, ToolOutputError(**CALL, error_text="Error: boom", client_text="Sorry.")],
        [INPUT_CHUNK, {"type": "tool-output-error", "toolCallId": "t1", "errorText": "Sorry."}],
    ),
    "a provider's own error": (
        ("auto", "6", "7"),
        [INPUT, ToolOutputError(**CALL, error_text="{}", provider_executed=True)],
        [INPUT_CHUNK, {"type": "tool-output-error", "toolCallId": "t1", "errorText": "{}", "providerExecuted": True}],
    ),
    "a provider's own error in major 5": (
        ("5",),
        [INPUT, ToolOutputError(**CALL, error_text='{"errorCode":"x"}', provider_executed=True)],
        [INPUT_CHUNK, {"type": "tool-output-error", "toolCallId": "t1", "errorText": MASKED, "providerExecuted": True}],
    ),
    "an unknown tool in major 7": (
        ("7.0.0", "7"),
        [
            ToolInputStart(**CALL, dynamic=False),
            ToolInputError(**CALL, input={}, error_text="no", dynamic=True),
            ToolOutputError(**CALL, error_text="no", dynamic=True, invalid_input=True),
        ],
        [
            {"type": "tool-input-start", **OF_CALL, "dynamic": False},
            {"type": "tool-input-error", **OF_CALL, "input": {}, "dynamic": True, "errorText": MASKED},
        ],
    ),
    "an unknown tool in early major 6": (
        ("6.0.0", "6.0.229"),
        [
            ToolInputStart(**CALL, dynamic=False),
            ToolInputError(**CALL, input={}, error_text="no", dynamic=True),
        ],
        [
            {"type": "tool-input-start", **OF_CALL, "dynamic": False},
            {"type": "tool-input-error", **OF_CALL, "input": {}, "errorText": MASKED},
        ],
    ),
    "an unknown tool in major 6": (
        ("6.0.230", "6"),
        [
            ToolInputStart(**CALL, dynamic=False),
            ToolInputError(**CALL, input={}, error_text="no", dynamic=True),
            ToolOutputError(**CALL, error_text="no", dynamic=True, invalid_input=True),
        ],
        [
            {"type": "tool-input-start", **OF_CALL, "dynamic": False},
            {"type": "tool-input-error", **OF_CALL, "input": {}, "dynamic": True, "errorText": MASKED},
            {"type": "tool-output-error", "toolCallId": "t1", "errorText": MASKED, "dynamic": True},
        ],
    ),
    "an unknown tool in major 5": (
        ("5.0.91", "5"),
        [
            ToolInputStart(**CALL, dynamic=False),
            ToolInputError(**CALL, input={}, error_text="no", dynamic=True),
            ToolOutputError(**CALL, error_text="no", dynamic=True, invalid_input=True),
        ],
        [
            {"type": "tool-input-start", **OF_CALL},
            {"type": "tool-input-error", **OF_CALL, "input": {}, "errorText": MASKED},
            {"type": "tool-output-error", "toolCallId": "t1", "errorText": MASKED},
        ],
    ),
    "an unknown tool for a client that knows no such chunk": (
        ("auto",),
        [
            ToolInputError(**CALL, input={}, error_text="no", dynamic=True, provider_executed=True, title="T"),
            ToolOutputError(**CALL, error_text="no", dynamic=True, invalid_input=True),
        ],
        [
            {**INPUT_CHUNK, "providerExecuted": True},
            {"type": "tool-output-error", "toolCallId": "t1", "errorText": MASKED, "providerExecuted": True},
        ],
    ),
    "an output of a dynamic tool that does not say so": (
        ("auto", "5"),
        [
            ToolInputAvailable(**CALL, input={}, dynamic=True),
            ToolOutputAvailable(**CALL, output=1),
            ToolOutputError(**CALL, error_text="e"),
        ],
        [
            {**INPUT_CHUNK, "dynamic": True},
            {"type": "tool-output-available", "toolCallId": "t1", "output": 1, "dynamic": True},
            {"type": "tool-output-error", "toolCallId": "t1", "errorText": MASKED, "dynamic": True},
        ],
    ),
    "a preliminary output": (
        ("5", "6.0.0", "7"),
        [INPUT, ToolOutputAvailable(**CALL, output=1, preliminary=True)],
        [INPUT_CHUNK, {"type": "tool-output-available", "toolCallId": "t1", "output": 1, "preliminary": True}],
    ),
    "a preliminary output for a client that would take it for the last": (
        ("auto", "5.0.0"),
        [INPUT, ToolOutputAvailable(**CALL, output=1, preliminary=True), ToolOutputAvailable(**CALL, output=2)],
        [INPUT_CHUNK, {"type": "tool-output-available", "toolCallId": "t1", "output": 2}],
    ),
    "a denial": (
        ("6.0.0", "7"),
        [INPUT, ToolOutputDenied(**CALL)],
        [INPUT_CHUNK, {"type": "tool-output-denied", "toolCallId": "t1"}],
    ),
    "a denial for a client that knows none": (
        ("auto", "5"),
        [INPUT, ToolOutputDenied(**CALL)],
        [
            INPUT_CHUNK,
            {"type": "tool-output-error", "toolCallId": "t1", "errorText": "Tool call execution denied."},
        ],
    ),
    "sources of some majors": (
        ("6", "6.0.0"),
        [
            SourceUrl(source_id="s", url="u", since_major=7),
            SourceUrl(source_id="s", url="u", until_major=5),
            SourceDocument(source_id="s", media_type="m", title="t", since_major=6, until_major=6),
        ],
        [{"type": "source-document", "sourceId": "s", "mediaType": "m", "title": "t"}],
    ),
    "citations in major 7": (
        ("7",),
        [TextStart("0"), TextEnd("0", META, ({"source": {}},), {})],
        [
            {"type": "text-start", "id": "0"},
            {"type": "text-end", "id": "0", "citations": [{"source": {}}], "providerMetadata": META},
        ],
    ),
    "citations of which majors 5 and 6 keep none": (
        ("5", "6"),
        [TextStart("0"), TextEnd("0", META, ({"source": {}},))],
        block("text", "0"),
    ),
    "citations of which majors 5 and 6 keep some": (
        ("5", "6"),
        [TextStart("0"), TextEnd("0", None, ({"source": {}},), META)],
        [{"type": "text-start", "id": "0"}, {"type": "text-end", "id": "0", "providerMetadata": META}],
    ),
    "citations of which a guessed client keeps all": (
        ("auto",),
        [TextStart("0"), TextEnd("0", META, ({"source": {}},), {})],
        [{"type": "text-start", "id": "0"}, {"type": "text-end", "id": "0", "providerMetadata": META}],
    ),
    "what only the newest clients know": (
        ("auto", "5", "6"),
        [
            StartStep(),
            Custom("a.b"),
            ReasoningFile(media_type="m", url="u"),
            SteeringMessage(id="s", parts=()),
            ResetStep(),
            STEP_END,
        ],
        [{"type": "start-step"}, {"type": "finish-step"}],
    ),
    "a step tried again": (
        ("7.0.149", "7"),
        [StartStep(), TextStart("0"), ResetStep(), TextStart("0"), TextDelta("0", "a")],
        [
            {"type": "start-step"},
            {"type": "text-start", "id": "0"},
            {"type": "reset-step"},
            {"type": "text-start", "id": "new-1"},
            {"type": "text-delta", "id": "new-1", "delta": "a"},
        ],
    ),
    "an error, the block left open as the SDK does": (
        ("5", "6", "7"),
        [StartStep(), TextStart("0"), Error("e"), STEP_END, TextStart("1")],
        [
            {"type": "start-step"},
            {"type": "text-start", "id": "0"},
            {"type": "error", "errorText": "e"},
            {"type": "finish-step"},
            {"type": "text-start", "id": "1"},
        ],
    ),
    "an error, the block closed": (
        ("auto",),
        [StartStep(), TextStart("0"), Error("e")],
        [
            {"type": "start-step"},
            *block("text", "0"),
            {"type": "error", "errorText": "e"},
        ],
    ),
    "data": (
        ALL,
        [Data(name="x", data=None, id="d"), Data(name="y", data=[1], transient=True)],
        [{"type": "data-x", "id": "d", "data": None}, {"type": "data-y", "data": [1], "transient": True}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "parts", "chunks"),
    [(version, parts, chunks) for versions, parts, chunks in CASES.values() for version in versions],
    ids=[f"{name}-{version}" for name, (versions, _, _) in CASES.items() for version in versions],
)
def test_parts_become_the_chunks_of_the_version(version: str, parts: list[Part], chunks: list[dict[str, Any]]):
    assert encoder_for(version).feed_all(parts) == frames(*chunks)
    one_by_one = encoder_for(version)
    assert b"".join(map(one_by_one.feed, parts)) == frames(*chunks)


HIDDEN: list[tuple[dict[str, Any], list[Part]]] = [
    (
        {"send_reasoning": False},
        [
            ReasoningStart("0"),
            ReasoningDelta("0", "a"),
            ReasoningEnd("0"),
            ReasoningFile(media_type="m", url="u"),
        ],
    ),
    ({"send_sources": False}, [SourceUrl(source_id="s", url="u")]),
    ({"send_start": False}, [Start()]),
    ({"send_finish": False}, [END]),
]


@pytest.mark.parametrize(("options", "parts"), HIDDEN)
def test_what_is_not_to_be_sent_is_not(options: dict[str, Any], parts: list[Part]):
    assert encoder_for("7", **options).feed_all(parts) == b""


@pytest.mark.parametrize("version", ALL)
def test_tool_errors_are_shown_where_the_application_says_so(version: str):
    failed = encoder_for(version, tool_errors="shown").feed_all([INPUT, ToolOutputError(**CALL, error_text="boom")])
    assert failed == frames(INPUT_CHUNK, {"type": "tool-output-error", "toolCallId": "t1", "errorText": "boom"})


@pytest.mark.parametrize(("version", "url"), [("auto", "7"), ("6", "6"), ("7", "7")])
def test_a_guessed_client_gets_the_sources_where_the_newest_has_them(version: str, url: str):
    sources: list[Part] = [
        SourceUrl(source_id="s", url="6", since_major=6, until_major=6),
        SourceUrl(source_id="s", url="7", since_major=7),
    ]
    assert encoder_for(version).feed_all(sources) == frames({"type": "source-url", "sourceId": "s", "url": url})


def test_the_terminator_ends_the_stream():
    encoder = encoder_for("7")
    encoder.feed_all([Start(), StartStep(), STEP_END, END])
    assert encoder.finish() == DONE


def test_a_broken_off_answer_is_ended_in_order():
    encoder = encoder_for("auto")
    encoder.feed_all([Start(), StartStep(), TextStart("0"), TextDelta("0", "a")])
    chunks = [{"type": "text-end", "id": "0"}, {"type": "finish-step"}, {"type": "finish"}]
    assert encoder.finish() == frames(*chunks) + DONE


def test_deltas_after_a_step_end_begin_a_new_block():
    encoder = encoder_for("5", strict=False)
    encoder.feed_all([StartStep(), TextStart("0"), TextDelta("0", "a"), STEP_END])
    shown = [{"type": "text-start", "id": "0"}, {"type": "text-delta", "id": "0", "delta": "b"}]
    assert encoder.feed(TextDelta("0", "b")) == frames(*shown)


def test_strict_raises_for_an_illegal_part():
    with pytest.raises(StreamProtocolError):
        encoder_for("7").feed(TextEnd("0"))


def test_a_new_block_id_looks_like_the_sdks():
    encoder = make_encoder("ui-message-stream", dialect_of("7"))
    encoder.feed_all([TextStart("0"), TextEnd("0")])
    assert re.fullmatch(rb'data: {"type":"text-start","id":"aitxt-[A-Za-z0-9]{24}"}\n\n', encoder.feed(TextStart("0")))


def test_what_json_cannot_hold_is_a_type_error():
    with pytest.raises(TypeError):
        encoder_for("7").feed(Data(name="x", data=object()))


def test_the_headers_keep_proxies_from_holding_the_stream_back():
    encoder = encoder_for("7")
    assert dict(encoder.headers) == {
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "connection": "keep-alive",
        "x-vercel-ai-ui-message-stream": "v1",
        "x-accel-buffering": "no",
    }
    assert encoder.opening == b": stream-open\n\n"
    assert encoder.heartbeat == b": keep-alive\n\n"


def test_the_chat_format_of_a_dialect_is_chosen_by_its_major():
    four = dialect_of("4")
    assert isinstance(make_encoder(None, four), DataStreamEncoder)
    assert isinstance(make_encoder(), UIMessageStreamEncoder)
    assert isinstance(make_encoder("data-stream", AUTO), DataStreamEncoder)
    assert isinstance(make_encoder("text-stream"), TextStreamEncoder)
    assert isinstance(make_encoder("events"), EventsEncoder)
    chosen = make_encoder("ui-message-stream", four)
    assert isinstance(chosen, UIMessageStreamEncoder)
    assert chosen.shaper.dialect == AUTO
