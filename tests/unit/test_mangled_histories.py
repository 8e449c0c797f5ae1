"""No history of any client makes the request to Anthropic break the API's rules, or fails but with a `RequestError`."""

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from usechat.errors import RequestError
from usechat.messages.convert import convert_to_model_messages
from usechat.messages.ui import parse_chat_request
from usechat.models.anthropic_request import build_request
from usechat.models.base import FunctionTool, ModelCall
from usechat.testing.messages_api_rules import find_violations

Json = Any
TOOLS = (FunctionTool(name="get_weather", input_schema={"type": "object"}),)
PNG = "data:image/png;base64,iVBORw0KGgo="

noise = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
texts = st.sampled_from(["", " ", "\n", "hello", "hello ", "\ud800", "<>&\u2028", "日本"])
ids = st.sampled_from(["toolu_1", "toolu_2", "srvtoolu_1", "srvtoolu_2", "a b", "", "ü"])
names = st.sampled_from(["get_weather", "ask_user", "web_search", "code_execution", "web_fetch", "advisor", "x y", ""])
states = st.sampled_from(
    [
        "input-streaming",
        "input-available",
        "output-available",
        "output-error",
        "approval-requested",
        "approval-responded",
        "output-denied",
        "unheard-of",
    ]
)
caching = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}, "yes"])
metadata = st.fixed_dictionaries(
    {},
    optional={
        "anthropic": st.fixed_dictionaries(
            {},
            optional={
                "signature": st.sampled_from(["sig", "", 5]),
                "redactedData": st.sampled_from(["data", None]),
                "cacheControl": caching,
                "citations": st.sampled_from([{"enabled": True}, [{"type": "char_location"}], "x"]),
                "type": st.sampled_from(["compaction", "mcp-tool-use"]),
                "serverName": st.just("echo"),
                "toolsetName": st.just("computer"),
                "caller": st.sampled_from([{"type": "direct"}, {"type": "code_execution_20250825", "toolId": "x"}]),
            },
        ),
        "openai": st.just({"itemId": "x"}),
    },
)
outputs = (
    st.sampled_from(
        [
            "text",
            "",
            None,
            {"type": "code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []},
            {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []},
            [
                {
                    "type": "web_search_result",
                    "url": "https://a",
                    "title": None,
                    "encryptedContent": "e",
                    "pageAge": None,
                }
            ],
            {"type": "advisor_result", "text": "do"},
        ]
    )
    | noise
)
approvals = st.fixed_dictionaries(
    {"id": st.just("approval")}, optional={"approved": st.booleans() | st.just("yes"), "reason": texts}
)
tool_parts = st.builds(
    lambda name, fields: {"type": f"tool-{name}", **fields} | ({"toolName": name} if fields.get("dynamic") else {}),
    names,
    st.fixed_dictionaries(
        {"toolCallId": ids, "state": states},
        optional={
            "input": noise | st.sampled_from([{"query": "x"}, {"type": "bash_code_execution", "command": "ls"}]),
            "output": outputs,
            "errorText": texts | st.just('{"type":"web_search_tool_result_error","errorCode":"unavailable"}'),
            "rawInput": noise,
            "providerExecuted": st.booleans(),
            "preliminary": st.booleans(),
            "callProviderMetadata": metadata,
            "resultProviderMetadata": metadata,
            "approval": approvals,
        },
    ),
)
server_calls = st.builds(
    lambda call, call_id, state, more: {
        "type": f"tool-{call[0]}",
        "toolCallId": call_id,
        "state": state,
        "providerExecuted": True,
        "input": call[1],
        "output": call[2],
        "errorText": '{"type":"web_search_tool_result_error","errorCode":"unavailable"}',
        **more,
    },
    st.sampled_from(
        [
            (
                "web_search",
                {"query": "x"},
                [{"type": "web_search_result", "url": "https://a", "title": "t", "encryptedContent": "e"}],
            ),
            (
                "code_execution",
                {"type": "bash_code_execution", "command": "ls"},
                {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": []},
            ),
            ("tool_search_tool_bm25", {"query": "x"}, [{"type": "tool_reference", "toolName": "get_weather"}]),
            ("advisor", {}, {"type": "advisor_result", "text": "do"}),
        ]
    ),
    st.sampled_from(["srvtoolu_1", "srvtoolu_2", "srvtoolu_3"]),
    st.sampled_from(["output-available", "output-available", "output-error", "input-available"]),
    st.sampled_from([{}, {"callProviderMetadata": {"anthropic": {"type": "mcp-tool-use", "serverName": "echo"}}}]),
)
urls = st.sampled_from(
    [
        PNG,
        "data:text/plain,hello",
        "data:text/csv;base64,YSxi",
        "data:,",
        "data:text/plain;base64,",
        "https://a.b/c.png",
    ]
)
media_types = st.sampled_from(["image/png", "text/plain", "text/csv", "application/pdf", "image/*", "", None])
parts = st.one_of(
    st.builds(lambda text, extra: {"type": "text", "text": text, "providerMetadata": extra}, texts, metadata),
    st.builds(lambda text, extra: {"type": "reasoning", "text": text, "providerMetadata": extra}, texts, metadata),
    tool_parts,
    tool_parts,
    server_calls,
    st.just({"type": "step-start"}),
    st.builds(lambda url, kind: {"type": "file", "url": url, "mediaType": kind, "filename": "a"}, urls, media_types),
    st.builds(lambda kind: {"type": "custom", "kind": kind}, texts),
    st.just({"type": "data-weather", "data": {"city": "Paris"}}),
    st.just({"type": "source-url", "sourceId": "1", "url": "https://a.b"}),
    st.builds(lambda text: {"type": "steering-message", "id": "s", "parts": [{"type": "text", "text": text}]}, texts),
)
messages = st.builds(
    lambda role, content: {"id": "same", "role": role, "parts": content},
    st.sampled_from(["user", "assistant", "assistant", "system"]),
    st.lists(parts, max_size=6),
)
legacy_calls = st.builds(
    lambda state, step, name, call_id, args: {
        "type": "tool-invocation",
        "toolInvocation": {
            "state": state,
            "step": step,
            "toolName": name,
            "toolCallId": call_id,
            "args": args,
            "result": args,
        },
    },
    st.sampled_from(["partial-call", "call", "result", "what"]),
    st.integers(0, 2),
    names,
    ids,
    noise,
)
legacy_parts = st.one_of(
    legacy_calls,
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.builds(
        lambda text, signature: {
            "type": "reasoning",
            "reasoning": text,
            "details": [{"type": "text", "text": text, "signature": signature}, {"type": "redacted", "data": "d"}],
        },
        texts,
        st.sampled_from(["sig", None]),
    ),
    st.just({"type": "source", "source": {"sourceType": "url", "id": "1", "url": "https://a.b"}}),
    st.just({"type": "file", "mimeType": "image/png", "data": "iVBORw0KGgo="}),
    st.just({"type": "step-start"}),
)
legacy_messages = st.builds(
    lambda role, content, posted, files: {
        "role": role,
        "content": content,
        **({"parts": posted} if posted else {}),
        **({"experimental_attachments": files} if files else {}),
    },
    st.sampled_from(["user", "assistant", "data"]),
    texts,
    st.lists(legacy_parts, max_size=5),
    st.lists(st.builds(lambda url: {"name": "a.png", "contentType": "image/png", "url": url}, urls), max_size=2),
)


def mangle(value: Json, path: list[int], replacement: Json) -> Json:
    """The value with something somewhere inside it replaced."""
    if not path or not isinstance(value, dict | list) or not value:
        return replacement
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    chosen = keys[path[0] % len(keys)]
    copy: Json = dict(value) if isinstance(value, dict) else list(value)
    copy[chosen] = mangle(value[chosen], path[1:], replacement)
    return copy


questions = st.sampled_from([[], [{"id": "last", "role": "user", "parts": [{"type": "text", "text": "And now?"}]}]])
histories = st.builds(
    lambda before, question: before + question,
    st.lists(st.one_of(messages, messages, legacy_messages), min_size=1, max_size=6),
    questions,
)
mangled = st.builds(mangle, histories, st.lists(st.integers(0, 50), min_size=3, max_size=8), noise)
models = st.sampled_from(["claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-5-5", "some-model"])
provider_options = st.sampled_from([None, {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 1024}}}])


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
        assert error.status in (400, 415, 422)
        assert len(str(error)) < 200
        return []
    return find_violations(request.body)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, models, provider_options, st.booleans(), st.booleans())
@example(
    [{"role": "assistant", "parts": [{"type": "tool-x", "toolCallId": "1", "state": "input-available"}]}],
    "some-model",
    None,
    False,
    False,
)
def test_any_history_becomes_a_request_that_keeps_the_rules(
    history: Json, model_id: str, options: Json, has_tools: bool, allow_system: bool
):
    found = violations_of(history, model_id, options, has_tools=has_tools, allow_system=allow_system)
    assert found == []


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mangled, models, st.booleans())
def test_a_mangled_history_is_repaired_or_refused_cleanly(history: Json, model_id: str, allow_system: bool):
    assert violations_of(history, model_id, None, has_tools=True, allow_system=allow_system) == []
