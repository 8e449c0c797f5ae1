"""What an application may choose about the frames of one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from usechat.ids import generate_id

__all__ = ["DENIED", "MASKED_ERROR", "EncoderOptions", "ToolErrors", "WireFormat"]

WireFormat: TypeAlias = Literal["data-stream", "ui-message-stream", "text-stream", "events"]
"""The wire formats: PROTOCOL.md sections 1, 2 and 7, and the plain events."""
ToolErrors: TypeAlias = Literal["masked", "shown"]
"""What a browser sees of a failed tool: `MASKED_ERROR`, or what the model is told."""

MASKED_ERROR = "An error occurred."
"""What the AI SDK tells the browser in place of an error's own text."""
DENIED = "Tool call execution denied."
"""What AI SDK 6 and 7 tell the model of a denial that came without a reason."""


def block_id() -> str:
    return generate_id("aitxt")


class EncoderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the AI SDK's ``toUIMessageStreamResponse`` and ``toDataStreamResponse`` let one choose."""

    send_reasoning: bool = True
    send_sources: bool = True
    """The AI SDK leaves sources out unless asked; a page that shows them needs them, one that does not ignores them."""
    send_start: bool = True
    send_finish: bool = True
    tool_call_streaming: bool = True
    """AI SDK 4: whether a call's input is shown as it arrives."""
    send_usage: bool = True
    """AI SDK 4: whether the end of a step and of the message carry the usage."""
    strict: bool = False
    """Raise for an illegal part instead of mending it; for tests."""
    tool_errors: ToolErrors = "masked"
    """Whether the browser sees what a tool's exception says. A text that ``on_error`` returns goes before either."""
    known_tool_calls: frozenset[str] = frozenset()
    """Tool calls of the assistant message that this answer continues."""
    known_approvals: frozenset[str] = frozenset()
    """Approval requests of that message."""
    new_id: Callable[[], str] = block_id
    """Makes the id of a block whose own was used before in the same answer."""
