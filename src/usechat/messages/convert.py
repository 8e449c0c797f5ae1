"""Converts UI messages to model messages, in the order that the model needs.

An assistant's UI message holds all steps of an answer. Each step becomes one assistant message. When tools ran in it,
or the user decided on a call, one tool message follows. Knows no provider; a provider's model repairs what only that
provider refuses.

Source: ``ai/src/ui/convert-to-model-messages.ts`` and ``ai/src/prompt/create-tool-model-output.ts`` (7.0.173).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from usechat.errors import RequestError
from usechat.messages.call_words import FAILED, NOT_ANSWERED, words_or
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
"""Converts a ``data-NAME`` part to text or a file for the model, or to None, which leaves the part out."""

ConvertToolOutput: TypeAlias = Callable[[ToolCallContent, Any], ToolResultOutput | None]
"""Converts a tool's output for the model. When it returns None, `tool_result_output` converts it."""

_STEP_ENDS: Final = frozenset({"step-start", "steering-message"})
_COMPLETE_STATES: Final = frozenset({"approval-responded", "output-available", "output-error", "output-denied"})
_RESULT_STATES: Final = frozenset({"output-available", "output-error"})
_UNAVAILABLE: Final = "Tool output omitted because the tool is no longer available."


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    newest: int
    """The index of the newest message. A file there must be readable; in older messages a note replaces it."""
    allow_system: bool
    allow_http: bool
    ignore_incomplete_tool_calls: bool
    convert_data_part: ConvertDataPart | None
    convert_tool_output: ConvertToolOutput | None


class _Place(msgspec.Struct, frozen=True):
    """The place of a message or part, and the options of the conversion."""

    index: int
    options: _Options
    within: _Place | None = None
    """The place of the message or part that holds this part; None for a message."""

    @property
    def message_index(self) -> int:
        """The index of the message."""
        return self.index if self.within is None else self.within.message_index

    @property
    def path(self) -> str:
        """The path for errors, built on demand because most places are never named."""
        return f"messages[{self.index}]" if self.within is None else f"{self.within.path}.parts[{self.index}]"

    def part(self, index: int) -> _Place:
        """Return the place of the part at an index. Call it only when an error may name the place."""
        return _Place(index, self.options, self)


_ContentT = TypeVar("_ContentT")
_Convert: TypeAlias = Callable[[UIPart, _Place, int], _ContentT | None]
"""Converts a part, given the place of its holder and its index there. Returns None when the model gets nothing."""


def convert_to_model_messages(
    messages: Sequence[UIMessage],
    *,
    allow_system: bool = False,
    allow_http: bool = False,
    ignore_incomplete_tool_calls: bool = False,
    convert_data_part: ConvertDataPart | None = None,
    convert_tool_output: ConvertToolOutput | None = None,
) -> list[ModelMessage]:
    """Return the model messages of a chat.

    Args:
        messages: The chat, from any AI SDK major.
        allow_system: Whether to keep ``system`` messages. The client can write them, so they are dropped by default.
        allow_http: Whether files may have http: URLs. data: and https: URLs are always accepted.
        ignore_incomplete_tool_calls: Leave out calls that have neither a result nor a decision. Otherwise they stay,
            and the model is told that the user did not approve them, or that they were interrupted.
        convert_data_part: Converts ``data-NAME`` parts for the model; without it they are left out.
        convert_tool_output: Converts the outputs of tools that choose what the model sees.

    Raises:
        RequestError: A file in the newest message has a URL that is not accepted or cannot be read.
    """
    options = _Options(
        newest=len(messages) - 1,
        allow_system=allow_system,
        allow_http=allow_http,
        ignore_incomplete_tool_calls=ignore_incomplete_tool_calls,
        convert_data_part=convert_data_part,
        convert_tool_output=convert_tool_output,
    )
    converted: list[ModelMessage] = []
    for index, message in enumerate(messages):
        converted += _MESSAGES[message.role](message, _Place(index, options))
    return converted


def tool_result_output(output: Any) -> ToolResultOutput:
    """Return a tool's output for the model by the default rule: text as text, anything else as JSON."""
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
    """Converters by type of part. Unknown types have a converter too: it leaves the part out."""

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
        # The client got an error when it sent the file. Another error here would block the chat for ever.
        return TextContent(unreadable_note(part.get("filename")))


def _convert_assistant_file(part: UIPart, place: _Place, index: int) -> FileContent | None:
    # The model made the file and no provider accepts it back, so an unreadable URL is no reason to refuse.
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
    if state in (None, "input-streaming"):
        return False
    is_complete = state in _COMPLETE_STATES and part.get("preliminary") is not True
    return is_complete or not place.options.ignore_incomplete_tool_calls


def _add_tool(part: UIPart, place: _Place, content: list[AssistantContent], answers: list[ToolContent]) -> None:
    """Add a tool call and a provider's result to the step's content, other results and decisions to ``answers``."""
    call = _tool_call(part)
    content.append(call)
    if part.get("approval") is not None:
        content.append(_approval_request(part))
        answers += _decision(part, call)
    if call.provider_executed and _has_result(part):
        metadata = part.get("resultProviderMetadata") or part.get("callProviderMetadata")
        output = _output(part, call, place, error_type="error-json")
        content.append(_result(call, output, metadata))
    elif (output := _maybe_answer(part, call, place)) is not None:
        answers.append(_result(call, output, part.get("callProviderMetadata")))


def _has_result(part: UIPart) -> bool:
    """Return whether the call has ended. A preliminary output is not its result: the tool was interrupted."""
    return part["state"] in _RESULT_STATES and part.get("preliminary") is not True


def _tool_call(part: UIPart) -> ToolCallContent:
    is_error = part["state"] == "output-error"
    given = part.get("input", {})
    if is_error and part.get("input") is None:
        # A call whose input could not be parsed has the raw text in `rawInput`. No input at all means an empty one.
        given = part.get("rawInput", {})
    if is_error and isinstance(given, str | int | float | None):
        given = {}  # As in the answer itself, where the step's recorder leaves such an input out.
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
    if _has_result(part):
        return _output(part, call, place, error_type="error-text")
    if state == "approval-requested" and not call.provider_executed:
        return ToolResultOutput("execution-denied", NOT_ANSWERED)
    approval: Mapping[str, Any] = part.get("approval") or {}
    reason = _text_or_none(approval.get("reason"))
    if state == "approval-responded" and approval.get("approved") is False:
        return ToolResultOutput("execution-denied", reason)
    # The provider learns of the denial of its own call from the decision alone.
    if state == "output-denied" and not call.provider_executed:
        # In the form that the model got in the answer itself: another one would change a cached prefix.
        return ToolResultOutput("execution-denied", reason)
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
        return ToolResultOutput(error_type, "unknown error" if text is None else words_or(text, FAILED))
    output = part.get("output")
    convert = place.options.convert_tool_output
    converted = None if convert is None else convert(call, output)
    if converted is not None:
        return converted
    # AI SDK 7 marks a call so when the application has removed its tool since.
    if part["type"] == "dynamic-tool" and part.get("dynamic") is False:
        return ToolResultOutput("text", _UNAVAILABLE)
    return tool_result_output(output)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag_or_none(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
