"""The UI message that is being built, and what of it is still growing.

Keys whose value JavaScript has as ``undefined`` are absent, as in what ``useChat`` posts. Text is gathered in lists
and joined when it is read, so that a long answer costs no more per delta than a short one; partial tool inputs are
parsed only then, too. Knows the parts of a message, not the chunks that change them.
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
    """One UI message.

    Args:
        message: The message to go on with. Neither it nor its parts are changed; values within parts are shared.
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
        """Return the message as far as it was brought up to date: without what open blocks have got meanwhile."""
        return {**self.values, "parts": [dict(part) for part in self.parts]}

    def open_block(self, kind: str, block_id: str, part: UIPart) -> None:
        """Add a text or reasoning part that is going to grow."""
        self.close_block(kind, block_id)
        self.parts.append(part)
        self.blocks[kind, block_id] = (part, [])

    def close_block(self, kind: str, block_id: str) -> None:
        """Expect no more of a block, if one of that id is open; its part keeps what came."""
        found = self.blocks.pop((kind, block_id), None)
        if found is not None:
            part, texts = found
            part["text"] = join(texts)

    def open_input(self, tool_call_id: str, part: UIPart) -> None:
        """Expect the input of a tool call."""
        self.inputs[tool_call_id] = (part, [])

    def show_input(self, tool_call_id: str) -> None:
        """Bring what is known of a growing input into its part: the raw text, and its value as far as it goes."""
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
        """Expect no more of a tool call's input; its part keeps what came."""
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
        """Forget what the current step has shown."""
        for kind, block in list(self.blocks):
            self.close_block(kind, block)
        for call in list(self.inputs):
            self.close_input(call)
        del self.parts[len(self.parts) - len(self.current_step()) :]

    def add_metadata(self, metadata: Any) -> None:
        """Merge more metadata into the message's own."""
        if metadata is not None:
            self.values["metadata"] = merge_metadata(self.values.get("metadata"), metadata)


def join(texts: list[str]) -> str:
    """Return the texts as one, which takes their place in the list."""
    text = "".join(texts)
    if SURROGATE.search(text) is not None:
        # Two halves of a character that came in different deltas are one character in JavaScript.
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
