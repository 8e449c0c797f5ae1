"""The body of a hand-written client: messages of role and content, and instructions.

Such clients keep anything in their messages (numbers as ids, times, states), so only the fields for the model are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, cast

from fastapi import Request
from pydantic import FailFast, Field, field_validator

from usechat.http.request import body_reader
from usechat.messages import ui
from usechat.messages.limits import BodyLimits

__all__ = ["FetchChatBody", "fetch_chat_request"]

READ_KEYS: Final = ("role", "content", "parts")


class FetchChatBody(ui.ChatRequest):
    """Messages of role and content, and instructions."""

    messages: Annotated[list[ui.UIMessage], FailFast()] = Field()
    """All messages: these clients send no less."""
    system_prompt: str | None = Field(default=None, alias="systemPrompt")

    @field_validator("messages", mode="before")
    @classmethod
    def _without_the_pages_own(cls, messages: Any) -> Any:
        if not isinstance(messages, list):
            return messages
        return [read_keys(message) for message in cast("list[Any]", messages)]

    @property
    def instructions(self) -> str | None:
        """The client's system prompt and system messages."""
        systems = [message.text for message in self.messages if message.role == "system"]
        return "\n\n".join(text for text in (self.system_prompt, *systems) if text and text.strip()) or None


def read_keys(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    given = cast("Mapping[str, Any]", message)
    return {key: given[key] for key in READ_KEYS if given.get(key) is not None} | empty_text(given)


def empty_text(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message with an empty text when it has none: an answer that was stopped before its first word."""
    return {"content": ""} if message.get("content") is None and message.get("parts") is None else {}


def fetch_chat_request(max_body_bytes: int, limits: BodyLimits) -> Callable[[Request], Any]:
    """Return a dependency that reads such a body within the limits."""
    return body_reader(partial(ui.parse_body, FetchChatBody), max_body_bytes, limits)
