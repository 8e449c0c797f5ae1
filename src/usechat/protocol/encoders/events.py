"""The plain events stream: what a hand-written ``fetch`` client reads.

``data: {"text": …}`` for each text delta, then ``data: {"done": true, "usage": {…}}`` with the provider's own usage
added up over the steps, or ``data: {"error": …}``. Nothing else is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from usechat import parts as p
from usechat.protocol.encoders.base import PROXY_HEADERS
from usechat.protocol.json import encode_json, encode_safe_json
from usechat.protocol.sse import KEEP_ALIVE, STREAM_OPEN, encode_event

__all__ = ["EventsEncoder"]

TEXT = b'data: {"text":'
END_OF_FRAME = b"}\n\n"


class EventsEncoder:
    """Text, and how it ended."""

    headers: Mapping[str, str] = {"content-type": "text/event-stream", **PROXY_HEADERS, "connection": "keep-alive"}
    opening = STREAM_OPEN
    heartbeat = KEEP_ALIVE

    def __init__(self) -> None:
        self.usage: dict[str, Any] = {}
        self.ended = False

    def feed(self, part: p.Part) -> bytes:
        """The event for a text delta, an error or the end; nothing for any other part."""
        return self.feed_all((part,))

    def feed_all(self, parts: Iterable[p.Part | p.DeltaRun]) -> bytes:
        """The events for several parts, in one piece."""
        frames: list[bytes] = []
        for part in p.one_by_one(parts):
            if isinstance(part, p.TextDelta):
                if part.delta and not self.ended:
                    frames += (TEXT, encode_json(part.delta), END_OF_FRAME)
            else:
                frames.append(self.encode(part))
        return b"".join(frames)

    def encode(self, part: p.Part) -> bytes:
        """The event for a part that is no text, if it has one."""
        match part:
            case p.FinishStep():
                self.usage = add_usage(self.usage, part.usage.raw or {})
            case p.Error() if not self.ended:
                self.ended = True
                return encode_event(encode_json({"error": part.error_text}))
            case p.Finish() | p.Abort() if not self.ended:
                self.ended = True
                return encode_event(encode_safe_json({"done": True, "usage": self.usage}))
            case _:
                pass
        return b""

    def finish(self) -> bytes:
        """The end, where none was sent."""
        return b"" if self.ended else self.encode(p.Abort())


def add_usage(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Two of the provider's usage objects as one: counts are added up, objects merged, the rest is the later one's."""
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
