"""What is read out of UI messages to keep beside them: the words to search for, a title, and whether they are whole.

Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from usechat.chats.base import MessageStatus, UIMessage

__all__ = ["derive_title", "fold", "imported_status", "message_text"]

_TITLE_LENGTH: Final = 80
_UNSEARCHABLE: Final = re.compile("[\x00\ud800-\udfff]")
_UNFINISHED: Final = ("streaming", "input-streaming")


def message_text(message: UIMessage) -> str:
    """The texts of a message, a line each."""
    return "\n".join([str(part["text"]) for part in _parts(message) if part.get("type") == "text" and part.get("text")])


def fold(text: str) -> str:
    """``text`` in the form that is searched: upper and lower case, and forms of a character, are the same."""
    if text.isascii() and "\x00" not in text:
        return text.lower()
    return unicodedata.normalize("NFKC", _UNSEARCHABLE.sub("\ufffd", text)).casefold()


def derive_title(messages: Sequence[UIMessage]) -> str | None:
    """The beginning of the first thing the user says, cut at a word; ``None`` where there is no text."""
    texts = (message_text(message) for message in messages if message.get("role") == "user")
    words = " ".join(next((text for text in texts if text.strip()), "").split())
    if len(words) <= _TITLE_LENGTH:
        return words or None
    beginning = words[: _TITLE_LENGTH + 1].rpartition(" ")[0] or words[:_TITLE_LENGTH]
    return f"{beginning[:_TITLE_LENGTH]}…"


def imported_status(message: UIMessage) -> MessageStatus:
    """Whether a message that the client brought is whole: one with a part that was still growing is not."""
    for part in _parts(message):
        if part.get("state") in _UNFINISHED:
            return "partial"
    return "whole"


def _parts(message: UIMessage) -> list[Mapping[str, Any]]:
    parts: list[Any] = message.get("parts") or []
    # What is declared needs no cast, which would be a call for each part.
    return [part for part in parts if isinstance(part, Mapping)]
