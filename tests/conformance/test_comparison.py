"""The comparison itself: it overlooks what is no protocol, and nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.conformance.compare import ASPECTS, Conversation, differences
from tests.conformance.scenario import Scenario
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.sides import Sides

SSE = {"content-type": "text/event-stream", "x-vercel-ai-ui-message-stream": "v1"}
LINES = {"content-type": "text/plain; charset=utf-8", "x-vercel-ai-data-stream": "v1"}


def held(answer: str, headers: dict[str, str] = SSE, asked: tuple[Any, ...] = ()) -> Conversation:
    """A conversation of one exchange."""
    body = base64.b64encode(answer.encode()).decode()
    exchange = {
        "method": "POST",
        "path": "/api/chat",
        "status": 200,
        "ended": "end",
        "headers": headers,
        "answer": body,
    }
    return Conversation(state={"status": "ready"}, exchanges=[exchange], asked=asked, left=[False] * len(asked))


def events(*chunks: dict[str, Any]) -> str:
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)


def text(*deltas: str, block: str = "0") -> str:
    return events(
        {"type": "text-start", "id": block},
        *({"type": "text-delta", "id": block, "delta": delta} for delta in deltas),
        {"type": "text-end", "id": block},
    )


def found(one: Conversation, two: Conversation) -> set[str]:
    return set(differences(one, two, list(ASPECTS)))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(text("a", "b"), text("ab"), id="the cutting into deltas"),
        pytest.param(text("a", "", "b"), text("ab"), id="empty deltas"),
        pytest.param(text("a", block="0"), text("a", block="aitxt-7"), id="a block's id"),
        pytest.param(": stream-open\n\n" + text("a"), text("a"), id="comments"),
        pytest.param(
            events({"type": "start", "messageId": "a"}), events({"type": "start", "messageId": "b"}), id="random ids"
        ),
    ],
)
def test_it_overlooks(one: str, two: str):
    assert found(held(one), held(two)) == set()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(text("ab"), text("ba"), id="a text"),
        pytest.param(text("a") + text("b"), text("ab"), id="the number of blocks"),
        pytest.param(events({"type": "start"}), events({"type": "start", "messageId": "a"}), id="a field"),
        pytest.param(
            events({"type": "error", "errorText": "x"}), events({"type": "error", "errorText": None}), id="a value"
        ),
        pytest.param(text("a"), text("a") + "data: [DONE]\n\n", id="the end"),
    ],
)
def test_it_sees_another_frame(one: str, two: str):
    assert found(held(one), held(two)) == {"frames"}


def test_it_sees_two_ids_where_there_was_one():
    same = events({"type": "tool-approval-request", "approvalId": "a"}, {"type": "x", "approvalId": "a"})
    other = events({"type": "tool-approval-request", "approvalId": "a"}, {"type": "x", "approvalId": "b"})

    assert found(held(same), held(other)) == {"frames"}


def test_results_of_tools_may_come_later_in_a_step_of_ai_sdk_4():
    early = '9:{"toolCallId":"t"}\na:{"toolCallId":"t","result":1}\n0:"after"\ne:{}\n'
    late = '9:{"toolCallId":"t"}\n0:"after"\na:{"toolCallId":"t","result":1}\ne:{}\n'
    next_step = '9:{"toolCallId":"t"}\n0:"after"\ne:{}\na:{"toolCallId":"t","result":1}\n'

    assert found(held(early, LINES), held(late, LINES)) == set()
    assert found(held(early, LINES), held(next_step, LINES)) == {"frames"}


def test_it_sees_another_header():
    assert found(held("", SSE), held("", {**SSE, "cache-control": "no-cache"})) == {"headers"}


def test_it_sees_another_question_to_the_model():
    one = {"messages": [], "tools": [{"name": "a", "input_schema": {"type": "object"}}]}

    assert found(held("", asked=(one,)), held("", asked=({**one, "messages": [1]},))) == {"upstream"}
    assert found(held("", asked=(one,)), held("", asked=(one, one))) == {"upstream"}
    assert found(held("", asked=(one,)), held("", asked=({**one, "tools": []},))) == {"upstream"}


@pytest.mark.parametrize("major", [5, 6, 7])
def test_both_sides_fill_a_silence_with_comments(major: int, sides: Sides):
    for conversation in sides.both(major, scenario_named("keep-alive")):
        (exchange,) = conversation.exchanges

        assert b"\n\n: keep-alive\n\n" in base64.b64decode(exchange["answer"])


def scenario_named(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)
