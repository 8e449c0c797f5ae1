"""Replace names of tools and parameters that Anthropic refuses, and restore the application's names in the answer.

Tools: ``^[a-zA-Z0-9_-]{1,128}$``; keys of ``properties``: ``^[a-zA-Z0-9_.-]{1,64}$``. The application and its clients
see only their own names, except in the deltas of an input. Knows no events.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from usechat.json import parse_json, write_json
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
)
from usechat.models.base import FunctionTool, ModelCall, ToolDefinition
from usechat.parts import ModelPart, ToolCall, ToolInputStart, ToolOutputAvailable, ToolOutputError

__all__ = ["WireNames", "illegal_keys"]

_TOOL: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_KEY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_NOT_IN_TOOLS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_NOT_IN_KEYS: Final = re.compile(r"[^a-zA-Z0-9_.-]")
_BY_NAME: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES: Final = frozenset({"default", "examples", "enum", "const"})


class WireNames:
    """The replaced names of one call.

    Args:
        tools: Maps the application's names of tools to the sent names.
        keys: For each application's name of a tool, maps the keys of its input to the sent keys.
    """

    def __init__(self, tools: Mapping[str, str], keys: Mapping[str, Mapping[str, str]]) -> None:
        self._tools = tools
        self._keys = keys
        self._own_tools = {sent: own for own, sent in tools.items()}
        self._own_keys = {tool: {sent: own for own, sent in names.items()} for tool, names in keys.items()}

    @classmethod
    def needed_for(cls, call: ModelCall) -> WireNames | None:
        """Return the replaced names of a call; ``None`` when all names are legal, so that its parts need no work."""
        functions = [tool for tool in call.tools if isinstance(tool, FunctionTool)]
        keys = {tool.name: names for tool in functions if (names := _key_names(tool.input_schema))}
        # The history may have calls of tools that the application no longer offers.
        names = {*(tool.name for tool in call.tools), *_called(call.messages)}
        if not keys and all(_TOOL.fullmatch(name) for name in names):
            return None
        return cls(_legal_names(sorted(names), _TOOL, _NOT_IN_TOOLS, 128), keys)

    def write(self, call: ModelCall) -> ModelCall:
        """Return the call with names that Anthropic accepts."""
        choice = call.tool_choice
        if choice is not None and choice.startswith("tool:"):
            choice = f"tool:{self._sent(choice.removeprefix('tool:'))}"
        return msgspec.structs.replace(
            call,
            tools=[self._write_tool(tool) for tool in call.tools],
            messages=[self._write_message(message) for message in call.messages],
            tool_choice=choice,
        )

    async def read(self, batches: AsyncGenerator[list[ModelPart]]) -> AsyncGenerator[list[ModelPart]]:
        """Yield the batches of the model with the application's names."""
        try:
            async for batch in batches:
                yield [self._read_part(part) for part in batch]
        finally:
            await batches.aclose()

    def _sent(self, name: str) -> str:
        return self._tools.get(name, name)

    def _write_tool(self, tool: ToolDefinition) -> ToolDefinition:
        if not isinstance(tool, FunctionTool):
            return msgspec.structs.replace(tool, name=self._sent(tool.name))
        schema = tool.input_schema
        if (names := self._keys.get(tool.name)) is not None:
            schema = _rename_schema(schema, names)
        return msgspec.structs.replace(tool, name=self._sent(tool.name), input_schema=schema)

    def _write_message(self, message: ModelMessage) -> ModelMessage:
        if not isinstance(message, AssistantMessage | ToolMessage):
            return message
        content: Any = tuple(self._write_content(item) for item in message.content)
        return msgspec.structs.replace(message, content=content)

    def _write_content(self, item: Any) -> Any:
        match item:
            case ToolCallContent():
                input_ = _rename(item.input, self._keys.get(item.tool_name, {}))
                return msgspec.structs.replace(item, tool_name=self._sent(item.tool_name), input=input_)
            case ToolResultContent():
                return msgspec.structs.replace(item, tool_name=self._sent(item.tool_name))
            case _:
                return item

    def _read_part(self, part: ModelPart) -> ModelPart:
        match part:
            case ToolCall():
                name = self._own_tools.get(part.tool_name, part.tool_name)
                names = self._own_keys.get(name)
                text = part.input_text if names is None else _rename_text(part.input_text, names)
                return msgspec.structs.replace(part, tool_name=name, input_text=text)
            case ToolInputStart() | ToolOutputAvailable() | ToolOutputError():
                return msgspec.structs.replace(part, tool_name=self._own_tools.get(part.tool_name, part.tool_name))
            case _:
                return part


def illegal_keys(schema: Mapping[str, Any]) -> list[str]:
    """Return the names of properties in a schema that are illegal in a tool's input."""
    return [name for name in dict.fromkeys(_property_names(schema)) if not _KEY.fullmatch(name)]


def _called(messages: Iterable[ModelMessage]) -> Iterator[str]:
    for message in messages:
        for item in message.content if isinstance(message, AssistantMessage | ToolMessage) else ():
            if isinstance(item, ToolCallContent | ToolResultContent):
                yield item.tool_name


def _key_names(schema: Mapping[str, Any]) -> Mapping[str, str]:
    names = dict.fromkeys(_property_names(schema))
    if all(map(_KEY.fullmatch, names)):
        return {}
    return _legal_names(names, _KEY, _NOT_IN_KEYS, 64)


def _legal_names(names: Iterable[str], legal: re.Pattern[str], wrong: re.Pattern[str], length: int) -> dict[str, str]:
    """Return a legal and unique name for each illegal one."""
    all_names = list(names)
    taken = {name for name in all_names if legal.fullmatch(name)}
    sent: dict[str, str] = {}
    for name in all_names:
        if legal.fullmatch(name):
            continue
        chosen = plain = wrong.sub("_", name)[:length] or "_"
        number = 2
        while chosen in taken:
            chosen, number = f"{plain[: length - 4]}_{number}", number + 1
        taken.add(chosen)
        sent[name] = chosen
    return sent


def _property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in cast("list[Any]", schema):
            yield from _property_names(item)
    for key, value in cast("dict[str, Any]", schema).items() if isinstance(schema, Mapping) else ():
        if key in _BY_NAME and isinstance(value, Mapping):
            named = cast("Mapping[str, Any]", value)
            yield from named if key == "properties" else ()
            for item in named.values():
                yield from _property_names(item)
        elif key not in _VALUES:
            yield from _property_names(value)


def _rename_schema(schema: Any, names: Mapping[str, str]) -> Any:
    if isinstance(schema, list):
        return [_rename_schema(item, names) for item in cast("list[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _rename_keyword(key, value, names) for key, value in cast("Mapping[str, Any]", schema).items()}


def _rename_keyword(key: str, value: Any, names: Mapping[str, str]) -> Any:
    if key in _BY_NAME and isinstance(value, Mapping):
        own = names if key == "properties" else dict[str, str]()
        members = cast("Mapping[str, Any]", value).items()
        return {own.get(name, name): _rename_schema(item, names) for name, item in members}
    if key == "required" and isinstance(value, list):
        return [names.get(name, name) for name in cast("list[str]", value)]
    if key == "propertyName":
        return names.get(value, value)
    return _rename(value, names) if key in _VALUES else _rename_schema(value, names)


def _rename(value: Any, names: Mapping[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, list | tuple):
        return [_rename(item, names) for item in cast("list[Any]", value)]
    if not isinstance(value, Mapping):
        return value
    members = cast("Mapping[str, Any]", value).items()
    return {names.get(key, key): _rename(item, names) for key, item in members}


def _rename_text(text: str, names: Mapping[str, str]) -> str:
    try:
        return write_json(_rename(parse_json(text), names)) if text.strip() else text
    except ValueError:
        # The text is not JSON. A later check of the input reports this.
        return text
