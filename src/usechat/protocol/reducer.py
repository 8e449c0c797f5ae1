"""The reducer: parts to the UI message that the real client has at the end.

Upstream: ``ai/src/ui/process-ui-message-stream.ts`` (7.0.173). Keys whose value JavaScript has as ``undefined`` are
absent, as in what ``useChat`` posts. Text is gathered in lists and joined once, so that a long answer costs no more
per delta than a short one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from usechat import parts as p
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.options import EncoderOptions
from usechat.protocol.shaping import ChunkShaper

__all__ = ["Reducer", "merge_metadata"]

UIPart: TypeAlias = dict[str, Any]

NEWEST_CLIENT = Dialect(NEWEST[7], exact=True)
OF_ONE_STATE = ("input", "output", "errorText", "rawInput", "preliminary")


class Reducer:
    """Builds one UI message from an answer's parts.

    Args:
        message_id: The id of the message until a `Start` part names another.
        message: The assistant message that the answer continues, as the client posted it; it is not changed.
        dialect: The client whose message is built; the newest by default.
        options: What the encoder beside it was told, so that both show the same.
    """

    def __init__(
        self,
        message_id: str = "",
        *,
        message: Mapping[str, Any] | None = None,
        dialect: Dialect = NEWEST_CLIENT,
        options: EncoderOptions | None = None,
    ) -> None:
        # AI SDK 4 has no chunks: its messages are kept in the newest form.
        self.shaper = ChunkShaper(dialect if dialect.major >= 5 else NEWEST_CLIENT, options or EncoderOptions())
        self.state: dict[str, Any] = {"id": message_id, "role": "assistant", "parts": []}
        if message is not None:
            self.state = copy.deepcopy(dict(message))
            self.state.setdefault("parts", [])
        self.text: dict[str, list[str]] = {}
        self.blocks: dict[tuple[str, str], tuple[UIPart, list[str]]] = {}
        self.inputs: dict[str, list[str]] = {}

    @property
    def parts(self) -> list[UIPart]:
        """The message's parts so far; text that is still growing is not in them yet."""
        return self.state["parts"]

    def feed(self, part: p.Part) -> None:
        """Take one part."""
        self.feed_all((part,))

    def feed_all(self, parts: Iterable[p.Part]) -> None:
        """Take several parts."""
        for part in parts:
            if isinstance(part, p.TextDelta) and part.provider_metadata is None and part.id in self.text:
                self.text[part.id].append(part.delta)
            else:
                self.take(part)

    def take(self, part: p.Part) -> None:
        for chunk in self.shaper.shape(part):
            type_ = chunk["type"]
            handler = add_data if type_.startswith("data-") else HANDLERS.get(type_)
            if handler is not None:
                handler(self, chunk)
        if isinstance(part, p.TextStart) and (block := self.current_text(part.id)) is not None:
            self.text[part.id] = block
        elif isinstance(part, p.TextEnd):
            self.text.pop(part.id, None)

    def current_text(self, part_id: str) -> list[str] | None:
        shown = self.shaper.shown_ids.get(part_id, part_id)
        block = self.blocks.get(("text", shown))
        return None if block is None else block[1]

    def finish(self) -> None:
        """Take what the lifecycle adds at the end of the stream."""
        for chunk in self.shaper.finish():
            handler = HANDLERS.get(chunk["type"])
            if handler is not None:
                handler(self, chunk)

    def message(self) -> dict[str, Any]:
        """The UI message as of now: ``{id, role, parts, metadata?}``, a copy."""
        for block, texts in self.blocks.values():
            join_text(block, texts)
        for tool_call_id in self.inputs:
            self.show_partial_input(tool_call_id)
        return copy.deepcopy(self.state)

    def show_partial_input(self, tool_call_id: str) -> None:
        part = self.find_call(tool_call_id)
        if part is not None and part.get("state") == "input-streaming" and self.inputs[tool_call_id]:
            self.inputs[tool_call_id] = ["".join(self.inputs[tool_call_id])]
            part["rawInput"] = self.inputs[tool_call_id][0]

    def find_call(self, tool_call_id: str) -> UIPart | None:
        """The newest part of a tool call."""
        return next((part for part in reversed(self.parts) if part.get("toolCallId") == tool_call_id), None)

    def current_step(self) -> list[UIPart]:
        for index in range(len(self.parts) - 1, -1, -1):
            if self.parts[index].get("type") == "step-start":
                return self.parts[index + 1 :]
        return self.parts


def join_text(block: UIPart, texts: list[str]) -> None:
    text = "".join(texts)
    if any("\ud800" <= character <= "\udfff" for character in text):
        # Two halves of a character that came in different deltas are one character in JavaScript.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    texts[:] = [text]
    block["text"] = text


def present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def start_block(self: Reducer, chunk: dict[str, Any]) -> None:
    kind = chunk["type"].removesuffix("-start")
    block: UIPart = {
        "type": kind,
        **({"id": chunk["id"]} if kind == "reasoning" and keeps_reasoning_ids(self.shaper.dialect) else {}),
        "text": "",
        **present(providerMetadata=chunk.get("providerMetadata")),
        "state": "streaming",
    }
    self.parts.append(block)
    self.blocks[kind, chunk["id"]] = (block, [])


def keeps_reasoning_ids(dialect: Dialect) -> bool:
    return dialect.version >= {5: (5, 0, 234), 6: (6, 0, 253), 7: (7, 0, 63)}[dialect.major]


def grow_block(self: Reducer, chunk: dict[str, Any]) -> None:
    found = self.blocks.get((chunk["type"].removesuffix("-delta"), chunk["id"]))
    if found is not None:
        block, texts = found
        texts.append(chunk["delta"])
        block.update(present(providerMetadata=chunk.get("providerMetadata")))


def end_block(self: Reducer, chunk: dict[str, Any]) -> None:
    found = self.blocks.pop((chunk["type"].removesuffix("-end"), chunk["id"]), None)
    if found is not None:
        block, texts = found
        join_text(block, texts)
        block["state"] = "done"
        block.update(present(citations=chunk.get("citations"), providerMetadata=chunk.get("providerMetadata")))


def add_part(self: Reducer, chunk: dict[str, Any]) -> None:
    self.parts.append(dict(chunk))


def add_data(self: Reducer, chunk: dict[str, Any]) -> None:
    if chunk.get("transient"):
        return
    same = (part for part in self.parts if part["type"] == chunk["type"] and part.get("id") == chunk["id"])
    known = next(same, None) if "id" in chunk else None
    if known is None:
        self.parts.append(dict(chunk))
    else:
        known["data"] = chunk["data"]


def start_step(self: Reducer, chunk: dict[str, Any]) -> None:
    self.parts.append({"type": "step-start"})


def reset_step(self: Reducer, chunk: dict[str, Any]) -> None:
    step = self.current_step()
    del self.parts[len(self.parts) - len(step) :]
    self.text.clear()
    self.blocks.clear()
    self.inputs.clear()


def start_message(self: Reducer, chunk: dict[str, Any]) -> None:
    if "messageId" in chunk:
        self.state["id"] = chunk["messageId"]
    add_metadata(self, chunk)


def add_metadata(self: Reducer, chunk: dict[str, Any]) -> None:
    metadata = chunk.get("messageMetadata")
    if metadata is not None:
        self.state["metadata"] = merge_metadata(self.state.get("metadata"), metadata)


def merge_metadata(old: Any, new: Any) -> Any:
    """Two metadata values as one: objects are merged deeply, anything else is replaced (``merge-objects.ts``)."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    merged: dict[str, Any] = dict(old)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for key, value in new.items():  # pyright: ignore[reportUnknownVariableType]
        merged[str(key)] = merge_metadata(merged.get(str(key)), value)  # pyright: ignore[reportUnknownArgumentType]
    return merged


def update_call(self: Reducer, part: UIPart | None, chunk: dict[str, Any], state: str, **values: Any) -> None:
    """Bring a tool part to ``state``: what belongs to another state goes, what was said once stays."""
    if part is None:
        dynamic = bool(chunk.get("dynamic"))
        part = {"type": "dynamic-tool" if dynamic else f"tool-{chunk['toolName']}"}
        part |= {"toolName": chunk["toolName"]} if dynamic else {}
        part |= {"toolCallId": chunk["toolCallId"]}
        self.parts.append(part)
    part["state"] = state
    for key in OF_ONE_STATE:
        part.pop(key, None)
    part |= values
    part |= present(**{key: chunk.get(key) for key in ("title", "toolMetadata", "providerExecuted")})
    metadata = chunk.get("providerMetadata")
    if metadata is not None:
        part["resultProviderMetadata" if state.startswith("output-") else "callProviderMetadata"] = metadata


def find_in_step(self: Reducer, chunk: dict[str, Any]) -> UIPart | None:
    same = (part for part in self.current_step() if part.get("toolCallId") == chunk["toolCallId"])
    return next(same, None)


def start_input(self: Reducer, chunk: dict[str, Any]) -> None:
    self.inputs[chunk["toolCallId"]] = []
    update_call(self, find_in_step(self, chunk), chunk, "input-streaming")


def grow_input(self: Reducer, chunk: dict[str, Any]) -> None:
    texts = self.inputs.get(chunk["toolCallId"])
    if texts is not None:
        texts.append(chunk["inputTextDelta"])


def end_input(self: Reducer, chunk: dict[str, Any]) -> None:
    self.inputs.pop(chunk["toolCallId"], None)
    update_call(self, find_in_step(self, chunk), chunk, "input-available", input=chunk["input"])


def fail_input(self: Reducer, chunk: dict[str, Any]) -> None:
    self.inputs.pop(chunk["toolCallId"], None)
    values = {"input": chunk["input"], "errorText": chunk["errorText"]}
    update_call(self, find_in_step(self, chunk), chunk, "output-error", **values)


def output_available(self: Reducer, chunk: dict[str, Any]) -> None:
    part = self.find_call(chunk["toolCallId"])
    if part is not None:
        values = {**kept(part, "input"), "output": chunk["output"], **present(preliminary=chunk.get("preliminary"))}
        update_call(self, part, chunk, "output-available", **values)


def output_error(self: Reducer, chunk: dict[str, Any]) -> None:
    part = self.find_call(chunk["toolCallId"])
    if part is not None:
        static = part["type"] != "dynamic-tool"
        values = {**kept(part, "input"), **(kept(part, "rawInput") if static else {}), "errorText": chunk["errorText"]}
        update_call(self, part, chunk, "output-error", **values)


def kept(part: UIPart, key: str) -> dict[str, Any]:
    return {key: part[key]} if key in part else {}


def output_denied(self: Reducer, chunk: dict[str, Any]) -> None:
    part = self.find_call(chunk["toolCallId"])
    if part is not None:
        part["state"] = "output-denied"


def request_approval(self: Reducer, chunk: dict[str, Any]) -> None:
    part = self.find_call(chunk["toolCallId"])
    if part is not None:
        part["state"] = "approval-requested"
        part["approval"] = {
            "id": chunk["approvalId"],
            **present(
                descriptor=chunk.get("approvalDescriptor"),
                inputSchemaInput=chunk.get("inputSchemaInput"),
                requestReason=chunk.get("reason"),
                isAutomatic=chunk.get("isAutomatic") or None,
                signature=chunk.get("signature"),
            ),
        }


def answer_approval(self: Reducer, chunk: dict[str, Any]) -> None:
    asked = (part for part in self.parts if part.get("approval", {}).get("id") == chunk["approvalId"])
    part = next(asked, None)
    if part is not None:
        part["state"] = "approval-responded"
        part["approval"] |= {"approved": chunk["approved"], **present(reason=chunk.get("reason"))}
        part |= present(
            providerExecuted=chunk.get("providerExecuted"), callProviderMetadata=chunk.get("providerMetadata")
        )


HANDLERS: dict[str, Any] = {
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
    "file": add_part,
    "reasoning-file": add_part,
    "custom": add_part,
    "steering-message": add_part,
    "message-metadata": add_metadata,
    "tool-input-start": start_input,
    "tool-input-delta": grow_input,
    "tool-input-available": end_input,
    "tool-input-error": fail_input,
    "tool-output-available": output_available,
    "tool-output-error": output_error,
    "tool-output-denied": output_denied,
    "tool-approval-request": request_approval,
    "tool-approval-response": answer_approval,
    "finish": add_metadata,
    "reset-step": reset_step,
}
"""What a chunk does to the message; the others do nothing to it."""
