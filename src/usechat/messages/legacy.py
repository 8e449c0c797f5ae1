"""Converts messages of AI SDK 3 and 4 to UI messages of AI SDK 5 and later.

AI SDK 3 and 4 post ``content``, ``experimental_attachments``, ``toolInvocations`` and parts of their own shapes. All
other modules read only the later parts. Messages and parts of later majors are not changed. Knows neither pydantic nor
model messages.

Source: ``@ai-sdk/ui-utils/src/types.ts`` (1.2.11, with ``ai`` 4.3.19) and ``ai/src/ui/ui-messages.ts`` (7.0.173).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

__all__ = ["is_legacy_message", "to_ui_message"]

JsonObject: TypeAlias = Mapping[str, Any]

_KEYS_OF_4: Final = frozenset({"content", "experimental_attachments", "toolInvocations"})
"""Keys of a message that have a meaning only in AI SDK 4."""
_CONSUMED_KEYS: Final = frozenset({*_KEYS_OF_4, "parts"})
"""Keys that the new parts replace. Other keys (``createdAt``, ``annotations``, ``data``) are kept as unknown ones."""

_TOOL_STATES: Final = {"partial-call": "input-streaming", "call": "input-available", "result": "output-available"}


def is_legacy_message(message: JsonObject) -> bool:
    """Return whether a posted message has a shape that only AI SDK 3 and 4 send."""
    if "experimental_attachments" in message or "toolInvocations" in message:
        return True
    parts = message.get("parts")
    if not isinstance(parts, list):
        return isinstance(message.get("content"), str | list)
    if isinstance(message.get("content"), str):
        return True
    return any(_is_legacy_part(part) for part in cast("list[Any]", parts))


def _is_legacy_part(part: Any) -> bool:
    """Return whether a part has a shape that only AI SDK 3 and 4 send."""
    kind = _type_of(part)
    return (
        kind in ("tool-invocation", "source")
        or (kind == "reasoning" and "text" not in part)
        or (kind == "file" and "mimeType" in part)
    )


def to_ui_message(message: JsonObject) -> dict[str, Any]:
    """Return a copy of the message with the parts of AI SDK 5 and later."""
    kept = {key: value for key, value in message.items() if key not in _CONSUMED_KEYS}
    return {**kept, "parts": [*_attachment_parts(message), *_body_parts(message)]}


def _attachment_parts(message: JsonObject) -> Iterator[Any]:
    # AI SDK 5 and later put files before the text, AI SDK 4 after it; the model sees the later order.
    for attachment in _list(message.get("experimental_attachments")):
        if not isinstance(attachment, Mapping):
            yield attachment
            continue
        file = cast("JsonObject", attachment)
        part = {"type": "file", "mediaType": file.get("contentType"), "url": file.get("url")}
        yield {**part, "filename": file["name"]} if isinstance(file.get("name"), str) else part


def _body_parts(message: JsonObject) -> list[Any]:
    parts = _list(message.get("parts")) or _list(message.get("content"))
    if parts:
        return _with_step_starts([converted for part in parts for converted in _convert_part(part)])
    return _body_without_parts(message)


def _body_without_parts(message: JsonObject) -> list[Any]:
    invocations = [
        {"type": "tool-invocation", "toolInvocation": item} for item in _list(message.get("toolInvocations"))
    ]
    called = [converted for part in invocations for converted in _convert_part(part)]
    content = message.get("content")
    text = [{"type": "text", "text": content}] if isinstance(content, str) and (content or not called) else []
    # Without parts their order is lost. AI SDK 4 treats the text as the end of the last step, or, when there is only
    # one step, as the introduction of its tool calls.
    has_more_steps = any(part.get("step", 0) != 0 for part in called if _type_of(part))
    return _with_step_starts([*called, *text] if has_more_steps else [*text, *called])


def _list(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _convert_part(part: Any) -> list[Any]:
    if not isinstance(part, Mapping) or not _is_legacy_part(part):
        return [part]
    legacy = cast("JsonObject", part)
    return _CONVERTERS[legacy["type"]](legacy)


def _convert_tool_invocation(part: JsonObject) -> list[Any]:
    invocation = part.get("toolInvocation")
    if not isinstance(invocation, Mapping):
        return [part]
    call = cast("JsonObject", invocation)
    converted: dict[str, Any] = {
        "type": f"tool-{call.get('toolName')}",
        "toolCallId": call.get("toolCallId"),
        "state": _tool_state(call),
        "input": call.get("args"),
    }
    if converted["state"] == "output-available":
        converted["output"] = call.get("result")
    if isinstance(call.get("step"), int):
        converted["step"] = call["step"]
    return [converted]


def _tool_state(call: JsonObject) -> str:
    # Clients before 3.2.28 send no state, and `addToolResult` of 3.4 leaves it at `call`: the result tells.
    if "result" in call:
        return "output-available"
    return _TOOL_STATES.get(str(call["state"]), "input-streaming") if "state" in call else "input-available"


def _convert_reasoning(part: JsonObject) -> list[Any]:
    details = _list(part.get("details"))
    if not details:
        return [{"type": "reasoning", "text": part.get("reasoning", "")}]
    return [_convert_reasoning_detail(cast("JsonObject", item)) for item in details if isinstance(item, Mapping)]


def _convert_reasoning_detail(detail: JsonObject) -> dict[str, Any]:
    if detail.get("type") == "redacted":
        return _reasoning("", {"redactedData": detail.get("data")})
    signature = detail.get("signature")
    return _reasoning(detail.get("text", ""), {"signature": signature} if signature is not None else None)


def _reasoning(text: Any, metadata: JsonObject | None) -> dict[str, Any]:
    part = {"type": "reasoning", "text": text}
    return part if metadata is None else {**part, "providerMetadata": {"anthropic": metadata}}


def _convert_source(part: JsonObject) -> list[Any]:
    source = part.get("source")
    if not isinstance(source, Mapping):
        return []
    page = cast("JsonObject", source)
    renamed = {"sourceId": page.get("id"), "url": page.get("url")}
    kept = {key: page[key] for key in ("title", "providerMetadata") if page.get(key) is not None}
    return [{"type": "source-url", **renamed, **kept}]


def _convert_file(part: JsonObject) -> list[Any]:
    media_type, data = part.get("mimeType"), part.get("data")
    return [{"type": "file", "mediaType": media_type, "url": f"data:{media_type};base64,{data}"}]


_CONVERTERS: Final[Mapping[str, Callable[[JsonObject], list[Any]]]] = {
    "tool-invocation": _convert_tool_invocation,
    "reasoning": _convert_reasoning,
    "source": _convert_source,
    "file": _convert_file,
}


def _with_step_starts(parts: Sequence[Any]) -> list[Any]:
    """Insert step starts. Older AI SDK 4 clients mark a step only by the number in its tool calls."""
    if any(_type_of(part) == "step-start" for part in parts):
        return [_without_step(part) for part in parts]
    marked: list[Any] = []
    step: Any = 0
    has_called = False
    for part in parts:
        is_tool = _type_of(part).startswith("tool-")
        begins = part.get("step", step) != step if is_tool else has_called and _type_of(part) in ("text", "reasoning")
        if begins:
            marked.append({"type": "step-start"})
        has_called = is_tool or (has_called and not begins)
        step = part.get("step", step) if is_tool else step
        marked.append(_without_step(part))
    return marked


def _type_of(part: Any) -> str:
    kind = cast("JsonObject", part).get("type") if isinstance(part, (dict, Mapping)) else None
    return kind if isinstance(kind, str) else ""


def _without_step(part: Any) -> Any:
    if not _type_of(part).startswith("tool-") or "step" not in part:
        return part
    return {key: value for key, value in cast("JsonObject", part).items() if key != "step"}
