"""The user's decisions on approvals that another package asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from usechat.messages.ui import UIMessage

__all__ = ["Decision", "read_decisions"]


class Decision(NamedTuple):
    """The user's decision on one approval."""

    approval_id: str
    """The id that the adapter gave the request: LangGraph's id of the interrupt, otherwise that of the tool call."""
    tool_call_id: str
    tool_name: str
    input: Any
    approved: bool
    reason: str | None


def read_decisions(messages: Sequence[UIMessage]) -> list[Decision]:
    """Return the decisions that the last message brings; none when it is the user's.

    A browser sends them, and may have changed anything in them: decide by ids that your own state has.

    Args:
        messages: The messages of the request (`usechat.ChatRequest`).
    """
    if not messages or messages[-1].role != "assistant":
        return []
    found: list[Decision] = []
    for part in messages[-1].parts:
        given: Any = part.get("approval")
        if part.get("state") != "approval-responded" or not isinstance(given, dict):
            continue
        approval = cast("dict[str, Any]", given)
        type_ = str(part["type"])
        found.append(
            Decision(
                approval_id=str(approval.get("id")),
                tool_call_id=str(part.get("toolCallId")),
                tool_name=str(part.get("toolName") or type_.removeprefix("tool-")),
                input=part.get("input"),
                approved=approval.get("approved") is True,
                reason=approval.get("reason"),
            )
        )
    return found
