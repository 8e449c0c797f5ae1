"""What a client shows in the end, said once for all versions of it.

AI SDK 4 keeps a tool call, a thought and a source in other shapes than its successors. Only the fields named here are
looked at: newer versions of a client keep more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

__all__ = ["DataPart", "Expected", "Source", "Step", "Text", "Thought", "ToolUse", "is_covered", "shown_by"]

JsonObject = Mapping[str, Any]
_LEGACY = 4


class Expected(Protocol):
    """A part of the final message."""

    def shape(self, major: int) -> JsonObject:
        """The fields that it has in this major's client."""
        ...


@dataclass(frozen=True)
class Step:
    """The begin of a step."""

    def shape(self, major: int) -> JsonObject:
        return {"type": "step-start"}


@dataclass(frozen=True)
class Text:
    """A text."""

    text: str
    metadata: JsonObject | None = None

    def shape(self, major: int) -> JsonObject:
        kept = {"providerMetadata": {"anthropic": self.metadata}} if self.metadata and major > _LEGACY else {}
        return {"type": "text", "text": self.text, **kept}


@dataclass(frozen=True)
class Thought:
    """What the model thought, with what proves it."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None

    def shape(self, major: int) -> JsonObject:
        if major == _LEGACY:
            hidden = {"type": "redacted", "data": self.redacted}
            seen = {"type": "text", "text": self.text, **({"signature": self.signature} if self.signature else {})}
            return {"type": "reasoning", "reasoning": self.text, "details": [hidden if self.redacted else seen]}
        proof = {"redactedData": self.redacted} if self.redacted else {"signature": self.signature}
        return {"type": "reasoning", "text": self.text, "state": "done", "providerMetadata": {"anthropic": proof}}


@dataclass(frozen=True, kw_only=True)
class ToolUse:
    """A tool call and what became of it. In AI SDK 4 a call that failed stays without a result."""

    id: str
    name: str
    input: Any
    output: Any = None
    error: str | None = None
    state: str | None = None
    legacy_state: str = "result"
    dynamic: bool = False

    def shape(self, major: int) -> JsonObject:
        if major == _LEGACY:
            call = {"toolCallId": self.id, "toolName": self.name, "args": self.input, "state": self.legacy_state}
            result = {"result": self.output} if self.legacy_state == "result" else {}
            return {"type": "tool-invocation", "toolInvocation": {**call, **result}}
        kind = {"type": "dynamic-tool", "toolName": self.name} if self.dynamic else {"type": f"tool-{self.name}"}
        if self.error:
            # Where the input of a call that failed stands (`input`, `rawInput`) is each version's own affair.
            return {**kind, "toolCallId": self.id, "state": "output-error", "errorText": self.error}
        result = {"output": self.output} if self.state is None else {}
        return {**kind, "toolCallId": self.id, "input": self.input, "state": self.state or "output-available", **result}


@dataclass(frozen=True)
class Source:
    """A page that the answer rests on."""

    url: str
    title: str

    def shape(self, major: int) -> JsonObject:
        if major == _LEGACY:
            source = {"sourceType": "url", "url": self.url, "title": self.title}
            return {"type": "source", "source": source}
        return {"type": "source-url", "url": self.url, "title": self.title}


@dataclass(frozen=True)
class DataPart:
    """A part that has the same shape wherever it is known."""

    fields: JsonObject

    def shape(self, major: int) -> JsonObject:
        return self.fields


def shown_by(major: int, parts: Sequence[Expected]) -> list[JsonObject]:
    """The parts as the client of a major keeps them."""
    return [part.shape(major) for part in parts]


def is_covered(wanted: Any, got: Any) -> bool:
    """Whether ``got`` has all that is wanted; its objects may have more fields."""
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        fields, found = cast("JsonObject", wanted), cast("JsonObject", got)
        return all(key in found and is_covered(value, found[key]) for key, value in fields.items())
    if isinstance(wanted, list) and isinstance(got, list):
        items, others = cast("list[Any]", wanted), cast("list[Any]", got)
        return len(items) == len(others) and all(map(is_covered, items, others))
    return wanted == got
