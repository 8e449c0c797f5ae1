"""What holds for every answer: legal ones survive the wire, illegal ones are mended into what clients take."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.errors import StreamProtocolError
from usechat.json import decode_json, encode_json
from usechat.parts import Part, ReasoningDelta, ResetStep, TextDelta
from usechat.protocol.decoders import DataStreamDecoder, EventsDecoder, TextStreamDecoder, UIMessageStreamDecoder
from usechat.protocol.dialects import AUTO, Dialect, parse_dialect
from usechat.protocol.encoders import EncoderOptions, WireFormat, make_encoder
from usechat.protocol.reducer import Reducer
from usechat.protocol.sse import SSEDecoder
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals
from usechat.testing.strategies import any_parts, legal_parts

VERSIONS = (
    *("auto", "5", "5.0.0", "5.0.60", "5.0.91", "5.0.92", "5.0.216"),
    *("6", "6.0.0", "6.0.100", "6.0.230"),
    *("7", "7.0.0", "7.0.31", "7.0.78", "7.0.148", "7.0.149"),
)
GUESSED = (Dialect((6, 0, 0), exact=False), Dialect((7, 0, 0), exact=False))
DIALECTS = (*(parse_dialect(version) or AUTO for version in VERSIONS), *GUESSED)
V4 = Dialect((4, 3, 19), exact=True)
LINE_VERSIONS = (
    *("3", "3.1", "3.1.7", "3.2", "3.2.28", "3.2.38", "3.2.42", "3.3", "3.3.21", "3.3.35", "3.4", "3.4.33"),
    *("4", "4.0.36", "4.0.39", "4.1", "4.1.1", "4.1.20", "4.1.35", "4.1.46", "4.1.63", "4.2", "4.3.19"),
)
LINE_DIALECTS = [dialect for version in LINE_VERSIONS if (dialect := parse_dialect(version))]
LENIENT = EncoderOptions()
STRICT = EncoderOptions(strict=True)

dialects = st.sampled_from(DIALECTS)


@pytest.fixture(autouse=True)
def no_complaints_in_the_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.CRITICAL, logger="usechat.protocol.lifecycle")


def encode(parts: Iterable[Part], dialect: Dialect, options: EncoderOptions = LENIENT) -> bytes:
    encoder = make_encoder(None, dialect, options)
    return encoder.opening + encoder.feed_all(parts) + encoder.finish()


def reduce(parts: Iterable[Part], dialect: Dialect, options: EncoderOptions = LENIENT) -> dict[str, Any]:
    reducer = Reducer("m0", dialect=dialect, options=options)
    reducer.feed_all(parts)
    reducer.finish()
    return normalized(reducer.message())


def normalized(value: Any) -> Any:
    """``value`` as JSON has it: halves of one character joined, numbers as they are read back."""
    return decode_json(encode_json(value))


def without_block_ids(message: dict[str, Any]) -> dict[str, Any]:
    """``message`` without the random ids of blocks whose own id was used before."""
    parts = [
        {**part, "id": "new"} if str(part.get("id", "")).startswith("aitxt-") else part for part in message["parts"]
    ]
    return {**message, "parts": parts}


def decode(decoder: Any, pieces: Iterable[bytes]) -> list[Part]:
    parts = [part for piece in pieces for part in decoder.feed(piece)]
    return [*parts, *decoder.finish()]


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(body) + 1) for place in cuts})
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


@given(parts=legal_parts(), dialect=dialects)
def test_every_client_takes_a_legal_answer(parts: list[Part], dialect: Dialect):
    assert find_refusals(encode(parts, dialect, STRICT), dialect.version) == []


@given(parts=legal_parts(), dialect=st.sampled_from(LINE_DIALECTS))
def test_every_client_that_reads_lines_takes_a_legal_answer(parts: list[Part], dialect: Dialect):
    assert find_data_stream_refusals(encode(parts, dialect, STRICT), dialect.version) == []


@given(parts=legal_parts(), dialect=dialects)
def test_a_decoded_answer_reduces_to_the_same_message(parts: list[Part], dialect: Dialect):
    decoded = decode(UIMessageStreamDecoder(), [encode(parts, dialect)])
    assert without_block_ids(reduce(decoded, dialect)) == without_block_ids(reduce(parts, dialect))


@given(parts=legal_parts(), dialect=dialects)
def test_what_is_sent_and_what_is_saved_agree_in_every_id(parts: list[Part], dialect: Dialect):
    encoder = make_encoder(None, dialect)
    reducer = Reducer("m0", shaper=encoder.shaper)
    body = b""
    for shaped in (*(encoder.shaper.feed_all([part]) for part in parts), encoder.shaper.finish()):
        reducer.apply_all(shaped)
        body += encoder.encode(shaped)
    # A client that knows nothing but the frames, and draws no ids.
    client = Reducer("m0", dialect=dialect)
    for chunk in read_chunks(body):
        client.apply(chunk)
    assert normalized(client.message()) == normalized(reducer.message())


def read_chunks(body: bytes) -> list[Any]:
    return [decode_json(data) for data in SSEDecoder().feed(body) if data != b"[DONE]"]


@given(parts=legal_parts(), dialect=dialects)
def test_parts_fed_one_by_one_give_the_same_message_and_frames(parts: list[Part], dialect: Dialect):
    options = EncoderOptions(new_id=lambda: "aitxt-new")
    encoder = make_encoder(None, dialect, options)
    reducer = Reducer("m0", dialect=dialect)
    for part in parts:
        reducer.feed(part)
        reducer.message()
    reducer.finish()
    one_by_one = b"".join([encoder.opening, *map(encoder.feed, parts), encoder.finish()])
    assert one_by_one == encode(parts, dialect, options)
    assert without_block_ids(normalized(reducer.message())) == without_block_ids(reduce(parts, dialect))


@given(parts=legal_parts(), cuts=st.lists(st.integers(min_value=0), max_size=6))
def test_frames_decode_the_same_however_they_are_cut(parts: list[Part], cuts: list[int]):
    body = encode(parts, AUTO)
    assert decode(UIMessageStreamDecoder(), cut(body, cuts)) == decode(UIMessageStreamDecoder(), [body])


@given(parts=legal_parts(), cuts=st.lists(st.integers(min_value=0), max_size=6))
def test_lines_decode_the_same_however_they_are_cut(parts: list[Part], cuts: list[int]):
    body = encode(parts, V4, EncoderOptions(new_id=lambda: "m"))
    assert decode(DataStreamDecoder(), cut(body, cuts)) == decode(DataStreamDecoder(), [body])


@given(parts=legal_parts(), cuts=st.lists(st.integers(min_value=0), max_size=6))
def test_text_and_events_read_the_same_however_they_are_cut(parts: list[Part], cuts: list[int]):
    text = make_encoder("text-stream")
    events = make_encoder("events")
    for encoder, decoder in ((text, TextStreamDecoder), (events, EventsDecoder)):
        body = encoder.feed_all(parts) + encoder.finish()
        assert spoken(decode(decoder(), cut(body, cuts))) == spoken(decode(decoder(), [body]))


def spoken(parts: Iterable[Part], kind: type = TextDelta) -> str:
    texts = [part.delta for part in parts if isinstance(part, kind)]  # type: ignore[attr-defined]
    return "".join(texts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # type: ignore[arg-type]


@given(parts=legal_parts(), wire_format=st.sampled_from(["text-stream", "events"]))
def test_text_and_events_are_the_same_however_the_parts_come(parts: list[Part], wire_format: WireFormat):
    batch, single = make_encoder(wire_format), make_encoder(wire_format)
    assert batch.feed_all(parts) + batch.finish() == b"".join([*map(single.feed, parts), single.finish()])


@given(parts=legal_parts())
def test_the_text_stream_says_all_text(parts: list[Part]):
    encoder = make_encoder("text-stream")
    body = encoder.feed_all(parts) + encoder.finish()
    assert spoken(decode(TextStreamDecoder(), [body])) == spoken(parts)


@given(parts=legal_parts())
def test_the_data_stream_says_what_it_can(parts: list[Part]):
    # It has no blocks, so text and reasoning are one string each, in the order of their deltas; no documents, custom
    # parts, approvals, denials, failed calls or preliminary outputs, and no files but those that hold their bytes.
    decoded = decode(DataStreamDecoder(), [encode(parts, V4)])
    assert spoken(decoded) == spoken(parts)
    assert spoken(decoded, ReasoningDelta) == spoken(parts, ReasoningDelta)
    said, meant = reduce(decoded, V4)["parts"], reduce(parts, V4)["parts"]
    if not any(isinstance(part, ResetStep) for part in parts):
        # What was said once cannot be taken back either.
        assert results(said) >= results(meant)
        assert inline_files(said) == inline_files(meant)


def results(parts: list[dict[str, Any]]) -> set[bytes]:
    return {
        encode_json([part["toolCallId"], part["output"]])
        for part in parts
        if part.get("state") == "output-available" and "preliminary" not in part
    }


def inline_files(parts: list[dict[str, Any]]) -> list[str]:
    urls = [part["url"] for part in parts if part["type"] == "file"]
    return [url.partition(",")[2] for url in urls if url.startswith("data:")]


@given(parts=any_parts(), dialect=dialects)
def test_every_client_takes_a_mended_answer(parts: list[Part], dialect: Dialect):
    assert find_refusals(encode(parts, dialect), dialect.version) == []


@given(parts=any_parts(), dialect=st.sampled_from(LINE_DIALECTS))
def test_every_client_that_reads_lines_takes_a_mended_answer(parts: list[Part], dialect: Dialect):
    assert find_data_stream_refusals(encode(parts, dialect), dialect.version) == []


@given(parts=any_parts(), dialect=dialects)
def test_a_mended_answer_reduces_to_the_message_that_its_frames_give(parts: list[Part], dialect: Dialect):
    decoded = decode(UIMessageStreamDecoder(), [encode(parts, dialect)])
    assert without_block_ids(reduce(decoded, dialect)) == without_block_ids(reduce(parts, dialect))


@given(parts=any_parts(), dialect=dialects)
def test_strict_raises_for_what_would_be_mended(parts: list[Part], dialect: Dialect):
    options = EncoderOptions(new_id=lambda: "aitxt-new")
    strict = EncoderOptions(strict=True, new_id=lambda: "aitxt-new")
    try:
        frames = encode(parts, dialect, strict)
    except StreamProtocolError:
        return
    assert frames == encode(parts, dialect, options)
