"""Parse and validate the tool calls of a model.

Knows no approvals and runs no tool.

Upstream: ``parse-tool-call.ts`` (7.0.173).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from usechat.answers.calls.execute import Execution, error_text
from usechat.answers.loop.asks import Call, Script
from usechat.errors import InvalidToolInputError, NoSuchToolError, ToolCallRepairError, ToolError
from usechat.guard import Contained, describe_error, original_error
from usechat.json import MAX_VALUE_DEPTH, decode_json, to_json_value
from usechat.messages.model import ToolResultContent, ToolResultOutput
from usechat.parts import Part, ToolCall, ToolInputAvailable, ToolInputError, ToolInputStart, ToolOutputError
from usechat.tools.tool import Tool
from usechat.unsafe_keys import refuse_unsafe_keys

__all__ = [
    "ParsedCall",
    "RepairToolCall",
    "check_input",
    "error_result",
    "no_such_tool",
    "parse_call",
    "read_input",
    "show_broken_call",
    "show_call",
    "show_input_start",
]

logger = logging.getLogger(__name__)

RepairToolCall: TypeAlias = Callable[[ToolCall, ToolError], "ToolCall | Awaitable[ToolCall | None] | None"]
"""Gets a broken call and its error. Returns a corrected call, or None."""


CUT = "The call was cut off, because the answer ended before it was whole. The tool did not run."


class ParsedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A valid call, or a broken call with its error."""

    call: ToolCall
    input: Any
    """The input as JSON after the tool's schema check; the raw text when that is not JSON."""
    schema_input: Any = None
    """The input as JSON before the schema check."""
    execution: Execution | None = None
    """The execution, when the tool has a function to run."""
    tool: Tool | None = None
    error: ToolError | None = None


def show_input_start(part: ToolInputStart, tools: Mapping[str, Tool]) -> ToolInputStart:
    """Return the start of a call with the tool's title, metadata and kind."""
    tool = tools.get(part.tool_name)
    if tool is None:
        # AI SDK 6 and 7 begin a call of an unknown tool like this.
        unknown = part.dynamic is None and not part.provider_executed
        return msgspec.structs.replace(part, dynamic=False) if unknown else part
    if tool.dynamic or tool.title is not None or tool.metadata is not None:
        dynamic = tool.dynamic or part.dynamic
        return msgspec.structs.replace(part, dynamic=dynamic, title=tool.title, tool_metadata=tool.metadata)
    return part


def parse_call(call: ToolCall, tools: Mapping[str, Tool], *, repair: RepairToolCall | None) -> Script[ParsedCall]:
    """Parse and check a call. Repair a broken one when possible."""
    parsed = parse_once(call, tools)
    # Nobody knows the missing part of a cut call, so there is nothing to repair.
    if parsed.error is None or repair is None or call.is_cut:
        return parsed
    try:
        mended: Any = yield Call(repair, (call, parsed.error))
    except Exception as error:  # noqa: BLE001 - the model gets the error and may correct itself
        return msgspec.structs.replace(parsed, error=repair_failed(call, original_error(error)))
    if mended is None:
        return parsed
    if not isinstance(mended, ToolCall):
        wrong = TypeError(f"repair_tool_call must return a ToolCall or None, not {type(mended).__name__}")
        return msgspec.structs.replace(parsed, error=repair_failed(call, wrong))
    again = parse_once(mended, tools)
    # A call that stays broken is shown as the model wrote it.
    return again if again.error is None else msgspec.structs.replace(parsed, error=again.error)


def parse_once(call: ToolCall, tools: Mapping[str, Tool]) -> ParsedCall:
    value, is_json = parse_text(call.input_text)
    tool = tools.get(call.tool_name)
    if call.is_cut:
        return ParsedCall(call=call, input=value, tool=tool, error=invalid_input(call, CUT))
    if tool is None and not call.provider_executed:
        return ParsedCall(call=call, input=value, error=no_such_tool(call, tools))
    if not is_json:
        error = invalid_input(call, "AI_JSONParseError: JSON parsing failed.")
        return ParsedCall(call=call, input=value, tool=tool, error=error)
    if tool is None or call.provider_executed or (tool.provider is not None and tool.execute is None):
        return ParsedCall(call=call, input=value, tool=tool)
    return check_input(call, tool, value)


def read_input(call: ToolCall) -> Any:
    """Return a call's input parsed as JSON; the raw text when it is not JSON."""
    return parse_text(call.input_text)[0]


def parse_text(text: str) -> tuple[Any, bool]:
    # Many models write an empty text for a tool without arguments.
    text = text if text.strip() else "{}"
    try:
        # The client parses what it is sent of it as the SDK does, and refuses the same keys; what is nested too deep
        # it could not send back.
        return to_json_value(refuse_unsafe_keys(text, decode_json(text)), MAX_VALUE_DEPTH), True
    except ValueError:
        return text, False


def check_input(call: ToolCall, tool: Tool, value: Any) -> ParsedCall:
    """Check ``value`` with the tool's schema and return the call."""
    if not isinstance(value, dict):
        # Providers send and accept objects only.
        return ParsedCall(call=call, input=value, tool=tool, error=invalid_input(call, "input: must be an object"))
    try:
        with Contained():
            shown, arguments = tool.schema.check(value)
    except Exception as error:
        # A schema may hold functions of the application, which may raise anything.
        raised = original_error(error)
        if not isinstance(raised, ValueError):
            logger.error("the input of tool %s could not be checked", tool.name, exc_info=raised)  # noqa: TRY400
        return ParsedCall(call=call, input=value, tool=tool, error=invalid_input(call, describe_error(raised)))
    execution = None
    if tool.execute is not None:
        execution = Execution(
            tool=tool,
            tool_call_id=call.tool_call_id,
            arguments=arguments,
            dynamic=tool.dynamic or None,
            provider_metadata=call.provider_metadata,
        )
    return ParsedCall(call=call, input=shown, schema_input=value, tool=tool, execution=execution)


def no_such_tool(call: ToolCall, tools: Mapping[str, Tool]) -> NoSuchToolError:
    """Return the error of a call of an unknown tool."""
    available = f"Available tools: {', '.join(tools)}." if tools else "No tools are available."
    return NoSuchToolError(
        f"Model tried to call unavailable tool '{call.tool_name}'. {available}",
        tool_name=call.tool_name,
        tool_call_id=call.tool_call_id,
    )


def invalid_input(call: ToolCall, why: str) -> InvalidToolInputError:
    """Return the error of a call with invalid input."""
    return InvalidToolInputError(
        f"Invalid input for tool {call.tool_name}: {why}", tool_name=call.tool_name, tool_call_id=call.tool_call_id
    )


def repair_failed(call: ToolCall, error: BaseException) -> ToolCallRepairError:
    return ToolCallRepairError(
        f"Error repairing tool call: {error_text(error)}", tool_name=call.tool_name, tool_call_id=call.tool_call_id
    )


def error_result(error: ToolError) -> ToolResultContent:
    """Return the model's result for a broken call."""
    output = ToolResultOutput("error-text", error_text(error))
    return ToolResultContent(tool_call_id=error.tool_call_id, tool_name=error.tool_name, output=output)


def show_call(parsed: ParsedCall) -> ToolInputAvailable:
    """Return a valid call as the part for the client."""
    tool, call = parsed.tool, parsed.call
    return ToolInputAvailable(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        input=parsed.input,
        provider_executed=call.provider_executed,
        dynamic=True if tool is not None and tool.dynamic else call.dynamic,
        title=tool.title if tool is not None else None,
        provider_metadata=call.provider_metadata,
        tool_metadata=tool.metadata if tool is not None else None,
    )


def show_broken_call(parsed: ParsedCall, on_error: Callable[[BaseException], str | None]) -> list[Part]:
    """Return the parts of a broken call: the call itself and its error.

    A call that the provider executes has no error part here: the provider sends its result.
    """
    assert parsed.error is not None
    call = parsed.call
    dynamic = True if parsed.tool is None or parsed.tool.dynamic else None
    text, client_text = error_text(parsed.error), on_error(parsed.error)
    if client_text is None and call.is_cut:
        # No secret, as with an interrupted tool: nothing of the input or of the application is in it.
        client_text = text
    metadata = parsed.tool.metadata if parsed.tool is not None else None
    made = ToolInputError(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        input=parsed.input,
        error_text=text,
        client_text=client_text,
        provider_executed=call.provider_executed,
        dynamic=dynamic,
        title=parsed.tool.title if parsed.tool is not None else None,
        provider_metadata=call.provider_metadata,
        tool_metadata=metadata,
    )
    if call.provider_executed:
        return [made]
    return [
        made,
        ToolOutputError(
            tool_call_id=call.tool_call_id,
            tool_name=call.tool_name,
            error_text=text,
            client_text=client_text,
            dynamic=dynamic,
            invalid_input=True,
            tool_metadata=metadata,
        ),
    ]
