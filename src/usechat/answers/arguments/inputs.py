"""Reads the messages of an answer: UI messages, model messages or one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from usechat.answers.calls.stored_inputs import settle_inputs
from usechat.checks import named
from usechat.errors import ConfigurationError, RequestError
from usechat.messages.convert import convert_to_model_messages
from usechat.messages.dicts.ai_sdk import is_model_dict, read_model_messages
from usechat.messages.dicts.types import AnthropicMessageDict, ModelMessageDict, UIMessageDict
from usechat.messages.model import AssistantMessage, ModelMessage, SystemMessage, TextContent, ToolMessage, UserMessage
from usechat.messages.ui import LegacyUIMessage, StoredUIMessage, UIMessage
from usechat.messages.validation import request_error_from_validation
from usechat.tools.tool import Tool

__all__ = ["Messages", "given_messages", "read_messages"]

Messages: TypeAlias = Sequence[UIMessage | UIMessageDict | ModelMessage | ModelMessageDict | AnthropicMessageDict]
"""UI messages as ``useChat`` posts them (or the same as dicts), or model messages: as objects, as the dicts of the AI
SDK's ``ModelMessage``, or as those of Anthropic's API."""

_OF_UI = frozenset({UIMessage, LegacyUIMessage, StoredUIMessage})
NO_TOOLS: Mapping[str, Tool] = {}
MODEL_MESSAGES = (SystemMessage, UserMessage, AssistantMessage, ToolMessage)


def given_messages(messages: Messages | None, prompt: str | None) -> Messages:
    """Return the messages, or the prompt as one message.

    Raises:
        ConfigurationError: Both were given, or neither.
    """
    if messages is not None and prompt is None:
        if isinstance(messages, str | bytes | Mapping) or not hasattr(messages, "__len__"):
            mend = "; one text is prompt=…" if isinstance(messages, str) else ""
            raise ConfigurationError(f"messages must be a list of messages, not {named(messages)}{mend}")
        return messages
    if prompt is not None and messages is None:
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance] - not all programs are checked
            raise ConfigurationError(f"prompt must be a text, not {named(prompt)}; a list of messages is messages=…")
        return [UserMessage((TextContent(prompt),))]
    raise ConfigurationError("give either messages or prompt")


def read_messages(
    messages: Sequence[Any], tools: Mapping[str, Tool] = NO_TOOLS, **options: Any
) -> Sequence[ModelMessage]:
    """Return the messages as model messages. ``options`` go to `convert_to_model_messages`.

    Args:
        messages: UI messages or model messages.
        tools: The tools that the inputs in UI messages must fit; see `settle_inputs`.
        options: Those of the conversion.

    Raises:
        RequestError: There are no messages, or one is not valid or cannot be expressed to a model.
        ConfigurationError: Model messages stand among UI messages.
    """
    if not messages:
        raise RequestError("must not be empty", path="messages")
    if _OF_UI.issuperset(map(type, messages)):
        return convert_to_model_messages(settle_inputs(messages, tools), **options)
    of_models = sum(isinstance(message, MODEL_MESSAGES) for message in messages)
    if of_models == len(messages):
        return messages
    # A dict with only a role and a text fits both forms. The other messages tell which is meant.
    dicts = sum(is_model_dict(message) for message in messages)
    if of_models + dicts == len(messages):
        return read_model_messages(messages, allow_system=bool(options.get("allow_system")))
    if of_models or any(is_model_dict(message) and not isinstance(message.get("content"), str) for message in messages):
        raise ConfigurationError("messages must be UI messages or model messages, not some of each")
    ui_messages = [read_message(message, f"messages[{number}]") for number, message in enumerate(messages)]
    return convert_to_model_messages(settle_inputs(ui_messages, tools), **options)


def read_message(message: Any, path: str) -> UIMessage:
    if isinstance(message, UIMessage):
        return message
    try:
        return UIMessage.model_validate(message)
    except ValidationError as error:
        refused = request_error_from_validation(error)
        within = f"{path}.{refused.path}" if refused.path else path
        raise RequestError(refused.message, path=within, status=refused.status) from None
