"""Which histories are in order as they are; and such in which a server used an id again, as some servers do."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usechat.models.claude.request.repairs import arrange, is_orderly, put_in_order, repair_messages

ASKED = {"role": "user", "content": [{"type": "text", "text": "Search"}]}


def answer(url: str) -> dict[str, Any]:
    found = [{"type": "web_search_result", "url": url, "title": url, "encrypted_content": "e", "page_age": None}]
    return {
        "role": "assistant",
        "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tide"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found},
        ],
    }


def searches(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    blocks = [message["content"] for message in messages if message["role"] == "assistant"]
    return [(call["id"], result["tool_use_id"], result["content"][0]["url"]) for call, result in blocks]


@pytest.mark.parametrize(("takes_repeated_ids", "second"), [(False, "srvtoolu_1_2"), (True, "srvtoolu_1")])
def test_each_search_keeps_what_it_found(takes_repeated_ids: bool, second: str):
    history: list[Any] = [ASKED, answer("https://one.example"), ASKED, answer("https://two.example"), ASKED]
    repaired: list[Any] = repair_messages(history, takes_repeated_ids=takes_repeated_ids)
    assert searches(repaired) == [
        ("srvtoolu_1", "srvtoolu_1", "https://one.example"),
        (second, second, "https://two.example"),
    ]


Message = dict[str, Any]
EXAMPLES = 8 * settings().max_examples
"""One history in five is in order."""
SAID = {"type": "text", "text": "Hi"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://a.b"}}


def call(id_: str = "1", name: str = "look_up", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": {}, **more}


def result(id_: str = "1") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": "done"}


def user(*blocks: dict[str, Any]) -> Message:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> Message:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    "history",
    [
        [user(SAID)],
        [user(IMAGE, SAID), user(), user(SAID), assistant(SAID), user(SAID)],
        [user(SAID), assistant(call(), SAID, call("2")), user(result()), user(result("2")), user(SAID)],
        [user(SAID), assistant(call()), user(result()), assistant(call("2")), user(result("2"), IMAGE)],
    ],
)
def test_an_ordinary_history_is_in_order(history: list[Message]):
    turns = arrange(history)
    assert is_orderly(turns)
    assert repair_messages(turns) == turns


@pytest.mark.parametrize(
    "history",
    [
        [],
        [assistant(SAID), user(SAID)],
        [user(SAID), assistant(SAID)],
        [user(SAID), assistant(), user(SAID)],
        [user(SAID), {"role": "system", "content": [SAID]}, user(SAID)],
        [user(SAID), assistant({"type": "thinking", "thinking": "", "signature": "s"}, SAID), user(SAID)],
        [user(SAID), assistant(call()), user(SAID)],
        [user(SAID), assistant(call()), user(SAID, result())],
        [user(SAID), assistant(call()), user(result("2"))],
        [user(SAID), assistant(call()), user(result(), result())],
        [user(SAID), assistant(call(), call("2")), user(result("2"), result())],
        [user(SAID), assistant(call(), call()), user(result())],
        [user(SAID), assistant(call()), user(result()), assistant(call()), user(result())],
        [user(SAID), assistant(call("a b")), user(result("a b"))],
        [user(SAID), assistant(call("")), user(result(""))],
        [user(SAID), assistant(call(name="x y")), user(result())],
        [user(SAID), assistant(call(name="x" * 129)), user(result())],
        [user(SAID), assistant(call(caller={"type": "direct"})), user(result())],
    ],
)
def test_any_other_history_is_looked_at_with_care(history: list[Message]):
    assert not is_orderly(arrange(history))


ids = st.sampled_from(["1", "2", "3", "4", "5", "6", "7", "8", "a b"])
users_blocks = st.one_of(st.just(SAID), st.just(IMAGE), st.builds(result, ids))
own_blocks = st.one_of(
    st.just(SAID), st.builds(call, ids), st.just({"type": "thinking", "thinking": "", "signature": ""})
)
turns_of_any_kind = st.one_of(st.builds(user, users_blocks), st.builds(assistant, own_blocks, own_blocks))


def answered(ids: list[str], said: list[dict[str, Any]]) -> list[Message]:
    return [user(SAID), assistant(SAID, *map(call, ids)), user(*map(result, ids), *said)]


exchanges = st.builds(answered, st.lists(ids, max_size=2), st.lists(users_blocks, max_size=1))
histories = st.lists(st.one_of(exchanges, exchanges, exchanges, st.lists(turns_of_any_kind, max_size=1)), max_size=4)


@settings(max_examples=EXAMPLES)
@given(histories, st.booleans())
def test_nothing_is_repaired_in_what_is_in_order(history: list[list[Message]], takes_repeated_ids: bool):
    turns = arrange([message for messages in deepcopy(history) for message in messages])
    was_orderly, before = is_orderly(turns), deepcopy(turns)
    repaired = put_in_order(turns, takes_repeated_ids=takes_repeated_ids)
    assert not was_orderly or repaired == before
