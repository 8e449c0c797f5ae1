"""Reads and writes model messages in JSON (the AI SDK's ``ModelMessage``), and reads Anthropic's message dicts.

A dict with an unknown key is refused, because the key would be lost; the error has the path of the key. Knows no
provider but Anthropic.

Upstream: ``@ai-sdk/provider-utils/src/types`` and ``ai/src/prompt`` (7.0.173).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

import msgspec

from usechat.errors import RequestError
from usechat.messages.dicts.anthropic import is_anthropic_content, read_anthropic_message
from usechat.messages.dicts.path import refuse_unknown_keys, required_list, required_object, required_text
from usechat.messages.dicts.types import ModelMessageDict
from usechat.messages.files import read_file_part
from usechat.messages.model import (
    AssistantMessage,
    CustomContent,
    FileContent,
    ModelMessage,
    ReasoningContent,
    SystemMessage,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)

__all__ = ["is_model_dict", "read_model_messages", "read_tool_output", "write_model_message"]

Object: TypeAlias = Mapping[str, Any]

_OPTIONS: Final = "providerOptions"


class _Row(NamedTuple):
    """One type of content: its class, and the attribute for each of its keys."""

    content: type[msgspec.Struct]
    keys: Mapping[str, str]


def _row(content: type[msgspec.Struct]) -> _Row:
    return _Row(content, {_camel(name): name for name in content.__struct_fields__})


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


_ROWS: Final[Mapping[str, _Row]] = {
    "text": _row(TextContent),
    "reasoning": _row(ReasoningContent),
    "custom": _row(CustomContent),
    "tool-call": _row(ToolCallContent),
    "tool-result": _row(ToolResultContent),
    "tool-approval-request": _row(ToolApprovalRequestContent),
    "tool-approval-response": _row(ToolApprovalResponseContent),
}
_TYPES: Final[Mapping[type, str]] = {row.content: type_ for type_, row in _ROWS.items()}
_FILES: Final = frozenset({"file", "image"})
_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset({"text", *_FILES}),
    "assistant": frozenset(
        {"text", "file", "reasoning", "custom", "tool-call", "tool-result", "tool-approval-request"}
    ),
    "tool": frozenset({"tool-result", "tool-approval-response"}),
}
_CLASSES: Final[Mapping[str, type[UserMessage | AssistantMessage | ToolMessage]]] = {
    "user": UserMessage,
    "assistant": AssistantMessage,
    "tool": ToolMessage,
}
_OF_UI: Final = frozenset({"parts", "id", "createdAt", "toolInvocations", "experimental_attachments", "annotations"})
_FILE_TYPES: Final = frozenset({"file", "file-data", "file-url", "file-id", "image-data", "image-url", "image-file-id"})


def is_model_dict(message: Any) -> bool:
    """Return whether a dict is a model message rather than a UI message."""
    if not isinstance(message, Mapping):
        return False
    given = cast("Object", message)
    return "parts" not in given and (
        given.get("role") == "tool" or isinstance(given.get("content"), list | tuple) or not _OF_UI & given.keys()
    )


def read_model_messages(
    messages: Sequence[Any], *, allow_system: bool = True, path: str = "messages"
) -> list[ModelMessage]:
    """Return the model messages for objects, dicts in the AI SDK's form and dicts in Anthropic's form.

    Args:
        messages: The messages; the three forms may be mixed.
        allow_system: Whether dicts may be system messages. A client could have sent them.
        path: The path of the list, for errors.

    Raises:
        RequestError: A message has something that is unknown or of a wrong type. The text has its path.
    """
    read: list[ModelMessage] = []
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        place = f"{path}[{index}]"
        if isinstance(message, SystemMessage | UserMessage | AssistantMessage | ToolMessage):
            read.append(message)
        elif is_anthropic_content(required_object(message, place).get("content")):
            read += read_anthropic_message(message, place, names)
        else:
            read.append(_read_message(message, place, allow_system=allow_system))
        if isinstance(read[-1], AssistantMessage):
            calls = (item for item in read[-1].content if isinstance(item, ToolCallContent))
            names |= {call.tool_call_id: call.tool_name for call in calls}
    return read


def read_tool_output(output: Any, path: str) -> ToolResultOutput:
    """Return a tool's result for the model, read from the AI SDK's form.

    Raises:
        RequestError: The value is no such result.
    """
    given = required_object(output, path)
    type_ = given.get("type")
    match type_:
        case "text" | "error-text":
            refuse_unknown_keys(given, {"type", "value", _OPTIONS}, path)
            return ToolResultOutput(type_, required_text(given, "value", path))
        case "json" | "error-json":
            refuse_unknown_keys(given, {"type", "value", _OPTIONS}, path)
            return ToolResultOutput(type_, given.get("value"))
        case "execution-denied":
            refuse_unknown_keys(given, {"type", "reason", _OPTIONS}, path)
            return ToolResultOutput("execution-denied", given.get("reason"))
        case "content":
            refuse_unknown_keys(given, {"type", "value"}, path)
            parts = required_list(given, "value", path)
            content = tuple(_read_output_part(part, f"{path}.value[{at}]") for at, part in enumerate(parts))
            return ToolResultOutput("content", content)
        case _:
            raise RequestError(
                "must be text, json, error-text, error-json, content or execution-denied", path=f"{path}.type"
            )


def write_model_message(message: ModelMessage) -> ModelMessageDict:
    """Return a message of ``response_messages`` as JSON, in the AI SDK's form of a ``ModelMessage``.

    `stream_text` and its like take lists of these as they take the messages themselves.
    """
    role: Any = {SystemMessage: "system", UserMessage: "user", AssistantMessage: "assistant", ToolMessage: "tool"}[
        type(message)
    ]
    content = message.text if isinstance(message, SystemMessage) else [_write_part(part) for part in message.content]
    options = {} if message.provider_options is None else {_OPTIONS: message.provider_options}
    return cast("ModelMessageDict", {"role": role, "content": content, **options})


def _read_message(message: Object, path: str, *, allow_system: bool) -> ModelMessage:
    role, content = message.get("role"), message.get("content")
    refuse_unknown_keys(message, {"role", "content", _OPTIONS}, path)
    options = _read_options(message, path)
    if role == "system":
        if not allow_system:
            raise RequestError("a system message is taken with allow_system_messages=True, or as system=", path=path)
        return SystemMessage(required_text(message, "content", path), options)
    if role not in _CLASSES:
        raise RequestError("must be system, user, assistant or tool", path=f"{path}.role")
    if isinstance(content, str) and role != "tool":
        parts: tuple[Any, ...] = (TextContent(content),)
    else:
        items = required_list(message, "content", path)
        parts = tuple(_read_part(item, _TAKEN[role], f"{path}.content[{at}]") for at, item in enumerate(items))
    return _CLASSES[role](parts, options)


def _read_options(given: Object, path: str) -> Mapping[str, Object] | None:
    options: Any = given.get(_OPTIONS)
    if options is None:
        return None
    by_provider = required_object(options, f"{path}.{_OPTIONS}")
    return {name: required_object(own, f"{path}.{_OPTIONS}.{name}") for name, own in by_provider.items()}


def _read_part(item: Any, taken: frozenset[str], path: str) -> Any:
    given = required_object(item, path)
    type_ = given.get("type")
    if type_ not in taken:
        raise RequestError(f"must be one of {', '.join(sorted(taken))}", path=f"{path}.type")
    if type_ in _FILES:
        return _read_file(given, path)
    row = _ROWS[type_]
    refuse_unknown_keys(given, {"type", *row.keys}, path)
    values = {row.keys[key]: value for key, value in given.items() if key != "type"}
    if type_ == "tool-call":
        required_key(given, "input", path)
    if type_ == "tool-result":
        values["output"] = read_tool_output(given.get("output"), f"{path}.output")
    _read_options(given, path)
    try:
        return msgspec.convert(values, row.content, from_attributes=True)
    except msgspec.ValidationError as error:
        raise RequestError(f"does not fit: {error}", path=path) from None


def required_key(given: Object, key: str, path: str) -> None:
    if key not in given:
        raise RequestError("is missing", path=f"{path}.{key}")


def _read_file(given: Object, path: str) -> FileContent:
    key = "image" if given["type"] == "image" else "data"
    refuse_unknown_keys(given, {"type", key, "mediaType", "filename", _OPTIONS}, path)
    return _make_file(given.get(key), given.get("mediaType"), given, f"{path}.{key}")


def _make_file(data: Any, media_type: Any, given: Object, path: str) -> FileContent:
    options = _read_options(given, path)
    part = {"mediaType": media_type, "filename": given.get("filename"), "providerMetadata": options}
    if isinstance(data, Mapping):
        reference = cast("Object", data)
        names = reference.get("reference") if reference.get("type") == "reference" else reference
        return read_file_part({**part, "providerReference": required_object(names, path)}, path)
    if isinstance(data, bytes):
        data = base64.b64encode(data).decode()
    if not isinstance(data, str):
        raise RequestError("must be base64, a URL or bytes", path=path)
    if data[:5].lower() == "data:" or data[:7].lower() in ("http://", "https:/"):
        return read_file_part({**part, "url": data}, path, allow_http=True)
    if not isinstance(media_type, str):
        return read_file_part({**part, "url": f"data:;base64,{data}"}, path)
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error:
        raise RequestError("must be base64, a URL or bytes", path=path) from None
    return FileContent(media_type=media_type, data=data, filename=given.get("filename"), provider_options=options)


def _read_output_part(item: Any, path: str) -> TextContent | FileContent | CustomContent:
    given = required_object(item, path)
    type_ = given.get("type")
    if type_ == "text":
        return _read_part(given, frozenset({"text"}), path)
    if type_ == "custom":
        refuse_unknown_keys(given, {"type", "kind", _OPTIONS}, path)
        return CustomContent(str(given.get("kind") or ""), _read_options(given, path))
    if type_ not in _FILE_TYPES:
        raise RequestError("must be text, custom, or a file or an image", path=f"{path}.type")
    key = {"data": "data", "url": "url", "id": "fileId"}[type_.rpartition("-")[2].replace("file", "data")]
    refuse_unknown_keys(given, {"type", key, "mediaType", "filename", _OPTIONS}, path)
    value = given.get(key)
    media_type = given.get("mediaType") or ("image/*" if type_.startswith("image") else None)
    if key == "fileId" and isinstance(value, str):
        value = {"anthropic": value}
    return _make_file(value, media_type, given, f"{path}.{key}")


def _write_part(part: Any) -> dict[str, Any]:
    if isinstance(part, FileContent):
        return _write_file(part)
    type_ = _TYPES[type(part)]
    written: dict[str, Any] = {"type": type_}
    for key, name in _ROWS[type_].keys.items():
        value = getattr(part, name)
        is_left_out = value is msgspec.UNSET or (value is None and name not in ("input", "input_schema_input"))
        if not is_left_out:
            written[key] = _write_output(value) if isinstance(value, ToolResultOutput) else value
    return written


def _write_output(output: ToolResultOutput) -> dict[str, Any]:
    if output.type == "execution-denied":
        return {"type": output.type, **({} if output.value is None else {"reason": output.value})}
    if output.type == "content":
        return {"type": output.type, "value": [_write_part(part) for part in output.value or ()]}
    return {"type": output.type, "value": output.value}


def _write_file(file: FileContent) -> dict[str, Any]:
    data: Any = file.data if file.data is not None else file.url
    if file.provider_reference is not None:
        data = {"type": "reference", "reference": file.provider_reference}
    written: dict[str, Any] = {"type": "file", "data": data, "mediaType": file.media_type}
    if file.filename is not None:
        written["filename"] = file.filename
    if file.provider_options is not None:
        written[_OPTIONS] = file.provider_options
    return written
