"""Keeps what the model is told of tool calls that have brought nothing, beside the saved message.

For a failed tool, the message has the text that the browser was shown. A model that signs its thinking after a tool's
error refuses a history in which that error has another text. For a call that the end of the answer kept from beginning,
the message has no outcome at all, which alone could also mean that it was interrupted. So the model's texts are in the
message's row and in the model's history. No client gets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

__all__ = ["KEY", "ToolErrors", "show_model", "split_tool_errors", "with_tool_errors"]

ToolErrors: TypeAlias = Mapping[str, str]
"""Texts by tool call id."""

KEY: Final = "toolErrorTexts"
"""The key of a stored message that has them."""


def with_tool_errors(message: Mapping[str, Any], errors: ToolErrors | None) -> dict[str, Any]:
    """Return the message with the texts under a separate key, as in its row. Keep the texts that it already has."""
    bare, earlier = split_tool_errors(message)
    texts = {**earlier, **(errors or {})}
    return {**bare, KEY: texts} if texts else bare


def split_tool_errors(message: Mapping[str, Any]) -> tuple[dict[str, Any], ToolErrors]:
    """Return the message as clients may see it, and the texts."""
    bare = dict(message)
    if KEY not in bare:
        return bare, {}
    texts = bare.pop(KEY)
    return bare, cast("ToolErrors", texts) if isinstance(texts, Mapping) else {}


def show_model(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message as the model reads it."""
    bare, errors = split_tool_errors(message)
    if not errors:
        return bare
    parts = [_show_part(part, errors) for part in bare.get("parts", ())]
    return {**bare, "parts": parts}


def _show_part(part: Mapping[str, Any], errors: ToolErrors) -> Mapping[str, Any]:
    text = errors.get(part.get("toolCallId", ""))
    if text is None or (part.get("state") not in ("output-error", "input-available") and not part.get("preliminary")):
        return part
    bare = {key: value for key, value in part.items() if key not in ("output", "preliminary")}
    return {**bare, "state": "output-error", "errorText": text}
