"""The application's options for the frames of one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from usechat.ids import generate_id

__all__ = ["DENIED", "MASKED_ERROR", "EncoderOptions", "ToolErrors", "WireFormat"]

WireFormat: TypeAlias = Literal["data-stream", "ui-message-stream", "text-stream", "events"]
"""The wire formats (docs/protocol.md, Wire formats)."""
ToolErrors: TypeAlias = Literal["masked", "shown"]
"""The text of a failed tool in the browser: `MASKED_ERROR`, or the model's text."""

MASKED_ERROR = "An error occurred."
"""The AI SDK's text for the browser in place of an error's own text."""
DENIED = "Tool call execution denied."
"""The text of AI SDK 6 and 7 for the model when the user denied a call without a reason."""


def block_id() -> str:
    return generate_id("aitxt")


class EncoderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the AI SDK's ``toUIMessageStreamResponse`` and ``toDataStreamResponse``."""

    send_reasoning: bool = True
    send_sources: bool = True
    """Whether to send sources. The AI SDK's default is False, but a page that shows no sources ignores them."""
    send_start: bool = True
    send_finish: bool = True
    tool_call_streaming: bool = True
    """AI SDK 4: whether to send a call's input while it arrives."""
    send_usage: bool = True
    """AI SDK 4: whether the ends of steps and of the message have the usage."""
    strict: bool = False
    """Whether an illegal part raises instead of being mended; for tests."""
    tool_errors: ToolErrors = "masked"
    """Whether the browser gets the text of a tool's exception. A text from ``on_error`` overrides both choices."""
    known_tool_calls: frozenset[str] = frozenset()
    """Tool calls of the assistant message that this answer continues."""
    known_approvals: frozenset[str] = frozenset()
    """Approval requests of that message."""
    new_id: Callable[[], str] = block_id
    """Makes a new id for a block whose id was used before in the same answer."""
