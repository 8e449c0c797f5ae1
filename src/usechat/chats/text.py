"""Reads the values that are stored beside UI messages: the searched words, a title, and whether a message is whole.

Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from usechat.chats.tree import MessageStatus, UIMessage

__all__ = ["derive_title", "fold", "imported_status", "message_text"]

_TITLE_LENGTH: Final = 80
_SPACE_FOR_TITLE: Final = 4096
"""Characters that are read for a title."""
_MAX_SEARCHED: Final = 1_000_000
"""Characters of a message that are searched: a thousand pages."""
_FOLDED_AT_ONCE: Final = 4096
"""Characters that become 18 times as many, as a ligature of Arabic does, take a hundred times as long as others."""
_UNSEARCHABLE: Final = re.compile("[\x00\ud800-\udfff]")
_UNFINISHED: Final = ("streaming", "input-streaming")


def message_text(message: UIMessage) -> str:
    """Return the texts of a message, one a line."""
    return "\n".join([str(part["text"]) for part in _parts(message) if part.get("type") == "text" and part.get("text")])


def fold(text: str) -> str:
    """Return ``text`` in the form that is searched: upper and lower case, and forms of a character, are the same.

    Of a very long text, return the beginning. The result is at most twice as long as the text: some characters stand
    for whole sentences.
    """
    if text.isascii() and "\x00" not in text:
        return text[:_MAX_SEARCHED].lower()
    if len(text) <= _FOLDED_AT_ONCE:
        return _fold_piece(text)
    # Piece by piece, as nothing else can run while a single call works on all of it.
    pieces: list[str] = []
    start, room = 0, min(_MAX_SEARCHED, 2 * len(text))
    while start < len(text) and room > 0:
        end = _end_of_piece(text, start)
        pieces.append(_fold_piece(text[start:end]))
        start, room = end, room - len(pieces[-1])
    return "".join(pieces)


def _fold_piece(text: str) -> str:
    return unicodedata.normalize("NFKC", _UNSEARCHABLE.sub("\ufffd", text)).casefold()


def _end_of_piece(text: str, start: int) -> int:
    """Return where a piece may end: before a character that joins no other one, if there is one not far away."""
    usual = start + _FOLDED_AT_ONCE
    near = text[usual : usual + _FOLDED_AT_ONCE]
    return usual + next((at for at, character in enumerate(near) if character.isascii()), 0)


def derive_title(messages: Sequence[UIMessage]) -> str | None:
    """Return the beginning of the user's first text, cut at a word; ``None`` when there is no text."""
    texts = (message_text(message) for message in messages if message.get("role") == "user")
    beginnings = (text.lstrip()[:_SPACE_FOR_TITLE] for text in texts)
    words = " ".join(next((beginning for beginning in beginnings if beginning), "").split())
    if len(words) <= _TITLE_LENGTH:
        return words or None
    beginning = words[: _TITLE_LENGTH + 1].rpartition(" ")[0] or words[:_TITLE_LENGTH]
    return f"{beginning[:_TITLE_LENGTH]}…"


def imported_status(message: UIMessage) -> MessageStatus:
    """Return whether a message that the client brought is whole: one with a part that was still growing is not."""
    for part in _parts(message):
        if part.get("state") in _UNFINISHED:
            return "partial"
    return "whole"


def _parts(message: UIMessage) -> list[Mapping[str, Any]]:
    parts: list[Any] = message.get("parts") or []
    # A declared type needs no `cast`, which would be a call for each part.
    return [part for part in parts if isinstance(part, Mapping)]
