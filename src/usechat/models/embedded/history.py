"""Reduce a conversation to the text that the embedded model can read, and to the length that fits its context.

Pure, except for the token counter, which the caller passes in. The model has no tools and no images: unsupported
content is left out, and `unsupported` names it for a log line.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from usechat.errors import RequestError
from usechat.messages.model import (
    AssistantMessage,
    FileContent,
    ModelMessage,
    SystemMessage,
    TextContent,
    ToolMessage,
    UserMessage,
)
from usechat.models.base import ModelCall

__all__ = [
    "ANSWER_TOKENS",
    "HISTORY_TOKENS",
    "LONGEST_ANSWER_TOKENS",
    "SLOT_TOKENS",
    "CountTokens",
    "fit",
    "message_text",
    "plain_call",
    "unsupported",
]

SLOT_TOKENS = 4096
"""Tokens that the prompt and its answer share. llama.cpp refuses a longer prompt."""
ANSWER_TOKENS = 512
"""The default limit of an answer in tokens."""
LONGEST_ANSWER_TOKENS = 1024
"""The highest limit in tokens that a call can set."""
HISTORY_TOKENS = 1536
"""Older turns are kept up to this number of tokens, because the model reads only 170 tokens a second. A single long
message may still fill the whole slot."""
_SPARE_TOKENS = 32

CountTokens = Callable[[str | None, Sequence[ModelMessage]], Awaitable[int]]
"""Counts the tokens of a system text and messages, with the model's template."""


def unsupported(call: ModelCall) -> list[str]:
    """Return the names of the features of a call that the embedded model does not support."""
    options = (call.provider_options or {}).get("anthropic", {})
    asked = {
        "tools": bool(call.tools) or any(isinstance(message, ToolMessage) for message in call.messages),
        "thinking": "thinking" in options or call.reasoning not in (None, "none", "provider-default"),
        "structured output": call.response_format is not None,
        "files": any(isinstance(content, FileContent) for content in _user_contents(call.messages)),
    }
    return [name for name, is_asked in asked.items() if is_asked]


def plain_call(call: ModelCall) -> ModelCall:
    """Return the call with text only: text files become text, other files become a note.

    Tools, reasoning and provider options are left out.

    Raises:
        RequestError: The messages have no text of the user.
    """
    spoken = [(message, message_text(message)) for message in call.messages if not isinstance(message, SystemMessage)]
    turns = [(isinstance(message, UserMessage), _sendable(text)) for message, text in spoken if text]
    messages = [
        _message(is_user, "\n\n".join(text for _, text in group))
        for is_user, group in groupby(turns, key=lambda turn: turn[0])
    ]
    if not any(isinstance(message, UserMessage) for message in messages):
        raise RequestError("The local model needs a message with text.", path="messages")
    system = [call.system, *(message.text for message in call.messages if isinstance(message, SystemMessage))]
    return ModelCall(
        messages=messages,
        system=_sendable("\n\n".join(text for text in system if text)) or None,
        max_output_tokens=min(call.max_output_tokens or ANSWER_TOKENS, LONGEST_ANSWER_TOKENS),
        temperature=call.temperature,
        top_p=call.top_p,
        top_k=call.top_k,
        stop_sequences=call.stop_sequences,
        headers=call.headers,
        max_retries=call.max_retries,
    )


async def fit(call: ModelCall, count_tokens: CountTokens) -> ModelCall:
    """Drop as many of the oldest turns as necessary to fit the model's context. Keep the system text and the last turn.

    Args:
        call: The result of `plain_call`.
        count_tokens: Counts the tokens of the system text and the messages.

    Raises:
        RequestError: The system text and the last turn alone are too long.
    """
    # A turn begins with a user message. A greeting before the first one counts as a turn and is dropped first.
    starts = [index for index, message in enumerate(call.messages) if isinstance(message, UserMessage)]
    starts = starts if starts[0] == 0 else [0, *starts]
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if await count_tokens(call.system, call.messages[starts[middle] :]) <= HISTORY_TOKENS:
            high = middle
        else:
            low = middle + 1
    kept = call.messages[starts[low] :]
    room = SLOT_TOKENS - _SPARE_TOKENS - (call.max_output_tokens or ANSWER_TOKENS)
    needed = await count_tokens(call.system, kept)
    if needed > room:
        raise RequestError(
            f"The message is too long for the local model: {needed} tokens with the instructions, of {room}.",
            path="messages",
            status=413,
        )
    return msgspec.structs.replace(call, messages=kept)


def message_text(message: ModelMessage) -> str:
    """Return the text of a message. Text files are included in full, other files as a note."""
    if isinstance(message, SystemMessage):
        return message.text
    texts = [content.text for content in message.content if isinstance(content, TextContent)]
    notes = [_file_text(content) for content in message.content if isinstance(content, FileContent)]
    return "\n\n".join(text for text in (*notes, *texts) if text.strip())


def _user_contents(messages: Iterable[ModelMessage]) -> Iterator[object]:
    for message in messages:
        if isinstance(message, UserMessage):
            yield from message.content


def _message(is_user: bool, text: str) -> ModelMessage:
    return (UserMessage if is_user else AssistantMessage)((TextContent(text),))


def _sendable(text: str) -> str:
    # A browser may send a lone surrogate (half an emoji), which has no UTF-8 encoding.
    return text.encode(errors="replace").decode()


def _file_text(file: FileContent) -> str:
    """Return the text of a text file, or a note that names the file."""
    name = file.filename or "a file"
    if file.media_type.startswith("text/") and file.data is not None:
        try:
            return f"{name}:\n{base64.b64decode(file.data).decode()}"
        except ValueError:  # neither base64 nor UTF-8
            pass
    return f"[{name}, {file.media_type}: attached, but you cannot see it]"
