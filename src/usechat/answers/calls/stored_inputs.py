"""Check the inputs of tool calls that come back with a chat.

An input may be made up by a client, or be older than its tool's parameters. In the last message, which the client
sends now, it is refused. Anywhere else a refusal would end the chat for ever: there the model is told of a failed call.

Upstream: ``validateUIMessages`` (``ai/src/ui/validate-ui-messages.ts``, 7.0.173), which applications call themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from usechat.answers.calls.execute import error_text
from usechat.answers.calls.read import invalid_input
from usechat.errors import RequestError
from usechat.guard import Contained, describe_error, original_error
from usechat.messages.ui import StoredUIMessage, UIMessage, is_tool_part, tool_name
from usechat.parts import ToolCall
from usechat.tools.tool import Tool

__all__ = ["settle_inputs"]

BEGUN: Final = frozenset({"input-available", "output-available"})
ASKED: Final = frozenset({"approval-requested", "approval-responded"})
OF_A_RESULT: Final = ("approval", "output", "preliminary", "rawInput")
"""Keys of a call that a failed one does not have."""


def settle_inputs(messages: Sequence[UIMessage], tools: Mapping[str, Tool]) -> Sequence[UIMessage]:
    """Return the messages. A call whose input does not fit its tool is shown as failed, without that input.

    Calls of tools that are not known here stay as they are. An approved call is checked where it is about to run.

    Raises:
        RequestError: 422: the call is in the last message, and not from a store.
    """
    if not tools:
        return messages
    settled = list(messages)
    for at, message in enumerate(messages):
        if message.role == "assistant" and any(map(is_tool_part, message.parts)):
            is_sent_now = at == len(messages) - 1 and not isinstance(message, StoredUIMessage)
            settled[at] = settle_message(message, tools, f"messages[{at}]" if is_sent_now else None)
    return settled


def settle_message(message: UIMessage, tools: Mapping[str, Tool], path: str | None) -> UIMessage:
    states = BEGUN if path is not None else BEGUN | ASKED
    parts: list[dict[str, Any]] = []
    is_changed = False
    for number, part in enumerate(message.parts):
        why = find_fault(part, tools) if is_tool_part(part) and part.get("state") in states else None
        if why is None:
            parts.append(part)
            continue
        if path is not None:
            within = f"{path}.parts[{number}].input"
            raise RequestError("does not fit the schema of its tool", path=within, status=422)
        parts.append(failed_call(part, why))
        is_changed = True
    return message.model_copy(update={"parts": parts}) if is_changed else message


def find_fault(part: Mapping[str, Any], tools: Mapping[str, Tool]) -> str | None:
    """Return why the input of a call does not fit; None when it fits or nobody here can tell."""
    tool = tools.get(tool_name(part))
    if tool is None or part.get("providerExecuted") or (tool.provider is not None and tool.execute is None):
        return None
    if not getattr(tool.schema, "takes_back_what_it_shows", True):
        return None
    given: Any = {} if part.get("input") is None else part["input"]
    if not isinstance(given, dict):
        return "input: must be an object"
    try:
        with Contained():
            tool.schema.check(given)
    except Exception as error:  # noqa: BLE001 - whatever a schema raises, the input does not fit
        return describe_error(original_error(error))
    return None


def failed_call(part: Mapping[str, Any], why: str) -> dict[str, Any]:
    call = ToolCall(tool_call_id=part["toolCallId"], tool_name=tool_name(part), input_text="")
    text = error_text(invalid_input(call, why))
    if part["state"] == "output-available":
        # The model would call the tool again, and book twice.
        text += ". The tool may have run, and it may have taken effect."
    kept = {key: value for key, value in part.items() if key not in OF_A_RESULT}
    return {**kept, "state": "output-error", "input": {}, "errorText": text}
