from __future__ import annotations

from typing import Any

import pytest

from usechat.errors import StreamProtocolError
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
from usechat.protocol.dialects import parse_dialect
from usechat.protocol.encoders import Encoder, EncoderOptions, make_encoder

STOP = FinishReason("stop", "end_turn")
USAGE = Usage(input_no_cache=3, input_first=2, output=5)
STEP_END = FinishStep(finish_reason=STOP, usage=USAGE)
END = Finish(finish_reason=STOP, total_usage=USAGE)
CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "x"}
INPUT = ToolInputAvailable(**CALL, input={"a": 1})
INPUT_LINE = b'9:{"toolCallId":"t1","toolName":"x","args":{"a":1}}\n'
COUNTS = b'"usage":{"promptTokens":2,"completionTokens":5}'


def encoder_with(**options: Any) -> Encoder:
    settings: dict[str, Any] = {"new_id": lambda: "new", "strict": True, **options}
    return make_encoder("data-stream", options=EncoderOptions(**settings))


def delta(text: str) -> ToolInputDelta:
    return ToolInputDelta(tool_call_id="t1", delta=text)


LINES: dict[str, tuple[list[Part], bytes]] = {
    "start": ([Start(message_id="m")], b""),
    "start with metadata": ([Start(message_metadata={"u": USAGE})], b'8:[{"u":{%s}}]\n' % COUNTS[9:-1]),
    "step": ([StartStep(message_id="m1")], b'f:{"messageId":"m1"}\n'),
    "step without an id": ([StartStep()], b'f:{"messageId":"new"}\n'),
    "text": (
        [TextStart("0"), *(TextDelta("0", text) for text in ('a\n"\u2028', "", "\ud83d")), TextEnd("0")],
        '0:"a\\n\\"\u2028"\n0:"\\ud83d"\n'.encode(),
    ),
    "a summary for the model, and text": (
        [
            TextStart("0", {"anthropic": {"type": "compaction"}}),
            TextDelta("0", "They spoke of tides."),
            TextEnd("0"),
            TextStart("0"),
            TextDelta("0", "High at six."),
            TextEnd("0"),
        ],
        b'0:"High at six."\n',
    ),
    "reasoning": (
        [
            ReasoningStart("0"),
            ReasoningDelta("0", "hm"),
            ReasoningDelta("0", ""),
            ReasoningDelta("0", "", {"anthropic": {"signature": "s"}}),
            ReasoningDelta("0", "so", {"anthropic": {"signature": "t"}}),
            ReasoningEnd("0"),
        ],
        b'g:"hm"\ng:""\nj:{"signature":"s"}\ng:"so"\nj:{"signature":"t"}\n',
    ),
    "redacted reasoning": (
        [ReasoningStart("0", {"other": {}, "anthropic": {"redactedData": "r"}}), ReasoningEnd("0")],
        b'i:{"data":"r"}\n',
    ),
    "source": ([SourceUrl(source_id="s", url="u")], b'h:{"sourceType":"url","id":"s","url":"u"}\n'),
    "source with all": (
        [SourceUrl(source_id="s", url="u", title="t", provider_metadata={"a": {}})],
        b'h:{"sourceType":"url","id":"s","url":"u","title":"t","providerMetadata":{"a":{}}}\n',
    ),
    "source of later majors": ([SourceUrl(source_id="s", url="u", since_major=5)], b""),
    "source of earlier majors": ([SourceUrl(source_id="s", url="u", until_major=3)], b""),
    "file": ([File(media_type="m/n", url="data:m/n;base64,AA==")], b'k:{"data":"AA==","mimeType":"m/n"}\n'),
    "file elsewhere": ([File(media_type="m/n", url="https://example.org/")], b""),
    "file as text": ([File(media_type="m/n", url="data:text/plain,a")], b""),
    "data": ([Data(name="x", data=None)], b'2:[{"type":"data-x","data":null}]\n'),
    "data with an id": ([Data(name="x", data=1, id="d")], b'2:[{"type":"data-x","id":"d","data":1}]\n'),
    "metadata": ([MessageMetadata({"a": 1})], b'8:[{"a":1}]\n'),
    "tool": (
        [INPUT, ToolOutputAvailable(**CALL, output=None)],
        INPUT_LINE + b'a:{"toolCallId":"t1","result":null}\n',
    ),
    "tool with streamed input": (
        [ToolInputStart(**CALL), delta('{"a"'), delta(""), delta(":1}"), INPUT],
        b'b:{"toolCallId":"t1","toolName":"x"}\n'
        b'c:{"toolCallId":"t1","argsTextDelta":"{\\"a\\""}\n'
        b'c:{"toolCallId":"t1","argsTextDelta":""}\n'
        b'c:{"toolCallId":"t1","argsTextDelta":":1}"}\n' + INPUT_LINE,
    ),
    "tool without any input": ([ToolInputStart(**CALL), INPUT], INPUT_LINE),
    "tool with a list": (
        [ToolInputAvailable(**CALL, input=[1])],
        b'9:{"toolCallId":"t1","toolName":"x","args":[1]}\n',
    ),
    "tool with null": (
        [ToolInputAvailable(**CALL, input=None)],
        b'9:{"toolCallId":"t1","toolName":"x","args":null}\n',
    ),
    "tool with a string": (
        [ToolInputAvailable(**CALL, input="a")],
        b'9:{"toolCallId":"t1","toolName":"x","args":{"value":"a"}}\n',
    ),
    "preliminary output": ([INPUT, ToolOutputAvailable(**CALL, output=1, preliminary=True)], INPUT_LINE),
    "output of a call that was not shown": (
        [ToolInputStart(**CALL), ToolOutputAvailable(**CALL, output=1), ToolOutputDenied(**CALL)],
        b"",
    ),
    "invalid input": (
        [
            ToolInputError(**CALL, input="{", error_text="no"),
            ToolOutputError(**CALL, error_text="no", invalid_input=True),
        ],
        b'3:"An error occurred."\n',
    ),
    "invalid input in the application's words": (
        [ToolInputError(**CALL, input="{", error_text="no", client_text="Sorry.")],
        b'3:"Sorry."\n',
    ),
    "failed tool": ([INPUT, ToolOutputError(**CALL, error_text="no")], INPUT_LINE + b'3:"An error occurred."\n'),
    "failed tool in the application's words": (
        [INPUT, ToolOutputError(**CALL, error_text="no", client_text="Sorry.")],
        INPUT_LINE + b'3:"Sorry."\n',
    ),
    "failed tool of the provider": (
        [INPUT, ToolOutputError(**CALL, error_text="no", provider_executed=True)],
        INPUT_LINE + b'a:{"toolCallId":"t1","result":{"error":"An error occurred."}}\n',
    ),
    "denial": (
        [INPUT, ToolOutputDenied(**CALL)],
        INPUT_LINE + b'a:{"toolCallId":"t1","result":"Tool call execution denied."}\n',
    ),
    "end of a step": ([Start(), STEP_END], b'e:{"finishReason":"stop",%s,"isContinued":false}\n' % COUNTS),
    "continued step": (
        [Start(), FinishStep(finish_reason=STOP, usage=USAGE, is_continued=True)],
        b'e:{"finishReason":"stop",%s,"isContinued":true}\n' % COUNTS,
    ),
    "end": ([END], b'd:{"finishReason":"stop",%s}\n' % COUNTS),
    "end with metadata": (
        [Finish(finish_reason=FinishReason("interrupted"), total_usage=USAGE, message_metadata={"a": 1})],
        b'8:[{"a":1}]\nd:{"finishReason":"unknown",%s}\n' % COUNTS,
    ),
    "error": ([Error("e")], b'3:"e"\n'),
    "abort": ([Abort("r")], b""),
    "what the format cannot say": (
        [
            StartStep(message_id="m"),
            INPUT,
            SourceDocument(source_id="s", media_type="m", title="t"),
            ReasoningFile(media_type="m", url="u"),
            Custom("a.b"),
            ToolApprovalRequest(approval_id="a", tool_call_id="t1"),
            ToolApprovalResponse(approval_id="a", approved=True),
            SteeringMessage(id="s", parts=()),
            ResetStep(),
        ],
        b'f:{"messageId":"m"}\n' + INPUT_LINE,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "lines"), LINES.values(), ids=LINES)
def test_parts_become_lines(parts: list[Part], lines: bytes):
    assert encoder_with().feed_all(parts) == lines
    one_by_one = encoder_with()
    assert b"".join(map(one_by_one.feed, parts)) == lines


OPTIONS: list[tuple[dict[str, Any], list[Part], bytes]] = [
    ({"send_usage": False}, [Start(), STEP_END], b'e:{"finishReason":"stop","isContinued":false}\n'),
    ({"tool_errors": "shown"}, [INPUT, ToolOutputError(**CALL, error_text="no")], INPUT_LINE + b'3:"no"\n'),
    ({"tool_errors": "shown"}, [ToolInputError(**CALL, input="{", error_text="no")], b'3:"no"\n'),
    ({"send_usage": False}, [END], b'd:{"finishReason":"stop"}\n'),
    ({"send_finish": False}, [END], b""),
    ({"send_sources": False}, [SourceUrl(source_id="s", url="u")], b""),
    ({"tool_call_streaming": False}, [ToolInputStart(**CALL), delta("{"), INPUT], INPUT_LINE),
    (
        {"send_reasoning": False},
        [ReasoningStart("0", {"anthropic": {"redactedData": "r"}}), ReasoningDelta("0", "a"), ReasoningEnd("0")],
        b"",
    ),
    (
        {"known_tool_calls": frozenset({"t1"})},
        [ToolOutputAvailable(**CALL, output=1)],
        b'a:{"toolCallId":"t1","result":1}\n',
    ),
]


@pytest.mark.parametrize(("options", "parts", "lines"), OPTIONS)
def test_what_is_not_to_be_sent_is_not(options: dict[str, Any], parts: list[Part], lines: bytes):
    assert encoder_with(**options).feed_all(parts) == lines


def test_a_broken_off_answer_is_ended_in_order():
    encoder = encoder_with()
    encoder.feed_all([StartStep(), TextStart("0"), TextDelta("0", "a")])
    zeros = b'"usage":{"promptTokens":0,"completionTokens":0}'
    step = b'e:{"finishReason":"unknown",%s,"isContinued":false}\n' % zeros
    assert encoder.finish() == step + b'd:{"finishReason":"unknown",%s}\n' % zeros


def test_a_delta_after_its_step_is_dropped():
    encoder = encoder_with(strict=False)
    encoder.feed_all([StartStep(), ToolInputStart(**CALL), delta("{"), STEP_END])
    assert encoder.feed(delta("}")) == b""


def test_a_delta_without_its_block_is_text_all_the_same():
    encoder = encoder_with(strict=False)
    assert encoder.feed_all([TextDelta("0", "a"), TextDelta("1", "")]) == b'0:"a"\n'


def test_strict_raises_for_an_illegal_part():
    with pytest.raises(StreamProtocolError):
        encoder_with().feed(delta("{"))


def test_the_headers_name_the_format():
    encoder = make_encoder("data-stream")
    assert dict(encoder.headers) == {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "x-vercel-ai-data-stream": "v1",
    }
    assert encoder.opening == b""
    assert encoder.heartbeat == b"\n"


CALLED = ToolInputAvailable(**CALL, input={"a": 1})
SHOWN = b'9:{"toolCallId":"t1","toolName":"x","args":{"a":1}}\n'
BY_RELEASE: list[tuple[str, list[Part], bytes]] = [
    ("3.1.6", [CALLED, ToolOutputAvailable(**CALL, output=2)], b""),
    ("3.1.6", [CALLED, ToolOutputError(**CALL, error_text="no", provider_executed=True)], b""),
    ("3.1.6", [CALLED, ToolOutputDenied(**CALL)], b""),
    ("3.1.6", [CALLED, ToolOutputError(**CALL, error_text="no")], b""),
    ("3.1.6", [ToolInputError(**CALL, input="{", error_text="no")], b""),
    ("3.1.7", [CALLED, ToolOutputError(**CALL, error_text="no")], SHOWN + b'3:"An error occurred."\n'),
    (
        "3.2.41",
        [CALLED, ToolOutputAvailable(**CALL, output=2)],
        SHOWN + b'a:{"toolCallId":"t1","toolName":"x","args":{"a":1},"result":2}\n',
    ),
    ("3.2.42", [CALLED, ToolOutputAvailable(**CALL, output=2)], SHOWN + b'a:{"toolCallId":"t1","result":2}\n'),
    ("3.2.27", [ToolInputStart(**CALL), delta("{"), CALLED], SHOWN),
    ("4.0.38", [StartStep(message_id="m")], b""),
    ("4.1.0", [ReasoningStart("0"), ReasoningDelta("0", "So")], b""),
    ("4.1.1", [ReasoningStart("0"), ReasoningDelta("0", "So")], b'g:"So"\n'),
    (
        "4.1.1",
        [ReasoningStart("0"), ReasoningDelta("0", "So", {"anthropic": {"signature": "s"}})],
        b'g:"So"\n',
    ),
    ("4.1.1", [ReasoningStart("0", {"anthropic": {"redactedData": "s"}})], b""),
    ("4.1.34", [SourceUrl(source_id="s", url="https://a.example")], b""),
    ("4.1.62", [File(media_type="image/png", url="data:image/png;base64,AAAA")], b""),
]


@pytest.mark.parametrize(("name", "parts", "lines"), BY_RELEASE)
def test_a_release_gets_the_lines_that_it_reads(name: str, parts: list[Part], lines: bytes):
    dialect = parse_dialect(name)
    assert dialect is not None
    assert make_encoder("data-stream", dialect).feed_all(parts) == lines


@pytest.mark.parametrize(("name", "lines"), [("4.1.11", b""), ("4.1.12", b'a:{"toolCallId":"t1","result":2}\n')])
def test_an_output_of_an_earlier_answers_call_goes_to_who_looks_for_it_there(name: str, lines: bytes):
    dialect = parse_dialect(name)
    assert dialect is not None
    encoder = make_encoder("data-stream", dialect, EncoderOptions(known_tool_calls=frozenset({"t1"})))
    assert encoder.feed(ToolOutputAvailable(**CALL, output=2)) == lines
