"""Each rule of the Messages API finds what breaks it, and a sound conversation breaks none."""

from typing import Any

import pytest

from usechat.testing.messages_api_rules import RULES, Violation, find_violations

Json = Any
HELLO: Json = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
CACHE: Json = {"cache_control": {"type": "ephemeral"}}


def body(*messages: Json, **more: Json) -> Json:
    return {"max_tokens": 2000, "tools": [{"name": "t"}], "messages": list(messages), **more}


def user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def use(call_id: str = "1", **more: Json) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "t", "input": {}, **more}


def result(call_id: str = "1", **more: Json) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "", **more}


def searched(call_id: str = "srvtoolu_1") -> Json:
    return {"type": "server_tool_use", "id": call_id, "name": "web_search", "input": {}}


def found(call_id: str = "srvtoolu_1") -> Json:
    return {"type": "web_search_tool_result", "tool_use_id": call_id, "content": []}


THOUGHT: Json = {"type": "thinking", "thinking": "t", "signature": "s"}


def image(**source: Json) -> Json:
    return user({"type": "image", "source": source})


SOUND = body(
    HELLO,
    assistant(THOUGHT, searched(), found(), text("a"), use("1"), THOUGHT, use("2")),
    user(result("1"), result("2"), text("b"), image(type="url", url="https://a")["content"][0]),
    {"role": "system", "content": [text("c")]},
    user(
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
    ),
    assistant(searched("srvtoolu_2")),
    system=[text("s")],
    tool_choice={"type": "tool", "name": "t"},
)

BROKEN: list[tuple[str, Json, str]] = [
    ("has-messages", body(), "messages"),
    ("starts-with-user", body(assistant(text("a"))), "messages[0]"),
    ("has-content", body(user()), "messages[0]"),
    ("knows-blocks", body(user(use())), "messages[0].content[0]"),
    ("text-is-not-blank", body(user(text(" "))), "messages[0].content[0]"),
    ("text-is-not-blank", body(HELLO, system=[text("")]), "system[0]"),
    ("prefill-is-trimmed", body(HELLO, assistant(text("a "))), "messages[1]"),
    ("is-unicode", body(user(text("\ud800"))), ""),
    ("calls-are-answered", body(HELLO, assistant(use())), "messages[1].content[0]"),
    ("calls-are-answered", body(HELLO, assistant(use()), HELLO), "messages[1].content[0]"),
    ("results-have-calls", body(user(result())), "messages[0].content[0]"),
    ("results-have-calls", body(HELLO, assistant(use()), user(result(), result())), "messages[2].content[1]"),
    ("results-come-first", body(HELLO, assistant(use()), user(text("a"), result())), "messages[2]"),
    ("calls-come-last", body(HELLO, assistant(use(), text("a")), user(result())), "messages[1].content[1]"),
    ("tools-are-declared", body(HELLO, assistant(use()), user(result()), tools=[]), "messages[1].content[0]"),
    ("result-content", body(HELLO, assistant(use()), user(result(content={}))), "messages[2].content[0]"),
    (
        "errors-have-words",
        body(HELLO, assistant(use()), user({**result(content=""), "is_error": True})),
        "messages[2].content[0]",
    ),
    (
        "ids-are-unique",
        body(HELLO, assistant(use()), user(result()), assistant(use()), user(result())),
        "messages[3].content[0]",
    ),
    ("ids-are-legal", body(HELLO, assistant(use("a b")), user(result("a b"))), "messages[1].content[0]"),
    ("ids-are-legal", body(HELLO, assistant(searched("toolu_1"))), "messages[1].content[0]"),
    ("names-are-legal", body(HELLO, assistant(use(name="a b")), user(result())), "messages[1].content[0]"),
    ("inputs-are-objects", body(HELLO, assistant(use(input=[])), user(result())), "messages[1].content[0]"),
    ("server-calls-are-answered", body(HELLO, assistant(searched()), HELLO), "messages[1].content[0]"),
    ("server-results-have-calls", body(HELLO, assistant(found()), HELLO), "messages[1].content[0]"),
    (
        "thinking-is-signed",
        body(HELLO, assistant({**THOUGHT, "signature": ""}, text("a"))),
        "messages[1].content[0]",
    ),
    ("thinking-is-not-last", body(HELLO, assistant(text("a"), THOUGHT), HELLO), "messages[1]"),
    ("thinking-leaves-room", body(HELLO, thinking={"budget_tokens": 2000}), "thinking.budget_tokens"),
    ("thinking-leaves-room", body(HELLO, thinking={"budget_tokens": 1}), "thinking.budget_tokens"),
    ("thinking-is-not-forced", body(HELLO, thinking={"type": "enabled"}, tool_choice={"type": "any"}), "tool_choice"),
    ("thinking-takes-no-sampling", body(HELLO, thinking={"type": "adaptive"}, top_k=1), "top_k"),
    ("breakpoints", body(user(*({**text("a"), **CACHE} for _ in range(5)))), "messages[0].content[4]"),
    ("thinking-is-not-cached", body(HELLO, assistant({**THOUGHT, **CACHE}, text("a"))), "messages[1].content[0]"),
    ("sources-are-readable", body(image(type="base64", media_type="image/bmp", data="eA==")), "messages[0].content[0]"),
    ("sources-are-readable", body(image(type="base64", media_type="image/png", data="!")), "messages[0].content[0]"),
    ("sources-are-readable", body(image(type="url", url="file:///etc/passwd")), "messages[0].content[0]"),
    ("sources-are-readable", body(image(type="file", file_id="")), "messages[0].content[0]"),
    ("sources-are-readable", body(image()), "messages[0].content[0]"),
    ("choice-has-tools", body(HELLO, tools=[], tool_choice={"type": "auto"}), "tool_choice"),
    ("choice-has-tools", body(HELLO, tool_choice={"type": "tool", "name": "x"}), "tool_choice"),
    ("max-tokens-are-positive", body(HELLO, max_tokens=0), "max_tokens"),
]


def test_a_sound_conversation_breaks_no_rule():
    assert find_violations(SOUND) == []


@pytest.mark.parametrize(("rule", "broken", "path"), BROKEN, ids=[rule for rule, _, _ in BROKEN])
def test_a_broken_rule_is_found_where_it_is_broken(rule: str, broken: Json, path: str):
    assert Violation(rule, path) in find_violations(broken)


def test_every_rule_is_broken_by_an_example_and_has_its_source():
    assert {rule for rule, _, _ in BROKEN} == {rule.name for rule in RULES}
    assert all(rule.source for rule in RULES)
