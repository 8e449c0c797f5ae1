"""Chats that need no careful reading: all of it was posted as AI SDK 5 and later post it, and nothing is wrong with it.

Nearly all chats are, and long ones are mostly text, so here the whole of one is asked once. Whatever is not certain is
left to the careful way (`usechat.messages.ui`), which also says what is wrong; a chat that is plain it would read the
same. Knows nothing of pydantic's models.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import PydanticCustomError

from usechat.json import MAX_DEPTH, is_json_value
from usechat.messages.legacy import KEYS_OF_4, is_legacy_part
from usechat.messages.part_checks import check_part

__all__ = ["is_plain_chat"]

_DICT: Final[Any] = dict
_LIST: Final[Any] = list
"""Comparisons with these narrow no type, so that what is known to be an object needs no call of ``cast``."""
_DEPTH_OF_PARTS: Final = 5
"""Of what is in a part: within the body, its messages, one of them, its parts, and the part."""


def is_plain_chat(body: Any) -> bool:
    """Whether a body, as msgspec decodes it, is JavaScript's JSON and all its messages and their parts are as wanted.

    Only the types of the messages' own fields are still to be checked.
    """
    if type(body) is not _DICT:
        return False
    unseen: list[Any] = [{key: value for key, value in body.items() if key != "messages"}]
    try:
        messages = body["messages"]
        if type(messages) is not _LIST:
            return False
        for message in messages:
            if type(message) is not _DICT or not KEYS_OF_4.isdisjoint(message):
                return False
            if len(message) != 3 or type(message["id"]) is not str or type(message["role"]) is not str:
                unseen.append({key: value for key, value in message.items() if key != "parts"})
            if not _are_plain_parts(message["parts"], unseen):
                return False
    except (KeyError, PydanticCustomError):
        return False
    return is_json_value(unseen, MAX_DEPTH - _DEPTH_OF_PARTS)


def _are_plain_parts(parts: Any, unseen: list[Any]) -> bool:
    """Whether parts are as wanted, given that what is added to ``unseen`` is JavaScript's JSON.

    Raises:
        KeyError, PydanticCustomError: They are not.
    """
    if type(parts) is not _LIST:
        return False
    for part in parts:
        if type(part) is not _DICT:
            return False
        kind = part["type"]
        # Most parts are one of these two.
        if kind == "text" and type(part["text"]) is str and (len(part) == 2 or _has_state_only(part)):
            continue
        if kind == "step-start" and len(part) == 1:
            continue
        check_part(part)
        if is_legacy_part(part):
            return False
        unseen.append(part)
    return True


def _has_state_only(part: Any) -> bool:
    return len(part) == 3 and "state" in part and type(part["state"]) is str
