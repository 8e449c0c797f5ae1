"""What a scenario is: what the client does, what the model answers, in which majors.

A scenario is told to the client's driver as JSON, in the words of ``js/client/``. The model's name in a request is the
scenario's, so that the stand-in knows what to answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usechat.testing.replay import Reply

__all__ = ["MAJORS", "NEWEST", "PNG", "SINCE_5", "SINCE_6", "Scenario", "Step", "attach", "send"]

MAJORS = (4, 5, 6, 7)
NEWEST = MAJORS[-1]
SINCE_5 = (5, 6, 7)
SINCE_6 = (6, 7)

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""The smallest picture there is, in base64."""

Step = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One conversation."""

    name: str
    replies: Sequence[Reply]
    """What the model answers to the first, second, … request of a turn; a text without tools after the last."""
    flow: Sequence[Step] = ({"kind": "send", "text": "Hi"},)
    """What the user does."""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the client sends beside the messages; the compared backends act on it."""
    route: str = "chat"
    """What follows ``/api/``."""
    majors: Sequence[int] = MAJORS
    goes_on: bool = False
    """Whether the client sends again by itself once it has a tool's output or an approval."""
    react: bool = False
    """Whether the chat is held by `useChat` in React (which AI SDK 4 does always), rather than by the class below."""
    socket: bool = False
    """Whether the client speaks over a WebSocket; only ours answers there."""

    def to_json(self, major: int) -> dict[str, Any]:
        """The scenario for the client's driver."""
        return {
            "name": self.name,
            "model": self.model(major),
            "route": self.route,
            "body": self.body,
            "flow": list(self.flow),
            "goesOn": self.goes_on,
            "react": self.react,
            "socket": self.socket,
        }

    def model(self, major: int) -> str:
        """The model's name in requests of this scenario."""
        return f"scenario:{major}:{self.name}"


def send(text: str, **more: Any) -> Step:
    return {"kind": "send", "text": text, **more}


def attach(media_type: str, filename: str, base64: str) -> Sequence[Step]:
    url = f"data:{media_type};base64,{base64}"
    return (send("Look", files=[{"type": "file", "mediaType": media_type, "filename": filename, "url": url}]),)
