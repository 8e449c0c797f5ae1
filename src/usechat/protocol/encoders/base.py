"""What every encoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from usechat.parts import Part, ProviderMetadata
from usechat.protocol.options import WireFormat
from usechat.protocol.shaping import ChunkShaper, Shaped

__all__ = ["PROXY_HEADERS", "Encoder", "WireFormat", "provider_value"]

PROXY_HEADERS: Mapping[str, str] = {
    # `no-cache` alone does not keep a Next.js rewrite from compressing, and so holding back, the stream.
    "cache-control": "no-cache, no-transform",
    # nginx buffers otherwise.
    "x-accel-buffering": "no",
}


class Encoder(ABC):
    """Turn one answer's parts into the bytes of one wire format.

    Args:
        shaper: What the parts pass first. An answer hands in its own, and then calls `encode` and `terminator` only.
    """

    headers: Mapping[str, str]
    """The response's headers, ``content-type`` included."""
    opening: bytes = b""
    """Bytes to send at once, before the first part; empty where the format has none."""
    heartbeat: bytes | None = None
    """Bytes that every client ignores, to send in a silence; None where the format has none."""

    tells_errors: bool = True
    """Whether the format can say that the answer failed."""

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
            TypeError: It holds something JSON cannot.
        """
        return self.feed_all((part,))

    def feed_all(self, parts: Iterable[Part]) -> bytes:
        """Return the frames for several parts, in one piece; raises as `feed` does."""
        return self.encode(self.shaper.feed_all(parts))

    def finish(self) -> bytes:
        """Return what is due at the end: open blocks closed, the message ended, the terminator."""
        return self.encode(self.shaper.finish()) + self.terminator()

    @abstractmethod
    def encode(self, shaped: Iterable[Shaped]) -> bytes:
        """Return the frames of what the shaper gave.

        Raises:
            TypeError: It holds something JSON cannot.
        """

    @abstractmethod
    def terminator(self) -> bytes:
        """Return what ends the stream after its last part."""


def provider_value(metadata: ProviderMetadata | None, key: str) -> Any:
    """Return what any provider says under ``key``, for formats that know no providers; None when none does."""
    for values in (metadata or {}).values():
        if key in values:
            return values[key]
    return None
