"""`tool`: what becomes a tool, and under which name."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, RootModel

from usechat import AskUser, Deny, Tool, ToolContext, tool
from usechat.errors import ConfigurationError
from usechat.models.base import FunctionTool, ProviderTool
from usechat.tools.tool import find_context_parameter, read_tools


class Question(BaseModel):
    """What to ask."""

    text: str


async def get_weather(city: str) -> str:
    """The current weather in a city.

    More of it.
    """
    return f"sunny in {city}"


class Search:
    """An index."""

    def __call__(self, query: str) -> str:
        """Look it up."""
        return query

    def count(self, query: str) -> int:
        """Count it."""
        return len(query)


class Silent:
    """An index that says nothing of its call."""

    def __call__(self, query: str) -> str:
        return query


def test_function_gives_name_description_and_schema():
    made = tool(get_weather)
    assert made.definition == FunctionTool(
        name="get_weather",
        description="The current weather in a city.\n\nMore of it.",
        input_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    )
    assert made.takes_keywords


def test_decorator_takes_options():
    @tool(name="weather", description="How it is.", needs_approval=True, timeout=3, title="Weather", dynamic=True)
    def get(city: str) -> str:
        return city

    assert (get.name, get.description, get.title) == ("weather", "How it is.", "Weather")
    assert (get.needs_approval, get.timeout, get.dynamic) == (True, 3, True)
    assert get(city="York") == "York"


def test_decorated_function_can_still_be_called():
    assert asyncio.run(tool(get_weather)(city="York")) == "sunny in York"


def test_tool_of_the_client_has_no_function():
    ask = tool(name="ask", input_schema=Question)
    assert ask.execute is None
    assert ask.description is None
    with pytest.raises(ConfigurationError, match="the client executes it"):
        ask(text="?")


def test_schema_and_function_may_be_given_apart():
    def ask(question: Question, context: ToolContext) -> str:
        """Ask the user."""
        return question.text + context.tool_call_id

    made = tool(input_schema=Question, execute=ask)
    assert (made.name, made.description, made.context_parameter) == ("ask", "Ask the user.", "context")
    assert not made.takes_keywords


@pytest.mark.parametrize(
    ("function", "name", "description"),
    [
        (Search().count, "count", "Count it."),
        (partial(get_weather, city="York"), "get_weather", "The current weather in a city.\n\nMore of it."),
        (partial(partial(get_weather), city="York"), "get_weather", "The current weather in a city.\n\nMore of it."),
    ],
)
def test_methods_and_partials_are_named_by_their_function(function: Any, name: str, description: str):
    made = tool(function)
    assert (made.name, made.description) == (name, description)


def test_callable_object_needs_a_name_and_is_described_by_its_call():
    made = tool(name="search")(Search())
    assert (made.name, made.description) == ("search", "Look it up.")
    assert tool(name="search")(Silent()).description is None
    with pytest.raises(ConfigurationError, match="needs a name"):
        tool(Search())


@pytest.mark.parametrize(("function", "options"), [((), {"input_schema": Question}), ((lambda: None,), {})])
def test_tool_without_a_name_is_refused(function: Any, options: Any):
    with pytest.raises(ConfigurationError, match="a tool needs a name"):
        tool(*function, **options)


def test_json_schema_gets_the_type_it_must_have():
    made = tool(name="a", input_schema={"properties": {"x": {}}})
    assert made.schema.json_schema == {"type": "object", "properties": {"x": {}}}


@pytest.mark.parametrize("schema", [{"type": "string"}, RootModel[list[int]], int])
def test_input_that_is_no_object_is_refused(schema: Any):
    with pytest.raises(ConfigurationError, match="tool a: the input must be an object"):
        tool(name="a", input_schema=schema)


def test_provider_tool_is_its_own_definition():
    provider = ProviderTool(id="anthropic.web_search_20250305", name="web_search")
    assert Tool(name="web_search", provider=provider).definition is provider


def test_default_input_is_any_object():
    assert Tool(name="a").schema.json_schema == {"type": "object"}


def test_context_parameter_is_found():
    def use(value: Any, context: ToolContext | None = None): ...

    assert find_context_parameter(use) == "context"
    assert find_context_parameter(get_weather) is None


def asks(value: Any, context: ToolContext) -> bool:
    return bool(value)


@pytest.mark.parametrize("needs", [True, AskUser("why"), Deny(), asks])
def test_approval_may_be_a_flag_a_status_or_a_function(needs: Any):
    assert tool(needs_approval=needs)(get_weather).needs_approval is needs


# Collections


def test_sequence_of_tools_and_functions_is_named_by_them():
    tools = read_tools([tool(name="a")(get_weather), get_weather])
    assert list(tools) == ["a", "get_weather"]
    assert all(isinstance(item, Tool) for item in tools.values())


def test_mapping_names_its_tools():
    tools = read_tools({"a": tool(get_weather), "b": partial(get_weather, city="York"), "c": lambda: "hi"})
    assert [(key, item.name) for key, item in tools.items()] == [("a", "a"), ("b", "b"), ("c", "c")]


def test_no_tools_are_none():
    assert read_tools(None) == {}


def test_same_name_twice_is_refused():
    with pytest.raises(ConfigurationError, match="same name"):
        read_tools([get_weather, tool(get_weather)])


@pytest.mark.parametrize("tools", [[1], {"a": None}])
def test_what_is_no_tool_is_refused(tools: Any):
    with pytest.raises(ConfigurationError, match=r"made with tool\(\)"):
        read_tools(tools)


def test_tools_do_not_change():
    with pytest.raises(AttributeError):
        tool(get_weather).name = "other"  # type: ignore[misc]
    assert msgspec.structs.replace(tool(get_weather), name="other").name == "other"
