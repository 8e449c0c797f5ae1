"""The UI message under construction, with its open blocks and tool inputs.

Keys that are ``undefined`` in JavaScript are absent, as in the messages that ``useChat`` posts. Deltas are kept in
lists and joined when the message is read, so that a delta of a long answer costs no more than one of a short answer.
Partial tool inputs are parsed only then, too. Knows the parts of a message, not the chunks that change them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from msgspec import UNSET

from usechat.protocol.dialects import Dialect
from usechat.protocol.partial_json import parse_partial_json

__all__ = ["MessageState", "UIPart", "merge_metadata", "present"]

UIPart: TypeAlias = dict[str, Any]

SURROGATE = re.compile("[\ud800-\udfff]")
FORBIDDEN_KEYS = frozenset({"__proto__", "constructor", "prototype"})


class MessageState:
    """A UI message under construction.

    Args:
        message: The message to continue. It and its parts are not changed; values within parts are shared.
        dialect: The client whose message it is.
    """

    __slots__ = ("blocks", "dialect", "inputs", "parts", "values")

    def __init__(self, message: Mapping[str, Any], dialect: Dialect) -> None:
        self.dialect = dialect
        self.values = dict(message)
        self.parts: list[UIPart] = [dict(part) for part in message.get("parts") or ()]
        self.blocks: dict[tuple[str, str], tuple[UIPart, list[str]]] = {}
        """Open text and reasoning by kind and id: the part and the text so far."""
        self.inputs: dict[str, tuple[UIPart, list[str]]] = {}
        """Open tool inputs by call: the part and the JSON text so far."""

    def message(self) -> dict[str, Any]:
        """Return a copy of the message, down to its parts. Values within parts are shared: do not change them."""
        for part, texts in self.blocks.values():
            part["text"] = join(texts)
        for call in self.inputs:
            self.show_input(call)
        return {**self.values, "parts": [dict(part) for part in self.parts]}

    def known(self) -> dict[str, Any]:
        """Return the message without the deltas that open blocks got since the last call of `message`."""
        return {**self.values, "parts": [dict(part) for part in self.parts]}

    def open_block(self, kind: str, block_id: str, part: UIPart) -> None:
        """Add a text or reasoning part that will get deltas."""
        self.close_block(kind, block_id)
        self.parts.append(part)
        self.blocks[kind, block_id] = (part, [])

    def close_block(self, kind: str, block_id: str) -> None:
        """Close a block if it is open. Its part keeps the text so far."""
        found = self.blocks.pop((kind, block_id), None)
        if found is not None:
            part, texts = found
            part["text"] = join(texts)

    def open_input(self, tool_call_id: str, part: UIPart) -> None:
        """Open the input of a tool call."""
        self.inputs[tool_call_id] = (part, [])

    def show_input(self, tool_call_id: str) -> None:
        """Update the part of an open tool input: its raw text, and the value of the text so far."""
        part, texts = self.inputs[tool_call_id]
        if not texts:
            return
        raw = join(texts)
        value = raw if part.get("inputEncoding") == "text" else parse_partial_json(raw)
        part["rawInput"] = raw
        part.pop("input", None)
        if value is not UNSET:
            part["input"] = value

    def close_input(self, tool_call_id: str) -> None:
        """Close the input of a tool call if it is open. Its part keeps the input so far."""
        if tool_call_id in self.inputs:
            self.show_input(tool_call_id)
            del self.inputs[tool_call_id]

    def current_step(self) -> list[UIPart]:
        """Return the parts since the last step began."""
        for index in range(len(self.parts) - 1, -1, -1):
            if self.parts[index].get("type") == "step-start":
                return self.parts[index + 1 :]
        return self.parts[:]

    def reset_step(self) -> None:
        """Close all blocks and tool inputs, and remove the parts of the current step."""
        for kind, block in list(self.blocks):
            self.close_block(kind, block)
        for call in list(self.inputs):
            self.close_input(call)
        del self.parts[len(self.parts) - len(self.current_step()) :]

    def add_metadata(self, metadata: Any) -> None:
        """Merge metadata into the message's metadata."""
        if metadata is not None:
            self.values["metadata"] = merge_metadata(self.values.get("metadata"), metadata)


def join(texts: list[str]) -> str:
    """Join the texts, replace them in the list by the joined text, and return it."""
    text = "".join(texts)
    if SURROGATE.search(text) is not None:
        # JavaScript joins two halves of a character from different deltas to one character.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    texts[:] = [text]
    return text


def present(**values: Any) -> dict[str, Any]:
    """Return ``values`` without those that are None."""
    return {key: value for key, value in values.items() if value is not None}


def merge_metadata(old: Any, new: Any) -> Any:
    """Merge metadata: objects are merged deeply, anything else is replaced (``merge-objects.ts``)."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    merged = dict(cast("Mapping[str, Any]", old))
    for key, value in cast("Mapping[str, Any]", new).items():
        if key not in FORBIDDEN_KEYS:
            merged[key] = merge_metadata(merged.get(key), value)
    return merged
