"""Merges a client's tool outputs and approval answers into a stored assistant message.

A client posts its copy of the message, and could have changed anything in it. Only this is taken from the copy, for a
tool call that is stored as open: the output or error of a tool that the client runs, or the user's decision when an
approval was asked for. Everything else stays as stored. Pure.

Source: ``addToolOutput`` and ``addToolApprovalResponse`` in ``ai/src/ui/chat.ts`` (7.0.173): the fields that they
write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

from usechat.chats.tree import UIMessage

__all__ = [
    "ClientTools",
    "Copy",
    "add_usage",
    "compare_copy",
    "fill_outcomes",
    "is_tool_part",
    "merge_client_answers",
    "merge_patch",
]

UIPart: TypeAlias = dict[str, Any]
ClientTools: TypeAlias = Callable[[str], bool]
"""Tells by its name whether the client runs a tool."""

Copy: TypeAlias = Literal["current", "behind", "contrary"]
"""How a client's copy of a message stands to the stored one; see `compare_copy`."""

_OPEN_STATES: Final = ("input-available", "approval-requested", "approval-responded")
_NOT_OF_AN_OUTPUT: Final = ("state", "output", "errorText", "preliminary")


def merge_client_answers(
    stored: UIMessage, copy: Mapping[str, Any], *, is_client_tool: ClientTools | None = None
) -> UIMessage:
    """Return the stored message with the client's outputs and decisions for calls that are really open.

    Args:
        stored: The message as it is kept; it is not changed.
        copy: The message as the client posted it.
        is_client_tool: Tells which tools the client runs. Outputs of other tools are not taken. Without it, the
            output of any call that waits for one is taken, unless its tool asked for approval or is the provider's.

    Returns:
        ``stored`` itself when there is nothing to take.
    """
    if not any(_may_be_open(part) for part in stored["parts"]):
        return stored
    answers = {part["toolCallId"]: part for part in _tool_parts(copy)}
    parts = [_merge_part(part, answers, is_client_tool) for part in stored["parts"]]
    is_same = all(new is old for new, old in zip(parts, stored["parts"], strict=True))
    return stored if is_same else {**stored, "parts": parts}


def fill_outcomes(copy: UIMessage, stored: UIMessage) -> UIMessage:
    """Return a client's copy of an answer with the stored outcomes of the calls that are open in the copy.

    A client that stops an answer, or loses it, does not see what its tools bring after that.

    Returns:
        ``copy`` itself when there is nothing to fill in.
    """
    if not any(map(_is_unsettled, copy["parts"])):
        return copy
    outcomes = {part["toolCallId"]: part for part in _tool_parts(stored) if not _is_unsettled(part)}
    parts = [outcomes.get(part["toolCallId"], part) if _is_unsettled(part) else part for part in copy["parts"]]
    return {**copy, "parts": parts}


def _is_unsettled(part: Any) -> bool:
    if not is_tool_part(part):
        return False
    return part.get("state") in (*_OPEN_STATES, "input-streaming") or part.get("preliminary") is True


def _may_be_open(part: Any) -> bool:
    return isinstance(part, dict) and cast("UIPart", part).get("state") in _OPEN_STATES


def is_tool_part(part: Any) -> bool:
    """Return whether a UI part is a tool call with a usable id."""
    if not isinstance(part, dict):
        return False
    fields = cast("UIPart", part)
    # Most parts have none.
    if not isinstance(fields.get("toolCallId"), str):
        return False
    kind = fields.get("type")
    return isinstance(kind, str) and (kind == "dynamic-tool" or kind.startswith("tool-"))


def _tool_parts(message: Mapping[str, Any]) -> Sequence[UIPart]:
    return [part for part in message.get("parts") or () if is_tool_part(part)]


def _merge_part(part: Any, answers: Mapping[str, UIPart], is_client_tool: ClientTools | None) -> Any:
    if not is_tool_part(part):
        return part
    answer = answers.get(part["toolCallId"])
    if answer is None or part.get("providerExecuted"):
        return part
    match part.get("state"):
        case "approval-requested":
            return _take_decision(part, answer)
        case "input-available" if is_client_tool is None or is_client_tool(_tool_name(part)):
            return _take_output(part, answer)
        case "approval-responded" if _is_approved(part) and is_client_tool and is_client_tool(_tool_name(part)):
            return _take_output(part, answer)
        case _:
            return part


def _tool_name(part: UIPart) -> str:
    return str(part.get("toolName")) if part["type"] == "dynamic-tool" else part["type"].removeprefix("tool-")


def _is_approved(part: UIPart) -> bool:
    approval = part.get("approval")
    return isinstance(approval, dict) and cast("UIPart", approval).get("approved") is True


def compare_copy(stored: UIMessage, copy: Mapping[str, Any], *, is_client_tool: ClientTools | None = None) -> Copy:
    """Return how a client's copy of an assistant's message stands to the stored one.

    Returns:
        ``contrary``: the copy has another decision, or another output of a client's tool, than the one that was taken
        for a call. ``behind``: a call has come further than the copy knows, or more was said after the calls that the
        copy has. ``current``: neither.
    """
    answers = {part["toolCallId"]: part for part in _tool_parts(copy)}
    calls = _tool_parts(stored)
    pairs = ((part, answers.get(part["toolCallId"])) for part in calls)
    found = {_compare_call(part, answer, is_client_tool) for part, answer in pairs if answer is not None}
    if "contrary" in found:
        return "contrary"
    has_more = answers and (len(calls) > len(answers) or len(_text(stored)) > len(_text(copy)))
    return "behind" if has_more or "behind" in found else "current"


def _text(message: Mapping[str, Any]) -> str:
    parts = [cast("UIPart", part) for part in message.get("parts") or () if isinstance(part, dict)]
    return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _compare_call(part: UIPart, answer: UIPart, is_client_tool: ClientTools | None) -> Copy:
    asked, given = _decision(part), _decision(answer)
    if asked is not None and given is not None and asked != given:
        return "contrary"
    if part.get("state") in _OPEN_STATES:
        return "current"
    if _is_unsettled(answer):
        return "behind"
    if part.get("providerExecuted") or "approval" in part:
        return "current"
    is_clients = is_client_tool is None or is_client_tool(_tool_name(part))
    return "contrary" if is_clients and _take_output(part, answer) != part else "current"


def _decision(part: UIPart) -> bool | None:
    approval = part.get("approval")
    decided = cast("UIPart", approval).get("approved") if isinstance(approval, dict) else None
    return decided if isinstance(decided, bool) else None


def _take_output(part: UIPart, answer: UIPart) -> UIPart:
    kept = {key: value for key, value in part.items() if key not in _NOT_OF_AN_OUTPUT}
    match answer:
        case {"state": "output-available", "output": output}:
            return {**kept, "state": "output-available", "output": output}
        case {"state": "output-error", "errorText": str() as text}:
            return {**kept, "state": "output-error", "errorText": text}
        case _:
            return part


def _take_decision(part: UIPart, answer: UIPart) -> UIPart:
    asked, given = part.get("approval"), answer.get("approval")
    if answer.get("state") != "approval-responded" or not isinstance(asked, dict) or not isinstance(given, dict):
        return part
    request, response = cast("UIPart", asked), cast("UIPart", given)
    if response.get("id") != request.get("id") or not isinstance(response.get("approved"), bool):
        return part
    decision = {key: response[key] for key in ("approved", "reason") if response.get(key) is not None}
    return {**part, "state": "approval-responded", "approval": {**request, **decision}}


def add_usage(before: Any, more: Any) -> Any:
    """Return the usage of two runs that wrote one message: counts are added up at whatever depth they stand.

    Where the two differ in shape, the later one is taken.
    """
    match before, more:
        case (_, None):
            return before
        case (bool(), _) | (_, bool()):
            return more
        case (int() | float(), int() | float()):
            return before + more
        case (dict(), dict()):
            earlier, later = cast("UIPart", before), cast("UIPart", more)
            return {**earlier, **{key: add_usage(earlier.get(key), value) for key, value in later.items()}}
        case _:
            return more


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` after a JSON Merge Patch: objects are merged, ``null`` removes a key (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(cast("Mapping[str, Any]", target)) if isinstance(target, Mapping) else {}
    for key, value in cast("Mapping[str, Any]", patch).items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
