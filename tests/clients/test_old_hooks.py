"""The hooks of AI SDK 3 and 4 (`ai/react`), from the oldest that reads lines on, read our streams.

Each release once without a word about itself, when it must be able to read all that it gets; and named, whole, by its
minor or by its major, when it shows all that every release so named can. Those of AI SDK 2 read text. An ordinary run
shows each case to each release by some of its names; `--thorough` by all.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend import Backend
from tests.support.node import NodeProgram
from usechat.testing.replay import ReplayServer

VERSIONS = (
    *("3.0.0", "3.0.35", "3.1.6", "3.1.7", "3.1.37", "3.2.45", "3.3.44", "3.4.33"),
    *("4.0.0", "4.0.36", "4.1.0", "4.1.20", "4.1.66", "4.2.11", "4.3.19"),
)
NAMINGS = ("none", "major", "minor", "whole")
HIGH_WATER = "High water is at 14:20 in Whitby."
THE_REST = "The rest follows from that. "
MASKED = "An error occurred."
WEATHER = {"city": "Oslo", "temperature": 18, "unit": "celsius", "condition": "sunny"}

SHOWS_TOOLS = (3, 1, 7)
TELLS_USAGE = (3, 2, 38)
THROWS_ERRORS = (3, 3, 5)
"""Before, an error line is read and passed over: the answer just ends."""
SHOWS_REASONING = (4, 1, 1)
SHOWS_SOURCES = (4, 1, 35)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def named(version: str, naming: str) -> dict[str, str]:
    parts = {"none": 0, "major": 1, "minor": 2, "whole": 3}[naming]
    return {"x-usechat-sdk": ".".join(version.split(".")[:parts])} if parts else {}


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProgram]:
    """All of them."""
    program = NodeProgram(Path(__file__).parent / "old_hooks.mjs", log=tmp_path_factory.mktemp("hooks") / "log")
    yield program
    program.close()


class Chats:
    """Holds conversations with our backend.

    Args:
        hooks: The clients.
        backend: Our side.
    """

    def __init__(self, hooks: NodeProgram, backend: Backend) -> None:
        self._hooks = hooks
        self._backend = backend

    def hold(self, version: str, case: str, naming: str = "none", **fields: Any) -> Any:
        """What `useChat` shows in the end."""
        self._backend.check()
        fields = {"flow": [{"kind": "send", "text": "Hi"}], "route": "chat", **fields}
        url = f"{self._backend.url}/api/{fields.pop('route')}"
        body = {"model": case, **fields.pop("body", {})}
        return self._hooks.ask("chat", version=version, url=url, headers=named(version, naming), body=body, **fields)

    def complete(self, version: str, naming: str) -> Any:
        """What `useCompletion` shows in the end."""
        self._backend.check()
        place = {"url": f"{self._backend.url}/api/completion", "headers": named(version, naming)}
        return self._hooks.ask("complete", version=version, prompt="When?", body={"model": "text"}, **place)


@pytest.fixture(scope="module")
def chats(hooks: NodeProgram, backend: Backend) -> Chats:
    return Chats(hooks, backend)


every_version = pytest.mark.parametrize("version", VERSIONS)


def named_clients(cases: Sequence[str] = (), *, ordinary: Collection[int] = (0,), of: int = 1) -> pytest.MarkDecorator:
    """Have a test take each release by each of its names, with each case.

    Args:
        cases: What a release is shown; the test itself says that if there are none.
        ordinary: Which of the combinations an ordinary run takes, counted along each dimension up to ``of``.
        of: The combinations from one that it takes to the next.
    """
    fields = ("version", "naming", "case") if cases else ("version", "naming")
    combinations = itertools.product(enumerate(VERSIONS), enumerate(NAMINGS), enumerate(cases or [""]))
    parameters = [
        pytest.param(
            *[value for _, value in combination][: len(fields)],
            marks=() if sum(number for number, _ in combination) % of in ordinary else pytest.mark.thorough,
        )
        for combination in combinations
    ]
    return pytest.mark.parametrize(fields, parameters)


def said(state: Any) -> str:
    """The text of the answer, in however many messages the client keeps it."""
    return "".join(message["content"] for message in state["messages"] if message["role"] == "assistant")


def calls_in(state: Any) -> list[Any]:
    return in_messages(state, "toolInvocations")


def in_messages(state: Any, key: str) -> list[Any]:
    lists: list[list[Any]] = [message[key] for message in state["messages"] if message.get(key)]
    return [item for items in lists for item in items]


def known(version: str, naming: str) -> tuple[int, ...]:
    """The oldest release that the client may be of, for all that its request says."""
    if naming == "whole":
        return numbers(version)
    posted = (3, 0, 0) if numbers(version) < (4, 0, 36) else (4, 0, 36) if numbers(version) < (4, 1, 20) else (4, 1, 20)
    parts = {"none": (), "major": numbers(version)[:1], "minor": numbers(version)[:2]}[naming]
    return max(posted, (*parts, 0, 0))


@named_clients(of=2)
def test_a_text_is_shown(version: str, naming: str, chats: Chats):
    state = chats.hold(version, "text", naming)
    assert (state["error"], said(state)) == (None, HIGH_WATER)


@named_clients()
def test_a_tool_and_what_follows_it_are_shown_as_far_as_the_client_can(version: str, naming: str, chats: Chats):
    state = chats.hold(version, "tool", naming)
    assert (state["error"], said(state)) == (None, f"Look.{THE_REST}")
    calls = calls_in(state)
    if known(version, naming) < SHOWS_TOOLS:
        assert calls == []
        return
    wanted = {"toolCallId": "toolu_1", "toolName": "get_weather", "args": {"city": "Oslo"}, "result": WEATHER}
    assert [{key: call.get(key) for key in wanted} for call in calls] == [wanted]


@named_clients(
    ["tool-throws", "web-search", "web-search-error", "thinking", "thinking-redacted"], ordinary=(0, 2), of=5
)
def test_the_client_reads_every_line_that_it_gets(version: str, naming: str, case: str, chats: Chats):
    state = chats.hold(version, case, naming, body={"thinking": case.startswith("thinking")})
    # A tool that fails ends the answer of a client that sees its calls; one that passes errors over ends without one.
    is_over = case == "tool-throws" and known(version, naming) >= SHOWS_TOOLS
    assert state["error"] == (MASKED if is_over and numbers(version) >= THROWS_ERRORS else None)
    if case == "tool-throws":
        assert said(state) == ("" if is_over else THE_REST)
    if case == "thinking":
        assert said(state) == "Expect a spring tide."
        reasoning = [message.get("reasoning") for message in state["messages"] if message.get("reasoning")]
        shown = ["The moon is new, so the range is large."] if known(version, naming) >= SHOWS_REASONING else []
        assert reasoning == shown
    if case == "web-search":
        assert said(state) == "High water is at 14:20."
        kinds = {part["type"] for part in in_messages(state, "parts")}
        assert ("source" in kinds) is (known(version, naming) >= SHOWS_SOURCES)


def test_marks_of_steps_prove_a_client_that_reads_every_line(chats: Chats):
    send = {"kind": "send", "text": "Hi"}
    state = chats.hold("4.3.19", "web-search", flow=[send, send])
    first, second = [[part["type"] for part in message["parts"]] for message in state["messages"][1::2]]
    assert ("source" in first, "source" in second) == (False, True)


@named_clients(ordinary=(1,), of=2)
def test_parts_of_every_kind_break_nothing(version: str, naming: str, chats: Chats):
    state = chats.hold(version, "text", naming, route="parts")
    assert (state["error"], said(state)) == (None, "Here they are.")
    assert [item["data"] for item in state["data"]][:1] == [{"city": "Oslo"}]


@every_version
@pytest.mark.parametrize("naming", ["minor", "whole"])
def test_usage_is_told_where_the_client_tells_it(version: str, naming: str, chats: Chats):
    state = chats.hold(version, "text", naming)
    (finished,) = [event["onFinish"] for event in state["events"] if "onFinish" in event]
    if known(version, naming) >= TELLS_USAGE:
        assert finished["finishReason"] == "stop"
        assert (
            finished["usage"]["totalTokens"]
            == sum(finished["usage"][kind] for kind in ("promptTokens", "completionTokens"))
            > 0
        )


@named_clients(of=2)
def test_an_error_is_shown_after_what_came_before_it(version: str, naming: str, chats: Chats):
    state = chats.hold(version, "error-midway", naming)
    assert said(state).startswith("Until ")
    assert state["error"] == (MASKED if numbers(version) >= THROWS_ERRORS else None)


@named_clients(ordinary=(1,), of=2)
def test_stop_keeps_the_text_so_far_and_stops_the_model(
    version: str, naming: str, chats: Chats, upstream: ReplayServer
):
    state = chats.hold(version, "stop", naming, flow=[{"kind": "send", "text": "Hi", "stopAfter": "three"}])
    asked = upstream.requests[-1]
    asked.wait()
    assert (state["error"], said(state), asked.is_aborted) == (None, "One two three", True)


@pytest.mark.parametrize("version", [version for version in VERSIONS if numbers(version) >= SHOWS_TOOLS])
def test_what_a_tool_gave_is_history_in_the_next_turn(version: str, chats: Chats, upstream: ReplayServer):
    send = {"kind": "send", "text": "Hi"}
    state = chats.hold(version, "tool", "whole", flow=[send, send])
    assert state["error"] is None
    blocks = [block for message in upstream.requests[-2].json["messages"] for block in message["content"]]
    (result,) = [block for block in blocks if block["type"] == "tool_result"]
    assert result["tool_use_id"] == "toolu_1"
    assert "sunny" in str(result["content"])


@pytest.mark.parametrize("version", [version for version in VERSIONS if numbers(version) >= (3, 2, 42)])
def test_a_client_tools_output_goes_on_with_the_answer(version: str, chats: Chats):
    flow = [{"kind": "send", "text": "Hi"}, {"kind": "toolOutput", "toolCallId": "toolu_1", "output": "blue"}]
    state = chats.hold(version, "client-tool", "whole", flow=flow, maxSteps=3)
    assert (state["error"], said(state)) == (None, f"A question: {THE_REST}")
    assert [call["result"] for call in calls_in(state)] == ["blue"]


@every_version
@pytest.mark.parametrize("naming", ["major", "minor", "whole"])
def test_a_completion_is_read_by_who_is_named(version: str, naming: str, chats: Chats):
    state = chats.complete(version, naming)
    assert (state["error"], state["completion"]) == (None, HIGH_WATER)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("case", ["text", "tool"])
def test_ai_sdk_2_shows_the_text(naming: str, case: str, chats: Chats):
    state = chats.hold("2.2.37", case, naming)
    assert (state["error"], said(state)) == (None, HIGH_WATER if case == "text" else f"Look.{THE_REST}")
    if naming != "none":
        assert chats.complete("2.2.37", naming)["completion"] == HIGH_WATER


@pytest.mark.parametrize(
    ("version", "keys", "has_parts"),
    [
        *(
            (version, ["messages", "model"], False)
            for version in ("3.0.0", "3.1.37", "3.2.45", "3.3.44", "3.4.33", "4.0.0")
        ),
        *((version, ["id", "messages", "model"], False) for version in ("4.0.36", "4.1.0")),
        *((version, ["id", "messages", "model"], True) for version in ("4.1.20", "4.1.66", "4.2.11", "4.3.19")),
    ],
)
def test_bodies_are_what_a_guess_rests_on(version: str, keys: list[str], has_parts: bool, chats: Chats):
    (exchange,) = chats.hold(version, "text", sendId=True)["exchanges"]
    assert list(exchange["body"]) == keys
    assert all(("parts" in message) is has_parts for message in exchange["body"]["messages"])
