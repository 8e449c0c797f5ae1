"""The checks of owners, ids, titles, metadata and lists of chats in a store."""

from __future__ import annotations

import asyncio
import json

import pytest

from usechat.chats.store import ChatStore, TurnPlan
from usechat.errors import RequestError
from usechat.testing.stores.chats import Message, assistant, begin, codes, contents, converse, user

__all__ = ["ListChecks"]


class ListChecks:
    """Chats belong to their owner, are listed and found, and keep what they are given."""

    async def test_chat_of_another_owner_is_closed(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        plan = TurnPlan(revision=2)
        tries = [
            store.get_chat("bob", "c"),
            store.load_chat("bob", "c"),
            store.create_chat("bob", "c"),
            store.update_chat("bob", "c", title="Mine now"),
            store.delete_chat("bob", "c"),
            store.begin_turn("bob", "c", "r2", plan),
        ]
        results = [(await asyncio.gather(one, return_exceptions=True))[0] for one in tries]
        assert codes(results) == ["forbidden"] * 6
        assert (await store.list_chats("bob")).chats == []
        assert contents(await store.load_chat("ada", "c")) == [user("c-u"), assistant("c-a")]

    async def test_chat_that_is_not_there_is_missing(self, store: ChatStore) -> None:
        tries = [
            store.get_chat("ada", "c"),
            store.load_chat("ada", "c"),
            store.update_chat("ada", "c", title="T"),
            store.delete_chat("ada", "c"),
        ]
        assert codes(await asyncio.gather(*tries, return_exceptions=True)) == ["missing"] * 4

    @pytest.mark.parametrize(("chat_id", "status"), [("", 400), ("x" * 1001, 422)])
    async def test_id_that_cannot_be_one_is_refused(self, store: ChatStore, chat_id: str, status: int) -> None:
        for attempt in (store.create_chat("ada", chat_id), begin(store, "r1", user("u1"), chat=chat_id)):
            with pytest.raises(RequestError) as raised:
                await attempt
            assert (raised.value.status, raised.value.path) == (status, "id")

    async def test_longest_ids_are_kept(self, store: ChatStore) -> None:
        owner, chat = "o" * 1000, "ö" * 500
        await begin(store, "r1", user("u" * 100_000), chat=chat, owner=owner)
        assert await store.finish_turn("r1", status="whole", message=assistant("a" * 100_000))
        assert len((await store.load_chat(owner, chat)).messages) == 2

    async def test_odd_message_comes_back_as_it_was(self, store: ChatStore) -> None:
        odd: Message = {
            "id": "\x00\u2028é😀",
            "role": "user",
            "parts": [
                {"type": "text", "text": "a\x00b \ud800 \\ '\"%"},
                {"type": "data-x", "data": {"": [None, True, 0.1, -0.0, 2**53, {}, []], "b": 1, "a": 2}},
            ],
            "metadata": None,
            "x-unknown": [1.0, 1],
        }
        await begin(store, "r1", odd, chat="c /\x00é😀")
        [kept] = contents(await store.load_chat("ada", "c /\x00é😀"))
        assert json.dumps(kept) == json.dumps(odd)

    async def test_title_and_metadata_change_alone(self, store: ChatStore) -> None:
        await store.create_chat("ada", "c", title="Old", metadata={"a": 1, "b": {"c": 2, "d": 3}})
        before = await store.get_chat("ada", "c")
        named = await store.update_chat("ada", "c", title="New \x00 \ud800")
        assert (named.title, named.metadata, named.updated_at) == (
            "New \x00 \ud800",
            before.metadata,
            before.updated_at,
        )
        patched = await store.update_chat("ada", "c", metadata={"a": None, "b": {"c": 5}})
        assert (patched.title, patched.metadata) == (named.title, {"b": {"c": 5, "d": 3}})
        assert await store.update_chat("ada", "c") == patched
        assert (await store.update_chat("ada", "c", title=None)).title is None

    async def test_title_that_has_changed_meanwhile_stays(self, store: ChatStore) -> None:
        await store.create_chat("ada", "c")
        assert (await store.update_chat("ada", "c", title="Made", if_title=None)).title == "Made"
        assert (await store.update_chat("ada", "c", title="Late", metadata={"a": 1}, if_title=None)).title == "Made"
        chat = await store.update_chat("ada", "c", title="Mine", if_title="Made")
        assert (chat.title, chat.metadata) == ("Mine", {})

    async def test_patches_at_once_are_all_kept(self, store: ChatStore, other: ChatStore) -> None:
        await store.create_chat("ada", "c")
        patches = (which.update_chat("ada", "c", metadata={str(n): n}) for n, which in enumerate((store, other) * 10))
        await asyncio.gather(*patches)
        assert (await store.get_chat("ada", "c")).metadata == {str(n): n for n in range(20)}

    async def test_deleted_chat_is_gone(self, store: ChatStore) -> None:
        await converse(store, "c", "Hello", "Hi")
        assert (await store.delete_chat("ada", "c")).title == "Hello"
        assert (await store.list_chats("ada")).chats == []
        assert await store.find_turn("run-c") is None
        await begin(store, "r2", user("u2"))
        assert contents(await store.load_chat("ada", "c")) == [user("u2")]

    async def test_turn_of_a_deleted_chat_ends_and_saves_nothing(self, store: ChatStore) -> None:
        await begin(store, "r1", user("u1"))
        assert (await store.delete_chat("ada", "c")).active_run_id == "r1"
        await begin(store, "r2", user("u2"))
        assert await store.finish_turn("r1", status="aborted", message=assistant("a1"))
        assert not await store.finish_turn("r1", status="lost", message=assistant("a1"))
        saved = await store.load_chat("ada", "c")
        assert (contents(saved), saved.chat.active_run_id) == ([user("u2")], "r2")

    async def test_pages_hold_every_chat_once_latest_first(self, store: ChatStore) -> None:
        for number in range(7):
            await store.create_chat("ada", f"c{number}")
        await store.create_chat("bob", "other")
        seen: list[str] = []
        cursor = None
        for size in (3, 3, 1):
            page = await store.list_chats("ada", limit=3, cursor=cursor)
            assert len(page.chats) == size
            seen += [chat.id for chat in page.chats]
            cursor = page.next_cursor
        assert cursor is None
        assert seen == [f"c{number}" for number in reversed(range(7))]

    async def test_turn_brings_its_chat_to_the_front(self, store: ChatStore) -> None:
        for number in range(3):
            await store.create_chat("ada", f"c{number}")
        await store.update_chat("ada", "c1", title="A new name moves nothing")
        await begin(store, "r1", user("u1"), chat="c0")
        assert [chat.id for chat in (await store.list_chats("ada")).chats] == ["c0", "c2", "c1"]

    async def test_page_has_at_least_one_chat_and_at_most_a_hundred(self, store: ChatStore) -> None:
        await asyncio.gather(*(store.create_chat("ada", f"c{number}") for number in range(101)))
        assert [len((await store.list_chats("ada", limit=limit)).chats) for limit in (-1, 1000)] == [1, 100]

    async def test_foreign_cursor_is_refused(self, store: ChatStore) -> None:
        with pytest.raises(RequestError):
            await store.list_chats("ada", cursor="nonsense")

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("", ["food", "trip"]),
            ("  ", ["food", "trip"]),
            ("STRASSE", ["trip"]),
            ("straße berlin", ["trip"]),
            ("soup", ["food"]),
            ("SOUP é", ["food"]),
            ("soup berlin", []),
            ("100%", ["food"]),
            ("100_", []),
            ("\\", []),
            ("%", ["food"]),
            ("re[d", []),
            ("renamed", ["trip"]),
            ("\x00\ud800", []),
            ("x" * 100_000, []),
        ],
    )
    async def test_search_finds_words_in_titles_and_texts(
        self, store: ChatStore, search: str, found: list[str]
    ) -> None:
        await converse(store, "trip", "How do I get there?", "Take the Straße to Berlin.")
        await store.update_chat("ada", "trip", title="Renamed")
        await converse(store, "food", "Soup", "100% café: É")
        await converse(store, "bobs", "soup berlin straße", "100%", owner="bob")
        assert [chat.id for chat in (await store.list_chats("ada", search=search)).chats] == found
