"""The plain events stream, for hand-written ``fetch`` clients.

Each text delta is ``data: {"text": …}``. The last event is ``data: {"done": true, "usage": {…}}``, with the sum of the
provider's usage over all steps, or ``data: {"error": …}``. Nothing else is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from usechat.json import encode_json, encode_texts
from usechat.parts import Abort, Error, Finish, FinishStep, TextDelta
from usechat.protocol.encoders.base import PROXY_HEADERS, Encoder
from usechat.protocol.shaping import ChunkShaper, Deltas, Shaped
from usechat.protocol.sse import KEEP_ALIVE, STREAM_OPEN, encode_event
from usechat.unsafe_keys import encode_safe_json

__all__ = ["EventsEncoder"]

TEXT = b'data: {"text":'
END_OF_FRAME = b"}\n\n"


class EventsEncoder(Encoder):
    """Encode the text and the end of an answer as events."""

    headers: Mapping[str, str] = {"content-type": "text/event-stream", **PROXY_HEADERS, "connection": "keep-alive"}
    opening = STREAM_OPEN
    heartbeat = KEEP_ALIVE

    __slots__ = ("ended", "usage")

    def __init__(self, shaper: ChunkShaper) -> None:
        super().__init__(shaper)
        self.usage: dict[str, Any] = {}
        self.ended = False

    def encode(self, shaped: Iterable[Shaped]) -> bytes:
        """Return the events as one byte string."""
        return b"".join([self.encode_one(each) for each in shaped if not self.ended])

    def encode_one(self, shaped: Shaped) -> bytes:
        """Return the events of a part; empty when it has none."""
        if isinstance(shaped, Deltas):
            return encode_texts(shaped.texts, TEXT, END_OF_FRAME) if shaped.kind is TextDelta else b""
        match shaped.part:
            case TextDelta(delta=text):
                return encode_texts([text], TEXT, END_OF_FRAME) if text else b""
            case FinishStep(usage=usage):
                self.usage = add_usage(self.usage, usage.raw or {})
            case Error(error_text=text):
                self.ended = True
                return encode_event(encode_json({"error": text}))
            case Finish() | Abort():
                return self.terminator()
            case _:
                pass
        return b""

    def terminator(self) -> bytes:
        """Return the last event, unless it was sent."""
        if self.ended:
            return b""
        self.ended = True
        return encode_event(encode_safe_json({"done": True, "usage": self.usage}))


def add_usage(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two usage objects of the provider: add counts, merge objects, keep the later of other values."""
    total = dict(a)
    for key, value in b.items():
        before = total.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            total[key] = add_usage(before, value)  # pyright: ignore[reportUnknownArgumentType]
        elif is_count(before) and is_count(value):
            total[key] = before + value
        else:
            total[key] = value if value is not None else before
    return total


def is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
