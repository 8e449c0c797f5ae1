"""Approvals: signed, checked, and only once a call."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from usechat import Approve, AskUser, Deny
from usechat.errors import InvalidToolApprovalError
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.tools.approvals import (
    Approval,
    canonical_json,
    collect_approvals,
    process_secret,
    read_status,
    sign,
    sign_request,
    verify,
)

SECRET = "a secret of sixteen letters"
CALL: dict[str, Any] = {
    "tool_call_id": "toolu_1",
    "tool_name": "delete_file",
    "input": {"path": "/tmp/x", "force": True},
}

# What ai 7.0.173 signed; tests/conformance/test_approval_signatures.py asks it anew.
VECTORS: list[tuple[str, Any, str]] = [
    ("aitxt-LdFgBlajtitHPFNYUP0Zk5W0", {}, "rmNvnC_NxkAvaEAokdL-4I0pajGb4yc5tr6cpDjip5Q"),
    (
        "aitxt-i1ppw0glxAXnUEo19U7Es5O6",
        {"path": "/tmp/x", "force": True},
        "ZIrpdPvBqr14ew3If4AeIsHE5mvHfJyNjlWAeSjaqMs",
    ),
    (
        "aitxt-EuQeDkuGshSIBeo587IP3JKc",
        {"b": [1, {"d": None, "c": 'é\u2028\x00"\\'}], "a": -0.5, "10": 1},
        "Ko97_v8gM8kDzx3ai8PkBozHjeir6zfRBfzuCGG6xww",
    ),
    (
        "aitxt-7PIpfyMHiG5kUcL5NWumvY6K",
        {"size": 12345678901234567890, "tiny": 1e-07},
        "KcqHfenAmhK-oc4VoqYvWYdfZNTis3kZWMWzhXEvexQ",
    ),
]
# The four fields joined with newlines, which ai 7.0.173 still takes: of `CALL` as a1, and of a, b, c and {}.
LEGACY_SIGNATURE = "3ArF_-g31pCk-fsexawImne_P1opgacbcj8tUbW0DYo"
AMBIGUOUS_SIGNATURE = "e1X0Jd8-MioOB0qoJ-3tdeb9UsBRxIKu2JxLMT5kqLU"


# Statuses


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (True, AskUser()),
        (False, None),
        (Approve("small"), Approve("small")),
        (Deny(), Deny()),
        (AskUser("large"), AskUser("large")),
    ],
)
def test_answer_is_read_as_a_status(answer: Any, status: Any):
    assert read_status(answer) == status


def test_secret_of_the_process_stays_the_same():
    assert process_secret() == process_secret()
    assert len(process_secret()) >= 32


# Canonical JSON


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        ({"é": 1, "z": 2, "\U0001f600": 3, "\ufb33": 4}, '{"z":2,"é":1,"😀":3,"\ufb33":4}'),
        ({"10": 1, "9": 2}, '{"10":1,"9":2}'),
        ((1, 2), "[1,2]"),
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1.5e-7, "1.5e-7"),
        (1e-6, "0.000001"),
        (123456789.125, "123456789.125"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (float("nan"), "null"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (-(2**53) - 1, "-9007199254740992"),
        (12345678901234567890, "12345678901234567000"),
        (10**30, "1e+30"),
        (10**400, "null"),
        (True, "true"),
        ('\u2028\x00\x7f\b\f\n\r\t"\\/é', '"\u2028\\u0000\x7f\\b\\f\\n\\r\\t\\"\\\\/é"'),
        ("é\ud800", '"é\\ud800"'),
    ],
)
def test_canonical_json_is_what_javascript_writes_with_sorted_keys(value: Any, text: str):
    assert canonical_json(value) == text


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical_json({"a": {"x": 1, "y": 2}, "b": 3}) == canonical_json({"b": 3, "a": {"y": 2, "x": 1}})


# Signatures


@pytest.mark.parametrize(("approval_id", "input", "signature"), VECTORS)
def test_signature_is_the_sdks(approval_id: str, input: Any, signature: str):
    fields: dict[str, Any] = {"approval_id": approval_id, "tool_call_id": "toolu_1", "tool_name": "delete_file"}
    assert sign(SECRET, input=input, **fields) == signature
    assert verify(SECRET, signature, input=input, **fields)


def test_signature_in_the_older_form_is_taken():
    assert verify(SECRET, LEGACY_SIGNATURE, approval_id="a1", **CALL)
    assert not verify(SECRET, LEGACY_SIGNATURE, approval_id="a2", **CALL)


def test_older_form_is_refused_where_it_is_ambiguous():
    assert verify(SECRET, AMBIGUOUS_SIGNATURE, approval_id="a", tool_call_id="b", tool_name="c", input={})
    assert not verify(SECRET, AMBIGUOUS_SIGNATURE, approval_id="a\nb", tool_call_id="c", tool_name="", input={})


@pytest.mark.parametrize("signature", ["", "x", "é", "\ud800", "AAAA"])
def test_anything_else_is_no_signature(signature: str):
    assert not verify(SECRET, signature, approval_id="a1", **CALL)


@pytest.mark.parametrize("text", ["\ud800", "é", '"', "\n", "\u2028"])
def test_fields_may_hold_any_text(text: str):
    fields: dict[str, Any] = {"approval_id": text, "tool_call_id": text, "tool_name": text, "input": {text: text}}
    assert verify(SECRET, sign(SECRET, **fields), **fields)


# One decision


def request_for(*, in_id: bool = False, secret: str = SECRET, **changes: Any) -> ToolApprovalRequestContent:
    approval_id, signature = sign_request(secret, "a1", in_id, **{**CALL, **changes})
    return ToolApprovalRequestContent(approval_id=approval_id, tool_call_id="toolu_1", signature=signature)


def decision(request: ToolApprovalRequestContent, **changes: Any) -> Approval:
    return Approval(
        call=ToolCallContent(**{**CALL, **changes}),
        request=request,
        response=ToolApprovalResponseContent(approval_id=request.approval_id, approved=True),
    )


@pytest.mark.parametrize("in_id", [True, False])
def test_decision_on_what_was_asked_is_taken(in_id: bool):
    request = request_for(in_id=in_id)
    assert (request.signature is None) is in_id
    decision(request).check(SECRET)


def test_input_that_went_through_a_browser_is_still_the_same():
    given = {"size": 1.0, "big": 12345678901234567890, "tiny": 1e-7, "name": "é\u2028"}
    # What JSON.parse and JSON.stringify make of it.
    sent_back = {"size": 1, "big": 12345678901234567000, "tiny": 1e-7, "name": "é\u2028"}
    decision(request_for(input=given), input=sent_back).check(SECRET)


@pytest.mark.parametrize("in_id", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"input": {"path": "/etc/passwd", "force": True}},
        {"input": {"path": "/tmp/x", "force": 1}},
        {"input": {}},
        {"tool_name": "delete_folder"},
        {"tool_call_id": "toolu_2"},
    ],
)
def test_decision_on_another_call_is_refused(in_id: bool, changes: dict[str, Any]):
    with pytest.raises(InvalidToolApprovalError, match="does not fit its tool call") as refusal:
        decision(request_for(in_id=in_id), **changes).check(SECRET)
    assert refusal.value.tool_call_id == changes.get("tool_call_id", "toolu_1")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"signature": None}, "not signed"),
        ({"signature": ""}, "not signed"),
        ({"signature": "forged"}, "does not fit"),
        ({"approval_id": "a2"}, "does not fit"),
        ({"approval_id": "a1.forged", "signature": None}, "does not fit"),
        ({"approval_id": "a1.", "signature": None}, "not signed"),
    ],
)
def test_forged_request_is_refused(changes: dict[str, Any], text: str):
    with pytest.raises(InvalidToolApprovalError, match=text):
        decision(msgspec.structs.replace(request_for(), **changes)).check(SECRET)


def test_signature_of_another_server_is_refused():
    with pytest.raises(InvalidToolApprovalError):
        decision(request_for(secret="another")).check(SECRET)


def test_signature_in_the_id_does_not_fit_another_id():
    asked = request_for(in_id=True)
    _, _, signature = asked.approval_id.partition(".")
    with pytest.raises(InvalidToolApprovalError):
        decision(msgspec.structs.replace(asked, approval_id=f"a2.{signature}")).check(SECRET)


# The decisions of a history


def asked(*tool_call_ids: str) -> AssistantMessage:
    parts = [
        part
        for id_ in tool_call_ids
        for part in (
            ToolCallContent(tool_call_id=id_, tool_name="delete_file", input={}),
            ToolApprovalRequestContent(approval_id=f"a-{id_}", tool_call_id=id_),
        )
    ]
    return AssistantMessage((TextContent("May I?"), *parts))


def answered(tool_call_id: str, *, approved: bool = True, reason: str | None = None) -> ToolApprovalResponseContent:
    return ToolApprovalResponseContent(approval_id=f"a-{tool_call_id}", approved=approved, reason=reason)


def result(tool_call_id: str, type_: Any = "json") -> ToolResultContent:
    return ToolResultContent(tool_call_id=tool_call_id, tool_name="delete_file", output=ToolResultOutput(type_))


def collected(*messages: ModelMessage) -> list[tuple[str, bool]]:
    return [(found.call.tool_call_id, found.response.approved) for found in collect_approvals(messages)]


def test_decisions_come_in_the_order_of_the_calls():
    messages = asked("1", "2", "3"), ToolMessage((answered("3"), answered("1", approved=False), answered("2")))
    assert collected(*messages) == [("1", False), ("2", True), ("3", True)]


def test_first_decision_on_a_call_counts():
    messages = asked("1"), ToolMessage((answered("1", approved=False), answered("1")))
    assert collected(*messages) == [("1", False)]


@pytest.mark.parametrize(
    ("approved", "kind", "is_open"),
    [
        (True, "json", False),
        (True, "error-text", False),
        (True, "execution-denied", False),
        (False, "execution-denied", True),
        (False, "error-text", False),
    ],
)
def test_decision_that_was_carried_out_is_not_carried_out_again(approved: bool, kind: str, is_open: bool):
    messages = asked("1"), ToolMessage((answered("1", approved=approved), result("1", kind)))
    assert collected(*messages) == ([("1", approved)] if is_open else [])


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [UserMessage((TextContent("hi"),))],
        [asked("1"), ToolMessage((answered("1"),)), UserMessage((TextContent("hi"),))],
        [asked("1"), ToolMessage((result("1"),))],
    ],
)
def test_only_the_last_message_holds_decisions(messages: list[ModelMessage]):
    assert collect_approvals(messages) == []


def test_call_and_request_may_be_in_an_earlier_message():
    messages = asked("1"), asked("2"), ToolMessage((answered("1"),))
    assert collected(*messages) == [("1", True)]


@pytest.mark.parametrize("provider_executed", [True, False])
def test_call_that_the_provider_runs_is_only_told_as_denied(provider_executed: bool):
    call = ToolCallContent(tool_call_id="1", tool_name="x", input={}, provider_executed=provider_executed)
    message = AssistantMessage((call, ToolApprovalRequestContent(approval_id="a-1", tool_call_id="1")))
    assert collected(message, ToolMessage((answered("1"),))) == ([] if provider_executed else [("1", True)])
    assert collected(message, ToolMessage((answered("1", approved=False),))) == [("1", False)]


@pytest.mark.parametrize(
    "message",
    [
        AssistantMessage((ToolCallContent(tool_call_id="1", tool_name="x", input={}),)),
        AssistantMessage((ToolApprovalRequestContent(approval_id="a-1", tool_call_id="1"),)),
    ],
)
def test_decision_on_nothing_that_was_asked_is_refused(message: AssistantMessage):
    with pytest.raises(InvalidToolApprovalError, match="answers no request"):
        collect_approvals([message, ToolMessage((answered("1"),))])
