"""Every scenario that our backend and the real SDK's are compared in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.replies import answer, call, mcp_call, quote, said, search, server_call, text, thinking
from tests.conformance.scenario import NEWEST, PNG, SINCE_5, SINCE_6, Scenario, Step, attach, send
from usechat.testing.replay import Reply
from usechat.testing.streams import stream_names

__all__ = ["ANSWERED_WITH_NOTHING", "REFUSED", "REFUSED_AND_ANSWERED_WITH_NOTHING", "SCENARIOS"]

# Streams that ship. What a stream calls must be among the tools.

_EXTRA_TOOLS = {
    "json": ("json-tool", "json-tool-text-first"),
    "left_click": ("toolset",),
    "read_gauge": ("thinking-interleaved",),
    "read_wind": ("thinking-interleaved",),
}
_SERVER_TOOLS = {
    "advisor": "advisor",
    "bash-code": "code_execution",
    "code-execution": "code_execution",
    "text-editor": "code_execution",
    "tool-search-bm25": "tool_search_tool_bm25",
    "tool-search": "tool_search_tool_regex",
    "web-fetch": "web_fetch",
    "web-search": "web_search",
}


def _tools_of(stream: str) -> dict[str, Any]:
    extra = ["get_tide", *(tool for tool, streams in _EXTRA_TOOLS.items() if stream in streams)]
    server = next((tool for start, tool in _SERVER_TOOLS.items() if stream.startswith(start)), None)
    thinking = {"thinking": True} if stream.startswith(("thinking", "usage-thinking")) else {}
    return {"extraTools": extra, **({"serverTools": [server]} if server else {}), **thinking}


_SHIPPED = [Scenario(name=f"stream-{name}", replies=[Reply(name)], body=_tools_of(name)) for name in stream_names()]

# How the bytes come

_FRAMINGS = ("crlf", "cr", "multiline", "no-space", "comments", "no-event")
_TRANSPORT = [
    *(Scenario(name=f"framing-{framing}", replies=[Reply("text", framing=framing)]) for framing in _FRAMINGS),
    Scenario(name="one-piece", replies=[Reply("thinking", split=-1)], body={"thinking": True}),
    Scenario(name="split-in-every-byte", replies=[Reply("text-escapes", split=1)]),
    Scenario(name="end-within-text", replies=[Reply("text", end_after=4)]),
    Scenario(name="end-before-message-stop", replies=[Reply("text", end_after=8)]),
    Scenario(name="cut-within-text", replies=[Reply("text", cut_after=4)]),
    Scenario(name="not-a-stream", replies=[Reply(body=b"<html>Bad gateway</html>", content_type="text/html")]),
    *(Scenario(name=f"http-{code}", replies=[Reply(status=code)]) for code in (400, 401, 403, 404, 413, 429, 500, 529)),
    Scenario(name="keep-alive", replies=[Reply("text", delay=0.05)], body={"keepAliveMs": 15}, majors=SINCE_5),
]

# Tools that the backend runs

_WEATHER = said(text("Let me ", "look."), call("get_weather", {"city": "Oslo"}, id="toolu_weather"), stop="tool_use")
_THINKS_FIRST = said(
    thinking("Look ", "first.", signature="c2lnbmVk"),
    call("get_weather", {"city": "Oslo", "unit": "fahrenheit"}, id="toolu_thought"),
    stop="tool_use",
)
_THINKS_AFTER = said(thinking("Now I know.", signature="YWdhaW4="), text("It is mild."))


def _calls(*blocks: Any, stop: str = "tool_use") -> list[Reply]:
    return [said(*blocks, stop=stop), answer()]


def _weather(city: Any, number: int = 1) -> Any:
    return call("get_weather", {"city": city}, id=f"toolu_{number}")


_BACKEND_TOOLS = [
    Scenario(name="steps", replies=[_WEATHER, answer()]),
    Scenario(name="steps-three", replies=[_WEATHER, _calls(_weather("Bergen"))[0], answer()]),
    Scenario(name="steps-limit", replies=[_WEATHER, *_calls(_weather("Bergen"))], body={"maxSteps": 2}),
    Scenario(name="steps-thinking", replies=[_THINKS_FIRST, _THINKS_AFTER], body={"thinking": True}),
    Scenario(name="steps-http-error", replies=[_WEATHER, Reply(status=529)]),
    Scenario(name="steps-error-event", replies=[_WEATHER, Reply("error-midway")]),
    Scenario(name="steps-error-event-first", replies=[_WEATHER, Reply("error-overloaded")]),
    Scenario(name="tools-parallel", replies=_calls(_weather("Oslo", 1), call("get_time", {}, id="toolu_2"))),
    Scenario(name="tool-throws", replies=_calls(_weather("ERROR"))),
    Scenario(name="tool-throws-beside-one-that-works", replies=_calls(_weather("ERROR", 1), _weather("Oslo", 2))),
    Scenario(
        name="tool-throws-after-one-that-works",
        replies=_calls(_weather("Oslo", 1), _weather("ERROR", 2)),
        majors=SINCE_5,
    ),
    Scenario(name="tool-null-input", replies=_calls(call("get_weather", "null", id="toolu_1"))),
    Scenario(name="tool-array-input", replies=_calls(call("get_weather", "[1]", id="toolu_1"))),
    Scenario(name="tool-unknown", replies=_calls(call("no_such_tool", {"a": 1}, id="toolu_1"))),
    Scenario(name="tool-invalid-input", replies=_calls(_weather(5))),
    *(
        Scenario(name=f"tool-unsafe-{name}", replies=_calls(call(tool, text, id="toolu_unsafe")))
        for name, tool, text in (
            ("own", "get_weather", '{"city": "Oslo", "__proto__": {"x": 1}}'),
            ("unknown", "get_tides", '{"city": {"__proto__": {"x": 1}}}'),
            ("escaped", "get_weather", r'{"city": "Oslo", "\u005f_pr\u006fto_\u005F": 1}'),
            ("constructor", "get_weather", '{"city": "Oslo", "constructor": {"prototype": null}}'),
            ("in-list", "get_weather", '{"city": "Oslo", "days": [[1, {"__proto__": 1}]]}'),
            ("not", "get_weather", r'{"city": "__proto__", "constructor": "prototype", "\u0070rototype": {}}'),
        )
    ),
    Scenario(name="tool-unparsable-input", replies=_calls(call("get_weather", '{"city": "Os', id="toolu_1"))),
    Scenario(name="tool-invalid-beside-one-that-works", replies=_calls(_weather(5, 1), _weather("Oslo", 2))),
    Scenario(name="tool-end-turn", replies=_calls(_weather("Oslo"), stop="end_turn")),
    Scenario(name="tool-pause-turn", replies=_calls(_weather("Oslo"), stop="pause_turn")),
    Scenario(name="tool-max-tokens", replies=_calls(_weather("Oslo"), stop="max_tokens")),
    Scenario(name="tool-refusal", replies=_calls(_weather("Oslo"), stop="refusal")),
    Scenario(name="tool-text-after", replies=_calls(_weather("Oslo"), text("Asked."))),
    Scenario(
        name="tool-input-not-streamed", replies=[_WEATHER, answer()], body={"toolCallStreaming": False}, majors=[4]
    ),
]

# Tools that the client runs, and approvals

_ASK = said(text("A question: "), call("ask_user", {"question": "Which colour?"}, id="toolu_ask"), stop="tool_use")
_ASK_AND_LOOK = said(call("ask_user", {"question": "Which colour?"}, id="toolu_ask"), _weather("Oslo"), stop="tool_use")
_DELETE = said(text("Cleaning. "), call("delete_file", {"path": "/a"}, id="toolu_delete"), stop="tool_use")
_DELETE_TWO = said(
    call("delete_file", {"path": "/a"}, id="toolu_a"),
    call("delete_file", {"path": "/b"}, id="toolu_b"),
    stop="tool_use",
)
_DELETE_TWO_AND_LOOK = said(
    call("delete_file", {"path": "/a"}, id="toolu_a"),
    call("delete_file", {"path": "/b"}, id="toolu_b"),
    _weather("Oslo"),
    stop="tool_use",
)
_DELETE_AND_LOOK = said(call("delete_file", {"path": "/a"}, id="toolu_delete"), _weather("Oslo"), stop="tool_use")
_OUTPUT: Step = {"kind": "toolOutput", "tool": "ask_user", "toolCallId": "toolu_ask", "output": "blue"}
_FAILURE: Step = {
    "kind": "toolOutput",
    "tool": "ask_user",
    "toolCallId": "toolu_ask",
    "state": "output-error",
    "errorText": "the user closed the dialog",
}


def _decide(*answers: bool, reason: str | None = None) -> Step:
    return {"kind": "approve", "answers": list(answers), **({"reason": reason} if reason else {})}


def _approval(
    name: str, reply: Reply, decision: Step, *, majors: Sequence[int] = SINCE_6, body: Mapping[str, Any] | None = None
) -> Scenario:
    flow = (send("Delete"), decision)
    replies = [reply, answer()]
    return Scenario(name=f"approval-{name}", replies=replies, flow=flow, goes_on=True, majors=majors, body=body or {})


_CLIENT_TOOLS = [
    Scenario(name="client-tool", replies=[_ASK, answer()], flow=(send("Ask me"), _OUTPUT), goes_on=True),
    Scenario(
        name="client-tool-object",
        replies=[_ASK, answer()],
        flow=(send("Ask me"), {**_OUTPUT, "output": {"colour": "blue", "shade": None}}),
        goes_on=True,
    ),
    Scenario(
        name="client-tool-error",
        replies=[_ASK, answer()],
        flow=(send("Ask me"), _FAILURE),
        goes_on=True,
        majors=SINCE_5,
    ),
    Scenario(
        name="client-tool-beside-one-of-the-backend",
        replies=[_ASK_AND_LOOK, answer()],
        flow=(send("Ask me"), _OUTPUT),
        goes_on=True,
    ),
    Scenario(name="client-tool-abandoned", replies=[_ASK], flow=(send("Ask me"), send("Never mind"))),
    Scenario(name="approval-unknown-to-the-client", replies=[_DELETE, answer()], majors=(4, 5)),
    _approval("granted", _DELETE, _decide(True)),
    _approval("denied", _DELETE, _decide(False)),
    _approval("denied-with-reason", _DELETE, _decide(False, reason="not that one")),
    _approval("signed", _DELETE, _decide(True), body={"approvalSecret": "a secret"}, majors=(7,)),
    _approval("two-granted", _DELETE_TWO, _decide(True, True)),
    _approval("one-of-two-denied", _DELETE_TWO, _decide(True, False)),
    _approval("beside-a-tool-without", _DELETE_AND_LOOK, _decide(True)),
    _approval("one-of-two-denied-beside-a-tool-without", _DELETE_TWO_AND_LOOK, _decide(True, False)),
]

# Turns

_TWO_TURNS = (send("Hi"), send("And now?"))
_SEARCHES = said(
    thinking("Search ", "first.", signature="c2VhcmNo"),
    *search("tide at Oslo", "https://tides.example/oslo", "https://harbour.example/notices", id="srvtoolu_search"),
    text("It is high. ", "And the weather?"),
    call("get_weather", {"city": "Oslo"}, id="toolu_after_search"),
    stop="tool_use",
)
_HELD = said(text("One ", "two ", "three"), hold_after=5)

_TURNS = [
    Scenario(name="two-turns", replies=[Reply("text")], flow=_TWO_TURNS),
    Scenario(name="two-turns-steps", replies=[_WEATHER, answer()], flow=_TWO_TURNS),
    Scenario(
        name="two-turns-tools-parallel", replies=_calls(_weather("Oslo", 1), _weather("Rome", 2)), flow=_TWO_TURNS
    ),
    Scenario(
        name="two-turns-thinking", replies=[_THINKS_FIRST, _THINKS_AFTER], flow=_TWO_TURNS, body={"thinking": True}
    ),
    Scenario(
        name="two-turns-search-and-tools",
        replies=[_SEARCHES, _THINKS_AFTER],
        flow=_TWO_TURNS,
        body={"thinking": True, "serverTools": ["web_search"]},
        majors=SINCE_5,
    ),
    Scenario(name="two-turns-redacted", replies=[Reply("thinking-redacted")], flow=_TWO_TURNS, body={"thinking": True}),
    Scenario(name="two-turns-tool-throws", replies=_calls(_weather("ERROR")), flow=_TWO_TURNS),
    Scenario(name="two-turns-tool-invalid", replies=_calls(_weather(5)), flow=_TWO_TURNS),
    Scenario(
        name="two-turns-tool-null-input",
        replies=_calls(call("get_weather", "null", id="toolu_1")),
        flow=_TWO_TURNS,
        majors=SINCE_5,
    ),
    *(
        Scenario(name=f"two-turns-{name}", replies=[Reply(name)], flow=_TWO_TURNS, body=_tools_of(name))
        for name in ("web-search", "web-fetch", "code-execution", "mcp", "citations-web", "compaction", "refusal")
        if name in stream_names()
    ),
    *(
        Scenario(name=f"turn-after-{name}", replies=[Reply(name)], flow=_TWO_TURNS)
        for name in ("error-overloaded", "error-midway", "early-end")
    ),
    *(
        Scenario(name=f"end-at-{name}", replies=[said(block, end_after=2)], body={"thinking": True}, majors=SINCE_5)
        for name, block in (
            ("text", text("x")),
            ("thinking", thinking("x", signature="c2ln")),
            ("call", _weather("Oslo")),
        )
    ),
    Scenario(
        name="steps-end-after-invalid-call",
        replies=[said(_weather(5), end_after=1 + len(_weather(5))), answer()],
        body={"usageMetadata": True},
        majors=SINCE_5,
    ),
    # AI SDK 4's client keeps no answer that is empty.
    Scenario(name="turn-after-empty-message", replies=[Reply("empty-message")], flow=_TWO_TURNS, majors=SINCE_5),
    Scenario(name="regenerate", replies=[Reply("text")], flow=(send("Hi"), {"kind": "regenerate"})),
    Scenario(name="regenerate-steps", replies=[_WEATHER, answer()], flow=(send("Hi"), {"kind": "regenerate"})),
    Scenario(name="attach-image", replies=[Reply("text")], flow=attach("image/png", "a.png", PNG)),
    Scenario(name="attach-pdf", replies=[Reply("text")], flow=attach("application/pdf", "a.pdf", "JVBERi0xLjQK")),
    Scenario(name="attach-text", replies=[Reply("text")], flow=attach("text/plain", "a.txt", "aGVsbG8=")),
    Scenario(name="stop", replies=[_HELD], flow=(send("Go", stopAfter="three"),)),
    Scenario(name="stop-then-on", replies=[_HELD], flow=(send("Go", stopAfter="three"),) * 2),
    Scenario(name="stop-in-second-step", replies=[_WEATHER, _HELD], flow=(send("Go", stopAfter="three"),)),
    Scenario(name="persist", replies=[Reply("text")], body={"persist": True}, majors=SINCE_5),
    Scenario(
        name="persist-continued",
        replies=[_ASK, answer()],
        flow=(send("Ask me"), _OUTPUT),
        goes_on=True,
        body={"persist": True},
        majors=SINCE_5,
    ),
    Scenario(name="usage-metadata", replies=[Reply("usage-cache")], body={"usageMetadata": True}, majors=SINCE_5),
    Scenario(name="usage-metadata-steps", replies=[_WEATHER, answer()], body={"usageMetadata": True}, majors=SINCE_5),
    Scenario(name="usage-not-sent", replies=[_WEATHER, answer()], body={"sendUsage": False}, majors=[4]),
    Scenario(name="react", replies=[_WEATHER, answer()], flow=_TWO_TURNS, react=True, majors=SINCE_5),
]

# Messages of the user within a turn


def _steering(name: str, replies: Sequence[Reply], *said: Step, **more: Any) -> Scenario:
    numbered = [{"id": f"said-{number}", "text": f"Faster {number}", **one} for number, one in enumerate(said)]
    body = {"steering": numbered, **more.pop("body", {})}
    return Scenario(name=f"steering-{name}", replies=replies, body=body, majors=[NEWEST], **more)


_NOW = {"how": "steer"}
_THEN = {"how": "queue"}
_CUT_OFF = said(text("It is"), stop="max_tokens")
_OVERLOADED = Reply(status=529)

_STEERED = [
    _steering("before", [answer()], _NOW, _NOW, flow=_TWO_TURNS),
    _steering("between-steps", [_WEATHER, answer()], {**_NOW, "afterStep": 0}, flow=_TWO_TURNS),
    _steering("after-answer", [answer(), _WEATHER, answer()], {**_NOW, "afterStep": 0}, flow=_TWO_TURNS),
    _steering("two-after-answer", [answer(), answer()], *[{**_NOW, "afterStep": 0}] * 2),
    _steering("queue", [_WEATHER, answer(), _WEATHER, answer()], _THEN, _THEN, flow=_TWO_TURNS),
    _steering("queue-comes-later", [_WEATHER, answer(), answer()], _THEN, {**_NOW, "afterStep": 1}),
    _steering("cut-off", [_CUT_OFF, answer(), answer()], {**_NOW, "afterStep": 0}),
    _steering("queue-cut-off", [_CUT_OFF, answer()], _THEN),
    _steering("stop-condition", [answer(), answer()], {**_NOW, "afterStep": 0}, _THEN, body={"maxSteps": 1}),
    _steering("stop-condition-later", [answer(), answer()], *[_THEN] * 4, body={"maxSteps": 3}),
    _steering("client-tool", [_ASK, answer()], {**_NOW, "afterStep": 0}, flow=(send("Ask me"), _OUTPUT), goes_on=True),
    _steering("error-after", [answer(), _OVERLOADED], {**_NOW, "afterStep": 0}),
    _steering("error-at-first", [_OVERLOADED], _NOW),
    _steering("error-midway", [Reply("error-midway"), answer()], _THEN, {**_NOW, "afterStep": 0}),
    _steering("early-end", [Reply("early-end"), answer()], {**_NOW, "afterStep": 0}),
    _steering("thinking", [_THINKS_FIRST, _THINKS_AFTER], {**_NOW, "afterStep": 0}, body={"thinking": True}),
]

# Answers that do not come as Anthropic sends them

_OVERLOADED_EVENT = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
_ERASED = {
    "type": "message_delta",
    "delta": {"stop_reason": None, "stop_sequence": None},
    "usage": {"output_tokens": 5},
}
_BASH: dict[str, Any] = {
    "type": "bash_code_execution_result",
    "stdout": "42",
    "stderr": "",
    "return_code": 0,
    "content": [],
}
_TIME = call("get_time", {}, id="toolu_time")


def _bash(*pieces: str, input: Any = None) -> Sequence[Any]:
    return server_call("bash_code_execution", *pieces, input=input, id="srvtoolu_bash", result=_BASH)


def _odd(name: str, reply: Reply, **more: Any) -> Scenario:
    return Scenario(name=f"odd-{name}", replies=[reply, answer()], **more)


_CODE: dict[str, Any] = {"body": {"serverTools": ["code_execution"]}, "majors": SINCE_6}
_ODD = [
    _odd("no-stop-reason", said(text("A whole answer."), stop=None)),
    _odd("no-stop-reason-thinking", said(thinking("hm", signature="c2ln"), stop=None), body={"thinking": True}),
    _odd("no-stop-reason-call", said(_TIME, stop=None)),
    _odd("no-stop-reason-nothing", said(stop=None)),
    _odd("stop-reason-erased", said(_TIME, stop="tool_use", before_end=[_ERASED])),
    _odd("error-then-stop", said(text("Half"), stop=None, before_end=[_OVERLOADED_EVENT])),
    _odd("error-then-end-turn", said([_OVERLOADED_EVENT], text("Half"))),
    _odd("error-then-call", said(text("Half"), [_OVERLOADED_EVENT], _TIME, stop="tool_use")),
    _odd("stop-then-error", said(text("Whole"), after_end=[_OVERLOADED_EVENT])),
    _odd("call-then-error", said(_TIME, stop="tool_use", after_end=[_OVERLOADED_EVENT])),
    _odd("bash-start-input", said(*_bash(input={"command": "echo 42"}), text("42")), **_CODE),
    _odd("bash-start-input-steps", said(*_bash(input={"command": "echo 42"}), _TIME, stop="tool_use"), **_CODE),
    _odd("bash-no-input-steps", said(*_bash(), _TIME, stop="tool_use"), **_CODE),
    _odd("bash-space-first", said(*_bash(' {"command": ', '"echo 42"}'), text("42")), **_CODE),
    _odd("bash-space-first-steps", said(*_bash(" ", ' {"command": 1}'), _TIME, stop="tool_use"), **_CODE),
    _odd("bash-steps", said(*_bash('{"command": ', '"echo 42"}'), _TIME, stop="tool_use"), **_CODE),
    _odd(
        "mcp-error-steps",
        said(*mcp_call("broken", id="mcptoolu_1", is_error=True), _TIME, stop="tool_use"),
        majors=SINCE_6,
    ),
    _odd("mcp-error-turns", said(*mcp_call("broken", id="mcptoolu_1", is_error=True)), flow=_TWO_TURNS, majors=SINCE_6),
    _odd("mcp-steps", said(*mcp_call("fine", id="mcptoolu_1"), _TIME, stop="tool_use"), majors=SINCE_6),
    _odd("untitled-document", said(quote("tide", document_title="")), majors=SINCE_5),
    _odd("unparsable-input-with-spaces", said(call("get_weather", ' {"city": "Os ', id="toolu_1"), stop="tool_use")),
    _odd(
        "usage-reasoning",
        said(text("x"), counts={"output_tokens_details": {"thinking_tokens": 4}}),
        body={"usageMetadata": True},
        majors=SINCE_5,
    ),
    _odd("usage-without-cache", said(text("x"), usage={}), body={"usageMetadata": True}, majors=[5]),
    _odd("paused", said(text("Let me look."), stop="pause_turn")),
]

# Other formats

_RECIPE = said(text('{"title": "So', 'up", "items": ["wa', 'ter", "salt"]}'))
_RECIPE_BY_TOOL = said(call("json", {"title": "Soup", "items": ["water", "salt"]}, id="toolu_json"), stop="tool_use")
_RECIPES: dict[str, Any] = {"elements": [{"title": "Soup", "items": ["water"]}, {"title": "Bread", "items": []}]}
_RECIPES_BY_TOOL = said(call("json", _RECIPES, id="toolu_json"), stop="tool_use")
_SPACED_RECIPES = said(
    text('{ "elements" : [ {"title": "So', 'up", "items": []} ,', ' {"title":"Tea","items":[]}', " ] }")
)
_MOOD_BY_TOOL = said(call("json", {"result": "saddest"}, id="toolu_json"), stop="tool_use")
_OTHER = [
    Scenario(name="text-protocol", replies=[Reply("text-escapes")], route="text"),
    Scenario(name="text-protocol-error", replies=[Reply("error-midway")], route="text"),
    Scenario(name="text-protocol-http-error", replies=[Reply(status=529)], route="text"),
    Scenario(name="completion", replies=[Reply("text")], route="completion"),
    Scenario(name="completion-error", replies=[Reply("error-midway")], route="completion"),
    Scenario(name="completion-text", replies=[Reply("text-escapes")], route="completion-text"),
    Scenario(name="completion-text-error", replies=[Reply("error-midway")], route="completion-text"),
    Scenario(name="completion-text-http-error", replies=[Reply(status=529)], route="completion-text"),
    Scenario(name="object", replies=[_RECIPE], route="object", majors=SINCE_5),
    Scenario(name="object-by-tool", replies=[_RECIPE_BY_TOOL], route="object"),
    Scenario(name="object-array-by-tool", replies=[_RECIPES_BY_TOOL], route="object-array"),
    Scenario(name="object-array-spaced", replies=[_SPACED_RECIPES], route="object-array", majors=SINCE_5),
    Scenario(name="object-array-empty", replies=[said(text('{"elements":[]}'))], route="object-array", majors=SINCE_5),
    Scenario(name="object-enum-by-tool", replies=[_MOOD_BY_TOOL], route="object-enum", majors=SINCE_5),
    Scenario(name="object-cut-short", replies=[Reply("error-midway")], route="object"),
    Scenario(name="object-http-error", replies=[Reply(status=529)], route="object"),
    Scenario(name="object-that-is-none", replies=[Reply("text")], route="object", majors=SINCE_5),
]

ANSWERED_WITH_NOTHING = Scenario(
    name="client-tool-answered-with-nothing",
    replies=[_ASK, Reply("empty-message")],
    flow=(send("Ask me"), _OUTPUT),
    goes_on=True,
    majors=SINCE_5,
)
"""Compared with nothing: with the real backend the clients of 5 and 6 would send the output for ever."""

REFUSED_AND_ANSWERED_WITH_NOTHING = Scenario(
    name="refused-and-answered-with-nothing",
    replies=[_DELETE, Reply("empty-message")],
    flow=(send("Delete"),),
    goes_on=True,
    majors=SINCE_6,
)
"""Where the version is guessed, the client cannot be asked: the call is refused, and the same answer goes on."""

REFUSED = Scenario(
    name="refused",
    replies=[_DELETE, answer("It was refused.")],
    flow=(send("Delete"), send("And now?")),
    body={"extraTools": ["ask_old_clients_too"]},
    majors=(4, 5),
)
"""A tool that needs approval, and clients that cannot be asked. The SDK runs it."""

SCENARIOS: Sequence[Scenario] = (
    *_SHIPPED,
    *_TRANSPORT,
    *_BACKEND_TOOLS,
    *_CLIENT_TOOLS,
    *_TURNS,
    *_STEERED,
    *_ODD,
    *_OTHER,
)
