"""Model messages: the input of a model, independent of wire formats and providers.

Pure values in the shape of the AI SDK's ``ModelMessage`` (``@ai-sdk/provider-utils/src/types``), in snake case.
`usechat.messages.convert` makes them from UI messages; a model converts them to its provider's request. They are frozen
and refer to nothing that refers back, so ``gc=False`` is safe: the garbage collector would scan the many messages of a
long chat again and again while its answer is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "AssistantContent",
    "AssistantMessage",
    "CustomContent",
    "FileContent",
    "ModelMessage",
    "ReasoningContent",
    "SystemMessage",
    "TextContent",
    "ToolApprovalRequestContent",
    "ToolApprovalResponseContent",
    "ToolCallContent",
    "ToolContent",
    "ToolMessage",
    "ToolResultContent",
    "ToolResultOutput",
    "UserContent",
    "UserMessage",
]

ProviderOptions: TypeAlias = Mapping[str, Mapping[str, Any]]


class TextContent(msgspec.Struct, frozen=True, gc=False):
    """Text of the user or the model."""

    text: str
    provider_options: ProviderOptions | None = None


class FileContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file: exactly one of ``url`` (https:), ``data`` (base64) and ``provider_reference`` is set."""

    media_type: str
    url: str | None = None
    data: str | None = None
    provider_reference: Mapping[str, str] | None = None
    filename: str | None = None
    provider_options: ProviderOptions | None = None


class ReasoningContent(msgspec.Struct, frozen=True, gc=False):
    """The model's own reasoning; the signature or the redacted data is in ``provider_options``."""

    text: str
    provider_options: ProviderOptions | None = None


class CustomContent(msgspec.Struct, frozen=True, gc=False):
    """Content that only one provider understands."""

    kind: str
    provider_options: ProviderOptions | None = None


class ToolCallContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool call of the model."""

    tool_call_id: str
    tool_name: str
    input: Any
    provider_executed: bool | None = None
    provider_options: ProviderOptions | None = None


class ToolResultOutput(msgspec.Struct, frozen=True, gc=False):
    """A tool's result for the model.

    ``value`` is a string for ``text`` and ``error-text``, any JSON for ``json`` and ``error-json``, a sequence of
    `TextContent`, `FileContent` and `CustomContent` for ``content``, and the reason (or None) for
    ``execution-denied``.
    """

    type: Literal["text", "json", "error-text", "error-json", "content", "execution-denied"]
    value: Any = None


class ToolResultContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of a tool call. It is in an assistant message when the provider ran the tool."""

    tool_call_id: str
    tool_name: str
    output: ToolResultOutput
    provider_options: ProviderOptions | None = None


class ToolApprovalRequestContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to the user to approve a tool call."""

    approval_id: str
    tool_call_id: str
    signature: str | None = None
    is_automatic: bool | None = None
    reason: str | None = None
    """The server's reason for the request."""
    input_schema_input: Any = msgspec.UNSET
    """The input before the tool's schema changed it; ``UNSET`` when the server sent none. ``None`` is a value."""


class ToolApprovalResponseContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The decision on an approval request."""

    approval_id: str
    approved: bool
    reason: str | None = None
    provider_executed: bool | None = None


UserContent: TypeAlias = TextContent | FileContent
AssistantContent: TypeAlias = (
    TextContent
    | FileContent
    | ReasoningContent
    | CustomContent
    | ToolCallContent
    | ToolResultContent
    | ToolApprovalRequestContent
)
ToolContent: TypeAlias = ToolResultContent | ToolApprovalResponseContent


class SystemMessage(msgspec.Struct, frozen=True, gc=False):
    """Instructions."""

    text: str
    provider_options: ProviderOptions | None = None


class UserMessage(msgspec.Struct, frozen=True, gc=False):
    """A user message."""

    content: tuple[UserContent, ...]
    provider_options: ProviderOptions | None = None


class AssistantMessage(msgspec.Struct, frozen=True, gc=False):
    """The content of one step of the model."""

    content: tuple[AssistantContent, ...]
    provider_options: ProviderOptions | None = None


class ToolMessage(msgspec.Struct, frozen=True, gc=False):
    """The tool results of one step, and the decisions on its calls."""

    content: tuple[ToolContent, ...]
    provider_options: ProviderOptions | None = None


ModelMessage: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage
