"""What the embedded model is given of a conversation: text, and no more of it than it can read.

Pure, but for the counting of tokens, which the caller lends. The model knows neither tools nor images; what it
cannot read is left out, and `unsupported` names it so that somebody can say so.
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
"""What the prompt and its answer share; llama.cpp refuses a longer prompt."""
ANSWER_TOKENS = 512
"""The longest answer, unless the call says otherwise."""
LONGEST_ANSWER_TOKENS = 1024
"""The longest answer that a call may ask for."""
HISTORY_TOKENS = 1536
"""Up to here older turns are kept: reading takes a second for 170 tokens. One long message may take the whole slot."""
_SPARE_TOKENS = 32

CountTokens = Callable[[str | None, Sequence[ModelMessage]], Awaitable[int]]
"""Tokens of a system text and messages, template included."""


def unsupported(call: ModelCall) -> list[str]:
    """Return what of a call the embedded model cannot do, in plain words."""
    options = (call.provider_options or {}).get("anthropic", {})
    asked = {
        "tools": bool(call.tools) or any(isinstance(message, ToolMessage) for message in call.messages),
        "thinking": "thinking" in options,
        "structured output": call.response_format is not None,
        "files": any(isinstance(content, FileContent) for content in _user_contents(call.messages)),
    }
    return [name for name, is_asked in asked.items() if is_asked]


def plain_call(call: ModelCall) -> ModelCall:
    """Return the call with text alone: files become a note, tools, reasoning and provider options are left out.

    Raises:
        RequestError: No text of the user is left.
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
    """Return the plain call without as many of the oldest turns as it takes; system text and last message always stay.

    Raises:
        RequestError: These two alone are too long.
    """
    # A turn begins with what the user said; before the first one there may be a greeting, which goes first.
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
    """Return what a message says; files of the user are named, or read out where they are text."""
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
    # Half an emoji, which a browser may well send, has no UTF-8.
    return text.encode(errors="replace").decode()


def _file_text(file: FileContent) -> str:
    """Return a text file's text, or a note that there is a file."""
    name = file.filename or "a file"
    if file.media_type.startswith("text/") and file.data is not None:
        try:
            return f"{name}:\n{base64.b64decode(file.data).decode()}"
        except ValueError:  # neither base64 nor UTF-8
            pass
    return f"[{name}, {file.media_type}: attached, but you cannot see it]"
