"""Applies the chunks of a tool call to its part of the UI message.

Upstream: ``updateToolPart`` and ``updateDynamicToolPart`` in ``ai/src/ui/process-ui-message-stream.ts`` (5.0.277,
6.0.324, 7.0.173). Comments name the few differences between the three. Knows no other parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from usechat.protocol.message_state import MessageState, UIPart, present

__all__ = ["TOOL_HANDLERS"]

Chunk: TypeAlias = dict[str, Any]

OF_ONE_STATE = ("input", "output", "errorText", "rawInput", "preliminary", "inputEncoding")
"""The keys of a tool part that each new state replaces."""
KEPT = ("title", "toolMetadata", "providerExecuted")
"""The keys that stay after they were set."""


def is_tool(part: UIPart) -> bool:
    return str(part.get("type")).startswith("tool-") or is_dynamic(part)


def is_dynamic(part: UIPart) -> bool:
    return part.get("type") == "dynamic-tool"


def find_call(state: MessageState, tool_call_id: str) -> UIPart | None:
    """Return the part of a tool call: the first in this step, otherwise the newest."""
    parts = (*state.current_step(), *reversed(state.parts))
    return next((part for part in parts if part.get("toolCallId") == tool_call_id and is_tool(part)), None)


def find_in_step(state: MessageState, chunk: Chunk, *, dynamic: bool) -> UIPart | None:
    """Return the part of a call in this step, searching only dynamic or only static tools."""
    same = (part for part in state.current_step() if part.get("toolCallId") == chunk["toolCallId"])
    return next((part for part in same if is_tool(part) and is_dynamic(part) is dynamic), None)


def add_call(state: MessageState, chunk: Chunk, *, dynamic: bool) -> UIPart:
    name = chunk["toolName"]
    part: UIPart = {"type": "dynamic-tool", "toolName": name} if dynamic else {"type": f"tool-{name}"}
    part["toolCallId"] = chunk["toolCallId"]
    state.parts.append(part)
    return part


def update_call(state: MessageState, chunk: Chunk, new_state: str, *, dynamic: bool, **values: Any) -> UIPart:
    """Set the call's part in this step to a new state. Add the part if there is none."""
    part = find_in_step(state, chunk, dynamic=dynamic)
    is_new = part is None
    if part is None:
        part = add_call(state, chunk, dynamic=dynamic)
    elif dynamic:
        part["toolName"] = chunk["toolName"]
    elif state.dialect.major >= 6:
        part["type"] = f"tool-{chunk['toolName']}"
    update_part(state, part, chunk, new_state, is_new=is_new, **values)
    return part


def update_part(
    state: MessageState, part: UIPart, chunk: Chunk, new_state: str, *, is_new: bool = False, **values: Any
) -> None:
    part["state"] = new_state
    for key in OF_ONE_STATE:
        part.pop(key, None)
    part |= values
    part |= present(**{key: chunk.get(key) for key in KEPT})
    metadata = chunk.get("providerMetadata")
    if metadata is None:
        return
    if state.dialect.major >= 6:
        part["resultProviderMetadata" if new_state.startswith("output-") else "callProviderMetadata"] = metadata
    elif is_new or new_state == "input-available":
        part["callProviderMetadata"] = metadata


def start_input(state: MessageState, chunk: Chunk) -> None:
    state.close_input(chunk["toolCallId"])
    values = present(inputEncoding=chunk.get("inputEncoding"))
    part = update_call(state, chunk, "input-streaming", dynamic=bool(chunk.get("dynamic")), **values)
    state.open_input(chunk["toolCallId"], part)


def grow_input(state: MessageState, chunk: Chunk) -> None:
    _, texts = state.inputs[chunk["toolCallId"]]
    texts.append(chunk["inputTextDelta"])


def end_input(state: MessageState, chunk: Chunk) -> None:
    state.close_input(chunk["toolCallId"])
    dynamic = bool(chunk.get("dynamic"))
    update_call(state, chunk, "input-available", dynamic=dynamic, input=chunk["input"])


def fail_input(state: MessageState, chunk: Chunk) -> None:
    state.close_input(chunk["toolCallId"])
    dynamic = bool(chunk.get("dynamic"))
    if state.dialect.major >= 6:
        # A call keeps the kind, dynamic or static, that it began with.
        same = (part for part in state.current_step() if part.get("toolCallId") == chunk["toolCallId"])
        begun = next(filter(is_tool, same), None)
        dynamic = dynamic if begun is None else is_dynamic(begun)
    shown_as = "input" if dynamic or state.dialect.major >= 7 else "rawInput"
    values = {shown_as: chunk["input"], "errorText": chunk["errorText"]}
    # The clients ignore a title here.
    chunk = {key: value for key, value in chunk.items() if key != "title"}
    update_call(state, chunk, "output-error", dynamic=dynamic, **values)


def output_available(state: MessageState, chunk: Chunk) -> None:
    part = close_call(state, chunk)
    if part is None:
        return
    values = {**kept(part, "input"), "output": chunk["output"], **present(preliminary=chunk.get("preliminary"))}
    if is_dynamic(part) and state.dialect.major < 6:
        chunk = {key: value for key, value in chunk.items() if key != "providerExecuted"}
    update_part(state, part, chunk, "output-available", **values)


def output_error(state: MessageState, chunk: Chunk) -> None:
    part = close_call(state, chunk)
    if part is None:
        return
    values = {**kept(part, "input"), "errorText": chunk["errorText"]}
    values |= {} if is_dynamic(part) else kept(part, "rawInput")
    update_part(state, part, chunk, "output-error", **values)


def kept(part: UIPart, key: str) -> dict[str, Any]:
    return {key: part[key]} if key in part else {}


def close_call(state: MessageState, chunk: Chunk) -> UIPart | None:
    state.close_input(chunk["toolCallId"])
    return find_call(state, chunk["toolCallId"])


def output_denied(state: MessageState, chunk: Chunk) -> None:
    part = close_call(state, chunk)
    if part is not None:
        part["state"] = "output-denied"


def request_approval(state: MessageState, chunk: Chunk) -> None:
    part = close_call(state, chunk)
    if part is not None:
        part["state"] = "approval-requested"
        part["approval"] = {
            "id": chunk["approvalId"],
            **present(
                descriptor=chunk.get("approvalDescriptor"),
                inputSchemaInput=chunk.get("inputSchemaInput"),
                requestReason=chunk.get("reason"),
                isAutomatic=chunk.get("isAutomatic") or None,
                signature=chunk.get("signature"),
            ),
        }


def approval_id(part: UIPart) -> Any:
    approval = part.get("approval")
    return cast("Mapping[str, Any]", approval).get("id") if isinstance(approval, Mapping) else None


def answer_approval(state: MessageState, chunk: Chunk) -> None:
    asked = (part for part in state.parts if approval_id(part) == chunk["approvalId"])
    part = next(asked, None)
    if part is not None:
        part["state"] = "approval-responded"
        answer = {"approved": chunk["approved"], **present(reason=chunk.get("reason"))}
        part["approval"] = {**part["approval"], **answer}
        part |= present(
            providerExecuted=chunk.get("providerExecuted"), callProviderMetadata=chunk.get("providerMetadata")
        )


TOOL_HANDLERS: dict[str, Callable[[MessageState, Chunk], None]] = {
    "tool-input-start": start_input,
    "tool-input-delta": grow_input,
    "tool-input-available": end_input,
    "tool-input-error": fail_input,
    "tool-output-available": output_available,
    "tool-output-error": output_error,
    "tool-output-denied": output_denied,
    "tool-approval-request": request_approval,
    "tool-approval-response": answer_approval,
}
"""Handlers by chunk type."""
