"""What the released clients are shown, and what they must make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.clients.app import PICTURE
from tests.clients.expected import DataPart, Expected, Source, Step, Text, Thought, ToolUse
from tests.conformance.replies import answer, call, said, search, text
from tests.conformance.scenario import Scenario
from usechat.failures import WORDS
from usechat.testing.replay import Reply

__all__ = ["CASES", "Case", "Version"]

SEND = {"kind": "send", "text": "Hi"}
MASKED = "An error occurred."
ID = "(error ID)"
"""For the id of a failure, which is another each time."""
THE_REST = Text("The rest follows from that. ")
WEATHER = {"city": "Oslo", "temperature": 18, "unit": "celsius", "condition": "sunny"}
HIT = {"url": "https://tides.example/whitby", "title": "Whitby tide times"}

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A conversation and its outcome."""

    name: str
    replies: Sequence[Reply] = ()
    """What the model answers in a turn."""
    parts: Sequence[Expected]
    """The parts of the last message, if the client's version is not named or nothing else is said below."""
    parts_since: Mapping[Version, Sequence[Expected]] = field(default_factory=dict[Version, Sequence[Expected]])
    """The parts that a client sees from this version on, when the request tells which it is."""
    parts_in_guessed_4: Sequence[Expected] | None = None
    """What AI SDK 4 shows of them when its release is not named: 4.1.20 sends the same requests, and reads less."""
    error: str | None = None
    error_in_4: str | None = None
    metadata: Any = None
    data: Sequence[Any] = ()
    """What ``onData`` was given."""
    flow: Sequence[Mapping[str, Any]] = (SEND,)
    goes_on: bool = False
    route: str = "chat"
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    since: Version = (4, 0, 0)
    """The first version whose client can do this."""
    leaves: bool = False
    """Whether the client leaves, so that the model's answer must be broken off."""

    @property
    def scenario(self) -> Scenario:
        """The case for the client's driver."""
        return Scenario(
            name=self.name,
            replies=self.replies,
            flow=self.flow,
            body=self.body,
            route=self.route,
            goes_on=self.goes_on,
        )

    def expected_parts(self, version: Version, *, is_known: bool) -> Sequence[Expected]:
        """The parts that the client of this version ends up with; its answer ends where AI SDK 4's does."""
        if version < (5, 0, 0) and not is_known and self.parts_in_guessed_4 is not None:
            return self.parts_in_guessed_4
        known = [since for since in self.parts_since if is_known and since <= version]
        parts = self.parts_since[max(known)] if known else self.parts
        return parts[:-2] if version < (5, 0, 0) and self.error_in_4 else parts

    def expected_error(self, version: Version) -> str | None:
        """The error that the client shows."""
        return self.error_in_4 if version < (5, 0, 0) and self.error_in_4 else self.error


def _weather(city: Any = "Oslo") -> list[Any]:
    return call("get_weather", {"city": city}, id="toolu_1")


def _uses(*blocks: Any) -> list[Reply]:
    return [said(*blocks, stop="tool_use"), answer()]


def _failed(name: str, input: Any, legacy_state: str, error: str = MASKED) -> list[Expected]:
    use = ToolUse(id="toolu_1", name=name, input=input, error=error, legacy_state=legacy_state)
    return [Step(), use, Step(), THE_REST]


def _failing_tool(name: str, tool: str, input: Any, *, legacy_state: str, error: str = MASKED) -> Case:
    """A call that fails. No client is told why, unless the application wants it; AI SDK 4's answer ends there."""
    return Case(
        name=name,
        replies=_uses(call(tool, input, id="toolu_1")),
        parts=_failed(tool, input, legacy_state, error),
        error_in_4=error,
    )


_FORECAST = ToolUse(id="toolu_1", name="get_weather", input={"city": "Oslo"}, output=WEATHER)
_ASK = said(text("A question: "), call("ask_user", {"question": "Which?"}, id="toolu_1"), stop="tool_use")
_ASKED = ToolUse(id="toolu_1", name="ask_user", input={"question": "Which?"})
_GIVEN = {"kind": "toolOutput", "tool": "ask_user", "toolCallId": "toolu_1"}
_DELETE = said(text("Cleaning. "), call("delete_file", {"path": "/a"}, id="toolu_1"), stop="tool_use")
_DELETION = ToolUse(id="toolu_1", name="delete_file", input={"path": "/a"})
_BUOY = ToolUse(id="mcptoolu_buoy", name="read_buoy", input={"buoy": "Dogger"}, dynamic=True)
_CITED = {"citations": [{"type": "web_search_result_location", "cited_text": "HW 14:20", **HIT}]}
_SEARCH = ToolUse(
    id="srvtoolu_ws",
    name="web_search",
    input={"query": "whitby tide"},
    output=[{**HIT, "pageAge": "2 days ago"}, {"url": "https://harbour.example/notices"}],
)
_LOOKING = search("whitby tide", HIT["url"], id="srvtoolu_ws")
_FOUND = {"url": HIT["url"], "title": f"On {HIT['url']}"}
_LOOKED_UP = ToolUse(
    id="srvtoolu_ws", name="web_search", input={"query": "whitby tide"}, output=[{**_FOUND, "pageAge": None}]
)
_EXHAUSTED = ToolUse(
    id="srvtoolu_ws",
    name="web_search",
    input={"query": "tide"},
    error='{"type":"web_search_tool_result_error","errorCode":"max_uses_exceeded"}',
    output={"error": MASKED},
)
_WRITTEN = [
    Step(),
    DataPart({"type": "data-weather", "id": "w", "data": {"city": "Oslo", "temperature": 18}}),
    Text("Here they are."),
    DataPart({"type": "file", "mediaType": "image/png", "url": PICTURE}),
    DataPart({"type": "source-url", "sourceId": "s1", "url": "https://tides.example/", "title": "Tides"}),
    DataPart({"type": "source-document", "sourceId": "s2", "title": "Chart", "filename": "chart.pdf"}),
]
_LOOKED = ToolUse(id="t1", name="look", input={"at": "sea"}, output=None, dynamic=True)
_ONLY_SINCE_7 = [
    DataPart({"type": "reasoning-file", "mediaType": "image/png", "url": PICTURE}),
    DataPart({"type": "custom", "kind": "example.note", "providerMetadata": {"example": {"seen": True}}}),
]


def _approval(name: str, outcome: ToolUse, **decision: Any) -> Case:
    """A call that waits for the user. A client of unknown version cannot be asked, so the tool is not run."""
    refused = replace(_DELETION, error="The tool needs the user's approval, which this client cannot be asked for.")
    return Case(
        name=f"approval-{name}",
        replies=[_DELETE, answer()],
        flow=(SEND, {"kind": "approve", **decision}),
        goes_on=True,
        parts=[Step(), Text("Cleaning. "), refused, Step(), THE_REST],
        parts_since={(6, 0, 0): [Step(), Text("Cleaning. "), outcome, Step(), THE_REST]},
        since=(5, 0, 0),
    )


def _merged(case: Case) -> Case:
    """The same answer, merged into one that the application writes."""
    return replace(case, name=f"merged-{case.name}", route="merged")


_TEXTS = [
    Case(name="text", replies=[Reply("text")], parts=[Step(), Text("High water is at 14:20 in Whitby.")]),
    Case(name="two-turns", replies=[answer()], flow=(SEND, SEND), parts=[Step(), THE_REST]),
    Case(
        name="thinking",
        replies=[Reply("thinking")],
        body={"thinking": True},
        parts=[
            Step(),
            Thought("The moon is new, so the range is large.", "EqQBCkYIBRgCKkBUaWRlIHRhYmxlcw=="),
            Text("Expect a spring tide."),
        ],
        parts_in_guessed_4=[Step(), Thought("The moon is new, so the range is large."), Text("Expect a spring tide.")],
    ),
    Case(
        name="thinking-redacted",
        replies=[Reply("thinking-redacted")],
        body={"thinking": True},
        parts=[Step(), Thought(redacted="EmwKAhgBEgxSZWRhY3RlZFRpZGU="), Text("That part stays hidden.")],
        parts_in_guessed_4=[Step(), Text("That part stays hidden.")],
    ),
    Case(name="refusal", replies=[Reply("stop-refusal")], parts=[Step(), Text("I would")]),
    Case(name="out-of-tokens", replies=[Reply("stop-max-tokens")], parts=[Step(), Text("Up to here")]),
    Case(
        name="empty",
        replies=[Reply("empty-message")],
        parts=[],
        parts_since={(7, 0, 0): [Step()]},
        since=(5, 0, 0),
    ),
]
_TOOLS = [
    Case(
        name="tool",
        replies=_uses(text("Look."), _weather()),
        parts=[Step(), Text("Look."), _FORECAST, Step(), THE_REST],
    ),
    Case(
        name="tools-parallel",
        replies=_uses(_weather(), call("get_time", {}, id="toolu_2")),
        parts=[
            Step(),
            _FORECAST,
            ToolUse(id="toolu_2", name="get_time", input={}, output={"time": "12:00"}),
            Step(),
            THE_REST,
        ],
    ),
    _failing_tool(
        "tool-throws",
        "get_weather",
        {"city": "ERROR"},
        legacy_state="call",
    ),
    _failing_tool(
        "tool-unknown",
        "no_such_tool",
        {"a": 1},
        legacy_state="partial-call",
    ),
    _failing_tool(
        "tool-invalid-input",
        "get_weather",
        {"city": 5},
        legacy_state="partial-call",
    ),
    replace(_failing_tool("tool-exits", "exit_the_process", {}, legacy_state="call"), route="ending-tools"),
    replace(_failing_tool("tool-panics", "panic", {}, legacy_state="call"), route="ending-tools"),
    replace(
        _failing_tool("tool-exits-shown", "exit_the_process", {}, legacy_state="call", error="Error: SystemExit: 2"),
        route="ending-tools-shown",
    ),
    replace(
        _failing_tool(
            "tool-panics-shown",
            "panic",
            {},
            legacy_state="call",
            error="Error: PanicError: called `Option::unwrap()` on a `None` value",
        ),
        route="ending-tools-shown",
    ),
    Case(
        name="client-tool",
        replies=[_ASK, answer()],
        flow=(SEND, {**_GIVEN, "output": "blue"}),
        goes_on=True,
        parts=[Step(), Text("A question: "), replace(_ASKED, output="blue"), Step(), THE_REST],
    ),
    Case(
        name="client-tool-error",
        replies=[_ASK, answer()],
        flow=(SEND, {**_GIVEN, "state": "output-error", "errorText": "closed"}),
        goes_on=True,
        parts=[Step(), Text("A question: "), replace(_ASKED, error="closed"), Step(), THE_REST],
        since=(5, 0, 60),
    ),
    _approval("granted", replace(_DELETION, output={"deleted": "/a"}), answers=[True]),
    _approval("denied", replace(_DELETION, state="output-denied"), answers=[False], reason="not that one"),
    _merged(_approval("granted", replace(_DELETION, output={"deleted": "/a"}), answers=[True])),
    _merged(_approval("denied", replace(_DELETION, state="output-denied"), answers=[False], reason="not that one")),
]
_OF_THE_PROVIDER = [
    Case(
        name="web-search",
        replies=[Reply("web-search")],
        parts=[
            Step(),
            _SEARCH,
            Source(**HIT),
            Source("https://harbour.example/notices", "Harbour notices"),
            Text("High water is at 14:20."),
        ],
        parts_in_guessed_4=[Step(), _SEARCH, Text("High water is at 14:20.")],
    ),
    Case(
        name="web-search-error",
        replies=[Reply("web-search-error")],
        parts=[
            Step(),
            _EXHAUSTED,
            Text("I could not search."),
        ],
        parts_since={
            (5, 0, 0): [Step(), replace(_EXHAUSTED, error=MASKED), Text("I could not search.")],
            (6, 0, 0): [Step(), _EXHAUSTED, Text("I could not search.")],
        },
    ),
    Case(
        name="paused",
        replies=[said(text("Let me look. "), stop="pause_turn"), answer()],
        body={"continuePaused": True},
        parts=[Step(), Text("Let me look. "), Step(), THE_REST],
    ),
    Case(
        name="paused-in-a-search",
        replies=[said(_LOOKING[0], stop="pause_turn"), said(_LOOKING[1], text("High water is at 14:20."))],
        body={"continuePaused": True, "serverTools": ["web_search"]},
        parts=[Step(), _LOOKED_UP, Step(), Source(**_FOUND), Text("High water is at 14:20.")],
        since=(5, 0, 0),
    ),
    Case(
        name="mcp",
        replies=[Reply("mcp")],
        parts=[Step(), replace(_BUOY, output=[{"type": "text", "text": "1.4 m"}]), Text("Waves of 1.4 m.")],
    ),
    Case(
        name="citations",
        replies=[Reply("citations-web")],
        parts=[Step(), Text("It is so.", _CITED), Text(" Uncited."), Source(**HIT)],
        parts_since={
            (5, 0, 0): [Step(), Text("It is so.", _CITED), Text(" Uncited.")],
            (6, 0, 0): [Step(), Text("It is so.", _CITED), Source(**HIT), Text(" Uncited.")],
            (7, 0, 0): [Step(), Text("It is so.", _CITED), Text(" Uncited."), Source(**HIT)],
        },
        since=(5, 0, 0),
    ),
]
_ENDS = [
    Case(name="error-midway", replies=[Reply("error-midway")], parts=[Step(), Text("Until ")], error=MASKED),
    Case(name="overloaded", replies=[Reply(status=529)], parts=[], error=MASKED),
    Case(name="unauthorized", replies=[Reply(status=401)], parts=[], error=MASKED),
    Case(name="cut", replies=[Reply("text", cut_after=4)], parts=[Step(), Text("High water is at ")], error=MASKED),
    Case(
        name="wrong-key", route="plain", replies=[Reply(status=401)], parts=[], error=f"{WORDS['authentication']} {ID}"
    ),
    Case(name="rate-limit", route="plain", replies=[Reply(status=429)], parts=[], error=f"{WORDS['rate-limit']} {ID}"),
    Case(
        name="overloaded-midway",
        route="plain",
        replies=[Reply("error-midway")],
        parts=[Step(), Text("Until ")],
        error=f"{WORDS['busy']} {ID}",
    ),
    Case(name="no-such-route", route="nothing", parts=[], error='{"detail":"Not Found"}'),
    Case(
        name="stop",
        replies=[said(text("One ", "two ", "three"), hold_after=5)],
        flow=({**SEND, "stopAfter": "three"},),
        parts=[Step(), Text("One two three")],
        leaves=True,
    ),
    Case(
        name="written-by-hand",
        route="parts",
        parts=[*_WRITTEN, _LOOKED],
        parts_since={(7, 0, 0): [*_WRITTEN, *_ONLY_SINCE_7, _LOOKED]},
        metadata={"model": "by hand", "seconds": 1.5},
        data=[{"city": "Oslo"}, {"city": "Oslo", "temperature": 18}, "nearly done"],
        since=(5, 0, 0),
    ),
    Case(name="failing-application", route="failing", parts=[Text("So far")], error=MASKED),
    Case(name="none-at-the-end", route="none-at-the-end", parts=[Step(), Text("Hello")]),
    Case(name="none-at-the-end-of-a-run", route="none-at-the-end-of-a-run", parts=[Step(), Text("Hello")]),
    Case(
        name="wrong-value",
        route="wrong-value",
        parts=[Step(), Text("Hello")],
        error=f"{WORDS['invalid-part']} {ID}",
    ),
]

CASES: Sequence[Case] = (*_TEXTS, *_TOOLS, *_OF_THE_PROVIDER, *_ENDS)
