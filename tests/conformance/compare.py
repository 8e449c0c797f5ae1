"""Compares two backends by what one client saw of each, and by what each asked the model.

Each aspect is compared by itself, so that a known difference in one hides nothing in another.
"""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from tests.conformance.frames import Frame, Names, join_deltas, read_frames, with_results_last, without_comments

__all__ = ["ASPECTS", "Aspect", "Conversation", "differences", "without_prefix"]

Aspect = Literal["exchanges", "headers", "frames", "state", "upstream"]

_HEADERS = (
    "content-type",
    "cache-control",
    "x-accel-buffering",
    "x-vercel-ai-data-stream",
    "x-vercel-ai-ui-message-stream",
)
_LINE = 140
_PREFIX = re.compile(r"^/v\d(?=/)")
_ASKED = ("messages", "system", "tool_choice", "thinking", "max_tokens", "stream", "betas")


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A scenario, held with one backend."""

    state: Mapping[str, Any]
    """What the client shows in the end."""
    exchanges: Sequence[Mapping[str, Any]]
    """Requests and answers on the wire."""
    asked: Sequence[Mapping[str, Any]]
    """The bodies of the requests to the model, with the ``betas`` that their headers name."""
    left: Sequence[bool]
    """Which of these the backend broke off."""
    errors: Sequence[str] = field(default=())
    """What the real SDK could not cope with; for who reads a difference."""

    def without(self, *keys: str) -> Conversation:
        """The same with these keys left out of the requests to the model."""
        asked = [{key: value for key, value in body.items() if key not in keys} for body in self.asked]
        return replace(self, asked=asked)

    def exchange_lines(self) -> list[str]:
        """Each exchange in a line: which request it was, how it was answered and ended."""
        return [
            f"{one['method']} {without_prefix(one['path'])} {one['status']} {one['ended']}" for one in self.exchanges
        ]

    def headers(self) -> list[dict[str, str | None]]:
        """The headers that a client or a proxy goes by."""
        return [{name: _plain(one["headers"].get(name)) for name in _HEADERS} for one in self.exchanges]

    def frames(self) -> list[list[Frame]]:
        """The frames of each answer."""
        names = Names()
        read = (without_comments(read_frames(_body(one), one["headers"])) for one in self.exchanges)
        return [join_deltas(with_results_last(names.frame(frame) for frame in frames)) for frames in read]

    def final_state(self) -> Any:
        """The state of the client, with ids that the client did not see grow from the wire."""
        return Names().value(self.state)

    def upstream(self) -> list[Any]:
        """What the model was asked, and whether the question was broken off."""
        names = Names()
        asked = [names.value({**{key: body.get(key) for key in _ASKED}, "tools": _tools(body)}) for body in self.asked]
        return [{**body, "left": left} for body, left in zip(asked, self.left, strict=True)]


ASPECTS: Mapping[Aspect, Callable[[Conversation], Any]] = {
    "exchanges": Conversation.exchange_lines,
    "headers": Conversation.headers,
    "frames": Conversation.frames,
    "state": Conversation.final_state,
    "upstream": Conversation.upstream,
}


def differences(theirs: Conversation, ours: Conversation, aspects: Sequence[Aspect]) -> dict[Aspect, str]:
    """For each aspect in which the two differ, a readable account of how."""
    found: dict[Aspect, str] = {}
    for aspect in aspects:
        one, two = ASPECTS[aspect](theirs), ASPECTS[aspect](ours)
        if one != two:
            found[aspect] = _account(one, two)
    return found


def without_prefix(path: str) -> str:
    """The path without what names the client's major, which only our backend has."""
    return _PREFIX.sub("", path)


def _tools(body: Mapping[str, Any]) -> list[Any]:
    """The tools, each without its input's schema, which two schema libraries write in two ways."""
    return [{**tool, "input_schema": "input_schema" in tool} for tool in body.get("tools", ())]


def _body(exchange: Mapping[str, Any]) -> bytes:
    return base64.b64decode(exchange["answer"])


def _plain(header: str | None) -> str | None:
    return header if header is None else header.replace(" ", "").lower()


def _account(theirs: Any, ours: Any) -> str:
    return "\n".join(difflib.unified_diff(_lines(theirs), _lines(ours), "theirs", "ours", lineterm="", n=1))


def _lines(value: Any, indent: str = "", label: str = "") -> list[str]:
    """JSON, with whatever fits on one line there."""
    compact = label + json.dumps(value, sort_keys=True)
    if len(compact) <= _LINE or not isinstance(value, dict | list) or not value:
        return [indent + compact]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        inner = [
            line
            for name, item in sorted(fields.items())
            for line in _lines(item, indent + " ", f"{json.dumps(name)}: ")
        ]
        return [f"{indent}{label}{{", *inner, indent + "}"]
    inner = [line for item in cast("list[Any]", value) for line in _lines(item, indent + " ")]
    return [f"{indent}{label}[", *inner, indent + "]"]
