"""Frames of an answer, read so that two backends' can be compared: random ids become names, deltas are joined.

How an answer was cut into deltas is the provider's and the network's doing, and no protocol; ids that a backend draws
at random are the same when they stand in the same places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

__all__ = ["Frame", "Names", "join_deltas", "read_frames", "with_results_last", "without_comments"]

Frame = tuple[str, Any]
"""Its type (a chunk's type, a line's code, ``comment``, ``[DONE]``) and its value."""

_PIECES = {"text-delta": "delta", "reasoning-delta": "delta", "tool-input-delta": "inputTextDelta"}
_LINE_PIECES = {"c": "argsTextDelta"}
_TEXT_LINES = ("0", "g")
_BLOCK = re.compile(r"(text|reasoning)-(start|delta|end)")
_RANDOM_KEYS = frozenset({"messageId", "sourceId", "approvalId"})
_APPROVAL_KEYS = frozenset({"id", "approved", "reason", "isAutomatic", "signature", "requestReason"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")
# What follows are the words of the JavaScript engine or of a schema library.
_INVALID_INPUT = re.compile(r"(Invalid input for tool [\w-]+: ).*", re.DOTALL)


def read_frames(body: bytes, headers: Mapping[str, str]) -> list[Frame]:
    """The frames of an answer's body; which format it is in, its headers say."""
    text = body.decode("utf-8", "surrogateescape")
    if "x-vercel-ai-data-stream" in headers:
        return [_read_line(line) for line in text.split("\n") if line]
    if headers.get("content-type", "").startswith("text/event-stream"):
        return [_read_event(event) for event in text.split("\n\n") if event]
    return [("text", text)]


def _read_line(line: str) -> Frame:
    code, _, value = line.partition(":")
    return code, json.loads(value)


def _read_event(event: str) -> Frame:
    if event.startswith(":"):
        return "comment", event
    data = event.removeprefix("data: ")
    if data == "[DONE]":
        return data, None
    chunk = json.loads(data)
    return chunk["type"], chunk


def without_comments(frames: Iterable[Frame]) -> list[Frame]:
    """The frames that say something."""
    return [frame for frame in frames if frame[0] != "comment"]


def join_deltas(frames: Iterable[Frame]) -> list[Frame]:
    """The frames with neighbouring deltas of the same thing made one, and empty ones left out."""
    joined: list[Frame] = []
    for frame in frames:
        if _is_empty_delta(frame):
            continue
        both = _join(joined[-1], frame) if joined else None
        if both is None:
            joined.append(frame)
        else:
            joined[-1] = both
    return joined


def with_results_last(frames: Iterable[Frame]) -> list[Frame]:
    """The frames of a data stream with each step's tool results at its end.

    AI SDK 4 runs a tool the moment its call is complete, so where the result stands is a matter of time.
    """
    moved: list[Frame] = []
    results: list[Frame] = []
    for frame in frames:
        if frame[0] == "a":
            results.append(frame)
            continue
        if frame[0] == "e":
            moved += sorted(results, key=lambda result: result[1]["toolCallId"])
            results = []
        moved.append(frame)
    return moved + results


def _is_empty_delta(frame: Frame) -> bool:
    kind, value = frame
    key = _PIECES.get(kind) or _LINE_PIECES.get(kind)
    return value == "" if kind in _TEXT_LINES else key is not None and value[key] == "" and len(value) <= 3


def _join(one: Frame, two: Frame) -> Frame | None:
    kind, value = two
    if one[0] != kind:
        return None
    if kind in _TEXT_LINES:
        return kind, one[1] + value
    key = _PIECES.get(kind) or _LINE_PIECES.get(kind)
    if key is None or {**one[1], key: ""} != {**value, key: ""}:
        return None
    return kind, {**value, key: one[1][key] + value[key]}


class Names:
    """Names for what differs from run to run, given in the order in which it appears in one conversation."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._open_blocks: dict[str, str] = {}
        self._block_count = 0

    def name(self, value: str) -> str:
        """The name of a random id."""
        return self._given.setdefault(value, f"<id {len(self._given) + 1}>")

    def frame(self, frame: Frame) -> Frame:
        """A frame with names in place of random values; blocks are numbered, whatever their ids."""
        kind, value = frame
        if not _BLOCK.fullmatch(kind):
            return kind, self.value(value)
        if kind.endswith("-start"):
            self._block_count += 1
            self._open_blocks[value["id"]] = f"<block {self._block_count}>"
        block = self._open_blocks.get(value["id"], f"<block {value['id']}, which was not opened>")
        return kind, {**self.value({**value, "id": None}), "id": block}

    def value(self, value: Any, key: str = "", parent: Mapping[str, Any] | None = None) -> Any:
        """Any JSON value with names in place of random ones."""
        match value:
            case dict():
                fields = cast("dict[str, Any]", value)
                return {name: self.value(item, name, fields) for name, item in fields.items()}
            case list():
                return [self.value(item) for item in cast("list[Any]", value)]
            case str():
                return self._text(value, key, parent or {})
            case _:
                return value

    def _text(self, text: str, key: str, parent: Mapping[str, Any]) -> str:
        is_approval = "type" not in parent and "id" in parent and parent.keys() <= _APPROVAL_KEYS
        is_random_id = is_approval or "role" in parent or "sourceType" in parent or "finishReason" in parent
        if key in _RANDOM_KEYS or (key == "id" and is_random_id):
            return self.name(text)
        if key == "id" and parent.get("type") == "reasoning":
            return "<block>"  # newer clients keep a block's id in the message
        if key == "signature" and (is_approval or "approvalId" in parent):
            return "<signature>"
        return _INVALID_INPUT.sub(r"\1<detail>", _TIME.sub("<time>", text))
