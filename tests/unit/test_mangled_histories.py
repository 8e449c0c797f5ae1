"""No history of any client makes the request to Anthropic break the API's rules, or fails but with a `RequestError`."""

import json
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from usechat.errors import RequestError
from usechat.messages.convert import convert_to_model_messages
from usechat.messages.ui import parse_chat_request
from usechat.models.base import FunctionTool, ModelCall
from usechat.models.claude.request.request import build_request
from usechat.testing.messages_api_rules import find_violations

Json = Any
Strategy = st.SearchStrategy[Json]
TOOLS = (FunctionTool(name="get_weather", input_schema={"type": "object"}),)
EXAMPLES = 4 * settings().max_examples
"""More than of other things: a history can be wrong in many places."""
PNG = "data:image/png;base64,iVBORw0KGgo="


def one_of(*values: Json) -> Strategy:
    """One of these values, or what one of these strategies makes."""
    return st.one_of(*(lift(value) for value in values))


def lift(value: Json) -> Strategy:
    return cast("Strategy", value) if isinstance(value, st.SearchStrategy) else st.just(value)


def an_object(optional: Json = None, /, **fields: Json) -> Strategy:
    """An object with these fields, each a value or a strategy, and perhaps some of the optional ones."""
    more: Json = optional or {}
    return st.fixed_dictionaries(
        {name: lift(value) for name, value in fields.items()},
        optional={name: lift(value) for name, value in more.items()},
    )


def a_list(*values: Json, size: int) -> Strategy:
    return st.lists(one_of(*values), max_size=size)


def grow(inner: Strategy) -> Strategy:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)


plain: Strategy = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
noise: Strategy = st.recursive(plain, grow, max_leaves=5)
texts = one_of("", " ", "\n", "hello", "hello ", "\ud800", "<>&\u2028", "日本")
ids = one_of("toolu_1", "toolu_2", "srvtoolu_1", "srvtoolu_2", "a b", "", "ü")
NAMES = ("get_weather", "ask_user", "web_search", "code_execution", "web_fetch", "advisor", "x y", "")
SEARCH = ({"type": "web_search_result", "url": "https://a", "title": "t", "encryptedContent": "e"},)
BASH: Json = {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []}
FAILURE = '{"type":"web_search_tool_result_error","errorCode":"unavailable"}'
STATES = (
    "input-streaming",
    "input-available",
    "output-available",
    "output-error",
    "approval-requested",
    "approval-responded",
    "output-denied",
    "unheard-of",
)
caller = one_of({"type": "direct"}, {"type": "code_execution_20250825", "toolId": "x"})
anthropic = an_object(
    {
        "signature": one_of("sig", "", 5),
        "redactedData": one_of("data", None),
        "cacheControl": one_of({"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}, "yes"),
        "citations": one_of({"enabled": True}, [{"type": "char_location"}], "x"),
        "type": one_of("compaction", "mcp-tool-use"),
        "serverName": "echo",
        "toolsetName": "computer",
        "caller": caller,
    }
)
metadata = an_object({"anthropic": anthropic, "openai": {"itemId": "x"}})
outputs = one_of("text", "", None, BASH, list(SEARCH), {"type": "advisor_result", "text": "do"}, noise)
inputs = one_of(noise, {"query": "x"}, {"type": "bash_code_execution", "command": "ls"})
approvals = an_object({"approved": one_of(True, False, "yes"), "reason": texts}, id="approval")
tool_parts = an_object(
    {
        "input": inputs,
        "output": outputs,
        "errorText": one_of(texts, FAILURE),
        "rawInput": noise,
        "providerExecuted": st.booleans(),
        "preliminary": st.booleans(),
        "callProviderMetadata": metadata,
        "resultProviderMetadata": metadata,
        "approval": approvals,
    },
    type=one_of(*(f"tool-{name}" for name in NAMES)),
    toolCallId=ids,
    state=one_of(*STATES),
)
dynamic_parts = an_object(type="dynamic-tool", toolName=one_of(*NAMES), toolCallId=ids, state=one_of(*STATES))


def server_call(name: str, given: Json, output: Json) -> Strategy:
    return an_object(
        {"callProviderMetadata": {"anthropic": {"type": "mcp-tool-use", "serverName": "echo"}}},
        type=f"tool-{name}",
        toolCallId=one_of("srvtoolu_1", "srvtoolu_2", "srvtoolu_3"),
        state=one_of("output-available", "output-available", "output-error", "input-available"),
        providerExecuted=True,
        input=given,
        output=output,
        errorText=FAILURE,
    )


server_calls = one_of(
    server_call("web_search", {"query": "x"}, list(SEARCH)),
    server_call("code_execution", {"type": "bash_code_execution", "command": "ls"}, BASH),
    server_call("tool_search_tool_bm25", {"query": "x"}, [{"type": "tool_reference", "toolName": "get_weather"}]),
    server_call("advisor", {}, {"type": "advisor_result", "text": "do"}),
)
urls = one_of(PNG, "data:text/plain,hello", "data:text/csv;base64,YSxi", "data:text/plain;base64,", "https://a.b/c.png")
odd_urls = one_of("data:,", "data:application/zip;base64,YQ==", "https://a.b/c.zip")
media_types = one_of("image/png", "image/*", "", None)
parts = one_of(
    an_object(type="text", text=texts, providerMetadata=metadata),
    an_object(type="reasoning", text=texts, providerMetadata=metadata),
    tool_parts,
    dynamic_parts,
    server_calls,
    {"type": "step-start"},
    an_object(type="file", url=urls, mediaType=media_types, filename="a"),
    an_object(type="custom", kind=texts),
    {"type": "data-weather", "data": {"city": "Paris"}},
    {"type": "source-url", "sourceId": "1", "url": "https://a.b"},
    an_object(type="steering-message", id="s", parts=st.lists(an_object(type="text", text=texts), max_size=1)),
)
roles = one_of("user", "assistant", "assistant", "system")
messages = an_object(id="same", role=roles, parts=st.lists(parts, max_size=6))
refused_files = an_object(id="1", role="user", parts=a_list(an_object(type="file", url=odd_urls), size=1))
legacy_calls = an_object(
    type="tool-invocation",
    toolInvocation=an_object(
        state=one_of("partial-call", "call", "result", "what"),
        step=st.integers(0, 2),
        toolName=one_of(*NAMES),
        toolCallId=ids,
        args=noise,
        result=noise,
    ),
)
legacy_details = an_object(type="text", text=texts, signature=one_of("sig", None))
legacy_parts = one_of(
    legacy_calls,
    an_object(type="text", text=texts),
    an_object(
        type="reasoning", reasoning=texts, details=a_list(legacy_details, {"type": "redacted", "data": "d"}, size=2)
    ),
    {"type": "source", "source": {"sourceType": "url", "id": "1", "url": "https://a.b"}},
    {"type": "file", "mimeType": "image/png", "data": "iVBORw0KGgo="},
    {"type": "step-start"},
)
legacy_files = an_object(name="a.png", contentType="image/png", url=urls)
legacy_messages = an_object(
    {"parts": st.lists(legacy_parts, max_size=5), "experimental_attachments": st.lists(legacy_files, max_size=2)},
    role=one_of("user", "assistant", "data"),
    content=texts,
)


def mangle(value: Json, path: list[int], replacement: Json) -> Json:
    """The value with something somewhere inside it replaced."""
    if not path or not value or not isinstance(value, dict | list):
        return replacement
    inner = cast("Json", value)
    keys: list[Json] = list(inner) if isinstance(value, dict) else list(range(len(inner)))
    chosen = keys[path[0] % len(keys)]
    copy: Json = inner.copy()
    copy[chosen] = mangle(inner[chosen], path[1:], replacement)
    return copy


def end_with(history: Json, ending: Json) -> Json:
    return history + ending


question = {"id": "last", "role": "user", "parts": [{"type": "text", "text": "And now?"}]}
beginnings: Strategy = st.lists(one_of(messages, messages, legacy_messages), min_size=1, max_size=6)
histories: Strategy = st.builds(end_with, beginnings, one_of([], [question], st.lists(refused_files, max_size=1)))
mangled: Strategy = st.builds(mangle, histories, st.lists(st.integers(0, 50), min_size=3, max_size=8), noise)
models = one_of("claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-5-5", "claude-instant-1")
provider_options = one_of(None, {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 1024}}})


def violations_of(history: Json, model_id: str, options: Json, *, has_tools: bool, allow_system: bool) -> Json:
    """What the request for a history does wrong; nothing when the history is refused cleanly."""
    try:
        chat = parse_chat_request(json.dumps({"messages": history}).encode())
        call = ModelCall(
            messages=convert_to_model_messages(chat.messages, allow_system=allow_system),
            tools=TOOLS if has_tools else (),
            provider_options=options,
        )
        request = build_request(call, model_id)
    except RequestError as error:
        is_clean = error.status in (400, 415, 422) and len(str(error)) < 200
        return [] if is_clean else [error]
    return find_violations(request.body)


@settings(max_examples=EXAMPLES)
@given(histories, models, provider_options, st.booleans(), st.booleans())
@example(
    [{"role": "assistant", "parts": [{"type": "tool-x", "toolCallId": "1", "state": "input-available"}]}],
    "claude-instant-1",
    None,
    False,
    False,
)
def test_any_history_becomes_a_request_that_keeps_the_rules(
    history: Json, model_id: str, options: Json, has_tools: bool, allow_system: bool
):
    found = violations_of(history, model_id, options, has_tools=has_tools, allow_system=allow_system)
    assert found == []


@settings(max_examples=EXAMPLES)
@given(mangled, models, st.booleans())
def test_a_mangled_history_is_repaired_or_refused_cleanly(history: Json, model_id: str, allow_system: bool):
    assert violations_of(history, model_id, None, has_tools=True, allow_system=allow_system) == []
