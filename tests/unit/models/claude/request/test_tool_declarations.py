"""How tools are declared, and how a structured answer is asked for."""

from __future__ import annotations

import pytest

from tests.unit.models.claude.request.conversations import (
    CACHE,
    NOTHING,
    QUESTION,
    SONNET,
    WEATHER,
    Json,
    answered,
    called,
    request,
)
from usechat.messages.model import AssistantMessage, ToolMessage
from usechat.models.base import FunctionTool, ProviderTool, ResponseFormat
from usechat.models.claude.request.schema import sanitize_schema, supports_native_output

# Tools


def test_function_tools():
    built = request(tools=[WEATHER])
    assert built.body["tools"] == [
        {
            "name": "get_weather",
            "description": "The weather.",
            "input_schema": {"type": "object"},
            "eager_input_streaming": True,
        }
    ]
    assert built.body["tool_choice"] == {"type": "auto"}
    assert built.betas == ()
    assert request(tools=[WEATHER], model_id=SONNET).betas == ("structured-outputs-2025-11-13",)


def test_options_of_function_tools():
    options = {
        "anthropic": {"strict": True, "inputExamples": [{"a": 1}], "eagerInputStreaming": False, **CACHE["anthropic"]}
    }
    tool = FunctionTool(name="t", provider_options=options)
    built = request(tools=[tool], model_id=SONNET)
    assert built.body["tools"] == [
        {
            "name": "t",
            "input_schema": {},
            "cache_control": {"type": "ephemeral"},
            "strict": True,
            "input_examples": [{"a": 1}],
        }
    ]
    assert "advanced-tool-use-2025-11-20" in built.betas


def test_provider_tools_keep_the_applications_names():
    search = ProviderTool(
        id="anthropic.web_search_20250305", name="search", args={"maxUses": 2, "allowedDomains": ["a.b"]}
    )
    unknown = ProviderTool(id="anthropic.telepathy_20990101", name="t")
    built = request(tools=[search, unknown])
    assert built.body["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "allowed_domains": ["a.b"]}
    ]
    assert built.tool_names == {"web_search": "search"}
    assert any("telepathy" in warning for warning in built.warnings)


def test_beta_features_of_provider_tools():
    tools = [
        ProviderTool(id="anthropic.computer_20250124", name="c", args={"displayWidthPx": 1, "displayHeightPx": 2}),
        ProviderTool(id="anthropic.bash_20250124", name="b"),
        ProviderTool(id="anthropic.web_fetch_20250910", name="f", args={"citations": {"enabled": True}}),
    ]
    built = request(tools=tools)
    assert built.betas == ("computer-use-2025-01-24", "web-fetch-2025-09-10")
    assert built.body["tools"][0] == {
        "type": "computer_20250124",
        "name": "computer",
        "display_width_px": 1,
        "display_height_px": 2,
    }


@pytest.mark.parametrize(
    ("choice", "options", "expected"),
    [
        (None, None, {"type": "auto"}),
        ("none", None, {"type": "none"}),
        ("required", None, {"type": "any"}),
        (
            "tool:get_weather",
            {"disableParallelToolUse": True},
            {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
        ),
        ("required", {"thinking": {"type": "enabled", "budgetTokens": 1024}}, {"type": "auto"}),
    ],
)
def test_tool_choice(choice: str | None, options: Json, expected: Json):
    assert request(tools=[WEATHER], tool_choice=choice, options=options).body["tool_choice"] == expected


def test_without_forcing_only_the_chosen_tool_is_sent_and_mcp_servers_are_off():
    other = FunctionTool(name="other")
    options = {"mcpServers": [{"type": "url", "name": "n", "url": "u", "toolConfiguration": {"allowedTools": ["a"]}}]}
    body = request(tools=[WEATHER, other], tool_choice="tool:other", model_id="claude-opus-5-5", options=options).body
    assert [tool["name"] for tool in body["tools"]] == ["other"]
    assert body["mcp_servers"][0]["tool_configuration"] == {"allowed_tools": ["a"], "enabled": False}


def test_a_history_with_tools_declares_them_when_none_are_given():
    history = (QUESTION, AssistantMessage((called(),)), ToolMessage((answered(),)))
    body = request(*history).body
    assert body["tools"] == [{"name": "get_weather", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


# Structured output


ANYTHING: Json = {}

ANSWER = ResponseFormat(
    json_schema={"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}
)


def test_json_is_asked_for_natively_where_the_model_can():
    built = request(response_format=ANSWER, model_id=SONNET)
    assert built.uses_json_tool is False
    assert built.body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"a": {"type": "string", "description": "max length: 3."}},
                "additionalProperties": False,
                "required": ["a"],
            },
        }
    }


def test_json_is_asked_for_by_a_tool_elsewhere():
    built = request(response_format=ANSWER, tools=[WEATHER], tool_choice="none")
    assert built.uses_json_tool is True
    assert [tool["name"] for tool in built.body["tools"]] == ["json"]
    assert built.body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    named = request(response_format=ANSWER, tools=[WEATHER, FunctionTool(name="b")], tool_choice="tool:b")
    assert [tool["name"] for tool in named.body["tools"]] == ["b", "json"]
    asked = request(response_format=ANSWER, model_id=SONNET, options={"structuredOutputMode": "jsonTool"})
    assert asked.uses_json_tool is True


@pytest.mark.parametrize(
    ("schema", "is_supported"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}}, True),
        ({"type": "object"}, False),
        ({"type": ["object", "null"]}, False),
        ({"type": "object", "properties": NOTHING, "additionalProperties": {"type": "string"}}, False),
        ({"type": "object", "properties": NOTHING, "patternProperties": {"a": ANYTHING}}, False),
        ({"type": "object", "properties": {f"p{n}": ANYTHING for n in range(11)}}, False),
        ({"type": "object", "properties": {f"p{n}": ANYTHING for n in range(11)}, "required": ["p0"]}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"next": {"$ref": "#/$defs/a"}}}}}, False),
        ({"properties": {"self": {"$ref": "#"}}}, False),
        ({"items": [{"$ref": "#/definitions/a~1b"}], "definitions": {"a/b": {"type": "object"}}}, False),
        ({"anyOf": [{"$ref": "#/anyOf/1"}, {"type": "string"}]}, True),
        ({"$ref": "#/nowhere/0"}, True),
        ({"$ref": "other.json"}, True),
        ({"default": {"$ref": "#"}, "properties": {"$ref": {"type": "string"}}, "required": ["$ref"]}, True),
        ({"properties": {"a": {"$ref": "#name"}}}, True),
    ],
)
def test_schemas_that_native_output_can_express(schema: Json, is_supported: bool):
    assert supports_native_output(schema) is is_supported


def test_schemas_lose_what_native_output_refuses():
    schema = {
        "$schema": "s",
        "title": "T",
        "description": "D",
        "default": None,
        "oneOf": [{"type": "number", "minimum": 1, "multipleOf": 0.5}, True],
        "allOf": [{"$ref": "#/$defs/a", "title": "gone"}],
        "items": [{"type": "string", "format": "date"}, {"format": "odd", "pattern": "x+"}],
        "$defs": {"a": {"const": 1, "enum": [1]}},
        "examples": [1],
    }
    assert sanitize_schema(schema) == {
        "$schema": "s",
        "title": "T",
        "description": "D",
        "default": None,
        "anyOf": [{"type": "number", "description": "minimum: 1; multiple of: 0.5."}, True],
        "allOf": [{"$ref": "#/$defs/a"}],
        "items": [{"type": "string", "format": "date"}, {"description": "pattern: x+; format: odd."}],
        "$defs": {"a": {"const": 1, "enum": [1]}},
    }
