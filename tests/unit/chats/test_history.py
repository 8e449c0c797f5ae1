"""What a request of each kind does to a stored chat, for who holds the history, with ids and without."""

from __future__ import annotations

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
    asked,
    assistant,
    call,
    path,
    plan,
    runs_nowhere,
    saved,
    user,
    without_ids,
)
from usechat.chats.history import HistoryMode, TurnRequest, plan_turn
from usechat.chats.store import SavedChat, TurnPlan
from usechat.errors import ChatError, RequestError


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("stored", "posted", "request_", "then"),
    [
        pytest.param([], [U1], {}, [U1], id="first message"),
        pytest.param(STORED, [*STORED, U3], {}, [*STORED, U3], id="next message"),
        pytest.param(STORED, [U1, A1, RATHER], {"message_id": "u2"}, [U1, A1, RATHER], id="edit"),
        pytest.param(STORED, [U1, A1, RATHER], REGENERATE, [U1, A1, RATHER], id="edit that is regenerated"),
        pytest.param(
            STORED, [user("u1", "rather")], {"message_id": "u1"}, [user("u1", "rather")], id="edit of the first message"
        ),
        pytest.param(STORED, [U1, A1, user("u9")], {"message_id": "u2"}, [U1, A1, user("u9")], id="edit with a new id"),
        pytest.param(STORED, [U1, A1, U2], REGENERATE, [U1, A1, U2], id="regenerate the last answer"),
        pytest.param(STORED, [U1], REGENERATE | {"message_id": "a1"}, [U1], id="regenerate an earlier answer"),
        pytest.param(STORED, [U1], REGENERATE | {"message_id": "u1"}, [U1], id="regenerate the answer to a message"),
        pytest.param(STORED, STORED, REGENERATE, [U1, A1, U2], id="regenerate with the old answer posted"),
        pytest.param(
            STORED, STORED, REGENERATE | {"message_id": "a1"}, [U1], id="regenerate an earlier answer, all posted"
        ),
        pytest.param(
            STORED,
            [U1, A1, U2],
            REGENERATE | {"message_id": "unknown"},
            [U1, A1, U2],
            id="regenerate an answer whose id the client made",
        ),
        pytest.param(
            [U1, A1], [U1, A1, U2], REGENERATE, [U1, A1, U2], id="regenerate after a request that never arrived"
        ),
        pytest.param([], [U1], REGENERATE, [U1], id="regenerate in an unknown chat"),
        pytest.param([U1, A1, U2], [U1, A1, U2], SUBMIT, [U1, A1, U2], id="again, as no answer came"),
        pytest.param([U1, A1], [U1, U2], {}, [U1, A1, U2], id="an answer that the client never got stays"),
        pytest.param(STORED, [U1, A1, U3], {}, [U1, A1, U3], id="a tab that knows less begins a branch"),
        pytest.param(STORED, [U2], REGENERATE, [U1, A1, U2], id="regenerate with one message sent"),
        pytest.param(
            STORED, [U1, assistant("own", "answer a1"), U2, A2, U3], {}, [*STORED, U3], id="an id the client made"
        ),
        pytest.param(STORED, [U2, A2, U3], {}, [*STORED, U3], id="the first messages are left out"),
        pytest.param(STORED, [A2, U3], {}, [*STORED, U3], id="all but one are left out"),
        pytest.param(BRANCHED, [U1, A1, U2, A2, U3], {}, [U1, A1, U2, A2, U3], id="another branch goes on"),
        pytest.param(BRANCHED, [U1, A1, RATHER, A3, U3], {}, [U1, A1, RATHER, A3, U3], id="the edited branch goes on"),
        pytest.param(BRANCHED, [U1, A1, user("u2", "third")], {}, [U1, A1, user("u2", "third")], id="a third version"),
        pytest.param(
            [U1, A1, U2, A2, U3, A3],
            [U1, A1, U3, A3, user("u4")],
            {},
            [U1, A1, U3, A3, user("u4")],
            id="a turn was taken out",
        ),
        pytest.param([U1, user("u2")], [U1, RATHER], {"message_id": "u2"}, [U1, RATHER], id="two questions in a row"),
    ],
)
def test_path_after_a_request(
    mode: HistoryMode,
    stored: list[Message] | SavedChat,
    posted: list[Message],
    request_: dict[str, Any],
    then: list[Message],
) -> None:
    made = plan(stored, posted, mode, **request_)
    assert path(stored, made) == then
    assert (made.continues, made.changed, made.revision) == (None, {}, 7)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("stored", "posted", "then"),
    [
        pytest.param([], [user("", "hi")], [user("new1", "hi")], id="first message"),
        pytest.param(STORED, [*STORED, U3], [*STORED, user("new1", "ask u3")], id="next message"),
        pytest.param(STORED, [U1, A1, U2], [U1, A1, U2], id="reload"),
        pytest.param(STORED, [U1, A1, user("", "rather")], [U1, A1, user("new1", "rather")], id="edit"),
        pytest.param(BRANCHED, [U1, A1, RATHER], [U1, A1, RATHER], id="reload of a branch"),
        pytest.param(BRANCHED, [U1, A1, U2, A2, U3], [*STORED, user("new1", "ask u3")], id="another branch goes on"),
        pytest.param(
            STORED,
            [user("", "hi"), assistant("", "ho"), user("", "rather")],
            {
                "client": [user("new1", "hi"), assistant("new2", "ho"), user("new3", "rather")],
                "server": [user("new3", "rather")],
            },
            id="another conversation",
        ),
        pytest.param([U1, A1], [U1, U2], [U1, A1, user("new1", "ask u2")], id="an answer that the client never got"),
        pytest.param(
            [U1, U2, A2],
            [U1, assistant("", "half"), U2, A2, U3],
            {
                "client": [
                    U1,
                    assistant("new1", "half"),
                    user("new2", "ask u2"),
                    assistant("new3", "answer a2"),
                    user("new4", "ask u3"),
                ],
                "server": [U1, U2, A2, user("new2", "ask u3")],
            },
            id="an answer that was never stored",
        ),
        pytest.param(
            STORED, [U1, assistant("", "ans"), U2, A2, U3], [*STORED, user("new1", "ask u3")], id="half an answer"
        ),
    ],
)
def test_path_after_a_request_without_ids(
    mode: HistoryMode, stored: list[Message] | SavedChat, posted: list[Message], then: Any
) -> None:
    made = plan(stored, without_ids(posted), mode)
    assert path(stored, made) == (then[mode] if isinstance(then, dict) else then)
    assert made.continues is None


@pytest.mark.parametrize("posted", [[U3], without_ids([U3])])
def test_one_message_is_the_whole_history_of_a_client_that_holds_it(posted: list[Message]) -> None:
    assert (plan(STORED, posted, "client").parent, plan(STORED, posted, "server").parent) == (None, 3)


@pytest.mark.parametrize("stored", [STORED, BRANCHED])
def test_server_finds_the_place_of_messages_without_ids_that_lack_the_first_ones(stored: Any) -> None:
    made = plan(stored, without_ids([U2, A2, U3]), "server")
    assert path(stored, made) == [*STORED, {**U3, "id": made.added[0]["id"]}]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("request_", "then"),
    [
        pytest.param({"message": U3}, [*STORED, U3], id="next message"),
        pytest.param({"message": U3, **SUBMIT}, [*STORED, U3], id="next message, with its trigger"),
        pytest.param({"message": RATHER, "message_id": "u2"}, [U1, A1, RATHER], id="edit"),
        pytest.param({"message": RATHER}, [U1, A1, RATHER], id="edit that names nothing"),
        pytest.param({"message": user("u9"), "message_id": "u2"}, [U1, A1, user("u9")], id="edit with a new id"),
        pytest.param({"message": U2, **REGENERATE}, [U1, A1, U2], id="regenerate with the question"),
        pytest.param({"message": A2, **REGENERATE}, [U1, A1, U2], id="regenerate with the answer"),
        pytest.param({**REGENERATE, "message_id": "a2"}, [U1, A1, U2], id="regenerate an answer"),
        pytest.param({**REGENERATE, "message_id": "a1"}, [U1], id="regenerate an earlier answer"),
        pytest.param({**REGENERATE, "message_id": "u1"}, [U1], id="regenerate the answer to a message"),
        pytest.param(REGENERATE, [U1, A1, U2], id="regenerate the last answer"),
    ],
)
def test_path_after_a_request_with_the_last_message_only(
    mode: HistoryMode, request_: dict[str, Any], then: list[Message]
) -> None:
    made = plan(STORED, [], mode, **request_)
    assert path(STORED, made) == then
    assert list(made.history) == then


def test_first_message_of_a_chat_can_come_alone() -> None:
    assert list(plan(None, [], "client", message=U1).added) == [U1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.parametrize("is_short", [True, False])
def test_continuation_takes_outputs_of_open_calls(mode: HistoryMode, has_ids: bool, is_short: bool) -> None:
    stored, answered = [U1, assistant("a1", None, call())], assistant("a1", None, ANSWERED)
    posted = [U1, answered] if has_ids else without_ids([U1, answered])
    made = plan(stored, [], mode, message=answered) if is_short else plan(stored, posted, mode)
    assert path(stored, made) == [U1, answered]
    assert made.continues == made.leaf == 1
    assert list(made.history) == [U1, answered]


def test_server_shows_the_model_what_is_stored() -> None:
    posted = [user("u1", "forged"), assistant("a1", "forged"), user("u2", "forged"), A2, U3]
    assert list(plan(STORED, posted, "server").history) == [*STORED, U3]


def test_client_shows_the_model_what_it_sends_and_saves_that() -> None:
    posted = [user("u1", "shorter"), assistant("a1", "shorter"), U3]
    made = plan(STORED, posted, "client")
    assert list(made.history) == posted
    # What an answer of ours says is not the client's to change.
    assert path(STORED, made) == [user("u1", "shorter"), A1, U3]
    assert (made.parent, made.size) == (None, 4)


def test_answer_that_the_client_brought_may_come_in_another_version() -> None:
    chat = saved([U1, A1], ours=False)
    made = plan(chat, [U1, assistant("a1", "corrected"), U2], "client")
    assert (made.parent, list(made.added)) == (0, [assistant("a1", "corrected"), U2])


@pytest.mark.parametrize("mode", MODES)
def test_new_addresses_and_metadata_of_older_messages_make_no_branch(mode: HistoryMode) -> None:
    picture = {"type": "file", "mediaType": "image/png", "url": "https://files.example/1?signed=a"}
    shown = {**U1, "parts": [picture]}
    signed_anew = {**shown, "parts": [{**picture, "url": "https://files.example/1?signed=b"}], "metadata": {"seen": 1}}
    made = plan([shown, A1], [signed_anew, A1, U2], mode)
    assert (made.parent, list(made.added), made.changed) == (1, [U2], {})


@pytest.mark.parametrize("mode", MODES)
def test_instruction_before_the_messages_makes_no_branch(mode: HistoryMode) -> None:
    system = {"id": "new", "role": "system", "parts": [{"type": "text", "text": "It is noon."}]}
    made = plan(STORED, [system, *STORED, U3], mode)
    assert (made.parent, list(made.added)) == (3, [U3])


def test_server_takes_no_system_message() -> None:
    system = {"id": "s", "role": "system", "parts": [{"type": "text", "text": "obey"}]}
    made = plan([], [system, U1], "server")
    assert list(made.added) == [U1]


def test_server_takes_all_user_messages_that_never_arrived() -> None:
    assert list(plan([U1, A1], [U1, A1, U2, U3], "server").added) == [U2, U3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("posted", "role"), [([user("a1", "mine"), U2], "user"), ([U1, {**U2, "id": "a1"}], "user"), ([A1, A2], None)]
)
def test_roles_never_change(mode: HistoryMode, posted: list[Message], role: str | None) -> None:
    stored = [U1, A1] if role else [{**A1, "role": "user"}]
    with pytest.raises(RequestError) as raised:
        plan(stored, posted, mode)
    assert (raised.value.status, raised.value.path.endswith(".role")) == (422, True)


def test_client_tool_output_is_taken_with_a_new_message() -> None:
    stored = [U1, assistant("a1", None, call())]
    answered = assistant("a1", None, ANSWERED)
    made = plan(stored, [U1, answered, U2], "server")
    assert list(made.history) == [U1, answered, U2]
    assert made.changed == {1: answered}


def test_server_tools_output_is_not_taken_from_the_client() -> None:
    stored = [U1, assistant("a1", None, call())]
    made = plan(stored, [U1, assistant("a1", None, ANSWERED)], "server", is_client_tool=runs_nowhere)
    assert made.changed == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.parametrize(
    ("stored", "posted"),
    [
        pytest.param(RAN, asked(approved=False), id="denied after it ran"),
        pytest.param(REFUSED, asked(approved=True), id="approved after it was denied"),
        pytest.param(ANSWERED, call("output-available", output="red"), id="another output"),
        pytest.param(ANSWERED, call("output-error", errorText="no"), id="an error after an output"),
        pytest.param(asked(approved=True), asked(approved=False), id="another decision"),
    ],
)
def test_call_that_was_answered_is_not_answered_again(
    mode: HistoryMode, has_ids: bool, stored: Message, posted: Message
) -> None:
    messages = [U1, assistant("a1", None, posted)]
    with pytest.raises(ChatError, match="answered otherwise") as raised:
        plan([U1, assistant("a1", None, stored)], messages if has_ids else without_ids(messages), mode)
    assert (raised.value.code, raised.value.run_id) == ("conflict", None)


@pytest.mark.parametrize("mode", MODES)
def test_one_of_two_decisions_may_be_new(mode: HistoryMode) -> None:
    second = {**asked(), "toolCallId": "c2", "approval": {"id": "p2"}}
    decided = {**second, "state": "approval-responded", "approval": {"id": "p2", "approved": True}}
    made = plan(
        [U1, assistant("a1", None, RAN, second)], [U1, assistant("a1", None, asked(approved=True), decided)], mode
    )
    assert made.changed == {1: assistant("a1", None, RAN, decided)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("stored", "posted"),
    [
        pytest.param(STORED, [U1, A1], id="more is stored"),
        pytest.param(
            [U1, assistant("a1", None, asked()), U2],
            [U1, assistant("a1", None, asked(approved=True))],
            id="a decision after the next question",
        ),
    ],
)
def test_answer_that_has_moved_on_is_not_continued(
    mode: HistoryMode, stored: list[Message], posted: list[Message]
) -> None:
    with pytest.raises(ChatError, match="moved on") as raised:
        plan(stored, posted, mode)
    assert (raised.value.code, raised.value.run_id) == ("conflict", None)


@pytest.mark.parametrize(
    ("stored", "posted"),
    [
        pytest.param([], [U1, A1], id="nothing is stored"),
        pytest.param([U1, A1], [U1, assistant("other", "something else")], id="another answer is stored"),
    ],
)
def test_server_goes_on_with_stored_answers_only(stored: list[Message], posted: list[Message]) -> None:
    with pytest.raises(ChatError) as raised:
        plan(stored, posted, "server")
    assert (raised.value.code, raised.value.run_id) == ("conflict", None)


@pytest.mark.parametrize("posted", [[U1, A1], without_ids([U1, A1])])
def test_client_goes_on_with_an_answer_that_is_not_stored(posted: list[Message]) -> None:
    made = plan(None, posted, "client")
    assert (made.continues, made.leaf, made.revision) == (1, 1, 0)
    assert list(made.history) == list(made.added)


@pytest.mark.parametrize(
    ("posted", "trigger"),
    [("", "submit-message"), ("system", "submit-message"), ("assistant", "regenerate-message")],
)
def test_request_without_anything_to_answer_is_refused(posted: str, trigger: str) -> None:
    messages: list[Message] = [{"id": "m", "role": posted, "parts": []}] if posted else []
    with pytest.raises(RequestError):
        plan([], messages, "server", trigger=trigger)


@pytest.mark.parametrize(("stored", "wanted"), [(None, "a1"), (STORED, "unknown"), ([], None)])
def test_regeneration_of_nothing_is_refused(stored: list[Message] | None, wanted: str | None) -> None:
    with pytest.raises(RequestError) as raised:
        plan(stored, [], "client", **REGENERATE, message_id=wanted)
    assert raised.value.path == "messageId"


def test_full_chat_takes_no_more_messages() -> None:
    request = TurnRequest(messages=[*STORED, U3])
    assert isinstance(plan_turn(saved(STORED), request, max_messages=5), TurnPlan)
    with pytest.raises(RequestError, match="more than 4 messages") as raised:
        plan_turn(saved(STORED), request, max_messages=4)
    assert raised.value.status == 413


def test_unknown_keys_and_parts_of_new_messages_are_kept() -> None:
    odd = {"role": "user", "parts": [{"type": "x-odd", "n": 10**30}], "createdAt": "now", "id": "u1", "extra": [None]}
    for mode in MODES:
        assert list(plan(None, [odd], mode).added) == [odd]
