"""Checks what a client answers to open tool calls: the outputs of its tools and the decisions of its user.

They stand in the last message of a request that continues it, and each is taken once: one that cannot be read must be
refused, because the right one would come too late. Earlier messages are read leniently. A missing output is none:
``JSON.stringify`` leaves out the ``undefined`` of a tool that returns nothing.

Source: ``addToolOutput`` and ``addToolApprovalResponse`` in ``ai/src/ui/chat.ts`` (7.0.173), the fields that they
write, and the states of ``ui-messages.ts``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from pydantic_core import PydanticCustomError

__all__ = ["check_answers"]

_STATES: Final = (
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
)


def check_answers(parts: Sequence[Mapping[str, Any]], path: str) -> None:
    """Check the tool calls of a message that the answer continues.

    Args:
        parts: The message's parts.
        path: The message's place in the body.

    Raises:
        PydanticCustomError: A ``ui_part`` error with the place of the wrong value.
    """
    for index, part in enumerate(parts):
        is_tool = part["type"] == "dynamic-tool" or part["type"].startswith("tool-")
        if is_tool and part.get("providerExecuted") is not True and (wrong := _find_wrong(part)) is not None:
            text, key = wrong
            raise PydanticCustomError("ui_part", "{text}", {"text": text, "key": f"{path}.parts[{index}].{key}"})


def _find_wrong(part: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what is wrong and the key of the value."""
    state, approval = part.get("state"), cast("Mapping[str, Any]", part.get("approval") or {})
    if state is not None and state not in _STATES:
        return f"must be one of {', '.join(_STATES)}", "state"
    decided = state == "approval-responded" or approval.get("approved") is not None
    if decided and not isinstance(approval.get("approved"), bool):
        return "must be true or false", "approval.approved"
    return None
