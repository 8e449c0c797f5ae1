"""Several tabs of one chat in any order of what people and networks do, on the planner and the store alone.

Beside the store stands a copy of all that was ever saved. Whatever happens, nothing of it is lost or changed but by the
run that owns it, no tool runs twice, no question is answered twice because its response was lost, and whoever loads the
chat has the same tree. The tabs are AI SDK 4, which posts no ids, 5 and later, and one that posts its last message.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Final, Literal, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.integration.simulated_tabs import OWNER, Backend, ClientKind, Ending, Message, Run, Tab, text_of, tool_parts
from tests.support.databases import DATABASES, make_migrated_url
from usechat.chats.history import HistoryMode, Repeated
from usechat.chats.places import show_place
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import ChatStore, SavedChat, TurnPlan
from usechat.chats.tree import SavedMessage
from usechat.errors import ChatError

Fate: TypeAlias = Literal["read", "cut", "lost", "never sent"]
"""What becomes of a request: the client reads all, a part or nothing of its answer, or the server never gets it."""

CHATS = itertools.count(1)
TABS = st.integers(0, 2)
PLACES = st.integers(0, 9)
FATES = st.sampled_from(["read", "read", "read", "cut", "lost", "never sent"])
ENDINGS = st.sampled_from(
    ["words", "words", "approval", "approval", "client's tool", "stopped", "stopped at once", "failed"]
)
KINDS = st.sampled_from(["with ids", "with ids", "without ids", "last message"])
OPEN: Final = {
    "approval-requested": {"approval-responded", "output-available", "output-denied", "output-error"},
    "approval-responded": {"output-available", "output-denied", "output-error"},
    "input-available": {"output-available"},
}
"""What may become of a call that is open."""


class TabsOfOneChat(RuleBasedStateMachine):
    """Args: store, runner and mode, as for `Backend`."""

    def __init__(self, store: ChatStore, runner: asyncio.Runner, mode: HistoryMode) -> None:
        super().__init__()
        self.backend = Backend(store, runner, f"chat-{next(CHATS)}", mode)
        self.tabs: list[Tab] = []
        self.saved: dict[int, SavedMessage] = {}
        """All that was ever saved, as it was last."""
        self.answered: dict[str, int] = {}
        """The answers that are whole, by the request that asked for them."""
        self.owned: set[int] = set()
        """The messages that the open run, or the one that ended last, may change."""

    @initialize(kinds=st.tuples(KINDS, KINDS, KINDS))
    def open_tabs(self, kinds: tuple[ClientKind, ...]) -> None:
        self.tabs = [Tab(kind) for kind in kinds]

    # What people do.

    @rule(at=TABS, fate=FATES, is_usual=st.booleans())
    def send(self, at: int, fate: Fate, is_usual: bool) -> None:
        tab = self.tabs[at]
        tab.messages.append(self.words("again" if is_usual else None))
        self.ask(tab, fate, trigger="submit-message")

    @rule(at=TABS, place=PLACES, fate=FATES, is_changed=st.booleans())
    def edit(self, at: int, place: int, fate: Fate, is_changed: bool) -> None:
        tab = self.tabs[at]
        if (index := pick_users(tab, place)) is None:
            return
        message_id = self.edit_copy(tab, index, is_changed=is_changed)
        self.ask(tab, fate, trigger="submit-message", messageId=message_id)

    @rule(at=TABS, place=PLACES, fate=FATES)
    def edit_and_regenerate(self, at: int, place: int, fate: Fate) -> None:
        tab = self.tabs[at]
        if (index := pick_users(tab, place)) is None:
            return
        self.edit_copy(tab, index, is_changed=True)
        self.ask(tab, fate, trigger="regenerate-message")

    @rule(at=TABS, place=PLACES, fate=FATES, is_named=st.booleans())
    def regenerate(self, at: int, place: int, fate: Fate, is_named: bool) -> None:
        tab = self.tabs[at]
        if not tab.messages:
            return
        index = place % len(tab.messages) if is_named else len(tab.messages) - 1
        message_id = tab.messages[index]["id"]
        tab.messages[index if tab.messages[index]["role"] == "assistant" else index + 1 :] = []
        if tab.messages:
            self.ask(tab, fate, trigger="regenerate-message", messageId=message_id if is_named else None)

    @rule(at=TABS, fate=FATES, is_approved=st.booleans())
    def decide(self, at: int, fate: Fate, is_approved: bool) -> None:
        tab = self.tabs[at]
        asked = [part for part in open_calls(tab) if part["state"] == "approval-requested"]
        for part in asked:
            part["state"] = "approval-responded"
            part["approval"] = {**part["approval"], "approved": is_approved}
        if asked:
            self.ask(tab, fate, trigger="submit-message", messageId=tab.messages[-1]["id"])

    @rule(at=TABS, fate=FATES, output=st.sampled_from(["red", "blue"]))
    def give_output(self, at: int, fate: Fate, output: str) -> None:
        tab = self.tabs[at]
        waiting = [part for part in open_calls(tab) if part["state"] == "input-available"]
        for part in waiting:
            part |= {"state": "output-available", "output": output}
        if waiting:
            self.ask(tab, fate, trigger="submit-message", messageId=tab.messages[-1]["id"])

    @rule(at=TABS)
    def reload(self, at: int) -> None:
        tab, saved = self.tabs[at], self.backend.load()
        tab.messages = [] if saved is None else json.loads(json.dumps([one.message for one in saved.messages]))
        tab.lost = None
        if self.backend.run is not None:
            self.backend.run.readers.append(tab)

    @rule(at=TABS, place=PLACES)
    def take_turns_away(self, at: int, place: int) -> None:
        """``setMessages`` with fewer messages: the last ones are gone, or one turn in the middle."""
        tab = self.tabs[at]
        if (index := pick_users(tab, place)) is not None:
            tab.messages[index : index + 2 if place % 2 else None] = []

    @precondition(lambda self: self.backend.run is None and self.saved)
    @rule(number=PLACES, is_hidden=st.booleans())
    def choose_or_hide(self, number: int, is_hidden: bool) -> None:
        store, number = self.backend.store, number % len(self.saved)
        change = store.hide_message if is_hidden and number else store.choose_path
        is_refused = self.saved[number].is_hidden and change == store.choose_path
        with pytest.raises(ChatError, match="no such message") if is_refused else nullcontext():
            self.backend.runner.run(change(OWNER, self.backend.chat_id, number))

    # What the network and the model do.

    @rule(at=TABS, fate=FATES)
    def repeat(self, at: int, fate: Fate) -> None:
        """The response was lost, and the client sends the same once more."""
        tab = self.tabs[at]
        if tab.lost is not None:
            self.post(tab, tab.lost, fate, is_repeated=True)

    @rule(first=TABS, second=TABS)
    def send_at_once(self, first: int, second: int) -> None:
        """Two requests are planned on the same state. At most one of them begins."""
        if self.backend.run is not None:
            return
        planned: list[tuple[Tab, Any, Any]] = []
        for at in {first, second}:
            tab = self.tabs[at]
            tab.messages.append(self.words())
            body = tab.body(trigger="submit-message")
            planned.append((tab, body, self.backend.plan(body)))
        begun = [
            self.follow(tab, body, self.backend.begin(body, plan), "read")
            for tab, body, plan in planned
            if isinstance(plan, TurnPlan)
        ]
        assert sum(begun) <= 1

    @precondition(lambda self: self.backend.run is not None)
    @rule(ending=ENDINGS)
    def end(self, ending: Ending) -> None:
        run = self.backend.run
        assert run is not None
        message = self.backend.end(ending)
        for tab in run.readers:
            if message is not None:
                tab.take(message)
                tab.lost = None
        is_kept = run.plan.continues is not None or message is not None
        if ending in ("words", "approval", "client's tool") and is_kept:
            saved = self.backend.load()
            assert saved is not None
            assert saved.messages[-1].message == message
            self.answered[key_of(run.body)] = saved.messages[-1].number
        self.owned = set() if run.plan.continues is None else {run.plan.continues}

    # How they do it.

    def words(self, text: str | None = None, message_id: str | None = None) -> Message:
        message_id = message_id or self.backend.new_id("u")
        said = text or self.backend.new_id("words ")
        return {"id": message_id, "role": "user", "parts": [{"type": "text", "text": said}]}

    def edit_copy(self, tab: Tab, index: int, *, is_changed: bool) -> str:
        message = tab.messages[index]
        tab.messages[index:] = [self.words(None if is_changed else text_of(message), message["id"])]
        return message["id"]

    def ask(self, tab: Tab, fate: Fate, **fields: Any) -> None:
        tab.lost = None
        self.post(tab, tab.body(**fields), fate)

    def post(self, tab: Tab, body: dict[str, Any], fate: Fate, *, is_repeated: bool = False) -> None:
        for run in [self.backend.run] if self.backend.run else []:
            run.readers[:] = [one for one in run.readers if one is not tab]
        tab.lost = body
        if fate == "never sent":
            return
        before = self.backend.load()
        planned = self.backend.plan(body)
        if isinstance(planned, TurnPlan):
            self.check_plan(tab, body, planned, before)
            if is_repeated:
                self.check_repetition(body, planned, before)
            self.follow(tab, body, self.backend.begin(body, planned), fate)
        elif isinstance(planned, Repeated):
            self.follow_again(tab, planned, fate)

    def follow(self, tab: Tab, body: dict[str, Any], run: Run | str, fate: Fate) -> bool:
        """Let a tab read its answer; return whether there is one."""
        if isinstance(run, str):
            return False
        self.owned = {*run.plan.changed, *([] if run.plan.continues is None else [run.plan.continues])}
        self.read(tab, run, fate)
        return True

    def read(self, tab: Tab, run: Run, fate: Fate) -> None:
        if fate == "read":
            run.readers.append(tab)
        elif fate == "cut" and run.plan.continues is None:
            tab.take({"id": run.message_id, "role": "assistant", "parts": [{"type": "text", "text": "said"}]})

    def follow_again(self, tab: Tab, repeated: Repeated, fate: Fate) -> None:
        if repeated.answer is None:
            assert self.backend.run is not None
            self.read(tab, self.backend.run, fate)
            return
        if repeated.is_back:
            change = self.backend.store.choose_path(OWNER, self.backend.chat_id, repeated.answer.number)
            self.backend.runner.run(change)
        if fate == "read":
            tab.take(repeated.answer.message)
            tab.lost = None

    # What must hold.

    def check_plan(self, tab: Tab, body: dict[str, Any], plan: TurnPlan, before: SavedChat | None) -> None:
        """See that what is saved and what is asked is what the client shows."""
        last = body.get("message") or (body.get("messages") or [None])[-1]
        path = [] if before is None else [one.message for one in before.tree.path_to(plan.parent)]
        if plan.continues is not None:
            return
        users = [one for one in (*path, *plan.added) if one["role"] == "user"]
        if last is not None and last["role"] == "user":
            assert text_of(users[-1]) == text_of(last)
            assert text_of(plan.history[-1]) == text_of(last)
        is_server = self.backend.mode == "server"
        if "messages" not in body or (is_server and (len(body["messages"]) == 1 or has_hidden(before))):
            # A server that holds the history has a place for a message alone, and leaves away what was deleted.
            return
        posted = body["messages"]
        if not is_server:
            assert [text_of(one) for one in plan.history] == [text_of(one) for one in posted]
        said = [one for one in posted if one["role"] == "user"]
        # The first messages of a long chat may be left out.
        users = users[len(users) - len(said) :]
        assert len(users) == len(said)
        for one, shown in zip(users, said, strict=True):
            # A server that holds the history knows what an id stands for.
            is_known = is_server and one["id"] == shown.get("id")
            assert is_known or text_of(one) == text_of(shown)

    def check_repetition(self, body: dict[str, Any], plan: TurnPlan, before: SavedChat | None) -> None:
        """See that a request whose response was lost is not answered twice."""
        answer = self.answered.get(key_of(body))
        # A client that means another answer sends the very same.
        if answer is None or before is None or body.get("trigger") != "submit-message":
            return
        if before.tree.find(answer) is None:
            return
        raise AssertionError((body, plan))

    @invariant()
    def all_holds(self) -> None:
        chat = self.backend.load()
        self.check_nothing_is_lost([] if chat is None else chat.tree.messages)
        if chat is not None:
            check_tree(chat)
        assert max(self.backend.ran.values(), default=0) <= 1

    def check_nothing_is_lost(self, messages: Sequence[SavedMessage]) -> None:
        assert len(messages) >= len(self.saved)
        for number, was in self.saved.items():
            check_kept(was, messages[number], is_owned=number in self.owned)
        self.saved = {one.number: one for one in messages}


def check_tree(chat: SavedChat) -> None:
    """See that the messages are a tree, of which one path is shown, and that no answer is in it twice."""
    tree = chat.tree
    assert [one.number for one in tree.messages] == list(range(chat.chat.size))
    for one in tree.messages:
        assert one.parent is None or one.parent < one.number
        # What is deleted takes with it all that came after it, and nothing is put after it.
        assert one.parent is None or one.is_hidden or not tree[one.parent].is_hidden
    for one in tree.visible:
        place = show_place(tree, one)
        assert place["siblings"][place["index"]] == one.number
        assert all(tree[number].parent == one.parent for number in place["siblings"])
    assert not any(one.is_hidden for one in chat.messages)
    ids = [one.id for one in chat.messages]
    assert len(set(ids)) == len(ids), "a client would take two messages of the path for one"
    said = [(one.parent, text_of(one.message)) for one in tree.visible if one.role == "assistant"]
    said = [one for one in said if "said by" in one[1]]
    assert len(set(said)) == len(said), "an answer is saved twice"


def has_hidden(chat: SavedChat | None) -> bool:
    return chat is not None and any(one.is_hidden for one in chat.tree.messages)


def key_of(body: dict[str, Any]) -> str:
    return json.dumps(body)


def pick_users(tab: Tab, place: int) -> int | None:
    found = [index for index, one in enumerate(tab.messages) if one["role"] == "user"]
    return found[place % len(found)] if found else None


def open_calls(tab: Tab) -> list[Message]:
    return tool_parts(tab.messages[-1]) if tab.messages else []


def check_kept(was: SavedMessage, now: SavedMessage, *, is_owned: bool) -> None:
    """See that a message is what it was, but for what its own run adds."""
    assert (now.number, now.parent, now.role, now.created_at, now.id) == (
        *(was.number, was.parent, was.role, was.created_at, was.id),
    )
    assert now.is_hidden or not was.is_hidden
    if now.message == was.message:
        return
    assert is_owned, (was, now)
    assert {**now.message, "parts": None} == {**was.message, "parts": None}
    before, after = was.message["parts"], now.message["parts"]
    assert len(after) >= len(before)
    for old, new in zip(before, after, strict=False):
        if new != old:
            assert new["state"] in OPEN.get(old.get("state"), ()), (old, new)
            assert (new["toolCallId"], new["input"]) == (old["toolCallId"], old["input"])


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module", params=DATABASES)
def store(
    runner: asyncio.Runner, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChatStore]:
    made = SqlChatStore(make_migrated_url(request.param, request, tmp_path_factory.mktemp("tabs")))
    yield made
    runner.run(made.aclose())


@pytest.mark.parametrize("mode", ["client", "server"])
def test_nothing_is_lost_whatever_tabs_do(
    mode: HistoryMode, store: ChatStore, runner: asyncio.Runner, request: pytest.FixtureRequest
) -> None:
    class Tabs(TabsOfOneChat):
        def __init__(self) -> None:
            super().__init__(store, runner, mode)

    # What PostgreSQL adds is its own way to write; the plans are the same.
    share = 3 if "postgresql" in request.node.name else 1
    drawn = settings(stateful_step_count=40, max_examples=settings().max_examples // share)
    run_state_machine_as_test(Tabs, settings=drawn)
