"""Model messages: what a model is given, free of any wire format and any provider.

Pure values in the shape of the AI SDK's ``ModelMessage`` (``@ai-sdk/provider-utils/src/types``), in snake case.
UI messages become these in `usechat.messages.convert`; a model turns these into its provider's request. A long chat is
many of them for as long as its answer is open, so the garbage collector does not look at them: nothing in them refers
back to them.
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
    """Text, from either side."""

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
    """Something only one provider understands."""

    kind: str
    provider_options: ProviderOptions | None = None


class ToolCallContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool call the model made."""

    tool_call_id: str
    tool_name: str
    input: Any
    provider_executed: bool | None = None
    provider_options: ProviderOptions | None = None


class ToolResultOutput(msgspec.Struct, frozen=True, gc=False):
    """A tool's result as the model gets it.

    ``value`` is a string for ``text`` and ``error-text``, any JSON for ``json`` and ``error-json``, a sequence of
    `TextContent`, `FileContent` and `CustomContent` for ``content``, and the reason (or None) for
    ``execution-denied``.
    """

    type: Literal["text", "json", "error-text", "error-json", "content", "execution-denied"]
    value: Any = None


class ToolResultContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a tool answered; within an assistant message when the provider ran it."""

    tool_call_id: str
    tool_name: str
    output: ToolResultOutput
    provider_options: ProviderOptions | None = None


class ToolApprovalRequestContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The server asked whether a tool call may run."""

    approval_id: str
    tool_call_id: str
    signature: str | None = None
    is_automatic: bool | None = None
    reason: str | None = None
    """Why it was asked, as the server said when it asked."""
    input_schema_input: Any = msgspec.UNSET
    """The input before the tool's schema changed it, where the server sent it along; ``None`` is a value."""


class ToolApprovalResponseContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to such a request."""

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
    """What the user said."""

    content: tuple[UserContent, ...]
    provider_options: ProviderOptions | None = None


class AssistantMessage(msgspec.Struct, frozen=True, gc=False):
    """What the model said in one step."""

    content: tuple[AssistantContent, ...]
    provider_options: ProviderOptions | None = None


class ToolMessage(msgspec.Struct, frozen=True, gc=False):
    """What tools answered to one step, and decisions on calls of it."""

    content: tuple[ToolContent, ...]
    provider_options: ProviderOptions | None = None


ModelMessage: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage
