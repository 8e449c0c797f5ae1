from __future__ import annotations

from typing import Any

import pytest

from usechat.errors import DecodeError
from usechat.parts import (
    Abort,
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
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputAvailable,
    Usage,
)
from usechat.protocol.decoders import DataStreamDecoder, EventsDecoder, TextStreamDecoder, UIMessageStreamDecoder

CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "x"}
SIGNATURE = {"anthropic": {"signature": "s"}}
REDACTED = {"anthropic": {"redactedData": "r"}}
USAGE = Usage(input_no_cache=1, input_first=1, output=2)
COUNTS = b'"usage":{"promptTokens":1,"completionTokens":2}'
OTHER = FinishReason("other")


def decode(decoder: Any, body: bytes, size: int) -> list[Part]:
    parts = [part for at in range(0, len(body), size) for part in decoder.feed(body[at : at + size])]
    return [*parts, *decoder.finish()]


LINES: dict[str, tuple[bytes, list[Part]]] = {
    "text": (
        b'0:"a"\n0:"b"\n',
        [TextStart("1"), TextDelta("1", "a"), TextDelta("1", "b"), TextEnd("1")],
    ),
    "text and reasoning": (
        b'g:"a"\n0:"b"\n',
        [
            *(ReasoningStart("1"), ReasoningDelta("1", "a"), ReasoningEnd("1")),
            *(TextStart("2"), TextDelta("2", "b"), TextEnd("2")),
        ],
    ),
    "signed and redacted reasoning": (
        b'g:"a"\nj:{"signature":"s"}\ni:{"data":"r"}\n',
        [
            *(ReasoningStart("1"), ReasoningDelta("1", "a"), ReasoningDelta("1", "", SIGNATURE)),
            ReasoningEnd("1"),
            *(ReasoningStart("2", REDACTED), ReasoningEnd("2")),
        ],
    ),
    "steps": (
        b'f:{"messageId":"m"}\n0:"a"\ne:{"finishReason":"stop",%s,"isContinued":true}\nf:{"messageId":"m"}\n'
        b'e:{"finishReason":"odd","isContinued":false}\nd:{"finishReason":"stop",%s}\n' % (COUNTS, COUNTS),
        [
            *(Start(message_id="m"), StartStep(message_id="m"), TextStart("1"), TextDelta("1", "a")),
            FinishStep(finish_reason=FinishReason("stop"), usage=USAGE, is_continued=True),
            *(TextEnd("1"), StartStep(message_id="m")),
            FinishStep(finish_reason=FinishReason("other", "odd"), usage=Usage()),
            Finish(finish_reason=FinishReason("stop"), total_usage=USAGE),
        ],
    ),
    "a tool": (
        (
            b'b:{"toolCallId":"t1","toolName":"x"}\nc:{"toolCallId":"t1","argsTextDelta":"{"}\n'
            b'9:{"toolCallId":"t1","toolName":"x","args":null}\na:{"toolCallId":"t1","result":null}\n'
        ),
        [
            ToolInputStart(**CALL),
            ToolInputDelta(tool_call_id="t1", delta="{"),
            ToolInputAvailable(**CALL, input=None),
            ToolOutputAvailable(**CALL, output=None),
        ],
    ),
    "a source and a file": (
        (
            b'h:{"sourceType":"url","id":"s","url":"u","title":"t","providerMetadata":{"a":{}}}\n'
            b'k:{"data":"AA==","mimeType":"m/n"}\n'
        ),
        [
            SourceUrl(source_id="s", url="u", title="t", provider_metadata={"a": {}}),
            File(media_type="m/n", url="data:m/n;base64,AA=="),
        ],
    ),
    "data, annotations and an error": (
        b'2:[{"type":"data-x","id":"d","data":1},{"type":"x"},2]\n8:[{"a":1}]\n3:"e"\n',
        [
            Data(name="x", data=1, id="d"),
            Data(name="data", data={"type": "x"}),
            Data(name="data", data=2),
            MessageMetadata({"a": 1}),
            Error("e"),
        ],
    ),
    "blank lines, carriage returns and a missing last line end": (
        b'\n\r\n 0:"a"\r\n0:"b"'.replace(b" 0", b"0"),
        [TextStart("1"), TextDelta("1", "a"), TextDelta("1", "b"), TextEnd("1")],
    ),
    "U+2028": ('0:"\u2028"\n'.encode(), [TextStart("1"), TextDelta("1", "\u2028"), TextEnd("1")]),
}  # fmt: skip


@pytest.mark.parametrize(("body", "parts"), LINES.values(), ids=LINES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_are_read_however_they_are_cut(body: bytes, parts: list[Part], size: int):
    assert decode(DataStreamDecoder(), body, size) == parts


BAD_LINES = [
    b"z:1",
    b"0",
    b'"0":1',
    b"\xff:1",
    b"0:{",
    b"0:1",
    b"2:{}",
    b"8:1",
    b"3:null",
    b"f:[]",
    b"f:{}",
    b"e:[]",
    b'd:{"finishReason":"stop","usage":1}',
    b'c:{"toolCallId":"t9","argsTextDelta":""}',
    b'9:{"toolCallId":"t","toolName":"x","args":"{}"}',
    b'a:{"toolCallId":"t9","result":1}',
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_line_that_the_client_refuses_is_refused(line: bytes):
    with pytest.raises(DecodeError):
        DataStreamDecoder().feed(line + b"\n")


CHUNKS: list[tuple[bytes, list[Part]]] = [
    (b'data: {"type":"start"}\n\ndata: [DONE]\n\n', [Start()]),
    (b': hi\n\nevent: x\ndata:{"type":\ndata:"start-step"}\r\n\r\n', [StartStep()]),
    (b'data: {"type":"abort","future":1}', [Abort()]),
    (b'data: [DONE]\n\ndata: {"type":"reset-step"}\n\n', [ResetStep()]),
    ('data: {"type":"error","errorText":"\u2028é"}\n\n'.encode(), [Error("\u2028é")]),
]


@pytest.mark.parametrize(("body", "parts"), CHUNKS)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_chunks_are_read_however_they_are_cut(body: bytes, parts: list[Part], size: int):
    decoder = UIMessageStreamDecoder()
    assert decode(decoder, body, size) == parts
    assert decoder.is_done == (b"[DONE]" in body)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"type":"unheard-of"}'])
def test_an_event_that_is_no_chunk_is_refused(data: bytes):
    with pytest.raises(DecodeError):
        UIMessageStreamDecoder().feed(b"data: %s\n\n" % data)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_text_is_read_however_it_is_cut(size: int):
    parts = decode(TextStreamDecoder(), "é😀".encode() + b"\xf0\x9f", size)
    assert parts[0] == TextStart("0")
    assert parts[-1] == TextEnd("0")
    assert "".join(part.delta for part in parts if isinstance(part, TextDelta)) == "é😀\ufffd"


def test_no_text_is_no_block():
    assert decode(TextStreamDecoder(), b"", 1) == []


EVENTS: list[tuple[bytes, list[Part]]] = [
    (
        b'data: {"text":"a"}\n\ndata: {"text":"b"}\n\ndata: {"done":true,"usage":{"input_tokens":1}}\n\n',
        [
            *(TextStart("0"), TextDelta("0", "a"), TextDelta("0", "b"), TextEnd("0")),
            Finish(finish_reason=OTHER, total_usage=Usage(raw={"input_tokens": 1})),
        ],
    ),
    (b': hi\n\ndata: {"error":"e"}', [Error("e")]),
    (b'data: {"done":true}\n\n', [Finish(finish_reason=OTHER, total_usage=Usage())]),
]


@pytest.mark.parametrize(("body", "parts"), EVENTS)
@pytest.mark.parametrize("size", [1, 1000])
def test_events_are_read_however_they_are_cut(body: bytes, parts: list[Part], size: int):
    assert decode(EventsDecoder(), body, size) == parts


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"text":1}', b'{"done":false}'])
def test_an_event_that_is_none_of_the_three_is_refused(data: bytes):
    with pytest.raises(DecodeError):
        EventsDecoder().feed(b"data: %s\n\n" % data)


@pytest.mark.parametrize(
    ("decoder", "body"),
    [
        (UIMessageStreamDecoder(), b'data: {"type":"text-delta","id":"1","delta":"a\xff"}\n\n'),
        (EventsDecoder(), b'data: {"text":"a\xff"}\n\n'),
        (DataStreamDecoder(), b'0:"a\xff"\n'),
    ],
)
def test_bytes_that_are_not_utf_8_are_replacement_characters(decoder: Any, body: bytes):
    deltas = [part.delta for part in decode(decoder, body, len(body)) if isinstance(part, TextDelta)]
    assert deltas == ["a\ufffd"]
