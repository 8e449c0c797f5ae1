"""The reducer: builds from chunks the UI message that the real client has at the end.

Upstream: ``ai/src/ui/process-ui-message-stream.ts`` (7.0.173). It continues after an error, so that the usage on
``finish`` is kept; so do ``readUIMessageStream`` and the AI SDK's server when it saves a message. Knows no bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from usechat.parts import Part, ReasoningDelta, TextDelta, ToolInputDelta
from usechat.protocol.dialects import Dialect
from usechat.protocol.message_state import MessageState, UIPart, merge_metadata, present
from usechat.protocol.options import EncoderOptions
from usechat.protocol.shaping import NEWEST_CLIENT, Chunk, ChunkShaper, Deltas, Shaped, chunk_dialect
from usechat.protocol.tool_parts import TOOL_HANDLERS

__all__ = ["Reducer", "merge_metadata"]

KEEPS_REASONING_IDS = {5: (5, 0, 234), 6: (6, 0, 253), 7: (7, 0, 63)}
"""The first client of each major that keeps the id of a reasoning block."""


class Reducer:
    """Build one UI message from an answer's chunks.

    Args:
        message_id: The id of the message until a `Start` part names another.
        message: The assistant message that the answer continues, as posted by the client. It is not changed.
        dialect: The client whose message is built; the newest by default.
        options: The application's options for the frames.
        shaper: The answer's shaper, instead of ``dialect`` and ``options``. With it, call only `apply_all` and
            `message`.
    """

    __slots__ = ("shaper", "state", "texts")

    def __init__(
        self,
        message_id: str = "",
        *,
        message: Mapping[str, Any] | None = None,
        dialect: Dialect = NEWEST_CLIENT,
        options: EncoderOptions | None = None,
        shaper: ChunkShaper | None = None,
    ) -> None:
        self.shaper = shaper or ChunkShaper(chunk_dialect(dialect), options or EncoderOptions())
        begun = {"id": message_id, "role": "assistant"} if message is None else message
        self.state = MessageState(begun, self.shaper.dialect)
        self.texts: dict[tuple[type, str], list[str]] = {}
        """The texts of the deltas of each open block and tool input, by the kind of its deltas and its id."""

    @property
    def parts(self) -> list[UIPart]:
        """The message's parts so far, without the text of open blocks."""
        return self.state.parts

    def feed(self, part: Part) -> None:
        """Shape one part and apply it.

        Raises:
            StreamProtocolError: In strict mode, when ``part`` is illegal here.
        """
        self.feed_all((part,))

    def feed_all(self, parts: Iterable[Part]) -> None:
        """Shape several parts and apply them. Raises the errors of `feed`."""
        self.apply_all(self.shaper.feed_all(parts))

    def apply_all(self, shaped: Iterable[Shaped]) -> None:
        """Apply shaped parts to the message as the client does."""
        for each in shaped:
            if isinstance(each, Deltas):
                self.texts[each.kind, each.id].extend(each.texts)
            else:
                for chunk in each.chunks:
                    self.apply(chunk)

    def apply(self, chunk: Chunk) -> None:
        """Apply a chunk to the message as the client does."""
        handler = add_data if chunk["type"].startswith("data-") else HANDLERS.get(chunk["type"])
        if handler is not None:
            handler(self.state, chunk)
        match chunk["type"]:
            case "text-start":
                self.texts[TextDelta, chunk["id"]] = self.state.blocks["text", chunk["id"]][1]
            case "reasoning-start":
                self.texts[ReasoningDelta, chunk["id"]] = self.state.blocks["reasoning", chunk["id"]][1]
            case "tool-input-start":
                self.texts[ToolInputDelta, chunk["toolCallId"]] = self.state.inputs[chunk["toolCallId"]][1]
            case "text-end":
                self.texts.pop((TextDelta, chunk["id"]), None)
            case "reasoning-end":
                self.texts.pop((ReasoningDelta, chunk["id"]), None)
            case "tool-input-available" | "tool-input-error":
                self.texts.pop((ToolInputDelta, chunk["toolCallId"]), None)
            case _:
                pass

    def finish(self) -> None:
        """Apply the last chunks: ends of open blocks, of the step and of the message."""
        self.apply_all(self.shaper.finish())

    def message(self) -> dict[str, Any]:
        """Return the UI message as of now: ``{id, role, parts, metadata?}``.

        It is a copy down to its parts. Values within parts are shared: do not change them.
        """
        return self.state.message()


def keeps_reasoning_ids(dialect: Dialect) -> bool:
    # A client of guessed version may be new enough. An older one ignores the unknown key.
    return not dialect.exact or dialect.version >= KEEPS_REASONING_IDS[dialect.major]


def start_block(state: MessageState, chunk: Chunk) -> None:
    kind = chunk["type"].removesuffix("-start")
    keeps_id = kind == "reasoning" and keeps_reasoning_ids(state.dialect)
    block: UIPart = {
        "type": kind,
        **({"id": chunk["id"]} if keeps_id else {}),
        "text": "",
        **present(providerMetadata=chunk.get("providerMetadata")),
        "state": "streaming",
    }
    state.open_block(kind, chunk["id"], block)


def grow_block(state: MessageState, chunk: Chunk) -> None:
    block, texts = state.blocks[chunk["type"].removesuffix("-delta"), chunk["id"]]
    texts.append(chunk["delta"])
    block |= present(providerMetadata=chunk.get("providerMetadata"))


def end_block(state: MessageState, chunk: Chunk) -> None:
    kind = chunk["type"].removesuffix("-end")
    block, _ = state.blocks[kind, chunk["id"]]
    state.close_block(kind, chunk["id"])
    block["state"] = "done"
    block |= present(citations=chunk.get("citations"), providerMetadata=chunk.get("providerMetadata"))


def add_part(state: MessageState, chunk: Chunk) -> None:
    state.parts.append(dict(chunk))


def add_file(state: MessageState, chunk: Chunk) -> None:
    # AI SDK 5 accepts a file's provider metadata and drops it.
    dropped = "providerMetadata" if state.dialect.major < 6 else None
    state.parts.append({key: value for key, value in chunk.items() if key != dropped})


def add_steering(state: MessageState, chunk: Chunk) -> None:
    # The part's tuple becomes a list: a message is plain JSON, also when it is never encoded.
    state.parts.append({**chunk, "parts": [*chunk["parts"]]})


def add_data(state: MessageState, chunk: Chunk) -> None:
    if chunk.get("transient"):
        return
    same = (part for part in state.parts if part.get("type") == chunk["type"] and part.get("id") == chunk["id"])
    known = next(same, None) if "id" in chunk else None
    if known is None:
        state.parts.append(dict(chunk))
    else:
        known["data"] = chunk["data"]


def start_step(state: MessageState, chunk: Chunk) -> None:
    state.parts.append({"type": "step-start"})


def reset_step(state: MessageState, chunk: Chunk) -> None:
    state.reset_step()


def start_message(state: MessageState, chunk: Chunk) -> None:
    if "messageId" in chunk:
        state.values["id"] = chunk["messageId"]
    add_metadata(state, chunk)


def add_metadata(state: MessageState, chunk: Chunk) -> None:
    state.add_metadata(chunk.get("messageMetadata"))


HANDLERS: dict[str, Callable[[MessageState, Chunk], None]] = {
    "start": start_message,
    "start-step": start_step,
    "text-start": start_block,
    "text-delta": grow_block,
    "text-end": end_block,
    "reasoning-start": start_block,
    "reasoning-delta": grow_block,
    "reasoning-end": end_block,
    "source-url": add_part,
    "source-document": add_part,
    "file": add_file,
    "reasoning-file": add_part,
    "custom": add_part,
    "steering-message": add_steering,
    "message-metadata": add_metadata,
    "finish": add_metadata,
    "reset-step": reset_step,
    **TOOL_HANDLERS,
}
"""Handlers by chunk type. Other chunks do not change the message."""
