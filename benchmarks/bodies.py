"""What `useChat` posts: the shortest conversation, and one that has gone on for a while."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

from benchmarks.programs import CACHE

__all__ = ["Client", "body_file", "earlier_messages", "long_body_file"]

Client: TypeAlias = Literal["ui", "v4"]
"""Whose body it is: AI SDK 5 and later, or 4."""

_CHAT = "chat-0000000000000000"
"""The load generator puts a number of its own in place of the zeros, so that each answer is a chat's first."""
_HISTORY = 50
_TEXT = "The harbour office opens at eight; ask for the blue ledger and the tide table of the week before. "


def body_file(client: Client, answer: str) -> Path:
    """A file with the body of a first message, whose text names the answer."""
    message: dict[str, Any] = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": answer}]}
    if client == "v4":
        return _write(f"{client}-{answer}", {"id": _CHAT, "messages": [{**message, "content": answer}]})
    return _write(f"{client}-{answer}", {"id": _CHAT, "trigger": "submit-message", "messages": [message]})


def long_body_file(answer: str) -> Path:
    """A file with a conversation of fifty messages."""
    last = {"id": "last", "role": "user", "parts": [{"type": "text", "text": answer}]}
    messages = [*earlier_messages(_HISTORY - 1), last]
    return _write(f"long-{answer}", {"id": _CHAT, "trigger": "submit-message", "messages": messages})


def earlier_messages(count: int) -> list[dict[str, Any]]:
    """A conversation so far, in which the user begins; every tenth message holds a tool call and its output."""
    return [_earlier_message(number) for number in range(count)]


def _earlier_message(number: int) -> dict[str, Any]:
    text = {"type": "text", "text": _TEXT * (1 + number % 3)}
    if number % 2 == 0:
        return {"id": f"m{number}", "role": "user", "parts": [text]}
    call: dict[str, Any] = {
        "type": "tool-look_up",
        "toolCallId": f"toolu_{number}",
        "state": "output-available",
        "input": {"query": "tide table", "limit": number},
        "output": {"rows": [{"hour": hour, "metres": hour / 7} for hour in range(12)]},
    }
    calls = [call] if number % 10 == 1 else []
    parts = [{"type": "step-start"}, *calls, {**text, "state": "done"}]
    return {"id": f"m{number}", "role": "assistant", "parts": parts}


def _write(name: str, body: dict[str, Any]) -> Path:
    path = CACHE / "bodies" / f"{name.replace(':', '-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))
    return path
