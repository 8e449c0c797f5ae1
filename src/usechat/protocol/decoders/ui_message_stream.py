"""Decodes the UI message stream of AI SDK 5, 6 and 7 as leniently as its clients."""

from __future__ import annotations

from usechat.errors import DecodeError
from usechat.json import decode_json
from usechat.parts import Part
from usechat.protocol.chunks import decode_chunk
from usechat.protocol.sse import SSEDecoder

__all__ = ["UIMessageStreamDecoder"]


class UIMessageStreamDecoder:
    """Decode bytes to parts. The bytes may be cut anywhere."""

    def __init__(self) -> None:
        self.events = SSEDecoder()
        self.is_done = False
        """Whether ``[DONE]`` was read. Clients do not need it and do not stop at it."""

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that ``data`` completes.

        Raises:
            DecodeError: An event is no chunk.
        """
        return self.read(self.events.feed(data))

    def finish(self) -> list[Part]:
        """Return what is left at the end: the part of an event without its closing blank line, if any.

        Raises:
            DecodeError: The event is no chunk.
        """
        return self.read(self.events.finish())

    def read(self, events: list[bytes]) -> list[Part]:
        """Return the parts of whole events."""
        parts: list[Part] = []
        for data in events:
            if data == b"[DONE]":
                self.is_done = True
                continue
            try:
                chunk = decode_json(data.decode("utf-8", "replace"))
            except ValueError as error:
                raise DecodeError("an event's data is not JSON") from error
            parts.append(decode_chunk(chunk))
        return parts
