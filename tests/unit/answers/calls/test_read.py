"""Tool calls as the model made them: known, parsed and checked, or the error they are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from tests.support.scripts import follow
from usechat import tool
from usechat.answers.calls.read import (
    ParsedCall,
    error_result,
    parse_call,
    read_input,
    show_broken_call,
    show_call,
    show_input_start,
)
from usechat.errors import InvalidToolInputError, NoSuchToolError, ToolCallRepairError, ToolError
from usechat.models.base import ProviderTool
from usechat.parts import ToolCall, ToolInputAvailable, ToolInputError, ToolInputStart, ToolOutputError
from usechat.tools.tool import Tool

pytestmark = pytest.mark.anyio


class City(BaseModel):
    """Where."""

    city: str


def get_weather(city: str) -> str:
    return city


TOOLS = {
    "get_weather": tool(get_weather),
    "ask": tool(name="ask", input_schema=City),
    "free": tool(name="free", input_schema={}, execute=get_weather),
    "dynamic": tool(name="dynamic", dynamic=True, title="Dynamic")(get_weather),
    "titled": tool(name="titled", title="Titled")(get_weather),
    "bash": Tool(name="bash", provider=ProviderTool(id="anthropic.bash_20250124", name="bash")),
}


def call(name: str, text: str = '{"city":"York"}', **values: Any) -> ToolCall:
    return ToolCall(tool_call_id="c1", tool_name=name, input_text=text, **values)


async def parse(made: ToolCall, *, repair: Any = None) -> ParsedCall:
    return await follow(parse_call(made, TOOLS, repair=repair))


def error_of(parsed: ParsedCall) -> ToolError:
    assert parsed.error is not None
    assert parsed.execution is None
    return parsed.error


async def test_good_call_can_be_run():
    parsed = await parse(call("get_weather", '{"city":"York","more":1}', provider_metadata={"a": {"b": 1}}))
    assert parsed.error is None
    assert parsed.input == {"city": "York"}
    assert parsed.schema_input == {"city": "York", "more": 1}
    assert parsed.execution is not None
    assert parsed.execution.arguments == {"city": "York"}
    assert parsed.execution.provider_metadata == {"a": {"b": 1}}


async def test_call_of_the_clients_tool_is_checked_and_not_run():
    parsed = await parse(call("ask"))
    assert parsed.error is None
    assert parsed.execution is None
    assert isinstance(error_of(await parse(call("ask", "{}"))), InvalidToolInputError)


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
async def test_no_input_is_an_empty_object(text: str):
    assert (await parse(call("free", text))).input == {}


async def test_unknown_tool_is_told_with_those_there_are():
    error = error_of(await parse(call("fly")))
    assert isinstance(error, NoSuchToolError)
    assert str(error) == (
        "Model tried to call unavailable tool 'fly'. Available tools: get_weather, ask, free, dynamic, titled, bash."
    )
    parsed = await follow(parse_call(call("fly"), {}, repair=None))
    assert str(error_of(parsed)).endswith("No tools are available.")


async def test_input_that_is_no_json_is_kept_as_text():
    parsed = await parse(call("get_weather", '{"city": '))
    assert parsed.input == '{"city": '
    assert str(error_of(parsed)) == "Invalid input for tool get_weather: AI_JSONParseError: JSON parsing failed."


@pytest.mark.parametrize("text", ["[1]", '"York"', "null", "3"])
async def test_input_must_be_an_object_whatever_the_schema(text: str):
    parsed = await parse(call("free", text))
    assert str(error_of(parsed)) == "Invalid input for tool free: input: must be an object"


async def test_misfit_names_the_path_and_not_the_value():
    error = error_of(await parse(call("get_weather", '{"city": ["hunter2"]}')))
    assert (error.tool_name, error.tool_call_id) == ("get_weather", "c1")
    assert "city: Input should be a valid string" in str(error)
    assert "hunter2" not in str(error)


async def test_numbers_that_json_cannot_hold_are_what_javascript_makes_of_them():
    parsed = await parse(call("free", '{"a": 1e999, "b": 123456789012345678901234567890}'))
    assert parsed.input == {"a": None, "b": 1.2345678901234568e29}


@pytest.mark.parametrize("name", ["web_search", "bash", "get_weather"])
async def test_call_that_the_provider_carries_out_is_taken_as_it_is(name: str):
    parsed = await parse(call(name, '{"x":1}', provider_executed=True))
    assert (parsed.input, parsed.error, parsed.execution) == ({"x": 1}, None, None)


async def test_tool_of_the_provider_without_a_function_is_the_clients():
    parsed = await parse(call("bash", '{"command":"ls"}'))
    assert (parsed.input, parsed.error, parsed.execution) == ({"command": "ls"}, None, None)


# Repair


@pytest.mark.parametrize("is_async", [True, False])
async def test_repaired_call_is_run(is_async: bool):
    told: list[Any] = []

    def mend(broken: ToolCall, error: ToolError) -> ToolCall:
        told.append((broken, type(error)))
        return msgspec.structs.replace(broken, tool_name="get_weather", input_text='{"city":"York"}')

    async def mend_async(broken: ToolCall, error: ToolError) -> ToolCall:
        return mend(broken, error)

    parsed = await parse(call("weather"), repair=mend_async if is_async else mend)
    assert parsed.error is None
    assert parsed.call.tool_name == "get_weather"
    assert told == [(call("weather"), NoSuchToolError)]


async def test_call_that_cannot_be_repaired_keeps_its_error():
    def give_up(broken: ToolCall, error: ToolError) -> None:
        return None

    assert isinstance(error_of(await parse(call("fly"), repair=give_up)), NoSuchToolError)


async def test_call_that_is_still_broken_is_shown_as_the_model_made_it():
    def mend(broken: ToolCall, error: ToolError) -> ToolCall:
        return msgspec.structs.replace(broken, tool_name="get_weather", input_text="{}")

    parsed = await parse(call("weather", '{"town":"York"}'), repair=mend)
    assert (parsed.call.tool_name, parsed.input) == ("weather", {"town": "York"})
    assert isinstance(parsed.error, InvalidToolInputError)


async def test_repair_that_fails_is_the_calls_error():
    def fail(broken: ToolCall, error: ToolError) -> ToolCall:
        raise RuntimeError("no idea")

    error = error_of(await parse(call("fly"), repair=fail))
    assert isinstance(error, ToolCallRepairError)
    assert str(error) == "Error repairing tool call: Error: no idea"


async def test_good_call_is_not_repaired():
    def fail(broken: ToolCall, error: ToolError) -> ToolCall:
        raise AssertionError

    assert (await parse(call("get_weather"), repair=fail)).error is None


# What is shown


async def test_call_is_shown_with_what_its_tool_adds():
    assert show_call(await parse(call("dynamic"))) == ToolInputAvailable(
        tool_call_id="c1", tool_name="dynamic", input={"city": "York"}, dynamic=True, title="Dynamic"
    )
    shown = show_call(await parse(call("web_search", "{}", provider_executed=True, provider_metadata={"a": {}})))
    assert shown == ToolInputAvailable(
        tool_call_id="c1", tool_name="web_search", input={}, provider_executed=True, provider_metadata={"a": {}}
    )


@pytest.mark.parametrize(
    ("name", "executed", "shown"),
    [
        ("get_weather", None, (None, None)),
        ("dynamic", None, (True, "Dynamic")),
        ("titled", None, (None, "Titled")),
        ("fly", None, (False, None)),
        ("web_search", True, (None, None)),
    ],
)
def test_start_of_a_call_is_shown_with_what_its_tool_adds(name: str, executed: bool | None, shown: Any):
    start = ToolInputStart(tool_call_id="c1", tool_name=name, provider_executed=executed)
    seen = show_input_start(start, TOOLS)
    assert (seen.dynamic, seen.title) == shown


@pytest.mark.parametrize(
    ("name", "dynamic", "title"), [("fly", True, None), ("dynamic", True, "Dynamic"), ("titled", None, "Titled")]
)
async def test_broken_call_is_shown_as_made_and_as_failed(name: str, dynamic: bool | None, title: str | None):
    parsed = await parse(call(name, "[]"))
    made, failed = show_broken_call(parsed, lambda error: "Sorry.")
    assert isinstance(made, ToolInputError)
    assert isinstance(failed, ToolOutputError)
    assert (made.input, made.dynamic, made.title, made.client_text) == ([], dynamic, title, "Sorry.")
    assert failed.invalid_input
    assert made.error_text == failed.error_text == f"{error_of(parsed).sdk_name}: {parsed.error}"
    result = error_result(error_of(parsed))
    assert (result.output.type, result.output.value) == ("error-text", made.error_text)


@pytest.mark.parametrize(("text", "value"), [("", {}), ('{"a":1}', {"a": 1}), ("{", "{")])
def test_input_is_read_for_those_who_carry_nothing_out(text: str, value: Any):
    assert read_input(call("any", text)) == value
