"""Parts of tool calls: inputs, outputs and approvals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from usechat.parts.values import ProviderMetadata

__all__ = [
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
]


class ToolInputStart(msgspec.Struct, frozen=True, kw_only=True):
    """The start of a tool call's input."""

    tool_call_id: str
    tool_name: str
    provider_executed: bool | None = None
    dynamic: bool | None = None
    title: str | None = None
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None
    input_encoding: str | None = None


class ToolInputDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of a tool call's input, as JSON text."""

    tool_call_id: str
    delta: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of the model in one piece, not yet parsed or checked.

    Only models yield it; the loop replaces it by `ToolInputAvailable` or `ToolInputError`.
    """

    tool_call_id: str
    tool_name: str
    input_text: str
    """The input as JSON text, not yet parsed."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    provider_metadata: ProviderMetadata | None = None
    is_cut: bool = False
    """Whether the message ended at a limit or in a refusal within the call, so that the call must not run."""


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
    """A tool call that cannot be executed: an unknown tool, or an input that does not fit."""

    tool_call_id: str
    tool_name: str
    input: Any
    """The parsed value, or the raw text when it is not JSON."""
    error_text: str
    """The text for the model."""
    client_text: str | None = None
    """The text for the browser in every dialect, if the application chose one."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    title: str | None = None
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None


class ToolOutputAvailable(msgspec.Struct, frozen=True, kw_only=True):
    """A tool's output. The next output replaces a preliminary one."""

    tool_call_id: str
    tool_name: str
    output: Any
    """Any JSON value, None included."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    preliminary: bool | None = None
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None


class ToolOutputError(msgspec.Struct, frozen=True, kw_only=True):
    """The failure of a tool."""

    tool_call_id: str
    tool_name: str
    error_text: str
    """The text for the model."""
    client_text: str | None = None
    """The text for the browser in every dialect, if the application chose one."""
    provider_executed: bool | None = None
    dynamic: bool | None = None
    invalid_input: bool = False
    """Whether this part repeats a `ToolInputError`. AI SDK 7 does not send such a part."""
    provider_metadata: ProviderMetadata | None = None
    tool_metadata: Mapping[str, Any] | None = None


class ToolOutputDenied(msgspec.Struct, frozen=True, kw_only=True):
    """The user's refusal of a tool call."""

    tool_call_id: str
    tool_name: str = ""


class ToolApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the user to approve a tool call."""

    approval_id: str
    tool_call_id: str
    signature: str | None = None
    is_automatic: bool | None = None
    reason: str | None = None
    input_schema_input: Any = None
    approval_descriptor: Any = None


class ToolApprovalResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A decision on an approval that the server made itself (AI SDK 7)."""

    approval_id: str
    approved: bool
    reason: str | None = None
    provider_executed: bool | None = None
    provider_metadata: ProviderMetadata | None = None
