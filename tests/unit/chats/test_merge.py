"""What is taken from a client's copy of an assistant's message, and what never is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from usechat.chats.merge import add_usage, fill_outcomes, merge_client_answers, merge_patch

Part = dict[str, Any]


def message(*parts: Any) -> dict[str, Any]:
    return {"id": "a1", "role": "assistant", "parts": [*parts], "metadata": {"k": 1}}


def call(state: str, **fields: Any) -> Part:
    return {"type": "tool-ask", "toolCallId": "c1", "state": state, "input": {"q": 1}, **fields}


OPEN = call("input-available", callProviderMetadata={"anthropic": {"x": 1}})
ASKED = call("approval-requested", approval={"id": "ap", "signature": "s"})
APPROVED = call("approval-responded", approval={"id": "ap", "approved": True})
DENIED = call("approval-responded", approval={"id": "ap", "approved": False})


def everything(name: str) -> bool:
    return True


def nothing(name: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("stored", "copied", "merged"),
    [
        (OPEN, call("output-available", output=None), {**OPEN, "state": "output-available", "output": None}),
        (OPEN, call("output-error", errorText="no"), {**OPEN, "state": "output-error", "errorText": "no"}),
        (
            {**OPEN, "type": "dynamic-tool", "toolName": "ask"},
            call("output-available", output=[1]),
            {**OPEN, "type": "dynamic-tool", "toolName": "ask", "state": "output-available", "output": [1]},
        ),
        (
            ASKED,
            call(
                "approval-responded", approval={"id": "ap", "approved": False, "reason": "mine", "signature": "forged"}
            ),
            {
                **ASKED,
                "state": "approval-responded",
                "approval": {"id": "ap", "signature": "s", "approved": False, "reason": "mine"},
            },
        ),
        (
            ASKED,
            call("approval-responded", approval={"id": "ap", "approved": True, "reason": None}),
            {**ASKED, "state": "approval-responded", "approval": {"id": "ap", "signature": "s", "approved": True}},
        ),
    ],
)
def test_answer_to_an_open_call_is_taken(stored: Part, copied: Part, merged: Part) -> None:
    kept = message({"type": "text", "text": "Let me ask."}, stored)
    before = copy.deepcopy(kept)
    assert merge_client_answers(kept, message(copied)) == message({"type": "text", "text": "Let me ask."}, merged)
    assert kept == before


def test_client_tool_that_was_approved_takes_its_output() -> None:
    copied = call("output-available", output=1, approval={"id": "ap", "approved": True})
    merged = merge_client_answers(message(APPROVED), message(copied), is_client_tool=everything)
    assert merged["parts"] == [{**APPROVED, "state": "output-available", "output": 1}]


@pytest.mark.parametrize(
    ("stored", "copied", "is_client_tool"),
    [
        pytest.param(OPEN, call("input-available", input={"q": 2}), None, id="another input"),
        pytest.param(OPEN, {**call("output-available", output=1), "toolCallId": "c2"}, None, id="another call"),
        pytest.param(OPEN, call("output-available"), None, id="no output"),
        pytest.param(OPEN, call("output-error", errorText=5), None, id="no error text"),
        pytest.param(OPEN, call("output-available", output=1), nothing, id="the server's tool"),
        pytest.param({**OPEN, "providerExecuted": True}, call("output-available", output=1), None, id="the provider's"),
        pytest.param(call("input-streaming"), call("output-available", output=1), None, id="input not complete"),
        pytest.param(call("output-available", output=0), call("output-available", output=1), None, id="has an output"),
        pytest.param(call("output-denied"), call("output-available", output=1), everything, id="denied"),
        pytest.param(ASKED, call("output-available", output=1), everything, id="output before the approval"),
        pytest.param(
            ASKED, call("approval-responded", approval={"id": "other", "approved": True}), None, id="another approval"
        ),
        pytest.param(
            ASKED, call("approval-responded", approval={"id": "ap", "approved": "yes"}), None, id="no decision"
        ),
        pytest.param(ASKED, call("approval-responded"), None, id="no approval"),
        pytest.param(OPEN, call("approval-responded", approval={"id": "ap", "approved": True}), None, id="not asked"),
        pytest.param(APPROVED, call("output-available", output=1), None, id="approved, carried out by who knows whom"),
        pytest.param(DENIED, call("output-available", output=1), everything, id="denied, carried out"),
        pytest.param(call("approval-responded"), call("output-available", output=1), everything, id="no approval kept"),
        pytest.param({"type": "text", "text": "a"}, {"type": "text", "text": "b"}, None, id="another text"),
        pytest.param(5, call("output-available", output=1), None, id="a part that is none"),
        pytest.param({"type": "tool-ask", "toolCallId": 5}, call("output-available", output=1), None, id="no call id"),
        pytest.param({"type": 5}, call("output-available", output=1), None, id="no type"),
    ],
)
def test_nothing_else_is_taken(stored: Any, copied: Part, is_client_tool: Callable[[str], bool] | None) -> None:
    kept = message(stored)
    assert merge_client_answers(kept, message(copied), is_client_tool=is_client_tool) is kept


def test_what_stands_beside_an_open_call_stays() -> None:
    beside: list[Any] = [5, {"type": "text", "text": "a", "state": "done"}, {"type": "tool-ask", "toolCallId": 5}]
    kept = {"id": "a", "role": "assistant", "parts": [*beside, OPEN]}
    merged = merge_client_answers(kept, message(call("output-available", output=1)))
    assert merged["parts"] == [*beside, {**OPEN, "state": "output-available", "output": 1}]


def test_copy_without_parts_says_nothing() -> None:
    kept = message(OPEN)
    assert merge_client_answers(kept, {"role": "assistant", "parts": None}) is kept


@pytest.mark.parametrize(
    ("before", "more", "total"),
    [
        (None, {"a": 1}, {"a": 1}),
        ({"a": 1}, None, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 3, "c": 4}, {"a": 4, "b": 2, "c": 4}),
        ({"d": {"a": 1}, "m": "x"}, {"d": {"a": 2.5}, "m": "y"}, {"d": {"a": 3.5}, "m": "y"}),
        ({"a": True}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": None}, {"a": 1}),
        ({"a": 1}, 7, 7),
    ],
)
def test_usage_of_two_runs_is_added_up(before: Any, more: Any, total: Any) -> None:
    assert add_usage(before, more) == total


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        # The examples of RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(target, patch) == merged


DONE = call("output-available", output="charged")
FAILED = call("output-error", errorText="no")


@pytest.mark.parametrize("settled", [DONE, FAILED, call("output-denied", approval={"id": "ap", "approved": False})])
@pytest.mark.parametrize(
    "seen",
    [OPEN, ASKED, APPROVED, call("input-streaming", input={}), call("output-available", output=1, preliminary=True)],
)
def test_what_a_client_has_not_seen_of_a_call_is_filled_in(seen: Part, settled: Part):
    text = {"type": "text", "text": "Hm"}
    assert fill_outcomes(message(text, seen), message(settled)) == message(text, settled)


@pytest.mark.parametrize(
    ("seen", "stored"),
    [
        ([DONE], [FAILED]),
        ([OPEN], [OPEN]),
        ([OPEN], []),
        ([OPEN], [call("output-available", output=1, preliminary=True)]),
        ([OPEN], [{**DONE, "toolCallId": "c2"}]),
        (["odd", {"type": "tool-x", "state": "input-available"}], [DONE]),
    ],
)
def test_what_a_client_has_seen_of_a_call_stays(seen: list[Any], stored: list[Any]):
    assert fill_outcomes(message(*seen), message(*stored)) == message(*seen)
