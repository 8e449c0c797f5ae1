"""Types of model messages as dicts, for type checkers: the AI SDK's ``ModelMessage`` and Anthropic's messages, in JSON.

Upstream: ``@ai-sdk/provider-utils/src/types`` (7.0.173); the Messages API. What reads them is
`usechat.messages.dicts.ai_sdk`.
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
    """A file: base64, a data: or an https: URL, bytes, or the names that providers know it by."""

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
    """What only one provider understands."""

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
    """A tool's result; ``value`` is text, JSON or content parts, and ``reason`` that of a denial."""

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
    """The question whether a call may run."""

    type: Literal["tool-approval-request"]
    approvalId: str
    toolCallId: str
    signature: NotRequired[str]
    isAutomatic: NotRequired[bool]
    reason: NotRequired[str]
    inputSchemaInput: NotRequired[Any]


class ApprovalResponsePartDict(TypedDict):
    """The answer to it."""

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
    """What the user said."""

    role: Literal["user"]
    content: str | Sequence[TextPartDict | ImagePartDict | FilePartDict]
    providerOptions: NotRequired[Options]


class AssistantMessageDict(TypedDict):
    """What the model said."""

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
    """What tools answered."""

    role: Literal["tool"]
    content: Sequence[ToolResultPartDict | ApprovalResponsePartDict]
    providerOptions: NotRequired[Options]


ModelMessageDict: TypeAlias = SystemMessageDict | UserMessageDict | AssistantMessageDict | ToolMessageDict
"""A message as the AI SDK's ``ModelMessage`` is in JSON."""


class UIMessageDict(TypedDict):
    """A message as ``useChat`` keeps it."""

    id: NotRequired[str]
    role: Literal["system", "user", "assistant"]
    metadata: NotRequired[Any]
    parts: Sequence[Mapping[str, Any]]


class AnthropicMessageDict(TypedDict):
    """A message as Anthropic's API takes it (``anthropic.types.MessageParam``)."""

    role: Literal["user", "assistant"]
    content: str | Sequence[Mapping[str, Any]]
