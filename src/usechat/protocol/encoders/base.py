"""What every encoder is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias

from usechat import parts as p

__all__ = ["PROXY_HEADERS", "Encoder", "WireFormat", "provider_value"]

WireFormat: TypeAlias = Literal["data-stream", "ui-message-stream", "text-stream", "events"]

PROXY_HEADERS: Mapping[str, str] = {
    # `no-cache` alone does not keep a Next.js rewrite from compressing, and so holding back, the stream.
    "cache-control": "no-cache, no-transform",
    # nginx buffers otherwise.
    "x-accel-buffering": "no",
}


class Encoder(Protocol):
    """Turns one answer's parts into the bytes of one wire format."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers, ``content-type`` included."""
        ...

    @property
    def opening(self) -> bytes:
        """Bytes to send at once, before the first part; empty where the format has none."""
        ...

    @property
    def heartbeat(self) -> bytes | None:
        """Bytes that every client ignores, to send in a silence; None where the format has none."""
        ...

    def feed(self, part: p.Part) -> bytes:
        """The frames for one part; empty when the format does not show it."""
        ...

    def feed_all(self, parts: Iterable[p.Part | p.DeltaRun]) -> bytes:
        """The frames for several parts, in one piece."""
        ...

    def finish(self) -> bytes:
        """What is due at the end: open blocks closed, the message ended, the terminator."""
        ...


def provider_value(metadata: p.ProviderMetadata | None, key: str) -> Any:
    """What any provider says under ``key``, for formats that know no providers; None when none does."""
    for values in (metadata or {}).values():
        if key in values:
            return values[key]
    return None
