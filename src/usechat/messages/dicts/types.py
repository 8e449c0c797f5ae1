"""Types of model messages as dicts, for type checkers: the AI SDK's ``ModelMessage`` and Anthropic's messages, in JSON.

`usechat.messages.dicts.ai_sdk` reads them. Upstream: ``@ai-sdk/provider-utils/src/types`` (7.0.173); the Messages API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

__all__ = ["AnthropicMessageDict", "ModelMessageDict", "ToolResultOutputDict", "UIMessageDict"]

Options: TypeAlias = Mapping[str, Mapping[str, Any]]


class TextPartDict(TypedDict):
    """Text."""

    type: Literal["text"]
    text: str
    providerOptions: NotRequired[Options]


class ImagePartDict(TypedDict):
    """An image: base64, a data: or an https: URL, or bytes."""

    type: Literal["image"]
    image: str | bytes
    mediaType: NotRequired[str]
    providerOptions: NotRequired[Options]


class FilePartDict(TypedDict):
    """A file: base64, a data: or an https: URL, bytes, or its ids at providers."""

    type: Literal["file"]
    data: str | bytes | Mapping[str, Any]
    mediaType: str
    filename: NotRequired[str]
    providerOptions: NotRequired[Options]


class ReasoningPartDict(TypedDict):
    """The model's reasoning."""

    type: Literal["reasoning"]
    text: str
    providerOptions: NotRequired[Options]


class CustomPartDict(TypedDict):
    """Content that only one provider understands."""

    type: Literal["custom"]
    kind: str
    providerOptions: NotRequired[Options]


class ToolCallPartDict(TypedDict):
    """A tool call."""

    type: Literal["tool-call"]
    toolCallId: str
    toolName: str
    input: Any
    providerExecuted: NotRequired[bool]
    providerOptions: NotRequired[Options]


class ToolResultOutputDict(TypedDict):
    """A tool's result; ``value`` is text, JSON or content parts; ``reason`` is the reason of a denial."""

    type: Literal["text", "json", "error-text", "error-json", "content", "execution-denied"]
    value: NotRequired[Any]
    reason: NotRequired[str]


class ToolResultPartDict(TypedDict):
    """The result of a tool call."""

    type: Literal["tool-result"]
    toolCallId: str
    toolName: str
    output: ToolResultOutputDict
    providerOptions: NotRequired[Options]


class ApprovalRequestPartDict(TypedDict):
    """A request to approve a tool call."""

    type: Literal["tool-approval-request"]
    approvalId: str
    toolCallId: str
    signature: NotRequired[str]
    isAutomatic: NotRequired[bool]
    reason: NotRequired[str]
    inputSchemaInput: NotRequired[Any]


class ApprovalResponsePartDict(TypedDict):
    """The decision on an approval request."""

    type: Literal["tool-approval-response"]
    approvalId: str
    approved: bool
    reason: NotRequired[str]
    providerExecuted: NotRequired[bool]


class SystemMessageDict(TypedDict):
    """Instructions."""

    role: Literal["system"]
    content: str
    providerOptions: NotRequired[Options]


class UserMessageDict(TypedDict):
    """A user message."""

    role: Literal["user"]
    content: str | Sequence[TextPartDict | ImagePartDict | FilePartDict]
    providerOptions: NotRequired[Options]


class AssistantMessageDict(TypedDict):
    """An assistant message."""

    role: Literal["assistant"]
    content: (
        str
        | Sequence[
            TextPartDict
            | FilePartDict
            | ReasoningPartDict
            | CustomPartDict
            | ToolCallPartDict
            | ToolResultPartDict
            | ApprovalRequestPartDict
        ]
    )
    providerOptions: NotRequired[Options]


class ToolMessageDict(TypedDict):
    """A tool message: results and decisions."""

    role: Literal["tool"]
    content: Sequence[ToolResultPartDict | ApprovalResponsePartDict]
    providerOptions: NotRequired[Options]


ModelMessageDict: TypeAlias = SystemMessageDict | UserMessageDict | AssistantMessageDict | ToolMessageDict
"""A message in the JSON form of the AI SDK's ``ModelMessage``."""


class UIMessageDict(TypedDict):
    """A message in the form of ``useChat``."""

    id: NotRequired[str]
    role: Literal["system", "user", "assistant"]
    metadata: NotRequired[Any]
    parts: Sequence[Mapping[str, Any]]


class AnthropicMessageDict(TypedDict):
    """A message in the form of Anthropic's API (``anthropic.types.MessageParam``)."""

    role: Literal["user", "assistant"]
    content: str | Sequence[Mapping[str, Any]]
