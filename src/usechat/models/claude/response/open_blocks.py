"""Open content blocks of an Anthropic answer: the parts of their deltas and of their end.

`usechat.models.claude.response.openers` opens them. A delta of a kind that a block cannot hold adds nothing. Facts from
``@ai-sdk/anthropic`` 4.0.105 (``doStream``, cases ``content_block_delta`` and ``content_block_stop``).
"""

from __future__ import annotations

import json
from typing import Any, Protocol, TypeAlias

import msgspec

from usechat.json import write_json
from usechat.models.claude.response.citations import Citations, citations_metadata
from usechat.parts import (
    ModelPart,
    ReasoningDelta,
    ReasoningEnd,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
)

__all__ = [
    "PROGRAMMATIC",
    "BlockDelta",
    "CitationsDelta",
    "HeldText",
    "InputJsonDelta",
    "OpenBlock",
    "OpenCodeExecution",
    "OpenMcpInput",
    "OpenReasoning",
    "OpenText",
    "OpenToolInput",
    "OpenToolsetInput",
    "SignatureDelta",
    "TextContentDelta",
    "ThinkingDelta",
]

Json = dict[str, Any]

PROGRAMMATIC = "programmatic-tool-call"
"""The ``type`` in the input of a ``code_execution`` call."""


class TextContentDelta(msgspec.Struct, tag_field="type", tag="text_delta", gc=False):
    """Text."""

    text: str


class InputJsonDelta(msgspec.Struct, tag_field="type", tag="input_json_delta", gc=False):
    """A piece of a tool's input."""

    partial_json: str


class ThinkingDelta(msgspec.Struct, tag_field="type", tag="thinking_delta", gc=False):
    """Reasoning."""

    thinking: str


class SignatureDelta(msgspec.Struct, tag_field="type", tag="signature_delta", gc=False):
    """The signature of a reasoning block."""

    signature: str


class CompactionDelta(msgspec.Struct, tag_field="type", tag="compaction_delta", gc=False):
    """The summary that takes the place of earlier turns."""

    content: str | None = None


class CitationsDelta(msgspec.Struct, tag_field="type", tag="citations_delta"):
    """One citation of the block's text."""

    citation: dict[str, Any]


BlockDelta: TypeAlias = (
    TextContentDelta | InputJsonDelta | ThinkingDelta | SignatureDelta | CompactionDelta | CitationsDelta
)
"""The deltas of a ``content_block_delta``."""


class OpenBlock(Protocol):
    """A block that takes deltas."""

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append the parts of a delta."""
        ...

    def close(self, parts: list[ModelPart]) -> None:
        """Append the parts of the block's end."""
        ...


class OpenText:
    """A text block, or the input of the forced json tool, which is shown as text."""

    __slots__ = ("_citations", "_found", "_is_json", "id")

    def __init__(self, id: str, citations: Citations, *, is_json: bool = False) -> None:
        self.id = id
        self._citations = citations
        self._found: list[Json] = []
        self._is_json = is_json

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append the parts of a delta."""
        if type(delta) is TextContentDelta:
            if delta.text and not self._is_json:
                parts.append(TextDelta(self.id, delta.text))
        elif type(delta) is InputJsonDelta:
            if delta.partial_json and self._is_json:
                parts.append(TextDelta(self.id, delta.partial_json))
        elif type(delta) is CompactionDelta:
            if delta.content:
                parts.append(TextDelta(self.id, delta.content))
        elif type(delta) is CitationsDelta:
            self._citations.add(delta.citation, self._found, parts)

    def close(self, parts: list[ModelPart]) -> None:
        """Append the end, with the text's citations."""
        parts.append(_text_end(self.id, self._found, self._citations))


class HeldText:
    """A text block that is held until the message's end."""

    __slots__ = ("_citations", "_found", "_pieces", "id")

    def __init__(self, id: str, citations: Citations) -> None:
        self.id = id
        self._citations = citations
        self._found: list[Json] = []
        self._pieces: list[str] = []

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append the parts of a delta."""
        if type(delta) is TextContentDelta:
            self._pieces.append(delta.text)
        elif type(delta) is CitationsDelta:
            self._citations.add(delta.citation, self._found, parts)

    def close(self, parts: list[ModelPart]) -> None:
        """Append nothing: the end is shown with the text, by `release`."""

    def release(self) -> list[ModelPart]:
        """Return the whole block, which is the answer."""
        text = "".join(self._pieces)
        if not text:
            return []
        return [TextStart(self.id), TextDelta(self.id, text), _text_end(self.id, self._found, self._citations)]


class OpenReasoning:
    """A thinking block. A redacted one takes no deltas."""

    __slots__ = ("_is_redacted", "id")

    def __init__(self, id: str, *, is_redacted: bool = False) -> None:
        self.id = id
        self._is_redacted = is_redacted

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append the parts of a delta."""
        if self._is_redacted:
            return
        if type(delta) is ThinkingDelta:
            parts.append(ReasoningDelta(self.id, delta.thinking))
        elif type(delta) is SignatureDelta:
            parts.append(ReasoningDelta(self.id, "", {"anthropic": {"signature": delta.signature}}))

    def close(self, parts: list[ModelPart]) -> None:
        """Append the end."""
        parts.append(ReasoningEnd(self.id))


class OpenToolInput:
    """A tool call whose input is arriving.

    Args:
        start: The start of the call. The call repeats its fields.
        start_text: Input that came whole with the block's start.
        metadata: The caller, and the toolset of the tool.
    """

    __slots__ = ("_metadata", "_pieces", "_start", "_start_text", "is_cut")

    def __init__(self, start: ToolInputStart, *, start_text: str = "", metadata: Json | None = None) -> None:
        self._start = start
        self._start_text = start_text
        self._metadata = metadata
        self._pieces: list[str] = []
        self.is_cut = False
        """Whether the message ended at a limit within the input. Set it before `close`."""

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append the parts of a delta."""
        if type(delta) is InputJsonDelta:
            self._pieces.append(delta.partial_json)
            # Also empty ones: AI SDK 4 sends them. The encoders of other majors leave them out.
            parts.append(ToolInputDelta(self._start.tool_call_id, delta.partial_json))

    def may_be_cut(self) -> bool:
        """Return whether the input may have been cut: it is not a complete JSON object."""
        return not self._start.provider_executed and _maybe_object("".join(self._pieces) or self._start_text) is None

    def close(self, parts: list[ModelPart]) -> None:
        """Append the whole call."""
        streamed = "".join(self._pieces)
        parts.append(self._call(streamed or self._start_text or ("" if self.is_cut else "{}")))

    def _call(self, input_text: str) -> ToolCall:
        start = self._start
        return ToolCall(
            tool_call_id=start.tool_call_id,
            tool_name=start.tool_name,
            input_text=input_text,
            provider_executed=start.provider_executed,
            dynamic=start.dynamic,
            provider_metadata={"anthropic": self._metadata} if self._metadata else None,
            is_cut=self.is_cut,
        )


class OpenCodeExecution(OpenToolInput):
    """A call of code that Anthropic runs. The AI SDK adds the kind of tool to its input.

    Args:
        kind: The ``type`` that goes first into the input.
    """

    __slots__ = ("_begun", "_kind")

    def __init__(self, start: ToolInputStart, kind: str, *, start_text: str = "", metadata: Json | None = None) -> None:
        super().__init__(start, start_text=start_text, metadata=metadata)
        self._kind = kind
        self._begun: str | None = ""
        """The input up to its first key. None once it is known how the input begins."""

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append the parts of a delta."""
        if type(delta) is not InputJsonDelta or not delta.partial_json:
            return
        text = delta.partial_json
        if self._begun is not None:
            text = self._with_kind_first(self._begun + text)
        if text:
            self._pieces.append(text)
            parts.append(ToolInputDelta(self._start.tool_call_id, text))

    def _with_kind_first(self, text: str) -> str:
        """Return the begin of the input with the kind as its first key, or nothing while that is not possible yet."""
        begin = text.lstrip()
        inside = begin[1:].lstrip()
        if not begin or (begin[0] == "{" and not inside):
            # Without white space, which says nothing here: kept, it would be joined again with each piece.
            self._begun = begin.rstrip()
            return ""
        self._begun = None
        if begin[0] != "{":
            return text
        comma = "" if inside[0] == "}" else ","
        return f'{{"type": "{self._kind}"{comma}{begin[1:]}'

    def close(self, parts: list[ModelPart]) -> None:
        """Append the whole call."""
        streamed = "".join(self._pieces) + (self._begun or "")
        parts.append(self._call(self._with_kind(streamed if streamed.strip() else self._start_text or "{}")))

    def _with_kind(self, text: str) -> str:
        value = _maybe_object(text)
        # A plain `code_execution` is a programmatic call only if it has code.
        has_kind = self._kind != PROGRAMMATIC or (value is not None and "code" in value)
        if value is None or "type" in value or not has_kind:
            return text
        return write_json({"type": self._kind, **value})


class OpenMcpInput(OpenToolInput):
    """A call to an MCP server. It is shown when it is whole, without its start."""

    __slots__ = ()

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append nothing: the input is shown with the call."""
        if type(delta) is InputJsonDelta:
            self._pieces.append(delta.partial_json)

    def close(self, parts: list[ModelPart]) -> None:
        """Append the whole call."""
        parts.append(self._call("".join(self._pieces) or self._start_text))


class OpenToolsetInput(OpenToolInput):
    """A call of one member of a toolset. Its input is shown whole, with the member as ``action``.

    Args:
        member: The member's name.
    """

    __slots__ = ("_member",)

    def __init__(self, start: ToolInputStart, member: str, *, start_text: str, metadata: Json) -> None:
        super().__init__(start, start_text=start_text, metadata=metadata)
        self._member = member

    def feed(self, delta: BlockDelta, parts: list[ModelPart]) -> None:
        """Append the parts of a delta."""
        if type(delta) is InputJsonDelta:
            self._pieces.append(delta.partial_json)

    def close(self, parts: list[ModelPart]) -> None:
        """Append the whole call."""
        text = "".join(self._pieces) or self._start_text or "{}"
        value = _maybe_object(text)
        if value is not None:
            text = write_json({**value, "action": self._member})
        parts.append(ToolInputDelta(self._start.tool_call_id, text))
        parts.append(self._call(text))


def _text_end(id: str, found: list[Json], citations: Citations) -> TextEnd:
    return TextEnd(
        id,
        citations_metadata(found),
        citations=tuple(citations.shown(citation) for citation in found) or None,
        provider_metadata_before_7=citations_metadata(found, web_only=True),
    )


def _maybe_object(text: str) -> Json | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]
