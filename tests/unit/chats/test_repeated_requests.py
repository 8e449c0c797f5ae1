"""A request that comes again has the answer that there is, and no second one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.chat_plans import (
    A1,
    A2,
    A3,
    ANSWERED,
    BRANCHED,
    MODES,
    RAN,
    RATHER,
    REFUSED,
    REGENERATE,
    STORED,
    SUBMIT,
    U1,
    U2,
    U3,
    Message,
    ask,
    asked,
    assistant,
    call,
    plan,
    run_turn,
    saved,
    user,
    without_ids,
)
from usechat.chats.history import HistoryMode, Repeated


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_short", [True, False])
@pytest.mark.parametrize(
    ("stored", "posted"),
    [
        pytest.param(RAN, asked(approved=True), id="approved again"),
        pytest.param(REFUSED, asked(approved=False), id="denied again"),
        pytest.param(RAN, call("output-available", preliminary=True, output="…"), id="seen running"),
    ],
)
def test_answer_to_a_call_that_comes_again_has_its_answer(
    mode: HistoryMode, is_short: bool, stored: Message, posted: Message
) -> None:
    chat, copy = saved([U1, assistant("a1", None, stored)]), assistant("a1", None, posted)
    made = ask(chat, [], mode, message=copy) if is_short else ask(chat, [U1, copy], mode)
    assert made == Repeated(answer=chat.tree[1], continues=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("more", [{"type": "text", "text": "Blue it is."}, {**asked(), "toolCallId": "c2"}])
def test_output_that_comes_again_has_its_answer(mode: HistoryMode, more: Message) -> None:
    chat = saved([U1, assistant("a1", None, ANSWERED, more)])
    made = ask(chat, [U1, assistant("a1", None, ANSWERED)], mode)
    assert made == Repeated(answer=chat.tree[1], continues=True)


@pytest.mark.parametrize("mode", MODES)
def test_answer_to_a_call_that_comes_again_is_being_answered(mode: HistoryMode) -> None:
    chat, copy = saved([U1, assistant("a1", None, asked(approved=True))]), assistant("a1", None, asked(approved=True))
    assert ask(chat, [U1, copy], mode, running=run_turn(continues=1)) == Repeated(answer=None, continues=True)


WHOLE, FAILED, ABORTED = ({1: status} for status in ("whole", "failed", "aborted"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_short", [True, False])
def test_request_that_comes_again_has_its_answer(mode: HistoryMode, is_short: bool) -> None:
    for chat in (saved([U1, A1], statuses=WHOLE), saved(STORED)):
        made = ask(chat, [], mode, message=U1, **SUBMIT) if is_short else ask(chat, [U1], mode, **SUBMIT)
        assert made == Repeated(answer=chat.tree[1])


@pytest.mark.parametrize("mode", MODES)
def test_edit_that_comes_again_has_its_answer(mode: HistoryMode) -> None:
    edited = saved([U1, A1, U2, A2, RATHER, A3], [None, 0, 1, 2, 1, 4])
    request = SUBMIT | {"message_id": "u2"}
    assert ask(edited, [U1, A1, RATHER], mode, **request) == Repeated(answer=edited.tree[5])
    assert ask(edited, [U1, A1, RATHER], mode, **request, running=run_turn(parent=4)) == Repeated(answer=None)


@pytest.mark.parametrize("mode", MODES)
def test_edit_back_to_an_earlier_version_has_its_answer_and_shows_it(mode: HistoryMode) -> None:
    found = ask(BRANCHED, [U1, A1, U2], mode, **SUBMIT, message_id="u2")
    assert found == Repeated(answer=BRANCHED.tree[3], is_back=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("trigger", ["submit-message", None])
def test_request_that_comes_again_while_it_is_answered_has_that_answer(mode: HistoryMode, trigger: str | None) -> None:
    assert ask([U1], [U1], mode, trigger=trigger, running=run_turn(parent=0)) == Repeated(answer=None)


def test_answer_that_is_shown_is_the_answer_to_a_request_that_comes_again() -> None:
    chat = saved([U1, A1, A2], [None, 0, 0], leaf=1)
    assert ask(chat, [U1], "client", **SUBMIT) == Repeated(answer=chat.tree[1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("statuses", "posted", "request_"),
    [
        pytest.param(FAILED, [U1], SUBMIT, id="the answer failed"),
        pytest.param(ABORTED, [U1], SUBMIT, id="the answer was stopped"),
        pytest.param(WHOLE, [U1], REGENERATE, id="another answer is wanted"),
        pytest.param(WHOLE, [U1], {}, id="a page that sends no trigger"),
        pytest.param(WHOLE, without_ids([U1]), {}, id="a reload of AI SDK 4"),
    ],
)
def test_second_answer_is_made(
    mode: HistoryMode, statuses: Mapping[int, Any], posted: list[Message], request_: dict[str, Any]
) -> None:
    made = plan(saved([U1, A1], statuses=statuses), posted, mode, **request_)
    assert (made.parent, list(made.added), made.leaf) == (0, [], 0)


COPIED = saved([U1, A1, U2, A1, U3, A3], [None, 0, None, 2, 3, 4], copies=[3])
"""A page held an answer of another path."""


def test_request_after_a_copied_answer_that_comes_again_has_its_answer() -> None:
    # The copy is stored whole, where the page has a part of the answer.
    made = ask(COPIED, [U2, assistant("a1", "ans"), U3], "client", **SUBMIT)
    assert made == Repeated(answer=COPIED.tree[5])


def test_copy_of_a_copied_answer_is_what_we_said() -> None:
    made = plan(COPIED, [user("u4"), assistant("a1", "what we never said"), U3], "client", **SUBMIT)
    assert list(made.added) == [user("u4"), A1, U3]
