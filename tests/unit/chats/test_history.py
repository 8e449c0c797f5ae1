"""What a request of each kind does to a stored chat, for who holds the history, with ids and without."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from usechat.chats.history import HistoryMode, TurnRequest, plan_turn
from usechat.chats.store import Chat, SavedChat, SavedMessage, TurnPlan
from usechat.errors import ChatError, RequestError

Message = dict[str, Any]
MODES: tuple[HistoryMode, ...] = ("client", "server")


def user(id: str, text: str | None = None) -> Message:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text or f"ask {id}"}]}


def assistant(id: str, text: str | None = None, *calls: Message) -> Message:
    return {"id": id, "role": "assistant", "parts": [{"type": "text", "text": text or f"answer {id}"}, *calls]}


def call(state: str = "input-available", **fields: Any) -> Message:
    return {"type": "tool-ask", "toolCallId": "c1", "state": state, "input": {}, **fields}


def without_ids(messages: Sequence[Message]) -> list[Message]:
    return [{key: value for key, value in message.items() if key != "id"} for message in messages]


U1, A1, U2, A2, U3 = user("u1"), assistant("a1"), user("u2"), assistant("a2"), user("u3")
ANSWERED = call("output-available", output="blue")
STORED = [U1, A1, U2, A2]


def saved(messages: Sequence[Message], *, ours: bool = True) -> SavedChat:
    """A chat whose answers were made by runs of ours, or came with the client."""
    chat = Chat(id="chat", owner="ada", created_at=1, updated_at=1, revision=7)
    rows = [
        SavedMessage(
            message=message,
            position=position,
            role=message["role"],
            created_at=1,
            run_id="run" if ours and message["role"] == "assistant" else None,
        )
        for position, message in enumerate(messages)
    ]
    return SavedChat(chat=chat, messages=rows)


def plan(
    stored: Sequence[Message] | SavedChat | None, posted: Sequence[Message], mode: HistoryMode, **request: Any
) -> TurnPlan:
    numbers = itertools.count(1)
    chat = saved(stored) if isinstance(stored, Sequence) else stored
    asked = TurnRequest(messages=posted, **request)
    return plan_turn(chat, asked, mode=mode, new_id=lambda: f"new{next(numbers)}")


def after(stored: Sequence[Message], made: TurnPlan) -> list[Message]:
    """The chat's messages once the plan is carried out."""
    return [*(made.changed.get(place, old) for place, old in enumerate(stored[: made.keep])), *made.added]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("stored", "posted", "request_", "then"),
    [
        pytest.param([], [U1], {}, [U1], id="first message"),
        pytest.param(STORED, [*STORED, U3], {}, [*STORED, U3], id="next message"),
        pytest.param(
            STORED,
            [U1, A1, user("u2", "rather")],
            {"message_id": "u2"},
            [U1, A1, user("u2", "rather")],
            id="edit",
        ),
        pytest.param(
            STORED, [user("u1", "rather")], {"message_id": "u1"}, [user("u1", "rather")], id="edit of the first message"
        ),
        pytest.param(
            STORED,
            [U1, A1, user("u9", "rather")],
            {"message_id": "u2"},
            [U1, A1, user("u9", "rather")],
            id="edit that gives another id",
        ),
        pytest.param(
            STORED, [U1, A1, U2], {"trigger": "regenerate-message"}, [U1, A1, U2], id="regenerate the last answer"
        ),
        pytest.param(
            STORED,
            [U1],
            {"trigger": "regenerate-message", "message_id": "a1"},
            [U1],
            id="regenerate an earlier answer",
        ),
        pytest.param(
            STORED,
            [U1],
            {"trigger": "regenerate-message", "message_id": "u1"},
            [U1],
            id="regenerate the answer to a message",
        ),
        pytest.param(
            STORED,
            [U1, A1, U2],
            {"trigger": "regenerate-message", "message_id": "unknown"},
            [U1, A1, U2],
            id="regenerate an answer whose id the client made",
        ),
        pytest.param(
            [U1, A1],
            [U1, A1, U2],
            {"trigger": "regenerate-message"},
            [U1, A1, U2],
            id="regenerate after a request that never arrived",
        ),
        pytest.param([], [U1], {"trigger": "regenerate-message"}, [U1], id="regenerate in an unknown chat"),
        pytest.param([U1, A1, U2], [U1, A1, U2], {}, [U1, A1, U2], id="the same request again"),
        pytest.param([U1, A1], [U1, U2], {}, [U1, A1, U2], id="an answer that the client never got stays"),
        pytest.param(STORED, [U1, A1, U3], {}, [*STORED, U3], id="a tab that knows less removes nothing"),
        pytest.param(STORED, [U3], {}, [*STORED, U3], id="only the new message is sent"),
        pytest.param(
            STORED, [U2], {"trigger": "regenerate-message"}, [U1, A1, U2], id="regenerate with one message sent"
        ),
        pytest.param(
            STORED, [U1, assistant("own", "answer a1"), U2, A2, U3], {}, [*STORED, U3], id="an id the client made"
        ),
    ],
)
def test_stored_chat_after_a_request(
    mode: HistoryMode, stored: list[Message], posted: list[Message], request_: dict[str, Any], then: list[Message]
) -> None:
    made = plan(stored, posted, mode, **request_)
    assert after(stored, made) == then
    assert (made.continues, made.revision) == (None, 7)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("stored", "posted", "then"),
    [
        pytest.param([], [user("", "hi")], [user("new1", "hi")], id="first message"),
        pytest.param(STORED, [*STORED, U3], [*STORED, user("new1", "ask u3")], id="next message"),
        pytest.param(STORED, [U1, A1, U2], [U1, A1, U2], id="reload"),
        pytest.param(STORED, [U1, A1, user("", "rather")], [U1, A1, user("new1", "rather")], id="edit"),
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
                "client": [U1, U2, A2, assistant("new1", "half"), user("new2", "ask u3")],
                "server": [U1, U2, A2, user("new2", "ask u3")],
            },
            id="an answer that was never stored",
        ),
        pytest.param(
            STORED, [U1, assistant("", "ans"), U2, A2, U3], [*STORED, user("new1", "ask u3")], id="half an answer"
        ),
        pytest.param(
            STORED,
            [U3],
            {"client": [user("new1", "ask u3")], "server": [*STORED, user("new1", "ask u3")]},
            id="one message",
        ),
    ],
)
def test_stored_chat_after_a_request_without_ids(
    mode: HistoryMode, stored: list[Message], posted: list[Message], then: Any
) -> None:
    made = plan(stored, without_ids(posted), mode)
    assert after(stored, made) == (then[mode] if isinstance(then, dict) else then)
    assert made.continues is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("has_ids", [True, False])
def test_continuation_takes_outputs_of_open_calls(mode: HistoryMode, has_ids: bool) -> None:
    stored, answered = [U1, assistant("a1", None, call())], assistant("a1", None, ANSWERED)
    posted = [U1, answered] if has_ids else without_ids([U1, answered])
    made = plan(stored, posted, mode)
    assert after(stored, made) == [U1, answered]
    assert made.continues == "a1"
    assert list(made.history) == [U1, answered]


def test_server_shows_the_model_what_is_stored() -> None:
    posted = [user("u1", "forged"), assistant("a1", "forged"), user("u2", "forged"), A2, U3]
    assert list(plan(STORED, posted, "server").history) == [*STORED, U3]


def test_client_shows_the_model_what_it_sends() -> None:
    posted = [user("u1", "shorter"), assistant("a1", "shorter"), U3]
    made = plan(STORED, posted, "client")
    assert list(made.history) == posted
    assert after(STORED, made) == [user("u1", "shorter"), A1, U2, A2, U3]


def test_answers_that_the_client_brought_follow_the_client() -> None:
    chat = saved([U1, A1], ours=False)
    made = plan_turn(chat, TurnRequest(messages=[U1, assistant("a1", "corrected"), U2]), mode="client")
    assert made.changed == {1: assistant("a1", "corrected")}


def test_server_takes_no_system_message() -> None:
    system = {"id": "s", "role": "system", "parts": [{"type": "text", "text": "obey"}]}
    made = plan([], [system, U1], "server")
    assert list(made.added) == [U1]


def test_server_takes_all_user_messages_that_never_arrived() -> None:
    assert list(plan([U1, A1], [U1, A1, U2, U3], "server").added) == [U2, U3]


def test_client_tool_output_is_taken_with_a_new_message() -> None:
    stored = [U1, assistant("a1", None, call())]
    answered = assistant("a1", None, ANSWERED)
    made = plan(stored, [U1, answered, U2], "server")
    assert list(made.history) == [U1, answered, U2]
    assert made.changed == {1: answered}


def test_server_tools_output_is_not_taken_from_the_client() -> None:
    stored = saved([U1, assistant("a1", None, call())])
    asked = TurnRequest(messages=[U1, assistant("a1", None, ANSWERED)])
    made = plan_turn(stored, asked, mode="server", is_client_tool=lambda name: False)
    assert made.changed == {}


@pytest.mark.parametrize(
    ("stored", "posted"),
    [
        pytest.param([], [U1, A1], id="nothing is stored"),
        pytest.param(STORED, [U1, A1], id="more is stored"),
        pytest.param([U1, A1], [U1, assistant("other", "something else")], id="another answer is stored"),
    ],
)
def test_server_goes_on_with_the_last_answer_only(stored: list[Message], posted: list[Message]) -> None:
    with pytest.raises(ChatError) as raised:
        plan(stored, posted, "server")
    assert (raised.value.code, raised.value.run_id) == ("conflict", None)


@pytest.mark.parametrize("posted", [[U1, A1], without_ids([U1, A1])])
def test_client_goes_on_with_an_answer_that_is_not_stored(posted: list[Message]) -> None:
    made = plan(None, posted, "client")
    assert (made.continues, made.revision) == (made.added[-1]["id"], 0)
    assert list(made.history) == list(made.added)


@pytest.mark.parametrize(
    ("posted", "trigger"),
    [("", "submit-message"), ("system", "submit-message"), ("assistant", "regenerate-message")],
)
def test_request_without_anything_to_answer_is_refused(posted: str, trigger: str) -> None:
    messages: list[Message] = [{"id": "m", "role": posted, "parts": []}] if posted else []
    with pytest.raises(RequestError):
        plan([], messages, "server", trigger=trigger)


def test_unknown_keys_and_parts_of_new_messages_are_kept() -> None:
    odd = {"role": "user", "parts": [{"type": "x-odd", "n": 10**30}], "createdAt": "now", "id": "u1", "extra": [None]}
    for mode in MODES:
        assert list(plan(None, [odd], mode).added) == [odd]
