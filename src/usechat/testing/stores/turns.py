"""The checks of turns and paths in a chat store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from usechat.chats.store import ChatStore
from usechat.chats.tool_errors import with_tool_errors
from usechat.chats.tree import EndStatus
from usechat.errors import ChatError
from usechat.testing.stores.chats import (
    Message,
    assistant,
    begin,
    codes,
    contents,
    converse,
    plan_new,
    statuses,
    user,
)

__all__ = ["TurnChecks"]


class TurnChecks:
    """Turns begin, end once, and leave the messages and the path that they should."""

    async def test_turn_saves_what_was_said(self, store: ChatStore) -> None:
        held = await begin(store, "r1", user("u1", "What a day"))
        assert (held.active_run_id, held.title) == ("r1", "What a day")
        answer = assistant("a1", metadata={"k": 1})
        assert await store.finish_turn("r1", status="whole", message=answer, usage={"out": 3}, finish_reason="stop")
        saved = await store.load_chat("ada", "c")
        assert contents(saved) == [user("u1", "What a day"), answer]
        assert [message.number for message in saved.messages] == [0, 1]
        assert saved.chat.active_run_id is None
        last = saved.messages[-1]
        assert (last.role, last.status, last.usage, last.finish_reason, last.run_id) == (
            "assistant",
            "whole",
            {"out": 3},
            "stop",
            "r1",
        )
        assert saved.chat.created_at <= saved.messages[0].created_at <= last.created_at <= saved.chat.updated_at

    async def test_turn_has_ended_when_its_chat_was_last_changed(self, store: ChatStore, other: ChatStore) -> None:
        await begin(store, "r1", user("u1"))
        opened = await store.find_turn("r1")
        assert opened is not None
        assert opened.ended_at is None
        await store.finish_turn("r1", status="whole", message=assistant("a1"))
        for one in (store, other):
            turn = await one.find_turn("r1")
            assert turn is not None
            assert turn.ended_at == (await one.get_chat("ada", "c")).updated_at
        await begin(store, "r2", user("u1"), assistant("a1"), user("u2"))
        await store.finish_turn("r2", status="failed")
        first, second = await store.find_turn("r1"), await store.find_turn("r2")
        assert first is not None
        assert second is not None
        assert first.ended_at != second.ended_at == (await store.get_chat("ada", "c")).updated_at

    async def test_title_that_is_given_stays(self, store: ChatStore) -> None:
        plan = plan_new(None, user("u1"))
        assert (await store.begin_turn("ada", "c", "r1", plan, title="Mine")).title == "Mine"
        await store.finish_turn("r1", status="whole")
        assert (await begin(store, "r2", user("u2", "Another"))).title == "Mine"

    async def test_chat_can_be_made_before_its_first_turn(self, store: ChatStore) -> None:
        made = await store.create_chat("ada", "c", metadata={"color": "red"})
        assert (made.revision, made.title, made.metadata) == (0, None, {"color": "red"})
        assert await store.create_chat("ada", "c", title="Other") == made
        assert contents(await store.load_chat("ada", "c")) == []
        held = await begin(store, "r1", user("u1", "First words"))
        assert (held.title, held.metadata) == ("First words", {"color": "red"})

    async def test_many_that_make_a_chat_make_one(self, store: ChatStore, other: ChatStore) -> None:
        made = await asyncio.gather(*(which.create_chat("ada", "c") for which in (store, other) * 10))
        assert set(map(repr, made)) == {repr(await store.get_chat("ada", "c"))}

    @pytest.mark.parametrize("is_new", [True, False], ids=["new chat", "old chat"])
    async def test_of_many_turns_on_one_chat_one_wins(self, store: ChatStore, other: ChatStore, is_new: bool) -> None:
        if not is_new:
            await store.create_chat("ada", "c")
        plans = [plan_new(None, user(f"u{number}")) for number in range(20)]
        tries = (
            which.begin_turn("ada", "c", f"r{number}", plan)
            for number, (plan, which) in enumerate(zip(plans, (store, other) * 10, strict=True))
        )
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert codes(results) == ["conflict"] * 19
        winner = (await store.get_chat("ada", "c")).active_run_id
        assert winner is not None
        assert {result.run_id for result in results if isinstance(result, ChatError)} == {winner}
        assert contents(await store.load_chat("ada", "c")) == [user(f"u{winner.removeprefix('r')}")]
        assert [turn.run_id for turn in await store.open_turns()] == [winner]

    async def test_turn_ends_once(self, store: ChatStore, other: ChatStore) -> None:
        await begin(store, "r1", user("u1"))
        ends: list[EndStatus] = ["whole", "lost"]
        tries = [
            which.finish_turn("r1", status=status, message=assistant("a1", status))
            for which in (store, other) * 5
            for status in ends
        ]
        assert sorted(await asyncio.gather(*tries)) == [False] * 19 + [True]
        saved = (await store.load_chat("ada", "c")).messages
        assert len(saved) == 2
        assert saved[1].message["parts"][0]["text"] == saved[1].status
        turn = await store.find_turn("r1")
        assert turn is not None
        assert (turn.status, turn.is_open) == (saved[1].status, False)

    async def test_end_that_is_asked_for_again_is_told_the_same(self, store: ChatStore, other: ChatStore) -> None:
        await begin(store, "r1", user("u1"))
        end: dict[str, Any] = {"status": "whole", "message": assistant("a1"), "usage": {"out": 1}}
        assert await store.finish_turn("r1", **end, attempt="first")
        assert await other.finish_turn("r1", **end, attempt="first")
        assert not await other.finish_turn("r1", **end, attempt="second")
        assert not await store.finish_turn("r1", **end)
        saved = await store.load_chat("ada", "c")
        assert (contents(saved), saved.messages[1].usage) == ([user("u1"), assistant("a1")], {"out": 1})

    async def test_texts_for_the_model_are_kept_beside_the_message(self, store: ChatStore) -> None:
        await begin(store, "r1", user("u1"))
        await store.finish_turn("r1", status="whole", message=with_tool_errors(assistant("a1"), {"t1": "disk full"}))
        saved = await store.load_chat("ada", "c")
        assert contents(saved) == [user("u1"), assistant("a1")]
        assert saved.messages[1].tool_errors == {"t1": "disk full"}

    async def test_late_end_of_a_lost_turn_changes_nothing(self, store: ChatStore) -> None:
        await begin(store, "r1", user("u1"))
        assert await store.finish_turn("r1", status="lost", message=assistant("a1", "ha"))
        await begin(store, "r2", user("u1"), assistant("a1"), user("u2"))
        before = await store.load_chat("ada", "c")
        assert not await store.finish_turn("r1", status="whole", message=assistant("a1", "half and half"))
        assert await store.load_chat("ada", "c") == before

    async def test_turn_that_never_began_does_not_end(self, store: ChatStore) -> None:
        assert not await store.finish_turn("nobody", status="whole", message=assistant("a1"))
        assert await store.find_turn("nobody") is None

    async def test_beginning_again_for_the_same_run_changes_nothing(self, store: ChatStore) -> None:
        plan = plan_new(None, user("u1"))
        held = await store.begin_turn("ada", "c", "r1", plan)
        assert await store.begin_turn("ada", "c", "r1", plan) == held
        assert len(await store.open_turns()) == 1

    async def test_plan_on_an_earlier_state_is_refused(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        stale = await store.load_chat("ada", "c")
        plan = plan_new(stale, user("u2"))
        await begin(store, "r2", user("u3"))
        await store.finish_turn("r2", status="aborted")
        with pytest.raises(ChatError) as raised:
            await store.begin_turn("ada", "c", "r3", plan)
        assert (raised.value.code, raised.value.run_id) == ("conflict", None)

    async def test_plan_on_a_deleted_chat_is_refused(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        plan = plan_new(await store.load_chat("ada", "c"), user("u2"))
        await store.delete_chat("ada", "c")
        with pytest.raises(ChatError) as raised:
            await store.begin_turn("ada", "c", "r2", plan)
        assert (raised.value.code, raised.value.run_id) == ("conflict", None)

    async def test_edit_begins_a_branch_and_both_can_be_shown(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        await begin(store, "r2", user("c-u", "Hello"), assistant("c-a"), user("u2"))
        await store.finish_turn("r2", status="whole", message=assistant("a2"))
        before = [user("c-u", "Hello"), assistant("c-a"), user("u2"), assistant("a2")]
        assert contents(await store.load_chat("ada", "c")) == before

        await begin(store, "r3", user("c-u", "Good morning"), message_id="c-u")
        await store.finish_turn("r3", status="whole", message=assistant("a3"))
        edited = await store.load_chat("ada", "c")
        assert contents(edited) == [user("c-u", "Good morning"), assistant("a3")]
        assert [(one.number, one.parent) for one in edited.tree.messages] == [
            (0, None),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, None),
            (5, 4),
        ]

        chosen = await store.choose_path("ada", "c", 0)
        assert contents(chosen) == before
        assert await store.load_chat("ada", "c") == chosen
        assert chosen.chat.revision > edited.chat.revision

    async def test_second_answer_is_a_sibling_of_the_first(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        await begin(store, "r2", user("c-u", "Hello"), trigger="regenerate-message")
        assert contents(await store.load_chat("ada", "c")) == [user("c-u", "Hello")]
        await store.finish_turn("r2", status="whole", message=assistant("a2", "Hey"))
        saved = await store.load_chat("ada", "c")
        assert contents(saved) == [user("c-u", "Hello"), assistant("a2", "Hey")]
        assert [one.id for one in saved.tree.siblings(saved.messages[1])] == ["c-a", "a2"]

    async def test_hidden_messages_are_not_shown_and_not_found(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        await begin(store, "r2", user("c-u", "Hello"), assistant("c-a"), user("u2", "Zanzibar"))
        await store.finish_turn("r2", status="whole", message=assistant("a2"))
        await begin(store, "r3", user("c-u", "Hello"), trigger="regenerate-message")
        await store.finish_turn("r3", status="whole", message=assistant("a3", "Hey"))
        assert (await store.list_chats("ada", search="zanzibar")).chats

        # A branch that is not shown.
        assert contents(await store.hide_message("ada", "c", 1)) == [user("c-u", "Hello"), assistant("a3", "Hey")]
        assert not (await store.list_chats("ada", search="zanzibar")).chats
        # Once more changes nothing.
        assert [one.number for one in (await store.hide_message("ada", "c", 2)).tree.visible] == [0, 4]

        # The one that is shown: what is left before it.
        left = await store.hide_message("ada", "c", 4)
        assert (contents(left), left.chat.leaf) == ([user("c-u", "Hello")], 0)
        assert await store.load_chat("ada", "c") == left
        await begin(store, "r4", user("c-u", "Hello"), user("u5"))
        assert contents(await store.load_chat("ada", "c")) == [user("c-u", "Hello"), user("u5")]

    async def test_sibling_of_a_hidden_message_is_shown_in_its_place(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        await begin(store, "r2", user("c-u", "Hello"), trigger="regenerate-message")
        await store.finish_turn("r2", status="whole", message=assistant("a2", "Hey"))
        assert contents(await store.hide_message("ada", "c", 2)) == [user("c-u", "Hello"), assistant("c-a")]

    @pytest.mark.parametrize("number", [-1, 2, 10**6])
    async def test_path_through_no_message_is_refused(self, store: ChatStore, number: int) -> None:
        await converse(store, "c", "Hello", "Hi")
        tries = (store.choose_path("ada", "c", number), store.hide_message("ada", "c", number))
        assert codes(await asyncio.gather(*tries, return_exceptions=True)) == ["missing"] * 2

    async def test_path_is_not_changed_while_an_answer_is_made(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        await begin(store, "r2", user("c-u", "Hello"), trigger="regenerate-message")
        tries = (store.choose_path("ada", "c", 1), store.hide_message("ada", "c", 1))
        assert codes(await asyncio.gather(*tries, return_exceptions=True)) == ["conflict"] * 2
        assert contents(await store.load_chat("ada", "c")) == [user("c-u", "Hello")]

    async def test_continued_message_is_replaced_where_it_stands(self, store: ChatStore) -> None:
        call: Message = {"type": "tool-ask", "toolCallId": "t1", "state": "input-available", "input": 1}
        output: Message = {**call, "state": "output-available", "output": None}
        asking: Message = {"id": "a1", "role": "assistant", "parts": [call]}
        answered: Message = {**asking, "parts": [output]}
        await begin(store, "r1", user("u1"))
        await store.finish_turn("r1", status="whole", message=asking, usage={"out": 1})
        created_at = (await store.load_chat("ada", "c")).messages[1].created_at

        await begin(store, "r2", user("u1"), answered)
        saved = await store.load_chat("ada", "c")
        assert contents(saved) == [user("u1"), answered]
        assert statuses(saved) == ["whole", "streaming"]

        # The id may be another one: older clients tell none.
        done: Message = {**answered, "id": "renamed", "parts": [output, {"type": "text", "text": "Blue."}]}
        await store.finish_turn("r2", status="aborted", message=done, usage={"out": 2})
        saved = await store.load_chat("ada", "c")
        assert contents(saved) == [user("u1"), done]
        last = saved.messages[1]
        assert (last.status, last.usage, last.run_id, last.created_at) == ("aborted", {"out": 3}, "r2", created_at)

    async def test_continued_message_is_not_whole_when_its_run_is_lost(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        await begin(store, "r2", user("c-u"), assistant("c-a", "Hi"))
        assert await store.finish_turn("r2", status="lost")
        saved = await store.load_chat("ada", "c")
        assert contents(saved) == [user("c-u"), assistant("c-a", "Hi")]
        assert statuses(saved) == ["whole", "lost"]

    async def test_turn_that_wrote_nothing_leaves_no_message(self, store: ChatStore) -> None:
        await begin(store, "r1", user("u1"))
        assert await store.finish_turn("r1", status="failed", usage={"out": 0})
        saved = await store.load_chat("ada", "c")
        assert contents(saved) == [user("u1")]
        assert saved.chat.active_run_id is None

    async def test_half_message_that_a_client_brings_is_partial(self, store: ChatStore) -> None:
        half: Message = {
            "id": "a1",
            "role": "assistant",
            "parts": [{"type": "text", "text": "Ha", "state": "streaming"}],
        }
        await begin(store, "r1", user("u1"), half, user("u2"))
        await store.finish_turn("r1", status="failed")
        assert statuses(await store.load_chat("ada", "c")) == ["whole", "partial", "whole"]
        await begin(store, "r2", user("u1"), assistant("a1", "Half"), user("u3"))
        assert statuses(await store.load_chat("ada", "c")) == ["whole", "whole", "whole"]

    async def test_open_turns_are_found(self, store: ChatStore) -> None:
        await begin(store, "r1", user("u1"), chat="one")
        await begin(store, "r2", user("u1"), chat="two", owner="bob")
        await store.finish_turn("r0", status="whole")
        turns = await store.open_turns()
        assert [(turn.run_id, turn.chat_id, turn.owner) for turn in turns] == [
            ("r1", "one", "ada"),
            ("r2", "two", "bob"),
        ]
        assert list(await store.open_turns(before=turns[1].began_at)) == [turns[0]]
        assert await store.find_turn("r2") == turns[1]

    async def test_chat_that_is_deleted_while_its_turn_ends_keeps_nothing_of_it(
        self, store: ChatStore, other: ChatStore
    ) -> None:
        chats = [f"c{number}" for number in range(20)]
        for chat in chats:
            await begin(store, f"run-{chat}", user("u1"), chat=chat)
        endings = [store.finish_turn(f"run-{chat}", status="whole", message=assistant("a1")) for chat in chats]
        deletions = [other.delete_chat("ada", chat) for chat in chats]
        ended = await asyncio.gather(*endings, *deletions)
        assert ended[: len(chats)] == [True] * len(chats)
        assert await store.open_turns() == []
        assert [await store.maybe_load_chat("ada", chat) for chat in chats] == [None] * len(chats)
