"""The UI message stream of AI SDK 5, 6 and 7: one SSE event a chunk (PROTOCOL.md section 2).

The hot path is a delta of an open block: its frame up to the text is made once, and each delta costs a look-up, one
JSON string and an append.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from usechat import parts as p
from usechat.protocol.dialects import Dialect
from usechat.protocol.encoders.base import PROXY_HEADERS
from usechat.protocol.json import encode_frames, encode_json
from usechat.protocol.options import EncoderOptions
from usechat.protocol.shaping import ChunkShaper
from usechat.protocol.sse import DONE, KEEP_ALIVE, STREAM_OPEN, encode_event

__all__ = ["UIMessageStreamEncoder"]

END_OF_FRAME = b"}\n\n"
BLOCK_PREFIX = b'data: {"type":"%s-delta","id":%s,"delta":'
INPUT_PREFIX = b'data: {"type":"tool-input-delta","toolCallId":%s,"inputTextDelta":'


class UIMessageStreamEncoder:
    """Parts to chunks of one dialect, as server-sent events."""

    headers: Mapping[str, str] = {
        "content-type": "text/event-stream",
        **PROXY_HEADERS,
        "connection": "keep-alive",
        "x-vercel-ai-ui-message-stream": "v1",
    }
    opening = STREAM_OPEN
    heartbeat = KEEP_ALIVE

    __slots__ = (
        "inputs",
        "reasoning",
        "shaper",
        "text",
    )

    def __init__(self, dialect: Dialect, options: EncoderOptions | None = None) -> None:
        self.shaper = ChunkShaper(dialect, options or EncoderOptions())
        self.text: dict[str, bytes] = {}
        self.reasoning: dict[str, bytes] = {}
        self.inputs: dict[str, bytes] = {}

    def feed(self, part: p.Part) -> bytes:
        """The frames for one part.

        Raises:
            StreamProtocolError: In strict mode, when ``part`` is illegal here.
            TypeError: It holds something JSON cannot.
        """
        return self.feed_all((part,))

    def feed_all(self, parts: Iterable[p.Part | p.DeltaRun]) -> bytes:
        """The frames for several parts, in one piece."""
        frames: list[bytes] = []
        for part in parts:
            if type(part) is p.TextDelta:
                prefix = self.text.get(part.id) if part.provider_metadata is None else None
            elif type(part) is p.ReasoningDelta:
                prefix = self.reasoning.get(part.id) if part.provider_metadata is None else None
            elif type(part) is p.ToolInputDelta:
                prefix = self.inputs.get(part.tool_call_id)
            elif isinstance(part, p.DeltaRun):
                frames.append(self._encode_run(part))
                continue
            else:
                frames.append(self.encode(part))
                continue
            if prefix is None:
                frames.append(self.encode(part))
            elif part.delta or type(part) is p.ReasoningDelta:  # the SDK drops the other empty ones
                frames += (prefix, encode_json(part.delta), END_OF_FRAME)
        return b"".join(frames)

    def _encode_run(self, run: p.DeltaRun) -> bytes:
        prefix = run.of_kind(self.text, self.reasoning, self.inputs).get(run.id)
        return self.feed_all(run.parts()) if prefix is None else encode_frames(prefix, run.texts, END_OF_FRAME)

    def finish(self) -> bytes:
        """What is still due, and the terminator."""
        return b"".join([*(encode_event(encode_json(chunk)) for chunk in self.shaper.finish()), DONE])

    def encode(self, part: p.Part) -> bytes:
        """The frames of a part off the hot path, whose prefixes are brought up to date."""
        chunks = self.shaper.shape(part)
        for chunk in chunks:
            match chunk["type"]:
                case "text-start":
                    self.text[part.id] = BLOCK_PREFIX % (b"text", encode_json(chunk["id"]))  # type: ignore[union-attr]
                case "reasoning-start":
                    self.reasoning[part.id] = BLOCK_PREFIX % (b"reasoning", encode_json(chunk["id"]))  # type: ignore[union-attr]
                case "tool-input-start":
                    self.inputs[chunk["toolCallId"]] = INPUT_PREFIX % encode_json(chunk["toolCallId"])
                case _:
                    pass
        self.shaper.drop_closed(self.text, self.reasoning, self.inputs)
        return b"".join([encode_event(encode_json(chunk)) for chunk in chunks])
