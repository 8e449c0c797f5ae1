"""Tool calls as the model made them, to calls that are known, parsed and checked, or to the error they are.

Upstream: ``parse-tool-call.ts`` (7.0.173).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from usechat import parts as p
from usechat.errors import InvalidToolInputError, NoSuchToolError, ToolError
from usechat.generate.execute import Execution
from usechat.generate.tools import Tool
from usechat.protocol.json import decode_json

__all__ = ["ParsedCall", "RepairToolCall", "check_input", "parse_call", "show_input_start"]

RepairToolCall: TypeAlias = Callable[[p.ToolCall, ToolError], "p.ToolCall | Awaitable[p.ToolCall | None] | None"]
"""Gets a broken call and why it is broken; gives a mended one, or None."""


class ParsedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that can be carried out, or the reason why it cannot."""

    call: p.ToolCall
    input: Any
    """As JSON; the raw text when that is not JSON."""
    execution: Execution | None = None
    """Set when there is a function to run."""
    tool: Tool | None = None
    error: ToolError | None = None


def show_input_start(part: p.ToolInputStart, tools: Mapping[str, Tool]) -> p.ToolInputStart:
    """The start of a call with what its tool adds to it."""
    tool = tools.get(part.tool_name)
    if tool is None:
        # How AI SDK 6 and 7 begin a call of a tool they do not know.
        unknown = part.dynamic is None and not part.provider_executed
        return msgspec.structs.replace(part, dynamic=False) if unknown else part
    if tool.dynamic or tool.title is not None:
        return msgspec.structs.replace(part, dynamic=tool.dynamic or part.dynamic, title=tool.title)
    return part


async def parse_call(
    call: p.ToolCall, tools: Mapping[str, Tool], *, reads_start_input: bool, repair: RepairToolCall | None
) -> ParsedCall:
    """Parse and check a call, mended if need be."""
    parsed = parse_once(call, tools, reads_start_input)
    if parsed.error is None or repair is None:
        return parsed
    mended = repair(call, parsed.error)
    mended = await mended if inspect.isawaitable(mended) else mended
    return parsed if mended is None else parse_once(mended, tools, reads_start_input)


def parse_once(call: p.ToolCall, tools: Mapping[str, Tool], reads_start_input: bool) -> ParsedCall:
    came_with_start = bool(call.start_input_text) and not reads_start_input
    text = ("" if came_with_start else call.input_text.strip()) or "{}"
    try:
        value, is_json = decode_json(text), True
    except ValueError:
        value, is_json = text, False
    tool = tools.get(call.tool_name)
    if call.provider_executed or (tool is not None and tool.provider is not None and tool.execute is None):
        return ParsedCall(call=call, input=value, tool=tool)
    if tool is None:
        return ParsedCall(call=call, input=value, error=no_such_tool(call, tools))
    if not is_json:
        error = invalid_input(call, "AI_JSONParseError: JSON parsing failed.")
        return ParsedCall(call=call, input=value, tool=tool, error=error)
    return check_input(call, tool, value)


def check_input(call: p.ToolCall, tool: Tool, value: Any) -> ParsedCall:
    """``value`` against the tool's schema."""
    try:
        shown, arguments = tool.schema.check(value)
    except ValueError as error:
        return ParsedCall(call=call, input=value, tool=tool, error=invalid_input(call, str(error)))
    execution = None
    if tool.execute is not None:
        execution = Execution(
            tool=tool,
            tool_call_id=call.tool_call_id,
            arguments=arguments,
            dynamic=tool.dynamic or None,
            provider_metadata=call.provider_metadata,
        )
    return ParsedCall(call=call, input=shown, tool=tool, execution=execution)


def no_such_tool(call: p.ToolCall, tools: Mapping[str, Tool]) -> NoSuchToolError:
    available = f"Available tools: {', '.join(tools)}." if tools else "No tools are available."
    return NoSuchToolError(
        f"Model tried to call unavailable tool '{call.tool_name}'. {available}",
        tool_name=call.tool_name,
        tool_call_id=call.tool_call_id,
    )


def invalid_input(call: p.ToolCall, why: str) -> InvalidToolInputError:
    return InvalidToolInputError(
        f"Invalid input for tool {call.tool_name}: {why}", tool_name=call.tool_name, tool_call_id=call.tool_call_id
    )
