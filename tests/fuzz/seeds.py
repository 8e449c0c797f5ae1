"""What a fuzzer begins with: well-formed bytes for each target."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import ModelFinish, Part, ToolCall
from usechat.protocol.encoders import EncoderOptions, WireFormat, make_encoder
from usechat.protocol.shaping import NEWEST_CLIENT
from usechat.testing.streams import read_stream, stream_names

__all__ = ["seeds", "write"]

PIECE_SIZES: Final = (1, 7, 255)
MESSAGE: Final = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}
BODY: Final = json.dumps({"id": "c", "trigger": "submit-message", "messages": [MESSAGE], "prompt": "Hi"}).encode()
FRAME: Final = {"type": "send", "requestId": "r", "id": "c", "headers": {"authorization": "Bearer k"}, "body": {}}
HTTP1: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.0 200 OK\r\n\r\nto the end",
)
PLAIN: Final[Mapping[str, tuple[bytes, ...]]] = {
    "http1": HTTP1,
    "inflating": (gzip.compress(b"data: {}\n\n" * 20, mtime=0),),
    "json": (b'{"a": [1, -2.5e3, true, null, "\\u00e9\\ud83d\\ude00"]}', b'{"__proto__": 1}', b"[" * 300),
    "bodies": (BODY,),
    "socket-frames": (json.dumps({**FRAME, "messages": [MESSAGE]}).encode(),),
    "cursors": (b"run-abc:12", b"0", b"run-abc:end"),
}
READERS: Final[Mapping[WireFormat, tuple[str, ...]]] = {
    "ui-message-stream": ("ui-message-stream", "ui-message"),
    "data-stream": ("data-stream", "data-stream-message"),
    "text-stream": ("text-stream",),
    "events": ("events",),
}
"""The targets of each wire format."""


def seeds() -> Iterator[tuple[str, bytes]]:
    """Yield the names of targets, and bytes for them."""
    for name, cases in PLAIN.items():
        yield from ((name, case) for case in cases)
    for stream_name in stream_names():
        stream = read_stream(stream_name)
        yield "anthropic", stream
        yield "sse", stream
        parts = [part for part in AnthropicStream().feed(stream) if not isinstance(part, ModelFinish | ToolCall)]
        for wire_format, names in READERS.items():
            frames = encode(parts, wire_format)
            yield from ((name, frames) for name in names)


def encode(parts: Sequence[Part], wire_format: WireFormat) -> bytes:
    encoder = make_encoder(wire_format, NEWEST_CLIENT, EncoderOptions())
    return encoder.feed_all(parts) + encoder.finish()


def write(folder: Path) -> None:
    """Write a file for each, in pieces of several sizes."""
    names = list(TARGETS)
    for name, data in seeds():
        for size in PIECE_SIZES:
            case = bytes([names.index(name), size]) + data
            (folder / hashlib.sha256(case).hexdigest()[:20]).write_bytes(case)
