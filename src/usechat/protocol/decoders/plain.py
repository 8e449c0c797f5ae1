"""Decoders of the two formats that have only text."""

from __future__ import annotations

import codecs
from typing import Any

from usechat.errors import DecodeError
from usechat.json import decode_json
from usechat.parts import Error, Finish, FinishReason, Part, TextDelta, TextEnd, TextStart, Usage
from usechat.protocol.sse import SSEDecoder

__all__ = ["EventsDecoder", "TextStreamDecoder"]

BLOCK = "0"


class TextStreamDecoder:
    """Decode UTF-8, which may be cut anywhere, to one text block (``processTextStream`` in ``ai/src/ui``)."""

    def __init__(self) -> None:
        self.characters = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.is_open = False

    def feed(self, data: bytes) -> list[Part]:
        """Return the text that ``data`` completes."""
        return self.read(self.characters.decode(data))

    def finish(self) -> list[Part]:
        """Return the last text and the end of the block; nothing when there was no text."""
        return [*self.read(self.characters.decode(b"", final=True)), *([TextEnd(BLOCK)] if self.is_open else [])]

    def read(self, text: str) -> list[Part]:
        """Return the parts for more text."""
        if not text:
            return []
        start = [] if self.is_open else [TextStart(BLOCK)]
        self.is_open = True
        return [*start, TextDelta(BLOCK, text)]


class EventsDecoder:
    """Decode the plain events stream to one text block and its end."""

    def __init__(self) -> None:
        self.events = SSEDecoder()
        self.is_open = False

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that ``data`` completes.

        Raises:
            DecodeError: An event is not one of the format's three.
        """
        return [part for event in self.events.feed(data) for part in self.read(event)]

    def finish(self) -> list[Part]:
        """Return the part of a last event that lacks its blank line."""
        return [part for event in self.events.finish() for part in self.read(event)]

    def read(self, event: bytes) -> list[Part]:
        """Return the parts of one event."""
        try:
            value: Any = decode_json(event.decode("utf-8", "replace"))
        except ValueError as error:
            raise DecodeError("an event's data is not JSON") from error
        match value:
            case {"text": str(text)}:
                start = [] if self.is_open else [TextStart(BLOCK)]
                self.is_open = True
                return [*start, TextDelta(BLOCK, text)]
            case {"error": str(text)}:
                return [Error(text)]
            case {"done": True}:
                usage = Usage(raw=value.get("usage"))
                end = [TextEnd(BLOCK)] if self.is_open else []
                return [*end, Finish(finish_reason=FinishReason("other"), total_usage=usage)]
            case _:
                raise DecodeError("an event is none of text, done and error")
