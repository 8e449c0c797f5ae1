"""The base class of encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from usechat.parts import Part, ProviderMetadata
from usechat.protocol.options import WireFormat
from usechat.protocol.shaping import ChunkShaper, Shaped

__all__ = ["PROXY_HEADERS", "Encoder", "WireFormat", "provider_value"]

PROXY_HEADERS: Mapping[str, str] = {
    # With `no-cache` alone a Next.js rewrite compresses the stream, and so holds it back.
    "cache-control": "no-cache, no-transform",
    # Without it nginx buffers the stream.
    "x-accel-buffering": "no",
}


class Encoder(ABC):
    """Encode one answer's parts as the bytes of one wire format.

    Args:
        shaper: Shapes the parts first. An answer that passes its own shaper calls only `encode` and `terminator`.
    """

    headers: Mapping[str, str]
    """The response's headers, ``content-type`` included."""
    opening: bytes = b""
    """Bytes to send at once, before the first part; empty when the format has none."""
    heartbeat: bytes | None = None
    """Bytes to send while the answer is silent; every client ignores them. None when the format has none."""

    tells_errors: bool = True
    """Whether the format has a frame for errors."""

    __slots__ = ("shaper",)

    def __init__(self, shaper: ChunkShaper) -> None:
        self.shaper = shaper

    def again(self, shaper: ChunkShaper) -> Encoder:
        """Return an encoder of this kind for another shaper."""
        return type(self)(shaper)

    def feed(self, part: Part) -> bytes:
        """Return the frames for one part; empty when the format does not show it.

        Raises:
            StreamProtocolError: In strict mode, when ``part`` is illegal here.
            TypeError: The part has a value that JSON cannot hold.
        """
        return self.feed_all((part,))

    def feed_all(self, parts: Iterable[Part]) -> bytes:
        """Return the frames for several parts as one byte string. Raises the errors of `feed`."""
        return self.encode(self.shaper.feed_all(parts))

    def finish(self) -> bytes:
        """Return the last frames: ends of open blocks, the end of the message, the terminator."""
        return self.encode(self.shaper.finish()) + self.terminator()

    @abstractmethod
    def encode(self, shaped: Iterable[Shaped]) -> bytes:
        """Return the frames of shaped parts.

        Raises:
            TypeError: The part has a value that JSON cannot hold.
        """

    @abstractmethod
    def terminator(self) -> bytes:
        """Return the bytes that end the stream after the last part."""


def provider_value(metadata: ProviderMetadata | None, key: str) -> Any:
    """Return the value under ``key`` of the first provider that has it, or None. For formats without providers."""
    for values in (metadata or {}).values():
        if key in values:
            return values[key]
    return None
