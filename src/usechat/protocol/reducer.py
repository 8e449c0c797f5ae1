"""The reducer: parts to the UI message that the real client has at the end.

Upstream: ``ai/src/ui/process-ui-message-stream.ts`` (7.0.173). Like ``readUIMessageStream``, and like the AI SDK's
server when it saves a message, it goes on after an error, so that the usage on ``finish`` is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from usechat import parts as p
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.message_state import MessageState, UIPart, merge_metadata, present
from usechat.protocol.options import EncoderOptions
from usechat.protocol.shaping import ChunkShaper
from usechat.protocol.tool_parts import TOOL_HANDLERS

__all__ = ["Reducer", "merge_metadata"]

Chunk: TypeAlias = dict[str, Any]

NEWEST_CLIENT = Dialect(NEWEST[7], exact=True)
KEEPS_REASONING_IDS = {5: (5, 0, 234), 6: (6, 0, 253), 7: (7, 0, 63)}
"""The first client of each major that keeps the id of a reasoning block."""


class Reducer:
    """Builds one UI message from an answer's parts.

    Args:
        message_id: The id of the message until a `Start` part names another.
        message: The assistant message that the answer continues, as the client posted it; it is not changed.
        dialect: The client whose message is built; the newest by default.
        options: What the encoder beside it was told, so that both show the same.
    """

    __slots__ = ("inputs", "reasoning", "shaper", "state", "text")

    def __init__(
        self,
        message_id: str = "",
        *,
        message: Mapping[str, Any] | None = None,
        dialect: Dialect = NEWEST_CLIENT,
        options: EncoderOptions | None = None,
    ) -> None:
        # AI SDK 4 has no chunks: its messages are kept in the newest form.
        dialect = dialect if dialect.major >= 5 else NEWEST_CLIENT
        self.shaper = ChunkShaper(dialect, options or EncoderOptions())
        self.state = MessageState({"id": message_id, "role": "assistant"} if message is None else message, dialect)
        self.text: dict[str, list[str]] = {}
        self.reasoning: dict[str, list[str]] = {}
        self.inputs: dict[str, list[str]] = {}

    @property
    def parts(self) -> list[UIPart]:
        """The message's parts so far; text that is still growing is not in them yet."""
        return self.state.parts

    def feed(self, part: p.Part) -> None:
        """Take one part.

        Raises:
            StreamProtocolError: In strict mode, when ``part`` is illegal here.
        """
        self.feed_all((part,))

    def feed_all(self, parts: Iterable[p.Part | p.DeltaRun]) -> None:
        """Take several parts."""
        for part in parts:
            if type(part) is p.TextDelta:
                texts = self.text.get(part.id) if part.provider_metadata is None else None
            elif type(part) is p.ReasoningDelta:
                texts = self.reasoning.get(part.id) if part.provider_metadata is None else None
            elif type(part) is p.ToolInputDelta:
                texts = self.inputs.get(part.tool_call_id) if part.delta else None
            elif isinstance(part, p.DeltaRun):
                self._take_run(part)
                continue
            else:
                self.take(part)
                continue
            if texts is None:
                self.take(part)
            else:
                texts.append(part.delta)

    def _take_run(self, run: p.DeltaRun) -> None:
        texts = run.of_kind(self.text, self.reasoning, self.inputs).get(run.id)
        if texts is None:
            self.feed_all(run.parts())
        else:
            texts += run.texts

    def take(self, part: p.Part) -> None:
        """Take a part off the hot path, and bring up to date what is open for it."""
        for chunk in self.shaper.shape(part):
            self.apply(chunk)
            match chunk["type"]:
                case "text-start":
                    self.text[part.id] = self.state.blocks["text", chunk["id"]][1]  # type: ignore[union-attr]
                case "reasoning-start":
                    self.reasoning[part.id] = self.state.blocks["reasoning", chunk["id"]][1]  # type: ignore[union-attr]
                case "tool-input-start":
                    self.inputs[chunk["toolCallId"]] = self.state.inputs[chunk["toolCallId"]][1]
                case _:
                    pass
        self.shaper.drop_closed(self.text, self.reasoning, self.inputs)

    def apply(self, chunk: Chunk) -> None:
        """Do to the message what the client does for ``chunk``."""
        handler = add_data if chunk["type"].startswith("data-") else HANDLERS.get(chunk["type"])
        if handler is not None:
            handler(self.state, chunk)

    def finish(self) -> None:
        """Take what the lifecycle adds at the end of the stream."""
        for chunk in self.shaper.finish():
            self.apply(chunk)

    def message(self) -> dict[str, Any]:
        """The UI message as of now: ``{id, role, parts, metadata?}``.

        A copy down to its parts; values within parts are shared and not to be changed.
        """
        return self.state.message()


def start_block(state: MessageState, chunk: Chunk) -> None:
    kind = chunk["type"].removesuffix("-start")
    keeps_id = kind == "reasoning" and state.dialect.version >= KEEPS_REASONING_IDS[state.dialect.major]
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
    # AI SDK 5 takes a file's provider metadata and does not keep it.
    dropped = "providerMetadata" if state.dialect.major < 6 else None
    state.parts.append({key: value for key, value in chunk.items() if key != dropped})


def add_steering(state: MessageState, chunk: Chunk) -> None:
    # A message is plain JSON, and may come back without having been written as such.
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
"""What a chunk does to the message; the others do nothing to it."""
