"""What reads bytes from outside, each as a function that raises where it does not keep its word.

A fuzzer feeds them (`tests.fuzz.__main__`), and a unit test feeds them what fuzzers have found.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from msgspec import UNSET

from usechat.errors import DecodeError, RequestError
from usechat.http.socket_frames import InvalidFrameError, decode_head, read_frame, read_headers, read_request
from usechat.http1.bodies import inflated
from usechat.http1.errors import Http1Error
from usechat.http1.response import ResponseReader
from usechat.json import decode_json, encode_json
from usechat.messages.limits import DEFAULT_LIMITS
from usechat.messages.ui import parse_chat_request, parse_completion_request
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import ModelFinish
from usechat.protocol.decoders import DataStreamDecoder, EventsDecoder, TextStreamDecoder, UIMessageStreamDecoder
from usechat.protocol.partial_json import parse_partial_json
from usechat.protocol.reducer import Reducer
from usechat.protocol.sse import SSEDecoder
from usechat.runs.cursor import Cursor

__all__ = ["TARGETS", "run"]

Target = Callable[[bytes, int], None]
"""Gets bytes, and the size of the pieces that it is to read them in."""


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class Decoder(Protocol):
    """What decodes bytes that may be cut anywhere."""

    def feed(self, data: bytes, /) -> list[Any]: ...

    def finish(self) -> list[Any]: ...


def read_all(decoder: Decoder, data: list[bytes]) -> list[Any] | None:
    """Return what a decoder makes of some pieces; None when it refuses them."""
    try:
        return [*(one for piece in data for one in decoder.feed(piece)), *decoder.finish()]
    except DecodeError:
        return None


def same_however_cut(make: Callable[[], Decoder]) -> Target:
    def check(data: bytes, size: int) -> None:
        whole = read_all(make(), [data])
        assert read_all(make(), pieces(data, size)) == whole

    return check


def reduced(make: Callable[[], Decoder]) -> Target:
    """Whatever parts come, there is a message that can be sent."""

    def check(data: bytes, size: int) -> None:
        parts = read_all(make(), pieces(data, size))
        if parts is not None:
            reducer = Reducer()
            reducer.feed_all(parts)
            reducer.finish()
            encode_json(reducer.message())

    return check


def text_stream(data: bytes, size: int) -> None:
    texts = [
        "".join(getattr(part, "delta", "") for part in read_all(TextStreamDecoder(), some) or ())
        for some in ([data], pieces(data, size))
    ]
    assert texts[0] == texts[1]


def anthropic(data: bytes, size: int) -> None:
    stream = AnthropicStream(generate_id=lambda: "id")
    with suppress(DecodeError):
        for piece in pieces(data, size):
            stream.feed(piece)
    assert isinstance(stream.finish()[-1], ModelFinish)


def http1(data: bytes, size: int) -> None:
    reader = ResponseReader()
    with suppress(Http1Error):
        for piece in pieces(data, size):
            reader.feed(piece)
        reader.feed_end()
        assert reader.is_complete


class Body:
    """A body that has come."""

    def __init__(self, data: list[bytes]) -> None:
        self.data = data

    async def read(self) -> bytes:
        return self.data.pop(0) if self.data else b""

    async def aclose(self) -> None:
        self.data.clear()


def inflating(data: bytes, size: int) -> None:
    async def read(compressed: bytes) -> bytes:
        body = inflated(Body(pieces(compressed, size)), b"gzip")
        found = b""
        while piece := await body.read():
            found += piece
        return found

    with suppress(Http1Error):
        asyncio.run(read(data))
    assert asyncio.run(read(zlib.compress(data))) == data


def json_text(data: bytes, size: int) -> None:
    # What is nested too deep can be read, and is refused where it is written.
    with suppress(ValueError, TypeError):
        decode_json(encode_json(decode_json(data)))
    value = parse_partial_json(data.decode("utf-8", "replace")[:-size])
    if value is not UNSET:
        with suppress(TypeError):
            encode_json(value)


def bodies(data: bytes, _size: int) -> None:
    for parse in (parse_chat_request, parse_completion_request):
        with suppress(RequestError):
            parse(data)


def socket_frames(data: bytes, _size: int) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(ValueError):
        decode_head(text)
    with suppress(InvalidFrameError, RequestError):
        frame = read_frame({"type": "websocket.receive", "text": text}, DEFAULT_LIMITS)
        read_headers(frame)
        read_request(frame, DEFAULT_LIMITS)


def cursors(data: bytes, _size: int) -> None:
    with suppress(ValueError):
        cursor = Cursor.parse(data.decode("utf-8", "replace"))
        assert Cursor.parse(str(cursor)) == cursor


TARGETS: Final[Mapping[str, Target]] = {
    "sse": same_however_cut(SSEDecoder),
    "ui-message-stream": same_however_cut(UIMessageStreamDecoder),
    "ui-message": reduced(UIMessageStreamDecoder),
    "data-stream": same_however_cut(DataStreamDecoder),
    "data-stream-message": reduced(DataStreamDecoder),
    "events": same_however_cut(EventsDecoder),
    "text-stream": text_stream,
    "anthropic": anthropic,
    "http1": http1,
    "inflating": inflating,
    "json": json_text,
    "bodies": bodies,
    "socket-frames": socket_frames,
    "cursors": cursors,
}


def run(data: bytes) -> None:
    """Feed one case: a byte that names the target, one that names the size of pieces, and what is fed."""
    if len(data) > 2:
        names = list(TARGETS)
        TARGETS[names[data[0] % len(names)]](data[2:], data[1] or 1)
