"""Parts: the neutral units of an answer in flight, and what they carry.

A model yields parts, the loop adds its own, encoders turn them into frames. A part knows no wire format; it carries
what every one of them needs. Optional fields are ``None`` when absent and are then left out of frames; required
fields (``input``, ``output``, ``data``) may themselves be ``None`` and are then sent as ``null``.

The names follow the chunks of the AI SDK's UI message stream (``ai/src/ui-message-stream/ui-message-chunks.ts``,
7.0.173), where a part has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

__all__ = [
    "Abort",
    "Citation",
    "Custom",
    "Data",
    "Error",
    "File",
    "Finish",
    "FinishReason",
    "FinishStep",
    "MessageMetadata",
    "ModelFinish",
    "ModelPart",
    "Part",
    "ProviderMetadata",
    "ReasoningDelta",
    "ReasoningEnd",
    "ReasoningFile",
    "ReasoningStart",
    "ResetStep",
    "SourceDocument",
    "SourceUrl",
    "Start",
    "StartStep",
    "SteeringMessage",
    "TextDelta",
    "TextEnd",
    "TextStart",
    "ToolApprovalRequest",
    "ToolApprovalResponse",
    "ToolCall",
    "ToolInputAvailable",
    "ToolInputDelta",
    "ToolInputError",
    "ToolInputStart",
    "ToolOutputAvailable",
    "ToolOutputDenied",
    "ToolOutputError",
    "UnifiedFinishReason",
    "Usage",
]

T = TypeVar("T")

ProviderMetadata: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What only one provider understands, two levels deep: ``{"anthropic": {"signature": "…"}}``."""

UnifiedFinishReason: TypeAlias = Literal[
    "stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted"
]


class FinishReason(msgspec.Struct, frozen=True, gc=False):
    """Why a model call ended: AI SDK 7's word for it, and the provider's own (``None`` when it gave none)."""

    unified: UnifiedFinishReason
    raw: str | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one model call, or of several added up. ``None`` means the provider did not say.

    Each AI SDK major shows usage in a shape of its own; encoders make it (PROTOCOL.md section 2, Usage).
    """

    input_no_cache: int | None = None
    """Input tokens that were neither read from nor written to a cache."""
    input_cache_read: int | None = None
    input_cache_write: int | None = None
    output: int | None = None
    output_text: int | None = None
    output_reasoning: int | None = None
    input_first: int | None = None
    """The input tokens announced when the answer began; AI SDK 4 counts only these as prompt tokens."""
    raw: Mapping[str, Any] | None = None
    """The provider's own numbers, for one call only."""

    @property
    def input(self) -> int | None:
        """All input tokens, cached ones included."""
        return add_counts(add_counts(self.input_no_cache, self.input_cache_read), self.input_cache_write)

    @property
    def total(self) -> int | None:
        """Input and output tokens together."""
        return add_counts(self.input, self.output)

    def __add__(self, other: Usage) -> Usage:
        """Return the usage of two calls together; raw numbers are kept where only one of them has any counts."""
        counts = {
            name: add_counts(getattr(self, name), getattr(other, name))
            for name in Usage.__struct_fields__
            if name != "raw"
        }
        raw = other.raw if self == Usage() else self.raw if other == Usage() else None
        return Usage(raw=raw, **counts)


def add_counts(a: int | None, b: int | None) -> int | None:
    """Return the sum of two counts, either of which may be unknown; unknown only when both are."""
    if a is None:
        return b
    return a if b is None else a + b


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The answer begins."""

    message_id: str | None = None
    """The UI message's id. On a continuation it is left out or repeats the assistant message's (PROTOCOL.md 0.5)."""
    message_metadata: Any = None


class StartStep(msgspec.Struct, frozen=True, kw_only=True):
    """A model call begins."""

    message_id: str | None = None
    """The id AI SDK 4 gives the message (its ``f:`` frame)."""


class TextStart(msgspec.Struct, frozen=True):
    """A text block opens."""

    id: str
    provider_metadata: ProviderMetadata | None = None


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """More text for an open block."""

    id: str
    delta: str
    provider_metadata: ProviderMetadata | None = None


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """What a text block quotes: the source as the AI SDK writes it, and the words quoted."""

    source: Mapping[str, Any]
    cited_text: str | None = None


class TextEnd(msgspec.Struct, frozen=True):
    """A text block is complete."""

    id: str
    provider_metadata: ProviderMetadata | None = None
    citations: tuple[Mapping[str, Any], ...] | None = None
    """AI SDK 7's citations of the block, in its own shape (camelCase)."""
    provider_metadata_before_7: ProviderMetadata | None = None
    """What AI SDK 5 and 6 show in place of ``provider_metadata`` when the block has citations: they keep some only."""


class ReasoningStart(msgspec.Struct, frozen=True):
    """A reasoning block opens; redacted reasoning carries its data in ``provider_metadata`` here."""

    id: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """More reasoning for an open block; a signature is an empty delta with ``provider_metadata``."""

    id: str
    delta: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningEnd(msgspec.Struct, frozen=True):
    """A reasoning block is complete."""

    id: str
    provider_metadata: ProviderMetadata | None = None


class SourceUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A web page the answer rests on."""

    source_id: str
    url: str
    title: str | None = None
    provider_metadata: ProviderMetadata | None = None
    since_major: int = 0
    """The oldest AI SDK major that shows this source: a citation's own source is not one in every major."""
    until_major: int = 99
    """The newest AI SDK major that shows this source."""


class SourceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document the answer rests on."""

    source_id: str
    media_type: str
    title: str
    filename: str | None = None
    provider_metadata: ProviderMetadata | None = None
    since_major: int = 0
    until_major: int = 99


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file the model made; ``url`` is a data: or https: URL."""

    media_type: str
    url: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file within the reasoning (AI SDK 7)."""

    media_type: str
    url: str
    provider_metadata: ProviderMetadata | None = None


class Custom(msgspec.Struct, frozen=True):
    """Something only one provider has, named ``provider.thing`` (AI SDK 7)."""

    kind: str
    provider_metadata: ProviderMetadata | None = None


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The application's own data: a ``data-NAME`` part of the message.

    A later part with the same name and id replaces the earlier one. A transient one reaches ``onData`` only.
    """

    name: str
    data: Any
    id: str | None = None
    transient: bool | None = None


class MessageMetadata(msgspec.Struct, frozen=True):
    """More metadata for the message; the client merges it deeply."""

    message_metadata: Any


class ToolInputStart(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call's input begins to arrive."""

    tool_call_id: str
    tool_name: str
    provider_executed: bool | None = None
    dynamic: bool | None = None
    title: str | None = None
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None
    input_encoding: str | None = None


class ToolInputDelta(msgspec.Struct, frozen=True, gc=False):
    """More of a tool call's input, as JSON text."""

    tool_call_id: str
    delta: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A whole tool call as the model made it: what the loop parses, checks and carries out.

    Only models yield it; the loop answers with `ToolInputAvailable` or `ToolInputError`.
    """

    tool_call_id: str
    tool_name: str
    input_text: str
    """The input as JSON text, not yet parsed."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    provider_metadata: ProviderMetadata | None = None
    start_input_text: str = ""
    """Input that came whole with the block's start, which AI SDK 4 and 5 do not see."""
    is_cut: bool = False
    """Whether the message ended at a limit in the middle of the call, so that it must not run."""


class ToolInputAvailable(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call with its checked input."""

    tool_call_id: str
    tool_name: str
    input: Any
    provider_executed: bool | None = None
    dynamic: bool | None = None
    title: str | None = None
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None


class ToolInputError(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that cannot be carried out: no such tool, or an input that does not fit."""

    tool_call_id: str
    tool_name: str
    input: Any
    """The parsed value, or the raw text when it is not JSON."""
    error_text: str
    """What the model is told."""
    client_text: str | None = None
    """What the browser is told whatever the dialect, when the application chose it."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    title: str | None = None
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None


class ToolOutputAvailable(msgspec.Struct, frozen=True, kw_only=True):
    """A tool's result; a preliminary one is replaced by the next."""

    tool_call_id: str
    tool_name: str
    output: Any
    """Anything JSON can hold, None included."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    preliminary: bool | None = None
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None


class ToolOutputError(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that failed."""

    tool_call_id: str
    tool_name: str
    error_text: str
    """What the model is told."""
    client_text: str | None = None
    """What the browser is told whatever the dialect, when the application chose it."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    invalid_input: bool = False
    """Whether it repeats a `ToolInputError`, which AI SDK 7 does not send."""
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None


class ToolOutputDenied(msgspec.Struct, frozen=True, kw_only=True):
    """The user refused to let the tool run."""

    tool_call_id: str
    tool_name: str = ""


class ToolApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The tool waits for the user's decision."""

    approval_id: str
    tool_call_id: str
    signature: str | None = None
    is_automatic: bool | None = None
    reason: str | None = None
    input_schema_input: Any = None
    approval_descriptor: Any = None


class ToolApprovalResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that the server took by itself (AI SDK 7)."""

    approval_id: str
    approved: bool
    reason: str | None = None
    provider_executed: bool | None = None
    provider_metadata: ProviderMetadata | None = None


class ModelFinish(msgspec.Struct, frozen=True, kw_only=True):
    """A model call ended. Only models yield it; the loop answers with `FinishStep`."""

    finish_reason: FinishReason
    usage: Usage
    provider_metadata: ProviderMetadata | None = None
    response_id: str | None = None
    model_id: str | None = None
    is_complete: bool = True
    """Whether the message came to its end. Without a reason of the provider, an incomplete one was cut."""


class FinishStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step, that is a model call and its tools, is complete."""

    finish_reason: FinishReason
    usage: Usage
    provider_metadata: ProviderMetadata | None = None
    is_continued: bool = False
    response_id: str | None = None
    """The provider's id of the model's answer."""
    model_id: str | None = None
    """The model that answered, as the provider names it."""


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is complete: the last step's finish reason, the usage of all steps."""

    finish_reason: FinishReason
    total_usage: Usage
    message_metadata: Any = None


class Abort(msgspec.Struct, frozen=True):
    """The answer was stopped."""

    reason: str | None = None


class Error(msgspec.Struct, frozen=True):
    """The answer failed; what follows it the client ignores."""

    error_text: str
    """What the browser is told."""
    error: BaseException | None = None
    """What happened; never sent."""


class ResetStep(msgspec.Struct, frozen=True):
    """Forget what this step has shown so far: it is tried again (late AI SDK 7)."""


class SteeringMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A user message that was taken up in the middle of the answer (late AI SDK 7)."""

    id: str
    parts: tuple[Mapping[str, Any], ...]


ModelPart: TypeAlias = (
    TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | SourceUrl
    | SourceDocument
    | File
    | ReasoningFile
    | Custom
    | ToolInputStart
    | ToolInputDelta
    | ToolCall
    | ToolOutputAvailable
    | ToolOutputError
    | ModelFinish
    | Error
)
"""What a model may yield."""

Part: TypeAlias = (
    Start
    | StartStep
    | TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | SourceUrl
    | SourceDocument
    | File
    | ReasoningFile
    | Custom
    | Data
    | MessageMetadata
    | ToolInputStart
    | ToolInputDelta
    | ToolInputAvailable
    | ToolInputError
    | ToolOutputAvailable
    | ToolOutputError
    | ToolOutputDenied
    | ToolApprovalRequest
    | ToolApprovalResponse
    | FinishStep
    | Finish
    | Abort
    | Error
    | ResetStep
    | SteeringMessage
)
"""What an answer is made of, as encoders take it."""
