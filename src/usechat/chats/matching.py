"""Matches posted messages with stored ones.

AI SDK 5 and later give every message an id. AI SDK 4 posts none, so its messages are recognized by their contents and
their order. An answer that the client never got, or got only half, is skipped. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import msgspec

from usechat.chats.merge import is_tool_part
from usechat.chats.store import SavedMessage

__all__ = ["Match", "find_position", "match_messages", "message_id"]

Posted: TypeAlias = Mapping[str, Any]
Contents: TypeAlias = list[tuple[Any, Any]]
"""The contents of a message: the kind and the content of each part."""


class Match(msgspec.Struct, frozen=True):
    """The places of posted messages among the stored ones."""

    positions: Sequence[int | None]
    """One position a posted message; ``None`` for a new one."""
    diverges_at: int | None = None
    """The place where the client's messages first differ from the stored ones, when they are matched by order. From
    there on, the client's messages count."""


def message_id(message: Posted) -> str | None:
    """Return the message's id if it has a usable one."""
    found = message.get("id")
    return found if isinstance(found, str) and found else None


def find_position(stored: Sequence[SavedMessage], wanted: str | None) -> int | None:
    """Return the position of the stored message with an id."""
    return next((saved.position for saved in stored if wanted is not None and saved.id == wanted), None)


def match_messages(stored: Sequence[SavedMessage], posted: Sequence[Posted]) -> Match:
    """Find each posted message among the stored ones."""
    if all(message_id(message) is not None for message in posted):
        return Match(_match_by_id(stored, posted))
    return _match_by_order(stored, posted)


def _match_by_id(stored: Sequence[SavedMessage], posted: Sequence[Posted]) -> list[int | None]:
    known = {saved.id: saved.position for saved in stored}
    positions = [known.get(message["id"]) for message in posted]
    # Each stored answer is compared once: a client has one copy of it.
    compared = set(positions)
    for index, message in enumerate(posted):
        before = positions[index - 1] if index else None
        if positions[index] is None and before is not None and message["role"] == "assistant":
            # A text stream carries no message id, so the client has made its own id for the answer.
            answer = stored[before + 1] if before + 1 < len(stored) else None
            if answer is None or answer.position in compared:
                continue
            compared.add(answer.position)
            if _is_same_answer(answer.message, message):
                positions[index] = answer.position
    return positions


def _match_by_order(stored: Sequence[SavedMessage], posted: Sequence[Posted]) -> Match:
    positions: list[int | None] = [None] * len(posted)
    place = 0
    read: dict[int, Contents] = {}
    for index, message in enumerate(posted):
        found = _next_user(stored, place) if message["role"] == "user" else place
        saved = stored[found] if found < len(stored) else None
        if saved is not None and _is_in_place(saved, message, read):
            positions[index] = found
            place = found + 1
        elif message["role"] == "user":
            return Match(positions, None if saved is None else found)
    return Match(positions)


def _next_user(stored: Sequence[SavedMessage], place: int) -> int:
    """Return the place of the next message of the user: a client may lack answers, never its own messages."""
    return next((at for at in range(place, len(stored)) if stored[at].role == "user"), len(stored))


def _is_in_place(saved: SavedMessage, message: Posted, read: dict[int, Contents]) -> bool:
    if saved.role != message["role"]:
        return False
    # There is one answer at a place, of which the client may have any version or any beginning.
    if saved.role == "assistant" or _has_same_id(saved.message, message):
        return True
    # A place may be compared with many messages, so its contents are read only once.
    if saved.position not in read:
        read[saved.position] = _contents(saved.message)
    return read[saved.position] == _contents(message)


def _has_same_id(stored: Posted, posted: Posted) -> bool:
    return message_id(posted) is not None and message_id(posted) == message_id(stored)


def _is_same_answer(stored: Posted, posted: Posted) -> bool:
    if stored["role"] != posted["role"]:
        return False
    texts, calls = (_text(stored), _text(posted)), (_calls(stored), _calls(posted))
    shared = min(len(ids) for ids in calls)
    is_beginning = texts[0].startswith(texts[1]) or texts[1].startswith(texts[0])
    return is_beginning and calls[0][:shared] == calls[1][:shared]


def _parts(message: Posted) -> list[Posted]:
    return [cast("Posted", part) for part in message.get("parts") or () if isinstance(part, Mapping)]


def _contents(message: Posted) -> Contents:
    said = (("text", "text"), ("file", "url"))
    return [(kind, part.get(key)) for part in _parts(message) for kind, key in said if part.get("type") == kind]


def _text(message: Posted) -> str:
    return "".join(str(part.get("text", "")) for part in _parts(message) if part.get("type") == "text")


def _calls(message: Posted) -> list[str]:
    return [part["toolCallId"] for part in _parts(message) if is_tool_part(part)]
