"""UI messages to model messages: what was said, in the order the model needs it.

An assistant's UI message holds all the steps of an answer; here each step becomes one assistant message and, where
tools ran or the user decided on one, one tool message. It repairs nothing that depends on a provider and knows none.

Source: ``ai/src/ui/convert-to-model-messages.ts`` and ``ai/src/prompt/create-tool-model-output.ts`` (7.0.173).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from usechat.errors import RequestError
from usechat.messages.files import provider_options, read_file_part
from usechat.messages.model import (
    AssistantContent,
    AssistantMessage,
    CustomContent,
    FileContent,
    ModelMessage,
    ReasoningContent,
    SystemMessage,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserContent,
    UserMessage,
)
from usechat.messages.text_files import unreadable_note
from usechat.messages.ui import UIMessage, is_tool_part, tool_name

__all__ = ["ConvertDataPart", "ConvertToolOutput", "convert_to_model_messages", "tool_result_output"]

UIPart: TypeAlias = Mapping[str, Any]

ConvertDataPart: TypeAlias = Callable[[UIPart], UserContent | None]
"""Turns a ``data-NAME`` part into text or a file for the model, or into nothing."""

ConvertToolOutput: TypeAlias = Callable[[ToolCallContent, Any], ToolResultOutput | None]
"""Turns a tool's output into what the model gets; None leaves it to `tool_result_output`."""

_STEP_ENDS: Final = frozenset({"step-start", "steering-message"})
_COMPLETE_STATES: Final = frozenset({"approval-responded", "output-available", "output-error", "output-denied"})
_RESULT_STATES: Final = frozenset({"output-available", "output-error"})
_DENIED: Final = "Tool call execution denied."
_UNAVAILABLE: Final = "Tool output omitted because the tool is no longer available."


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    newest: int
    """Which message a file that cannot be read is refused in; in history a note takes its place."""
    allow_system: bool
    allow_http: bool
    ignore_incomplete_tool_calls: bool
    convert_data_part: ConvertDataPart | None
    convert_tool_output: ConvertToolOutput | None


class _Place(msgspec.Struct, frozen=True):
    """Where a message or a part is, and what it is read with."""

    index: int
    options: _Options
    is_superseded: bool = False
    """Whether the user has spoken since, so that an open approval request is void."""
    within: _Place | None = None
    """What holds the part; None for a message."""

    @property
    def message_index(self) -> int:
        """Which message it is in, or is."""
        return self.index if self.within is None else self.within.message_index

    @property
    def path(self) -> str:
        """For errors: most places are never named."""
        return f"messages[{self.index}]" if self.within is None else f"{self.within.path}.parts[{self.index}]"

    def part(self, index: int) -> _Place:
        """Return the place of one of its parts; asked for only where it may be named."""
        return _Place(index, self.options, self.is_superseded, self)


_ContentT = TypeVar("_ContentT")
_Convert: TypeAlias = Callable[[UIPart, _Place, int], _ContentT | None]
"""Makes content of a part, given the place of what holds the part and its index there; None where it makes none."""


def convert_to_model_messages(
    messages: Sequence[UIMessage],
    *,
    allow_system: bool = False,
    allow_http: bool = False,
    ignore_incomplete_tool_calls: bool = False,
    convert_data_part: ConvertDataPart | None = None,
    convert_tool_output: ConvertToolOutput | None = None,
) -> list[ModelMessage]:
    """Return what a model is given for a chat.

    Args:
        messages: The chat, from any AI SDK major.
        allow_system: Whether ``system`` messages count. They are the client's, so by default they are dropped.
        allow_http: Whether files may have http: URLs; data: and https: URLs are always taken.
        ignore_incomplete_tool_calls: Leave out calls that have neither result nor decision. Otherwise they stay, and
            the model's own conversion says that they were not carried out.
        convert_data_part: What the model sees of ``data-NAME`` parts; without it nothing.
        convert_tool_output: What the model sees of a tool's output, where a tool has a say in it.

    Raises:
        RequestError: A file in the newest message has a URL that is not taken or cannot be read.
    """
    options = _Options(
        newest=len(messages) - 1,
        allow_system=allow_system,
        allow_http=allow_http,
        ignore_incomplete_tool_calls=ignore_incomplete_tool_calls,
        convert_data_part=convert_data_part,
        convert_tool_output=convert_tool_output,
    )
    last_user = next((index for index in reversed(range(len(messages))) if messages[index].role == "user"), -1)
    converted: list[ModelMessage] = []
    for index, message in enumerate(messages):
        converted += _MESSAGES[message.role](message, _Place(index, options, index < last_user))
    return converted


def tool_result_output(output: Any) -> ToolResultOutput:
    """Return a tool's output as the model gets it when the tool has no say: text as text, anything else as JSON."""
    return ToolResultOutput("text" if isinstance(output, str) else "json", output)


# Messages


def _convert_system(message: UIMessage, place: _Place) -> Sequence[ModelMessage]:
    if not place.options.allow_system or not message.text:
        return ()
    merged: dict[str, Mapping[str, Any]] = {}
    for part in message.parts:
        if part["type"] == "text":
            merged |= provider_options(part.get("providerMetadata")) or {}
    return (SystemMessage(message.text, merged or None),)


def _convert_user(message: UIMessage, place: _Place) -> Sequence[ModelMessage]:
    return (UserMessage(_user_content(message.parts, place)),)


def _convert_assistant(message: UIMessage, place: _Place) -> Sequence[ModelMessage]:
    converted: list[ModelMessage] = []
    content: list[AssistantContent] = []
    answers: list[ToolContent] = []
    for index, part in enumerate(message.parts):
        kind: str = part["type"]
        if kind in _STEP_ENDS:
            if content:
                converted += _step(content, answers)
                content, answers = [], []
            if kind == "steering-message":
                converted.append(UserMessage(_user_content(part["parts"], place.part(index))))
        elif kind not in _ASSISTANT_PARTS and is_tool_part(part):
            if _is_kept(part, place):
                _add_tool(part, place, content, answers)
        elif (item := _ASSISTANT_PARTS[kind](part, place, index)) is not None:
            content.append(item)
    if content:
        converted += _step(content, answers)
    return converted


def _ignore_message(_message: UIMessage, _place: _Place) -> Sequence[ModelMessage]:
    return ()


_MESSAGES: Final[Mapping[str, Callable[[UIMessage, _Place], Sequence[ModelMessage]]]] = {
    "system": _convert_system,
    "user": _convert_user,
    "assistant": _convert_assistant,
    "data": _ignore_message,
}


def _step(content: Sequence[AssistantContent], answers: Sequence[ToolContent]) -> list[ModelMessage]:
    said = AssistantMessage((*content,))
    return [said, ToolMessage((*answers,))] if answers else [said]


# Parts


def _user_content(parts: Sequence[UIPart], place: _Place) -> tuple[UserContent, ...]:
    content: list[UserContent] = []
    for index, part in enumerate(parts):
        item = _USER_PARTS[part["type"]](part, place, index)
        if item is not None:
            content.append(item)
    return (*content,)


class _Converters(dict[str, _Convert[_ContentT]]):
    """By the type of a part; of any type."""

    def __missing__(self, kind: str) -> _Convert[_ContentT]:
        return self["data-"] if kind.startswith("data-") else _ignore_part


def _ignore_part(_part: UIPart, _place: _Place, _index: int) -> None:
    return None


def _convert_text(part: UIPart, _place: _Place, _index: int) -> TextContent | None:
    if not part["text"]:
        return None
    return TextContent(part["text"], _options_of(part) if "providerMetadata" in part else None)


def _options_of(part: UIPart) -> Mapping[str, Mapping[str, Any]] | None:
    return provider_options(part.get("providerMetadata"))


def _convert_user_file(part: UIPart, place: _Place, index: int) -> UserContent:
    try:
        return read_file_part(part, place.part(index).path, allow_http=place.options.allow_http)
    except RequestError:
        if place.message_index == place.options.newest:
            raise
        # Whoever sent it was told then; the chat goes on.
        return TextContent(unreadable_note(part.get("filename")))


def _convert_assistant_file(part: UIPart, place: _Place, index: int) -> FileContent | None:
    # The model made it and no provider takes it back, so a URL that cannot be read is no reason to refuse.
    try:
        return read_file_part(part, place.part(index).path, allow_http=True)
    except RequestError:
        return None


def _convert_data(part: UIPart, place: _Place, _index: int) -> UserContent | None:
    convert = place.options.convert_data_part
    return None if convert is None else convert(part)


def _convert_reasoning(part: UIPart, _place: _Place, _index: int) -> ReasoningContent:
    return ReasoningContent(part["text"], _options_of(part))


def _convert_custom(part: UIPart, _place: _Place, _index: int) -> CustomContent:
    return CustomContent(part.get("kind") or "", _options_of(part))


_USER_PARTS: Final = _Converters[UserContent](
    {
        "text": _convert_text,
        "file": _convert_user_file,
        "data-": _convert_data,
    }
)
_ASSISTANT_PARTS: Final = _Converters[AssistantContent](
    {
        "text": _convert_text,
        "file": _convert_assistant_file,
        "data-": _convert_data,
        "reasoning": _convert_reasoning,
        "custom": _convert_custom,
    }
)


# Tools


def _is_kept(part: UIPart, place: _Place) -> bool:
    state = part.get("state")
    if state in (None, "input-streaming") or (state == "approval-requested" and place.is_superseded):
        return False
    is_complete = state in _COMPLETE_STATES and part.get("preliminary") is not True
    return is_complete or not place.options.ignore_incomplete_tool_calls


def _add_tool(part: UIPart, place: _Place, content: list[AssistantContent], answers: list[ToolContent]) -> None:
    """A call and what the provider answered go into its step's content, other answers and decisions follow it."""
    call = _tool_call(part)
    content.append(call)
    if part.get("approval") is not None:
        content.append(_approval_request(part))
        answers += _decision(part, call)
    if call.provider_executed and part["state"] in _RESULT_STATES:
        metadata = part.get("resultProviderMetadata") or part.get("callProviderMetadata")
        output = _output(part, call, place, error_type="error-json")
        content.append(_result(call, output, metadata))
    elif (output := _maybe_answer(part, call, place)) is not None:
        answers.append(_result(call, output, part.get("callProviderMetadata")))


def _tool_call(part: UIPart) -> ToolCallContent:
    is_error = part["state"] == "output-error"
    given = part.get("input", {})
    if is_error and part.get("input") is None:
        # A call whose input could not be read keeps the raw text beside it; none at all is an empty input.
        given = part.get("rawInput", {})
    metadata = part.get("callProviderMetadata")
    if metadata is None and is_error:
        metadata = part.get("resultProviderMetadata")
    return ToolCallContent(
        tool_call_id=part["toolCallId"],
        tool_name=tool_name(part),
        input=given,
        provider_executed=True if part.get("providerExecuted") is True else None,
        provider_options=provider_options(metadata),
    )


def _approval_request(part: UIPart) -> ToolApprovalRequestContent:
    approval: Mapping[str, Any] = part["approval"]
    return ToolApprovalRequestContent(
        approval_id=approval["id"],
        tool_call_id=part["toolCallId"],
        signature=_text_or_none(approval.get("signature")),
        is_automatic=_flag_or_none(approval.get("isAutomatic")),
        reason=_text_or_none(approval.get("requestReason")),
        input_schema_input=approval.get("inputSchemaInput", msgspec.UNSET),
    )


def _decision(part: UIPart, call: ToolCallContent) -> Iterator[ToolContent]:
    approval: Mapping[str, Any] = part["approval"]
    approved = _flag_or_none(approval.get("approved"))
    if approved is not None:
        yield ToolApprovalResponseContent(
            approval_id=approval["id"],
            approved=approved,
            reason=_text_or_none(approval.get("reason")),
            provider_executed=call.provider_executed,
        )


def _maybe_answer(part: UIPart, call: ToolCallContent, place: _Place) -> ToolResultOutput | None:
    state: str = part["state"]
    if state in _RESULT_STATES:
        return _output(part, call, place, error_type="error-text")
    approval: Mapping[str, Any] = part.get("approval") or {}
    reason = _text_or_none(approval.get("reason"))
    if state == "approval-responded" and approval.get("approved") is False:
        return ToolResultOutput("execution-denied", reason)
    # The denial of a call that the provider would have run is the provider's to hear of through the decision alone.
    if state == "output-denied" and not call.provider_executed:
        return ToolResultOutput("error-text", _DENIED if reason is None else reason)
    return None


def _result(call: ToolCallContent, output: ToolResultOutput, metadata: Any) -> ToolResultContent:
    return ToolResultContent(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        output=output,
        provider_options=provider_options(metadata),
    )


def _output(part: UIPart, call: ToolCallContent, place: _Place, *, error_type: Any) -> ToolResultOutput:
    if part["state"] == "output-error":
        text = part.get("errorText")
        return ToolResultOutput(error_type, "unknown error" if text is None else text)
    output = part.get("output")
    convert = place.options.convert_tool_output
    converted = None if convert is None else convert(call, output)
    if converted is not None:
        return converted
    # AI SDK 7 marks so what belonged to a tool that the application has taken away since.
    if part["type"] == "dynamic-tool" and part.get("dynamic") is False:
        return ToolResultOutput("text", _UNAVAILABLE)
    return tool_result_output(output)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag_or_none(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
