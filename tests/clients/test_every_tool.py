"""`examples.every_tool` before the real clients of AI SDK 4 to 7: a tool of every form, to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from examples.every_tool import PIXEL
from tests.clients.cases import HIT, MASKED, THE_REST, Case
from tests.clients.expected import DataPart, Source, Step, Text, ToolUse, is_covered, shown_by
from tests.clients.test_released_clients import hold, is_of_the_model, numbers, parts_of_answer
from tests.conformance.replies import answer, call, said, search, text
from tests.conformance.sides import reply_of_turn
from tests.support.backend import Backend
from tests.support.node import NodeProgram
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

VERSIONS = ("4.3.19", "5.0.277", "6.0.324", "7.0.173")
SINCE_5, SINCE_6, SINCE_7 = (5, 0, 0), (6, 0, 0), (7, 0, 0)


def use(tool: str, input: Any, number: int = 1, **outcome: Any) -> ToolUse:
    return ToolUse(id=f"toolu_{number}", name=tool, input=input, **outcome)


def calling(*calls: tuple[str, Any]) -> list[Reply]:
    blocks = [call(tool, input, id=f"toolu_{number}") for number, (tool, input) in enumerate(calls, 1)]
    return [said(*blocks, stop="tool_use"), answer()]


def one(name: str, tool: str, input: Any, *, more: list[Any] | None = None, **outcome: Any) -> Case:
    """A case of one call and the answer after it."""
    parts = [Step(), use(tool, input, **outcome), *(more or []), Step(), THE_REST]
    return Case(name=name, replies=calling((tool, input)), parts=parts)


def failing(name: str, tool: str, input: Any, error: str = MASKED) -> Case:
    """A case of a call that fails: AI SDK 4 ends there."""
    parts = [Step(), use(tool, input, error=error, legacy_state="call"), Step(), THE_REST]
    return Case(name=name, replies=calling((tool, input)), parts=parts, error_in_4=error)


def approving(name: str, tool: str, input: Any, outcome: ToolUse, **decision: Any) -> Case:
    """A case of a call that the user decides on."""
    flow = ({"kind": "send", "text": name}, {"kind": "approve", **decision})
    parts = [Step(), outcome, Step(), THE_REST]
    return Case(name=name, replies=calling((tool, input)), parts=parts, flow=flow, goes_on=True, since=SINCE_6)


def deciding(name: str, tool: str, input: Any, outcome: ToolUse, in_older: ToolUse) -> Case:
    """A case of a call that the application decides on; before AI SDK 7 there is no place for its reason."""
    older, parts = ([Step(), each, Step(), THE_REST] for each in (in_older, outcome))
    return Case(name=name, replies=calling((tool, input)), parts=older, parts_since={SINCE_7: parts}, since=SINCE_5)


PICTURE = {"type": "file", "mediaType": "image/png", "url": f"data:image/png;base64,{PIXEL}"}
CHART = {"caption": "Tides, for Ann", "picture": PIXEL}
OSLO, ROME = {"city": "Oslo"}, {"city": "Rome"}
FILE = {"path": "/a"}
TO_ANN, TO_ALL = {"to": "ann@example.com", "text": "Hi"}, {"to": "everybody", "text": "Hi"}
TO_BOB = {"to": "bob@other.example", "text": "Hi"}
ASKED = {"question": "Which?"}
TIDE = {"port": "Whitby", "high_water": "14:20"}

CASES = [
    Case(
        name="parallel",
        replies=calling(("get_weather", OSLO), ("get_weather", ROME)),
        parts=[
            Step(),
            use("get_weather", OSLO, output={"city": "Oslo", "temperature": 18}),
            use("get_weather", ROME, 2, output={"city": "Rome", "temperature": 18}),
            Step(),
            THE_REST,
        ],
    ),
    one("none", "remember", {"note": "tide"}, output=None),
    one("preliminary", "search_archive", {"query": "tide"}, output={"status": "done", "found": 4}),
    failing("raises", "get_weather", {"city": "Atlantis"}),
    # Our own words hold no secret, and a client that holds the history sends them back to the model.
    failing(
        "hangs",
        "count_sand",
        {},
        "Error: The tool did not end within 0.2 seconds. The tool call was interrupted. It may have taken effect.",
    ),
    Case(
        name="writes",
        replies=calling(("draw_chart", {"title": "Tides"})),
        parts=[
            Step(),
            use("draw_chart", {"title": "Tides"}, output=CHART),
            DataPart({"type": "data-progress", "id": "toolu_1", "data": {"percent": 100}}),
            DataPart(PICTURE),
            Step(),
            THE_REST,
        ],
        data=[{"percent": 50}, {"percent": 100}],
        since=SINCE_5,
    ),
    Case(
        name="client",
        replies=[said(text("A question: "), call("ask_user", ASKED, id="toolu_1"), stop="tool_use"), answer()],
        parts=[Step(), Text("A question: "), use("ask_user", ASKED, output="blue"), Step(), THE_REST],
        flow=(
            {"kind": "send", "text": "client"},
            {"kind": "toolOutput", "tool": "ask_user", "toolCallId": "toolu_1", "output": "blue"},
        ),
        goes_on=True,
    ),
    one("dynamic", "query_database", {"table": "t"}, output=[{"table": "t", "rows": 3}], dynamic=True),
    approving("approved", "delete_file", FILE, use("delete_file", FILE, output={"deleted": "/a"}), answers=[True]),
    approving("denied", "delete_file", FILE, use("delete_file", FILE, state="output-denied"), answers=[False]),
    approving(
        "asked-by-predicate",
        "send_mail",
        TO_BOB,
        use("send_mail", TO_BOB, output="sent 2 letters to bob@other.example"),
        answers=[True],
    ),
    deciding(
        "approved-by-predicate",
        "send_mail",
        TO_ANN,
        use("send_mail", TO_ANN, output="sent 2 letters to ann@example.com"),
        use("send_mail", TO_ANN, output="sent 2 letters to ann@example.com"),
    ),
    deciding(
        "denied-by-predicate",
        "send_mail",
        TO_ALL,
        use("send_mail", TO_ALL, state="output-denied"),
        use("send_mail", TO_ALL, error="that list is closed"),
    ),
    Case(
        name="provider",
        replies=[said(*search("tide", HIT["url"], id="srvtoolu_1"), text("High water is at 14:20."))],
        parts=[
            Step(),
            ToolUse(
                id="srvtoolu_1",
                name="web_search",
                input={"query": "tide"},
                output=[{"url": HIT["url"], "title": f"On {HIT['url']}"}],
            ),
            Source(HIT["url"], f"On {HIT['url']}"),
            Text("High water is at 14:20."),
        ],
    ),
    Case(
        name="mcp",
        replies=calling(("tide_table", {"port": "Whitby"})),
        parts=[
            Step(),
            use("tide_table", {"port": "Whitby"}, output={"structuredContent": TIDE, "isError": False}, dynamic=True),
            Step(),
            THE_REST,
        ],
    ),
]
BY_NAME = {case.name: case for case in CASES}
PAIRS = [(version, case) for version in VERSIONS for case in CASES if numbers(version) >= case.since]


@pytest.fixture(scope="module")
def upstream() -> Iterator[ReplayServer]:
    """What answers in the model's place: the user says the case's name."""

    def reply(request: ReplayedRequest) -> Reply:
        messages = request.json["messages"]
        said_last = [
            block["text"]
            for message in messages
            for block in message["content"]
            if message["role"] == "user" and block["type"] == "text"
        ]
        return reply_of_turn(BY_NAME[said_last[-1]].scenario, messages)

    with ReplayServer(reply) as server:
        yield server


@pytest.fixture(scope="module")
def backend(upstream: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    log = tmp_path_factory.mktemp("example") / "log"
    started = Backend("examples.every_tool:app", upstream=upstream.url, log=log)
    yield started
    started.close()


def converse(version: str, name: str, backend: Backend, client: NodeProgram) -> Any:
    case = BY_NAME[name]
    flow = [{**case.flow[0], "text": name}, *case.flow[1:]]
    told = Case(name=name, replies=case.replies, parts=(), flow=flow, goes_on=case.goes_on)
    return hold(client, backend, told, {"x-usechat-sdk": version, "x-user": "Ann"})


@pytest.mark.parametrize(("version", "case"), PAIRS, ids=[f"{version}-{case.name}" for version, case in PAIRS])
def test_the_client_holds_what_became_of_the_tool(
    version: str, case: Case, backend: Backend, client_of: Callable[[str], NodeProgram]
):
    state = converse(version, case.name, backend, client_of(version))
    error = case.expected_error(numbers(version))
    assert (state["status"], state["error"]) == ("error" if error else "ready", error)
    wanted = shown_by(numbers(version)[0], case.expected_parts(numbers(version), is_known=True))
    got = [part for part in parts_of_answer(state) if not is_of_the_model(part)]
    assert is_covered(wanted, got), f"wanted {wanted}, got {got}"
    assert [event["onData"]["data"] for event in state["events"] if "onData" in event] == list(case.data)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_the_message_tells_model_usage_and_timing(
    version: str, backend: Backend, client_of: Callable[[str], NodeProgram]
):
    metadata = converse(version, "none", backend, client_of(version))["messages"][-1]["metadata"]
    assert metadata["model"] == "claude-sonnet-4-6"
    assert metadata["usage"]["totalTokens"] == 2 * 42
    assert metadata.keys() >= {"createdAt", "durationMs", "timeToFirstTokenMs", "finishReason"}


def test_ai_sdk_4_gets_a_tools_data_beside_the_message(backend: Backend, client_of: Callable[[str], NodeProgram]):
    state = converse("4.3.19", "writes", backend, client_of("4.3.19"))
    chart = use("draw_chart", {"title": "Tides"}, output=CHART).shape(4)
    assert is_covered([chart], [part for part in parts_of_answer(state) if part["type"] == "tool-invocation"])
    assert [item["data"] for item in state["data"]] == [{"percent": 50}, {"percent": 100}]


def test_the_model_gets_the_picture(backend: Backend, upstream: ReplayServer, client_of: Callable[[str], NodeProgram]):
    converse("7.0.173", "writes", backend, client_of("7.0.173"))
    (result,) = upstream.requests[-1].json["messages"][-1]["content"]
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert result["content"][1]["source"]["data"] == PIXEL


@pytest.mark.parametrize("name", ["mcp", "writes"])
def test_in_the_next_turn_the_model_gets_the_same_result(
    name: str, backend: Backend, upstream: ReplayServer, client_of: Callable[[str], NodeProgram]
):
    case = BY_NAME[name]
    send = {"kind": "send", "text": name}
    told = Case(name=name, replies=case.replies, parts=(), flow=[send, send])
    hold(client_of("7.0.173"), backend, told, {"x-usechat-sdk": "7.0.173", "x-user": "Ann"})
    first, again = (upstream.requests[number].json["messages"][2]["content"] for number in (-3, -1))
    assert first == again
    assert first[0]["type"] == "tool_result"
