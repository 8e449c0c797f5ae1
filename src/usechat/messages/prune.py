"""`prune_messages`: leave out of a conversation what a model need not read again.

Upstream: ``pruneMessages`` (``ai/src/generate-text/prune-messages.ts``, 7.0.173). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from usechat.errors import ConfigurationError
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ReasoningContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
)

__all__ = ["Prune", "prune_messages"]

Prune: TypeAlias = Literal["none", "all", "before-last-message"] | int
"""What to leave out: nothing, all, or all before the last message; a number: all before so many last messages."""


def prune_messages(
    messages: Sequence[ModelMessage],
    *,
    reasoning: Literal["none", "all", "before-last-message"] = "none",
    tool_calls: Prune | Mapping[str, Prune] = "none",
    keep_empty: bool = False,
) -> list[ModelMessage]:
    """Return model messages without old reasoning and tool calls, for a shorter request.

        messages = prune_messages(messages, reasoning="before-last-message", tool_calls=2)

    A call goes with its result, its approval and the answer to that. One that the kept messages refer to stays whole.

    Args:
        messages: Model messages, such as `convert_to_model_messages` makes. They are not changed.
        reasoning: Which reasoning to leave out.
        tool_calls: Which calls of tools to leave out; as a mapping, by the tools' names.
        keep_empty: Whether messages stay that have nothing left.

    Raises:
        ConfigurationError: An option is none of these.
    """
    pruned = list(messages)
    if reasoning not in ("none", "all", "before-last-message"):
        raise ConfigurationError("reasoning must be none, all or before-last-message")
    if reasoning != "none":
        last = len(pruned) - 1
        pruned = [
            keep(message, is_no_reasoning) if reasoning == "all" or at < last else message
            for at, message in enumerate(pruned)
        ]
    if not isinstance(tool_calls, Mapping):
        pruned = without_calls(pruned, tool_calls)
    else:
        for tool_name, rule in tool_calls.items():
            pruned = without_calls(pruned, rule, tool_name)
    return [message for message in pruned if keep_empty or has_content(message)]


def without_calls(messages: list[ModelMessage], rule: Prune, tool_name: str | None = None) -> list[ModelMessage]:
    if rule == "none":
        return messages
    begin = max(0, len(messages) - count_kept(rule))
    calls = {item.approval_id: item.tool_call_id for item in every(messages, ToolApprovalRequestContent)}
    kept = {call_id(item, calls) for item in every(messages[begin:], object)}
    named = {item.tool_call_id: item.tool_name for item in every(messages, ToolCallContent, ToolResultContent)}

    def stays(item: Any) -> bool:
        found = call_id(item, calls)
        return found is None or found in kept or (tool_name is not None and named.get(found) != tool_name)

    return [keep(message, stays) if at < begin else message for at, message in enumerate(messages)]


def count_kept(rule: Prune) -> int:
    """Return how many last messages a rule keeps whole."""
    count = {"all": 0, "before-last-message": 1}.get(rule, -1) if isinstance(rule, str) else rule
    if isinstance(count, bool) or count < 0:
        raise ConfigurationError("tool_calls must be none, all, before-last-message or a number of messages from 0")
    return count


def every(messages: Sequence[ModelMessage], *kinds: type[Any]) -> Iterator[Any]:
    """Yield the contents of some kinds in all messages."""
    return (item for message in messages for item in contents(message) if isinstance(item, kinds))


def call_id(item: Any, calls: Mapping[str, str]) -> str | None:
    """Return the id of the call that the content belongs to."""
    match item:
        case ToolCallContent() | ToolResultContent() | ToolApprovalRequestContent():
            return item.tool_call_id
        case ToolApprovalResponseContent():
            return calls.get(item.approval_id, item.approval_id)
        case _:
            return None


def is_no_reasoning(item: Any) -> bool:
    return not isinstance(item, ReasoningContent)


def contents(message: ModelMessage) -> Sequence[Any]:
    return message.content if isinstance(message, AssistantMessage | ToolMessage) else ()


def keep(message: ModelMessage, stays: Any) -> ModelMessage:
    if not isinstance(message, AssistantMessage | ToolMessage):
        return message
    left: Any = tuple(item for item in message.content if stays(item))
    return message if len(left) == len(message.content) else msgspec.structs.replace(message, content=left)


def has_content(message: ModelMessage) -> bool:
    return not isinstance(message, AssistantMessage | ToolMessage) or bool(message.content)
