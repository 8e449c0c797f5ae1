"""Finds out which versions of the AI SDK can have sent a chat request.

The first requests of AI SDK 5, 6 and 7 are equal to the byte, and so are those of 2, 3 and early 4. So a request proves
only a lower bound, unless the browser sent the SDK's user agent. This module decides nothing: the caller chooses the
dialect.

Source: first requests of ai 2.2.37, 3.0.0, 3.0.35, 3.1.37, 3.2.45, 3.3.44, 3.4.33, 4.0.0, 4.0.36, 4.1.0, 4.1.20, 4.2.0,
4.3.19, 5.0.0, 5.0.277, 6.0.0, 6.0.324, 7.0.0 and 7.0.173, compared byte by byte; between them, what each release of
``@ai-sdk/react`` from 1.0.0 to 1.2.0 posts (``use-chat``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from usechat.messages.ui import ChatRequest, is_tool_part

__all__ = ["ClientEvidence", "detect"]

_USER_AGENT: Final = re.compile(r"\bai-sdk/((\d+)\.\d+\.\d+[-.\w]*)")
_OLDEST_MAJORS: Final[Mapping[str, int]] = {"custom": 7, "reasoning-file": 7, "steering-message": 7}
_OLDEST_MAJORS_BY_STATE: Final[Mapping[str, int]] = {
    "approval-requested": 6,
    "approval-responded": 6,
    "output-denied": 6,
}
_OF_EVERY_MAJOR: Final = frozenset({"text", "step-start", "reasoning", "file"})
_APPROVAL_KEYS_OF_7: Final = ("isAutomatic", "requestReason")


Version: TypeAlias = tuple[int, int, int]

SENDS_NO_ID: Final[Version] = (3, 0, 0)
"""The oldest release assumed for a body without parts and id.

AI SDK 2 sends the same bodies; its releases since 2.2.32 read the same lines.
"""
SENDS_ID: Final[Version] = (4, 0, 36)
SENDS_PARTS: Final[Version] = (4, 1, 20)
MARKS_STEPS: Final[Version] = (4, 2, 8)


class ClientEvidence(msgspec.Struct, frozen=True):
    """The proof in a request of the AI SDK that sent it."""

    major: Literal[4, 5, 6, 7] | None
    """The major; None when it is uncertain."""
    minimum_major: int
    """The oldest major that can have sent it."""
    version: str | None = None
    """The exact version; None unless the user agent has it."""
    oldest: Version | None = None
    """The oldest release that can have sent a body in the form before AI SDK 5."""


def detect(chat: ChatRequest, headers: Mapping[str, str] | None = None) -> ClientEvidence:
    """Return the evidence of the sender's version.

    Args:
        chat: The request's body.
        headers: The request's headers, in any letter case.
    """
    if chat.is_v4:
        oldest = _oldest_release(chat)
        return ClientEvidence(None if oldest == SENDS_NO_ID else 4, oldest[0], oldest=oldest)
    # Skip the kinds that every major has: nearly all parts of a long chat.
    telling = [part for message in chat.posted for part in message.parts if part["type"] not in _OF_EVERY_MAJOR]
    proven = max(map(_oldest_major, telling), default=5)
    version, major = _version(headers or {})
    if major in (5, 6, 7):
        return ClientEvidence(major, major, version)
    return ClientEvidence(None, proven, version)


def _oldest_release(chat: ChatRequest) -> Version:
    posted = [message.original for message in chat.posted]
    if not all(isinstance(message.get("parts"), list) for message in posted):
        # The SDK's own `id` comes first; an `id` that the page adds comes after the messages.
        return SENDS_ID if chat.begins_with_id else SENDS_NO_ID
    parts = [part for message in posted for part in cast("list[Any]", message["parts"])]
    return MARKS_STEPS if {"type": "step-start"} in parts else SENDS_PARTS


def _version(headers: Mapping[str, str]) -> tuple[str | None, int | None]:
    agents: Iterator[str] = (value for name, value in headers.items() if name.lower() == "user-agent")
    found = _USER_AGENT.search(next(agents, ""))
    return (found.group(1), int(found.group(2))) if found else (None, None)


def _oldest_major(part: Mapping[str, Any]) -> int:
    if not is_tool_part(part):
        return _OLDEST_MAJORS.get(part["type"], 5)
    approval: Mapping[str, Any] = part.get("approval") or {}
    if any(key in approval for key in _APPROVAL_KEYS_OF_7):
        return 7
    return 6 if approval else _OLDEST_MAJORS_BY_STATE.get(str(part.get("state")), 5)
