"""What the loop does differently towards one AI SDK major and another."""

from __future__ import annotations

import pytest

from usechat.answers.loop.policy import LoopPolicy, policy_for
from usechat.protocol.dialects import AUTO, Dialect, parse_dialect


def policy(version: str) -> LoopPolicy:
    dialect = parse_dialect(version)
    assert dialect is not None
    return policy_for(dialect)


def test_major_4_runs_tools_whatever_the_reason_and_ends_at_a_failed_one():
    behaviour = policy("4")
    assert {"length", "content-filter", "error", "other"} <= behaviour.runs_tools_after
    assert behaviour.tool_error_ends
    assert behaviour.runs_tools_before_error
    assert behaviour.first_error_opens_step


@pytest.mark.parametrize(("version", "ends"), [("2", False), ("3.1.6", False), ("3.1.7", True), ("4", True)])
def test_failed_tool_ends_the_answer_of_a_client_that_sees_its_call(version: str, ends: bool):
    assert policy(version).tool_error_ends is ends
    assert {"length", "other"} <= policy(version).runs_tools_after


@pytest.mark.parametrize("version", ["5", "6", "7"])
def test_later_majors_run_tools_after_a_good_end_only(version: str):
    behaviour = policy(version)
    assert behaviour.runs_tools_after == {"stop", "tool-calls"}
    assert not behaviour.tool_error_ends
    assert not behaviour.runs_tools_before_error
    assert not behaviour.first_error_opens_step


@pytest.mark.parametrize(
    ("version", "asks", "has_signature", "shows_automatic"),
    [
        ("4", False, True, False),
        ("5", False, False, False),
        ("6.0.0", True, False, False),
        ("6.0.230", True, True, False),
        ("7.0.0", True, True, True),
        ("7", True, True, True),
    ],
)
def test_approvals_are_as_far_as_the_client_knows_them(
    version: str, asks: bool, has_signature: bool, shows_automatic: bool
):
    behaviour = policy(version)
    assert behaviour.approvals is asks
    assert behaviour.has_signature_field is has_signature
    assert behaviour.shows_automatic_approvals is shows_automatic


def test_client_of_unknown_version_cannot_be_asked_and_hears_of_a_cut():
    behaviour = policy_for(AUTO)
    assert not behaviour.approvals
    assert behaviour.tells_truncation
    assert not behaviour.accepts_empty_answer


@pytest.mark.parametrize(("version", "accepts"), [("4", True), ("5", True), ("6", False), ("7", False)])
def test_empty_answer_is_one_for_majors_4_and_5(version: str, accepts: bool):
    assert policy(version).accepts_empty_answer is accepts


def test_guess_from_an_approval_can_be_asked():
    behaviour = policy_for(Dialect((6, 0, 0), exact=False))
    assert behaviour.approvals
    assert not behaviour.has_signature_field
    assert behaviour.tells_truncation


def test_named_version_gets_the_sdks_own_end_of_a_cut_stream():
    assert not policy("7").tells_truncation


@pytest.mark.parametrize(
    ("version", "can"), [("4", False), ("6", False), ("7", False), ("7.0.69", False), ("7.0.70", True)]
)
def test_a_step_is_shown_anew_only_to_clients_that_forget_it(version: str, can: bool):
    assert policy(version).resets_steps is can
