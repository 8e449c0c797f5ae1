"""Model calls as Messages API requests: what the AI SDK 7 sends, and repairs where it would be refused."""

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from usechat.errors import RequestError
from usechat.messages.model import (
    AssistantMessage,
    CustomContent,
    FileContent,
    ModelMessage,
    ReasoningContent,
    SystemMessage,
    TextContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models.base import FunctionTool, ModelCall, ProviderTool, ResponseFormat
from usechat.models.claude.catalog import model_capabilities
from usechat.models.claude.request.request import AnthropicRequest, build_request
from usechat.models.claude.request.schema import sanitize_schema, supports_native_output
from usechat.models.claude.response.citations import CitationDocument
from usechat.testing.messages_api_rules import find_violations

Json = Any
QUESTION = UserMessage((TextContent("Weather?"),))
WEATHER = FunctionTool(name="get_weather", description="The weather.", input_schema={"type": "object"})
CACHE = {"anthropic": {"cacheControl": {"type": "ephemeral"}}}
SONNET = "claude-sonnet-4-5"


def request(*messages: ModelMessage, model_id: str = "a-model", options: Json = None, **call: Any) -> AnthropicRequest:
    provider_options = None if options is None else {"anthropic": options}
    return build_request(
        ModelCall(messages=messages or [QUESTION], provider_options=provider_options, **call), model_id
    )


def messages_of(*messages: ModelMessage, **call: Any) -> Json:
    built = request(*messages, **call)
    assert find_violations(built.body) == []
    return built.body["messages"]


def called(call_id: str = "toolu_1", name: str = "get_weather", given: Json = None, **more: Any) -> ToolCallContent:
    return ToolCallContent(tool_call_id=call_id, tool_name=name, input={} if given is None else given, **more)


def answered(call_id: str = "toolu_1", name: str = "get_weather", kind: Any = "json", value: Json = None, **more: Any):
    return ToolResultContent(tool_call_id=call_id, tool_name=name, output=ToolResultOutput(kind, value), **more)


def said(*texts: str) -> AssistantMessage:
    return AssistantMessage(tuple(TextContent(text) for text in texts))


def user_turn(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


# The body


def test_the_smallest_request():
    assert request(system="Be kind.").body == {
        "model": "a-model",
        "max_tokens": 4096,
        "system": [text_block("Be kind.")],
        "messages": [user_turn(text_block("Weather?"))],
        "stream": True,
    }


def test_settings_of_a_call():
    body = request(max_output_tokens=5, temperature=0.5, top_p=0.1, top_k=3, stop_sequences=("X",)).body
    assert {key: body[key] for key in ("max_tokens", "temperature", "top_p", "top_k", "stop_sequences")} == {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.1,
        "top_k": 3,
        "stop_sequences": ["X"],
    }


@pytest.mark.parametrize(
    ("model_id", "max_tokens"),
    [
        ("fixture", 4096),
        ("claude-3-5-sonnet-20241022", 4096),
        ("claude-opus-4-20250514", 32_000),
        ("claude-sonnet-4-0", 64_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-next", 128_000),
    ],
)
def test_the_longest_answer_is_the_models_own(model_id: str, max_tokens: int):
    assert request(model_id=model_id).body["max_tokens"] == max_tokens
    assert model_capabilities(model_id).max_output_tokens == max_tokens


def test_known_models_are_not_asked_for_more_than_they_give():
    built = request(model_id=SONNET, max_output_tokens=100_000)
    assert built.body["max_tokens"] == 64_000
    assert built.warnings
    assert request(max_output_tokens=100_000).body["max_tokens"] == 100_000


@pytest.mark.parametrize(
    ("call", "kept"),
    [
        ({"temperature": 7}, {"temperature": 1}),
        ({"temperature": -1}, {"temperature": 0}),
        ({"temperature": 0.1, "top_p": 0.5}, {"temperature": 0.1}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
    ],
)
def test_sampling_is_kept_within_what_a_claude_takes(call: Json, kept: Json):
    body = request(model_id=SONNET, **call).body
    assert {key: body[key] for key in ("temperature", "top_p", "top_k") if key in body} == kept


def test_newer_models_take_no_sampling():
    assert "temperature" not in request(model_id="claude-opus-4-8", temperature=0.5).body


# Thinking


@pytest.mark.parametrize(
    ("model_id", "options", "thinking", "effort"),
    [
        (
            "x",
            {"thinking": {"type": "enabled", "budgetTokens": 2000}},
            {"type": "enabled", "budget_tokens": 2000},
            None,
        ),
        ("x", {"thinking": {"type": "enabled"}}, {"type": "enabled", "budget_tokens": 1024}, None),
        (
            "x",
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            {"type": "adaptive", "display": "omitted"},
            None,
        ),
        ("x", {"thinking": {"type": "disabled", "x": 1}}, {"type": "disabled"}, None),
        ("claude-opus-5-5", {"thinking": {"type": "disabled"}}, None, None),
        ("claude-sonnet-5-5", {"thinking": {"type": "disabled"}, "effort": "max"}, {"type": "between_tools"}, "high"),
        ("claude-opus-5-5", {"thinking": {"type": "enabled", "budgetTokens": 1}}, {"type": "adaptive"}, None),
        ("claude-opus-5", {"thinking": {"type": "disabled"}, "effort": "xhigh"}, {"type": "disabled"}, "high"),
        ("x", {"effort": "low"}, None, "low"),
        ("x", {"thinking": "yes"}, None, None),
    ],
)
def test_thinking_is_what_the_model_takes(model_id: str, options: Json, thinking: Json, effort: str | None):
    body = request(model_id=model_id, options=options).body
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_a_thinking_budget_is_on_top_of_the_answer_and_takes_no_sampling():
    body = request(options={"thinking": {"type": "enabled", "budgetTokens": 2000}}, temperature=0.5).body
    assert body["max_tokens"] == 6096
    assert "temperature" not in body


# Options


def test_options_in_either_spelling_and_unknown_ones_go_through():
    camel = request(options={"serviceTier": "auto", "metadata": {"userId": "u"}, "brandNewField": {"someKey": 1}}).body
    snake = request(
        options={"service_tier": "auto", "metadata": {"user_id": "u"}, "brand_new_field": {"some_key": 1}}
    ).body
    assert camel == snake
    assert camel["brand_new_field"] == {"some_key": 1}
    assert camel["metadata"] == {"user_id": "u"}


@pytest.mark.parametrize(
    ("options", "key", "value", "betas"),
    [
        ({"container": {"id": "c"}}, "container", "c", ()),
        ({"container": "c"}, "container", "c", ()),
        (
            {"container": {"skills": [{"type": "custom", "providerReference": {"anthropic": "s"}}]}},
            "container",
            {"skills": [{"type": "custom", "skill_id": "s"}]},
            ("code-execution-2025-08-25", "skills-2025-10-02", "files-api-2025-04-14"),
        ),
        (
            {"mcpServers": [{"type": "url", "name": "n", "url": "u", "authorizationToken": None}]},
            "mcp_servers",
            [{"type": "url", "name": "n", "url": "u"}],
            ("mcp-client-2025-04-04",),
        ),
        (
            {"contextManagement": {"edits": [{"type": "compact_20260112", "pauseAfterCompaction": True}]}},
            "context_management",
            {"edits": [{"type": "compact_20260112", "pause_after_compaction": True}]},
            ("context-management-2025-06-27", "compact-2026-01-12"),
        ),
        (
            {"safeguards": [{"type": "dangerous_tool_use", "classifierContext": {"ownKey": 1}}]},
            "safeguards",
            [{"type": "dangerous_tool_use", "classifier_context": {"ownKey": 1}}],
            ("dangerous-tool-use-2026-09-03",),
        ),
        ({"fallbacks": "default"}, "fallbacks", "default", ("server-side-fallback-2026-07-01",)),
        ({"fallbacks": []}, "fallbacks", None, ()),
        ({"speed": "fast"}, "speed", "fast", ("fast-mode-2026-02-01",)),
        (
            {"taskBudget": {"type": "tokens", "total": 20000}},
            "output_config",
            {"task_budget": {"type": "tokens", "total": 20000}},
            ("task-budgets-2026-03-13",),
        ),
        ({"cacheControl": {"type": "ephemeral"}}, "cache_control", {"type": "ephemeral"}, ()),
        ({"anthropicBeta": ["b-1"]}, "betas", None, ("b-1",)),
        ({"mcpServers": [], "metadata": {}, "container": {}}, "mcp_servers", None, ()),
    ],
)
def test_provider_options(options: Json, key: str, value: Json, betas: Sequence[str]):
    built = request(options=options)
    assert built.body.get(key) == value
    assert built.betas == tuple(betas)


def test_a_thread_that_goes_on_has_its_tools_and_instructions_already():
    options = {"thread": {"type": "continue", "previousMessageId": "msg_1"}}
    body = request(system="Be kind.", tools=[WEATHER], options=options).body
    assert body["thread"] == {"type": "continue", "previous_message_id": "msg_1"}
    assert "system" not in body
    assert "tools" not in body


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
NOTHING: Json = {}
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


# What the user says


def file(media_type: str, data: bytes | None = None, **more: Any) -> FileContent:
    encoded = None if data is None else base64.b64encode(data).decode()
    return FileContent(media_type=media_type, data=encoded, **more)


@pytest.mark.parametrize(
    ("content", "block"),
    [
        (
            file("image/png", b"x"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
        ),
        (file("image/*", url="https://a/b"), {"type": "image", "source": {"type": "url", "url": "https://a/b"}}),
        (
            file("application/pdf", b"x", filename="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
                "title": "a.pdf",
            },
        ),
        (
            file("application/pdf", url="https://a/b"),
            {"type": "document", "source": {"type": "url", "url": "https://a/b"}},
        ),
        (
            file(
                "text/csv",
                "\ufeffä,b".encode(),
                provider_options={"anthropic": {"citations": {"enabled": True}, "title": "T", "context": "C"}},
            ),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "ä,b"},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
            },
        ),
        (
            file("image/png", provider_reference={"anthropic": "f"}),
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
        ),
        (
            file("text/csv", provider_reference={"anthropic": "f"}),
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
        ),
        (
            file(
                "text/csv",
                provider_reference={"anthropic": "f"},
                provider_options={"anthropic": {"containerUpload": True}},
            ),
            {"type": "container_upload", "file_id": "f"},
        ),
    ],
)
def test_files(content: FileContent, block: Json):
    assert messages_of(UserMessage((content,))) == [user_turn(block)]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (file("application/zip", b"x"), 415),
        (file("image/heic", b"x"), 415),
        (file("text/plain", url="https://a/b"), 415),
        (file("application/pdf", b""), 422),
        (file("image/png", provider_reference={"openai": "f"}), 422),
    ],
)
def test_files_that_the_model_cannot_read_are_refused(content: FileContent, status: int):
    with pytest.raises(RequestError) as caught:
        request(UserMessage((content,)))
    assert caught.value.status == status


def test_beta_features_of_files():
    built = request(
        UserMessage((file("application/pdf", b"x"), file("image/png", provider_reference={"anthropic": "f"})))
    )
    assert built.betas == ("pdfs-2024-09-25", "files-api-2025-04-14")


def test_documents_to_quote_are_numbered_for_the_answer():
    quoted = {"anthropic": {"citations": {"enabled": True}}}
    files = (
        file("application/pdf", b"x", filename="a.pdf", provider_options=quoted),
        file("application/pdf", b"x", filename="no.pdf"),
        file("text/plain", b"x", provider_options=quoted),
    )
    assert request(UserMessage(files)).citation_documents == (
        CitationDocument("a.pdf", "application/pdf", "a.pdf"),
        CitationDocument("Untitled Document", "text/plain", None),
    )


def test_blank_text_and_empty_text_files_are_left_out():
    content = (TextContent(" \n"), file("text/plain", b" "), TextContent("hi"))
    assert messages_of(UserMessage(content)) == [user_turn(text_block("hi"))]


@pytest.mark.parametrize("messages", [[], [UserMessage(())], [QUESTION, said("a"), UserMessage((TextContent(" "),))]])
def test_nothing_to_answer_is_refused(messages: Sequence[ModelMessage]):
    with pytest.raises(RequestError) as caught:
        build_request(ModelCall(messages=messages), "x")
    assert caught.value.status == 400


def test_lone_surrogates_do_not_reach_the_wire():
    assert messages_of(UserMessage((TextContent("a\ud800"),))) == [user_turn(text_block("a\ufffd"))]


# System messages


def test_system_messages_before_the_conversation_are_instructions():
    body = request(
        SystemMessage("One."), SystemMessage(" "), SystemMessage("Two.", CACHE), QUESTION, system="Zero."
    ).body
    assert body["system"] == [
        text_block("Zero."),
        text_block("One."),
        {**text_block("Two."), "cache_control": {"type": "ephemeral"}},
    ]


def test_system_messages_within_the_conversation_stay_there():
    options = {"anthropic": {"effort": "low", "clearAt": "next_user_message"}}
    built = request(QUESTION, SystemMessage("Now be brief.", options), SystemMessage(""), system="Zero.")
    assert built.body["messages"][1] == {
        "role": "system",
        "content": [text_block("Now be brief.")],
        "clear_at": "next_user_message",
        "output_config": {"effort": "low"},
    }
    assert built.betas == (
        "mid-conversation-system-2026-04-07",
        "mid-conversation-system-clear-at-2026-08-21",
        "mid-conversation-output-config-2026-07-01",
    )


def test_effort_alone_can_come_first():
    built = request(SystemMessage("", {"anthropic": {"effort": "low"}}), QUESTION)
    assert built.body["messages"][0] == {"role": "system", "content": [], "output_config": {"effort": "low"}}
    assert request(SystemMessage("x", {"anthropic": {"effort": "low"}}), QUESTION).warnings


def test_tools_can_change_within_the_conversation():
    changes: Json = [
        {"type": "tool_removal", "toolName": "search"},
        {"type": "tool_addition", "tool": {"type": "function", "name": "t", "inputSchema": {"type": "object"}}},
        {
            "type": "tool_addition",
            "tool": {"type": "provider", "id": "anthropic.bash_20250124", "name": "b", "args": {}},
        },
        {"type": "tool_addition", "tool": {"type": "provider", "id": "anthropic.computer_x", "name": "c", "args": {}}},
        {"type": "tool_addition", "tool": {"type": "provider", "id": "anthropic.odd", "name": "o", "args": {}}},
    ]
    search = ProviderTool(id="anthropic.web_search_20250305", name="search")
    built = request(QUESTION, SystemMessage("", {"anthropic": {"toolChanges": changes}}), system="S", tools=[search])
    assert built.body["messages"][1]["content"] == [
        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "web_search"}},
        {
            "type": "tool_addition",
            "tool": {"type": "tool_definition", "definition": {"name": "t", "input_schema": {"type": "object"}}},
        },
        {
            "type": "tool_addition",
            "tool": {"type": "tool_definition", "definition": {"type": "bash_20250124", "name": "bash"}},
        },
    ]
    assert "inline-tools-2026-09-15" in built.betas
    left_out = request(QUESTION, SystemMessage("x", {"anthropic": {"toolChanges": changes[4:]}}), system="S")
    assert left_out.body["messages"][1]["content"] == [text_block("x")]
    by_name = request(QUESTION, SystemMessage("", {"anthropic": {"toolChanges": changes[:1]}}), system="S")
    assert "mid-conversation-tool-changes-2026-07-01" in by_name.betas
    assert request(QUESTION, SystemMessage("x", {"anthropic": {"toolChanges": "x"}}), system="S").body["messages"][
        1:
    ] == [{"role": "system", "content": [text_block("x")]}]


# What the model said


def test_reasoning_goes_back_with_its_signature_and_without_one_not_at_all():
    content = (
        ReasoningContent("why", {"anthropic": {"signature": "s"}}),
        ReasoningContent("", {"anthropic": {"redactedData": "d"}}),
        ReasoningContent("stopped"),
        TextContent("so"),
    )
    turn = messages_of(QUESTION, AssistantMessage(content), QUESTION)[1]
    assert turn["content"] == [
        {"type": "thinking", "thinking": "why", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        text_block("so"),
    ]
    silent = messages_of(QUESTION, AssistantMessage(content), QUESTION, options={"sendReasoning": False})
    assert silent[1]["content"] == [text_block("so")]


def test_an_answer_that_ends_in_thinking_ends_before_it():
    thinking = ReasoningContent("why", {"anthropic": {"signature": "s"}})
    assert messages_of(QUESTION, AssistantMessage((TextContent("a"), thinking)), QUESTION)[1]["content"] == [
        text_block("a")
    ]
    assert messages_of(QUESTION, AssistantMessage((thinking,)), QUESTION) == [user_turn(text_block("Weather?"))] * 2


def test_text_keeps_its_citations_and_compactions_their_kind():
    citation = {"type": "char_location", "cited_text": "c"}
    content = (
        TextContent("sum", {"anthropic": {"type": "compaction"}}),
        TextContent("signed", {"anthropic": {"type": "compaction", "signature": "s"}}),
        TextContent("so", {"anthropic": {"citations": [citation]}}),
        TextContent("odd", {"anthropic": {"citations": ["x"]}}),
    )
    built = request(QUESTION, AssistantMessage(content), QUESTION)
    assert built.body["messages"][1]["content"] == [
        {"type": "compaction", "content": "sum"},
        {"type": "compaction", "content": "signed", "signature": "s"},
        {**text_block("so"), "citations": [citation]},
        text_block("odd"),
    ]
    assert built.betas == ("compact-2026-09-04",)


def test_fallbacks_go_back_and_other_custom_parts_do_not():
    models = {"from": {"model": "a"}, "to": {"model": "b"}}
    content = (
        CustomContent("anthropic.fallback", {"anthropic": models}),
        CustomContent("anthropic.fallback", {"anthropic": {"from": {}}}),
        CustomContent("anthropic.message_start"),
        file("image/png", b"x"),
        TextContent("so"),
    )
    built = request(QUESTION, AssistantMessage(content), QUESTION)
    assert built.body["messages"][1]["content"] == [{"type": "fallback", **models}, text_block("so")]
    assert built.betas == ("server-side-fallback-2026-06-01",)


def test_calls_go_to_the_end_of_what_lies_between_two_thoughts():
    def thought(words: str) -> ReasoningContent:
        return ReasoningContent(words, {"anthropic": {"signature": "s"}})

    content = (thought("1"), called("toolu_1"), TextContent("a"), thought("2"), called("toolu_2"), TextContent("b"))
    results = ToolMessage((answered("toolu_1"), answered("toolu_2")))
    turn = messages_of(QUESTION, AssistantMessage(content), results)[1]
    assert [block["type"] for block in turn["content"]] == [
        "thinking",
        "text",
        "tool_use",
        "thinking",
        "text",
        "tool_use",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ('{"a": ', {"rawInvalidInput": '{"a": '}),
        ("[1]", {"rawInvalidInput": "[1]"}),
        ([1], {"rawInvalidInput": [1]}),
        (5, {"rawInvalidInput": 5}),
    ],
)
def test_inputs_of_calls_are_objects(given: Json, expected: Json):
    turns = messages_of(QUESTION, AssistantMessage((called(given=given),)), ToolMessage((answered(),)))
    assert turns[1]["content"][0]["input"] == expected


@pytest.mark.parametrize(
    ("kind", "value", "content", "is_error"),
    [
        ("text", "hi", "hi", None),
        ("json", {"a": [18.0, None]}, '{"a":[18,null]}', None),
        ("json", None, "null", None),
        ("error-text", "no", "no", True),
        ("error-json", {"a": 1}, '{"a":1}', True),
        ("execution-denied", None, "Tool call execution denied.", None),
        ("execution-denied", "no", "no", None),
        (
            "content",
            (
                TextContent("see"),
                TextContent(" "),
                file("image/png", b"x"),
                file("text/plain", b" "),
                CustomContent("ref", {"anthropic": {"type": "tool-reference", "toolName": "t"}}),
                CustomContent("other"),
            ),
            [
                text_block("see"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
                {"type": "tool_reference", "tool_name": "t"},
            ],
            None,
        ),
    ],
)
def test_results_of_calls(kind: str, value: Json, content: Json, is_error: bool | None):
    result = answered(kind=kind, value=value)
    turns = messages_of(QUESTION, AssistantMessage((called(),)), ToolMessage((result,)))
    expected = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
    assert turns[2] == user_turn(expected if is_error is None else {**expected, "is_error": True})


def test_decisions_of_the_user_are_not_sent():
    decision = ToolApprovalResponseContent(approval_id="a", approved=True)
    turns = messages_of(QUESTION, AssistantMessage((called(),)), ToolMessage((decision, answered())))
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result"]


def test_members_of_a_toolset_are_called_by_their_own_names():
    computer = ProviderTool(
        id="anthropic.computer_toolset_20260801", name="screen", args={"configs": {"wait": {"deferLoading": True}}}
    )
    history = (
        QUESTION,
        AssistantMessage((called("toolu_1", "screen", {"action": "left_click"}), called("toolu_2", "screen"))),
        ToolMessage((answered("toolu_1", "screen"), answered("toolu_2", "screen"))),
    )
    body = request(*history, tools=[computer]).body
    calls = body["messages"][1]["content"]
    assert [(block["name"], block["toolset_name"]) for block in calls] == [
        ("left_click", "computer"),
        ("computer", "computer"),
    ]
    assert {block["toolset_name"] for block in body["messages"][2]["content"]} == {"computer"}
    assert body["tools"] == [{"type": "computer_toolset_20260801", "configs": {"wait": {"defer_loading": True}}}]


# Tools that Anthropic runs


def ran(name: str, given: Json, kind: Any, value: Json, metadata: Json = None) -> AssistantMessage:
    options = None if metadata is None else {"anthropic": metadata}
    made = called("srvtoolu_1", name, given, provider_executed=True, provider_options=options)
    return AssistantMessage((made, answered("srvtoolu_1", name, kind, value, provider_options=options)))


HIT: Json = {"type": "web_search_result", "url": "u", "title": "t", "pageAge": None, "encryptedContent": "e"}
PAGE: Json = {
    "type": "web_fetch_result",
    "url": "u",
    "retrievedAt": "r",
    "content": {
        "type": "document",
        "title": "t",
        "citations": {"enabled": True},
        "source": {"type": "text", "mediaType": "text/plain", "data": "d"},
    },
}
OUTPUT: Json = {"stdout": "o", "stderr": "", "return_code": 0, "content": []}


@pytest.mark.parametrize(
    ("message", "use", "result"),
    [
        (
            ran("web_search", {"query": "q"}, "json", [HIT]),
            ("web_search", {"query": "q"}),
            (
                "web_search_tool_result",
                [{"url": "u", "title": "t", "page_age": None, "encrypted_content": "e", "type": "web_search_result"}],
            ),
        ),
        (
            ran("web_search", {}, "error-json", '{"errorCode": "max_uses_exceeded"}'),
            ("web_search", NOTHING),
            ("web_search_tool_result", {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}),
        ),
        (
            ran("web_fetch", {"url": "u"}, "json", PAGE),
            ("web_fetch", {"url": "u"}),
            (
                "web_fetch_tool_result",
                {
                    "type": "web_fetch_result",
                    "url": "u",
                    "retrieved_at": "r",
                    "content": {
                        "type": "document",
                        "title": "t",
                        "citations": {"enabled": True},
                        "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                    },
                },
            ),
        ),
        (
            ran("web_fetch", {}, "error-json", "not json"),
            ("web_fetch", NOTHING),
            ("web_fetch_tool_result", {"type": "web_fetch_tool_result_error", "error_code": "unavailable"}),
        ),
        (
            ran("code_execution", {"code": "1"}, "json", {"type": "code_execution_result", **OUTPUT, "content": None}),
            ("code_execution", {"code": "1"}),
            ("code_execution_tool_result", {"type": "code_execution_result", **OUTPUT}),
        ),
        (
            ran(
                "code_execution",
                {"type": "bash_code_execution", "command": "ls"},
                "json",
                {"type": "bash_code_execution_result", **OUTPUT},
            ),
            ("bash_code_execution", {"command": "ls"}),
            ("bash_code_execution_tool_result", {"type": "bash_code_execution_result", **OUTPUT}),
        ),
        (
            ran(
                "code_execution",
                {"type": "programmatic-tool-call", "code": "1"},
                "error-json",
                {"type": "code_execution_tool_result_error", "errorCode": "unavailable"},
            ),
            ("code_execution", {"code": "1"}),
            (
                "code_execution_tool_result",
                {"type": "code_execution_tool_result_error", "error_code": "unavailable"},
            ),
        ),
        (
            ran("code_execution", {"type": "text_editor_code_execution", "path": "p"}, "error-text", "odd"),
            ("text_editor_code_execution", {"path": "p"}),
            (
                "text_editor_code_execution_tool_result",
                {"type": "text_editor_code_execution_tool_result_error", "error_code": "unavailable"},
            ),
        ),
        (
            ran("tool_search_tool_bm25", {}, "json", [{"type": "tool_reference", "toolName": "t"}]),
            ("tool_search_tool_bm25", NOTHING),
            (
                "tool_search_tool_result",
                {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": "t"}],
                },
            ),
        ),
        (
            ran("tool_search_tool_regex", {}, "error-json", None),
            ("tool_search_tool_regex", NOTHING),
            ("tool_search_tool_result", {"type": "tool_search_tool_result_error", "error_code": "unavailable"}),
        ),
        (
            ran("advisor", {"gone": 1}, "json", {"type": "advisor_result", "text": "do", "stopReason": "max_tokens"}),
            ("advisor", NOTHING),
            ("advisor_tool_result", {"type": "advisor_result", "text": "do", "stop_reason": "max_tokens"}),
        ),
        (
            ran("advisor", {}, "error-json", '{"type": "advisor_tool_result_error", "errorCode": "unavailable"}'),
            ("advisor", NOTHING),
            ("advisor_tool_result", {"type": "advisor_tool_result_error", "error_code": "unavailable"}),
        ),
    ],
)
def test_what_anthropic_ran_goes_back_in_its_own_shape(message: AssistantMessage, use: Json, result: Json):
    blocks = messages_of(QUESTION, message, QUESTION)[1]["content"]
    assert [(blocks[0]["name"], blocks[0]["input"]), (blocks[1]["type"], blocks[1]["content"])] == [use, result]


@pytest.mark.parametrize(
    "message",
    [
        ran("web_search", {}, "json", "words"),
        ran("web_search", {}, "json", [{"url": 5}]),
        ran("web_fetch", {}, "json", {"url": "u"}),
        ran("code_execution", {}, "json", {"type": "odd"}),
        ran("code_execution", {}, "json", {"type": "code_execution_result", "stdout": "x"}),
        ran("tool_search_tool_bm25", {}, "json", [{}]),
        ran("advisor", {}, "json", {"type": "odd"}),
        ran("advisor", {}, "json", {"type": "advisor_result"}),
        ran("of_another_provider", {}, "json", 1),
        AssistantMessage((called("srvtoolu_1", "web_search", {}, provider_executed=True),)),
        AssistantMessage((answered("srvtoolu_1", "web_search", "json", [HIT]),)),
        ran("t", {}, "json", 1, {"type": "mcp-tool-use"}),
        ran("t", {}, "execution-denied", None, {"type": "mcp-tool-use", "serverName": "s"}),
    ],
)
def test_half_a_pair_or_a_mangled_one_is_left_out(message: AssistantMessage):
    assert messages_of(QUESTION, message, QUESTION) == [user_turn(text_block("Weather?"))] * 2


@pytest.mark.parametrize(
    ("kind", "value", "content"),
    [
        ("json", [{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}]),
        ("error-json", "no", "no"),
        ("json", {"a": 1}, '{"a":1}'),
    ],
)
def test_calls_of_mcp_servers(kind: str, value: Json, content: Json):
    message = ran("echo", {"a": 1}, kind, value, {"type": "mcp-tool-use", "serverName": "s"})
    blocks = messages_of(QUESTION, message, QUESTION)[1]["content"]
    assert blocks == [
        {"type": "mcp_tool_use", "id": "srvtoolu_1", "name": "echo", "input": {"a": 1}, "server_name": "s"},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "srvtoolu_1",
            "is_error": kind == "error-json",
            "content": content,
        },
    ]


def test_an_open_call_at_the_end_of_the_history_is_gone_on_with():
    paused = AssistantMessage((called("srvtoolu_1", "web_search", {"query": "q"}, provider_executed=True),))
    assert messages_of(QUESTION, paused)[1]["content"][0]["type"] == "server_tool_use"


def test_callers_name_code_that_is_still_there():
    def history(tool_id: str) -> tuple[ModelMessage, ...]:
        caller = {"anthropic": {"caller": {"type": "code_execution_20250825", "toolId": tool_id}}}
        direct = {"anthropic": {"caller": {"type": "direct"}}}
        run = ran("code_execution", {"code": "1"}, "json", {"type": "code_execution_result", **OUTPUT})
        calls = (called("toolu_1", provider_options=caller), called("toolu_2", provider_options=direct))
        results = ToolMessage((answered("toolu_1"), answered("toolu_2")))
        return (QUESTION, AssistantMessage((*run.content, *calls)), results)

    def callers(*messages: ModelMessage) -> list[Json]:
        return [block.get("caller") for block in messages_of(*messages)[1]["content"] if block["type"] == "tool_use"]

    kept = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
    assert callers(*history("srvtoolu_1"), QUESTION) == [kept, {"type": "direct"}]
    assert callers(*history("srvtoolu_9"), QUESTION) == [None, {"type": "direct"}]
    # While the code is still running its calls keep their caller.
    assert callers(*history("srvtoolu_9"))[0] == {**kept, "tool_id": "srvtoolu_9"}


# Repairs


def test_a_call_without_a_result_gets_one_that_says_so():
    turns = messages_of(
        QUESTION,
        AssistantMessage((called("toolu_1"), called("toolu_2"))),
        ToolMessage((answered("toolu_2"),)),
        QUESTION,
    )
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "null"},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": "The tool call was not carried out.",
            "is_error": True,
        },
        text_block("Weather?"),
    ]
    last = messages_of(QUESTION, AssistantMessage((called(),)))[2]["content"]
    assert [block["type"] for block in last] == ["tool_result"]


def test_a_result_without_a_call_and_a_second_one_go():
    turns = messages_of(
        QUESTION, AssistantMessage((called(),)), ToolMessage((answered(value=1), answered(value=2), answered("x")))
    )
    assert [block["content"] for block in turns[2]["content"]] == ["1"]
    assert messages_of(ToolMessage((answered(),)), QUESTION) == [user_turn(text_block("Weather?"))]


def test_results_stand_before_what_the_user_says():
    turns = messages_of(
        QUESTION, AssistantMessage((called(),)), UserMessage((TextContent("hi"),)), ToolMessage((answered(),))
    )
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "text"]


def test_ids_are_used_once_and_match_their_patterns():
    twice = AssistantMessage((called("a b"), called("a b")))
    history = (QUESTION, twice, ToolMessage((answered("a b"),)), QUESTION, twice, ToolMessage((answered("a b"),)))
    turns = messages_of(*history, model_id=SONNET)
    assert [block["id"] for turn in (turns[1], turns[3]) for block in turn["content"]] == ["a_b", "a_b_2"]
    assert [turn["content"][0]["tool_use_id"] for turn in (turns[2], turns[4])] == ["a_b", "a_b_2"]
    foreign = ran("web_search", {}, "json", [HIT])
    foreign = AssistantMessage(tuple(_with_id(part, "toolu-x") for part in foreign.content))
    assert messages_of(QUESTION, foreign, QUESTION)[1]["content"][1]["tool_use_id"] == "srvtoolu_toolu_x"


def test_another_servers_ids_may_come_again_in_a_later_turn_but_not_in_the_same_one():
    twice = AssistantMessage((called("call_0"), called("call_0")))
    results = ToolMessage((answered("call_0"),))
    turns = request(QUESTION, twice, results, QUESTION, twice, results, model_id="qwen3").body["messages"]
    assert [block["id"] for turn in (turns[1], turns[3]) for block in turn["content"]] == ["call_0", "call_0"]
    assert [turn["content"][0]["tool_use_id"] for turn in (turns[2], turns[4])] == ["call_0", "call_0"]


def _with_id(part: Json, call_id: str) -> Json:
    fields = {name: getattr(part, name) for name in part.__struct_fields__}
    return type(part)(**{**fields, "tool_call_id": call_id})


def test_names_of_tools_match_their_pattern():
    history = (QUESTION, AssistantMessage((called(name="get weather!"), called("toolu_2", ""))), QUESTION)
    assert [block["name"] for block in messages_of(*history)[1]["content"]] == ["get_weather_", "unknown"]


def test_neighbours_of_one_role_are_one_turn_and_the_user_begins():
    assert messages_of(said("Hi!"), said("How can I help?"), QUESTION, UserMessage((TextContent("?"),))) == [
        user_turn(text_block("(The assistant spoke first.)")),
        {"role": "assistant", "content": [text_block("Hi!"), text_block("How can I help?")]},
        user_turn(text_block("Weather?"), text_block("?")),
    ]


def test_what_was_said_before_and_after_an_empty_answer_stays_apart():
    assert messages_of(QUESTION, said(" "), QUESTION) == [user_turn(text_block("Weather?"))] * 2
    assert messages_of(said(""), QUESTION) == [user_turn(text_block("Weather?"))]


def test_an_unfinished_answer_is_gone_on_with_or_asked_for():
    assert messages_of(QUESTION, said(" It is ", " \n"))[1]["content"] == [text_block("It is")]
    for case in ({"model_id": "claude-sonnet-4-6"}, {"options": {"thinking": {"type": "enabled"}}}):
        assert messages_of(QUESTION, said("It is "), **case)[2] == user_turn(text_block("Continue."))


# Caching


def test_cache_breakpoints_of_parts_messages_and_tools_are_four_at_most():
    history = (
        UserMessage((TextContent("a", CACHE), TextContent("b")), CACHE),
        AssistantMessage(
            (ReasoningContent("r", {"anthropic": {"signature": "s", **CACHE["anthropic"]}}), called()), CACHE
        ),
        ToolMessage((answered(),), CACHE),
    )
    built = request(*history, tools=[FunctionTool(name="t", provider_options=CACHE)])
    blocks = [block for message in built.body["messages"] for block in message["content"]]
    assert [block["type"] for block in blocks if "cache_control" in block] == [
        "text",
        "text",
        "tool_use",
        "tool_result",
    ]
    assert "cache_control" not in built.body["tools"][0]
    assert any("thinking" in warning for warning in built.warnings)
    assert any("breakpoints" in warning for warning in built.warnings)


@pytest.mark.parametrize("control", ["yes", {"type": "eternal"}, {"type": "ephemeral", "ttl": "9h"}])
def test_what_is_no_cache_control_is_ignored(control: Json):
    content = (TextContent("a", {"anthropic": {"cacheControl": control}}),)
    assert messages_of(UserMessage(content)) == [user_turn(text_block("a"))]


def test_a_cache_can_live_an_hour():
    control = {"type": "ephemeral", "ttl": "1h"}
    content = (TextContent("a", {"anthropic": {"cache_control": control}}),)
    assert messages_of(UserMessage(content)) == [user_turn({**text_block("a"), "cache_control": control})]
