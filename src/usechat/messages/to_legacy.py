"""Converts UI messages to the form of AI SDK 3 and 4, for an old client that loads a stored chat.

This is the reverse of `usechat.messages.legacy`. Stored messages have the parts of AI SDK 5 and later. Parts that AI
SDK 4 does not have are left out (documents as sources, data and custom parts). Files that are not base64 become
attachments. Knows neither pydantic nor model messages.

Source: ``@ai-sdk/ui-utils/src/types.ts`` (1.2.11, with ``ai`` 4.3.19).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from usechat.messages.call_words import DENIED

__all__ = ["to_legacy_message"]

JsonObject: TypeAlias = Mapping[str, Any]

_REPLACED_KEYS: Final = ("parts", "metadata")
_BASE64: Final = ";base64"


def to_legacy_message(message: JsonObject) -> dict[str, Any]:
    """Return a copy of the message in the form of AI SDK 3 and 4."""
    parts = [cast("JsonObject", part) for part in _list(message.get("parts")) if isinstance(part, Mapping)]
    converted = {key: value for key, value in message.items() if key not in _REPLACED_KEYS}
    converted["content"] = "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
    converted["parts"] = [*_convert_parts(parts)]
    invocations = [part["toolInvocation"] for part in converted["parts"] if part["type"] == "tool-invocation"]
    if invocations:
        # Clients before 4.1.20 know no parts. Later clients keep both, so both are sent.
        converted["toolInvocations"] = invocations
    attachments = [_attachment(part) for part in parts if part.get("type") == "file" and not _is_base64(part)]
    if attachments:
        converted["experimental_attachments"] = attachments
    if message.get("metadata") is not None:
        # The data stream puts metadata there too.
        converted["annotations"] = [*_list(message.get("annotations")), message["metadata"]]
    return converted


def _list(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()


def _object(value: Any) -> JsonObject:
    # The client wrote this value, so it may be of any type.
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}


def _convert_parts(parts: Sequence[JsonObject]) -> Iterator[JsonObject]:
    step = -1 if any(part.get("type") == "step-start" for part in parts) else 0
    for part in parts:
        kind = str(part.get("type"))
        if kind == "step-start":
            step += 1
            yield {"type": "step-start"}
        elif kind == "dynamic-tool" or kind.startswith("tool-"):
            name = part.get("toolName") if kind == "dynamic-tool" else kind.removeprefix("tool-")
            yield {"type": "tool-invocation", "toolInvocation": _invocation(part, name, max(step, 0))}
        elif (convert := _CONVERTERS.get(kind)) is not None:
            yield from convert(part)


def _convert_text(part: JsonObject) -> Iterator[JsonObject]:
    yield {"type": "text", "text": part.get("text", "")}


def _convert_reasoning(part: JsonObject) -> Iterator[JsonObject]:
    metadata = _object(part.get("providerMetadata"))
    known = _object(metadata.get("anthropic"))
    text: Any = part.get("text", "")
    detail: dict[str, Any] = {"type": "text", "text": text}
    if "redactedData" in known:
        detail = {"type": "redacted", "data": known["redactedData"]}
    elif "signature" in known:
        detail["signature"] = known["signature"]
    yield {"type": "reasoning", "reasoning": text, "details": [detail]}


def _convert_source(part: JsonObject) -> Iterator[JsonObject]:
    kept = {key: part[key] for key in ("title", "providerMetadata") if part.get(key) is not None}
    source = {"sourceType": "url", "id": part.get("sourceId"), "url": part.get("url"), **kept}
    yield {"type": "source", "source": source}


def _convert_file(part: JsonObject) -> Iterator[JsonObject]:
    if _is_base64(part):
        yield {"type": "file", "mimeType": part.get("mediaType"), "data": part["url"].partition(",")[2]}


def _is_base64(part: JsonObject) -> bool:
    head, comma, _ = str(part.get("url")).partition(",")
    return bool(comma) and head.startswith("data:") and head.endswith(_BASE64)


def _attachment(part: JsonObject) -> JsonObject:
    name = {"name": part["filename"]} if part.get("filename") is not None else {}
    return {**name, "contentType": part.get("mediaType"), "url": part.get("url")}


_CONVERTERS: Final[Mapping[str, Callable[[JsonObject], Iterator[JsonObject]]]] = {
    "text": _convert_text,
    "reasoning": _convert_reasoning,
    "source-url": _convert_source,
    "file": _convert_file,
}


def _invocation(part: JsonObject, name: Any, step: int) -> JsonObject:
    call = {"step": step, "toolCallId": part.get("toolCallId"), "toolName": name, "args": part.get("input")}
    match part.get("state"):
        case "input-streaming":
            return {"state": "partial-call", **call}
        case "output-available":
            return {"state": "result", **call, "result": part.get("output")}
        case "output-error":
            # AI SDK 4 has no state for a failed call: without a result the client would wait for one.
            return {"state": "result", **call, "result": {"error": part.get("errorText")}}
        case "output-denied":
            return {"state": "result", **call, "result": DENIED}
        case _:
            return {"state": "call", **call}
