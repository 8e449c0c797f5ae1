"""The UI message stream of AI SDK 5, 6 and 7: one SSE event a chunk (docs/protocol.md, UI message stream).

The hot path are the deltas of an open block. The beginning of their frames is made once for the block, so each delta
costs little more than one JSON string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from usechat.json import encode_json, encode_texts
from usechat.parts import ReasoningDelta, TextDelta, ToolInputDelta
from usechat.protocol.encoders.base import PROXY_HEADERS, Encoder
from usechat.protocol.shaping import Chunk, ChunkShaper, Deltas, Shaped
from usechat.protocol.sse import DONE, KEEP_ALIVE, STREAM_OPEN, encode_event

__all__ = ["UIMessageStreamEncoder"]

END_OF_FRAME = b"}\n\n"
BLOCK_PREFIX = b'data: {"type":"%s-delta","id":%s,"delta":'
INPUT_PREFIX = b'data: {"type":"tool-input-delta","toolCallId":%s,"inputTextDelta":'


class UIMessageStreamEncoder(Encoder):
    """Encode chunks as server-sent events."""

    headers: Mapping[str, str] = {
        "content-type": "text/event-stream",
        **PROXY_HEADERS,
        "connection": "keep-alive",
        "x-vercel-ai-ui-message-stream": "v1",
    }
    opening = STREAM_OPEN
    heartbeat = KEEP_ALIVE

    __slots__ = ("prefixes",)

    def __init__(self, shaper: ChunkShaper) -> None:
        super().__init__(shaper)
        self.prefixes: dict[tuple[type, str], bytes] = {}
        """The beginning of the deltas' frames, by the kind of the deltas and the block's id or the call's."""

    def encode(self, shaped: Iterable[Shaped]) -> bytes:
        """Return the events as one byte string."""
        frames: list[bytes] = []
        for each in shaped:
            if isinstance(each, Deltas):
                frames.append(encode_texts(each.texts, self.prefixes[each.kind, each.id], END_OF_FRAME))
            else:
                frames += [self.encode_chunk(chunk) for chunk in each.chunks]
        return b"".join(frames)

    def terminator(self) -> bytes:
        """Return ``[DONE]``."""
        return DONE

    def encode_chunk(self, chunk: Chunk) -> bytes:
        """Return a chunk's event. For a block's start, prepare the beginning of its deltas; for its end, drop it."""
        match chunk["type"]:
            case "text-start":
                self.prefixes[TextDelta, chunk["id"]] = BLOCK_PREFIX % (b"text", encode_json(chunk["id"]))
            case "text-end":
                self.prefixes.pop((TextDelta, chunk["id"]), None)
            case "reasoning-start":
                self.prefixes[ReasoningDelta, chunk["id"]] = BLOCK_PREFIX % (b"reasoning", encode_json(chunk["id"]))
            case "reasoning-end":
                self.prefixes.pop((ReasoningDelta, chunk["id"]), None)
            case "tool-input-start":
                self.prefixes[ToolInputDelta, chunk["toolCallId"]] = INPUT_PREFIX % encode_json(chunk["toolCallId"])
            case "tool-input-available" | "tool-input-error":
                self.prefixes.pop((ToolInputDelta, chunk["toolCallId"]), None)
            case _:
                pass
        return encode_event(encode_json(chunk))
