"""Plans the changes that a request makes to a chat. The mode says which side holds the history.

- ``client``, the AI SDK's way: the model gets the messages that the client sends, and the path that is saved has the
  same messages.
- ``server``: the stored chat is the truth. Only this is taken from the request: which path of it the client goes on
  with, the new messages of the user, outputs of the client's tools, and answers to approvals of calls that are open.

In both modes a request adds to the tree and changes nothing that was saved: an edit and a second answer are siblings of
what was there, and so is a message that goes on from an older one. Requests that were answered before are told
(`Repeated`). docs/chats.md has all cases in a table. Pure: the caller gives the function that makes ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from usechat.chats.matching import find_messages, message_id
from usechat.chats.merge import ClientTools, compare_copy, fill_outcomes, merge_client_answers
from usechat.chats.store import SavedChat, Turn, TurnPlan
from usechat.chats.tool_errors import split_tool_errors, with_tool_errors
from usechat.chats.tree import MessageTree, SavedMessage, UIMessage
from usechat.errors import ChatError, RequestError
from usechat.ids import generate_id

__all__ = ["MAX_MESSAGES", "HistoryMode", "Repeated", "TurnRequest", "plan_turn"]

HistoryMode: TypeAlias = Literal["client", "server"]

MAX_MESSAGES: Final = 20_000
"""The most messages that a chat may hold by default. An hour of chat has about a hundred."""


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request of a client of any major version."""

    messages: Sequence[UIMessage] = ()
    """UI messages as posted, in the form of AI SDK 5 and later. Those of AI SDK 4 have no ids."""
    message: UIMessage | None = None
    """The one message of a client that sends only its last one, in place of ``messages``."""
    trigger: str | None = None
    """``submit-message`` or ``regenerate-message``; AI SDK 4 sends none."""
    message_id: str | None = None
    """The message that is edited, regenerated or continued."""


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was answered, or is being answered. Nothing is saved for it."""

    answer: SavedMessage | None
    """The answer that it has; ``None`` while it is being made."""
    continues: bool = False
    """Whether the answer continues a message."""
    is_back: bool = False
    """Whether an edit goes back to a version that is not shown, so that the path to its answer must be."""


def plan_turn(
    saved: SavedChat | None,
    request: TurnRequest,
    *,
    mode: HistoryMode = "client",
    is_client_tool: ClientTools | None = None,
    new_id: Callable[[], str] = generate_id,
    running: Turn | None = None,
    max_messages: int = MAX_MESSAGES,
) -> TurnPlan | Repeated:
    """Plan the changes that a request makes to a chat, and what the model gets.

    Args:
        saved: The stored chat; ``None`` when there is none yet.
        request: The request of the client.
        mode: The side that holds the history.
        is_client_tool: As for `usechat.chats.merge.merge_client_answers`.
        new_id: Makes ids for messages without one.
        running: The turn that is open.
        max_messages: The most messages that a chat may hold, those of all paths.

    Raises:
        ChatError: ``conflict``: the client goes on with an answer that has moved on, or answers a call that was
            answered otherwise.
        RequestError: There is nothing to answer, a message has the id of one with another role, or the chat is full.
    """
    posted = _Posted(saved, request, mode, is_client_tool, new_id)
    if posted.is_continuation:
        plan = posted.plan_continuation(running)
    else:
        plan = posted.find_answer(running) or posted.plan_answer()
    if isinstance(plan, TurnPlan) and plan.size + len(plan.added) > max_messages:
        # Loading a chat takes longer with each of its messages.
        raise RequestError(f"The chat would hold more than {max_messages} messages: begin another.", status=413)
    return plan


class _Posted:
    """A request matched with the stored messages."""

    def __init__(
        self,
        saved: SavedChat | None,
        request: TurnRequest,
        mode: HistoryMode,
        is_client_tool: ClientTools | None,
        new_id: Callable[[], str],
    ) -> None:
        self.chat = None if saved is None else saved.chat
        self.tree = MessageTree() if saved is None else saved.tree
        self.shown = () if saved is None else saved.messages
        self.request = request
        self.is_client_tool = is_client_tool
        self.is_regeneration = request.trigger == "regenerate-message"
        self.holds_history = mode == "client" and bool(request.messages)
        """Whether the client's messages are what the model gets."""
        self.target = self._find_target()
        self.posted = self._cut()
        self.matches = find_messages(self.tree, self.shown, self.posted, is_store_right=not self.holds_history)
        self.messages = [
            message if match.is_equal else _with_id(message, new_id, match.known)
            for message, match in zip(self.posted, self.matches, strict=True)
        ]
        self.first_new = next((at for at in range(len(self.posted), 0, -1) if self.matches[at - 1].stored), 0)
        """The index of the first message after those that are stored."""

    def _find_target(self) -> SavedMessage | None:
        """Return the stored message that the request names; of several with its id, the one that is shown."""
        wanted = self.request.message_id
        if wanted is None:
            return None
        named = [message for message in (*self.tree.visible, *self.shown) if message.id == wanted]
        return named[-1] if named else None

    def _cut(self) -> Sequence[UIMessage]:
        """Return the posted messages; of a regeneration those before the answer that is made anew."""
        request = self.request
        posted = request.messages or ([] if request.message is None else [request.message])
        if not posted or not self.is_regeneration:
            return posted
        at = next((at for at, one in enumerate(posted) if one.get("id") == request.message_id), len(posted) - 1)
        return posted[: at if posted[at]["role"] == "assistant" else at + 1]

    @property
    def is_continuation(self) -> bool:
        return bool(self.posted) and self.posted[-1]["role"] == "assistant" and not self.is_regeneration

    def find_answer(self, running: Turn | None) -> Repeated | None:
        """Return the answer that the request has already; None when it wants a new one."""
        last = self.matches[-1].stored if self.matches else None
        # Without ids, a second try looks like a wish for another answer.
        if last is None or self.is_regeneration or message_id(self.posted[-1]) is None:
            return None
        if running is not None and running.continues is None and running.parent == last.number:
            return Repeated(answer=None)
        # So it does when a page sends no trigger.
        answer = None if self.request.trigger is None else self._whole_answer(last)
        if answer is None:
            return None
        return Repeated(answer=answer, is_back=self.request.message_id is not None and answer not in self.shown)

    def _whole_answer(self, message: SavedMessage) -> SavedMessage | None:
        """Return the answer to a message that a run of ours brought to its end."""
        children = self.tree.children(message.number)
        answers = [one for one in children if one.run_id is not None and one.status == "whole"]
        return self._best(answers) if answers else None

    def plan_answer(self) -> TurnPlan:
        """Plan an answer of its own."""
        added = [*self._added()]
        is_nothing_new = not added and self.first_new < len(self.posted) and not self.is_regeneration
        if is_nothing_new and not self.holds_history:
            raise RequestError("must be a user's message", path=f"messages[{len(self.posted) - 1}]", status=422)
        parent = self._parent(added) if self.posted else self._answered_target()
        return self._plan(parent=parent, added=added, changed=dict(self._merged(self.first_new)))

    def plan_continuation(self, running: Turn | None) -> TurnPlan | Repeated:
        """Plan an answer that continues the last message."""
        stored = self.matches[-1].stored
        if stored is None:
            if not self.holds_history:
                raise _moved_on()
            added = [*self._added()]
            return self._plan(parent=self._parent(added), added=added, continues=self._size + len(added) - 1)
        state = compare_copy(stored.message, self.posted[-1], is_client_tool=self.is_client_tool)
        if state == "contrary":
            raise ChatError("This was answered otherwise meanwhile. Load the chat again.", code="conflict")
        changed = dict(self._merged(len(self.posted)))
        if stored.number not in changed:
            if running is not None and running.continues == stored.number:
                return Repeated(answer=None, continues=True)
            if state == "behind":
                return Repeated(answer=stored, continues=True)
        if self.tree.children(stored.number):
            raise _moved_on()
        return self._plan(parent=stored.parent, changed=changed, continues=stored.number)

    def _plan(
        self,
        *,
        parent: int | None,
        added: Sequence[UIMessage] = (),
        changed: Mapping[int, UIMessage] | None = None,
        continues: int | None = None,
    ) -> TurnPlan:
        changed = changed or {}
        errors = {one.id: one.tool_errors for one in self.tree.messages if one.tool_errors}
        plan = TurnPlan(
            revision=0 if self.chat is None else self.chat.revision,
            size=self._size,
            parent=parent,
            added=[with_tool_errors(one, errors.get(one["id"])) for one in added] if errors else added,
            changed={number: with_tool_errors(one, self.tree[number].tool_errors) for number, one in changed.items()},
            continues=continues,
        )
        history = (
            [*self._told()]
            if self.holds_history
            else self._stored_history(parent if continues is None else continues, changed, added)
        )
        if not history:
            raise RequestError("must hold a user's message", path="messages")
        if errors:
            history = [with_tool_errors(message, errors.get(message["id"])) for message in history]
        return msgspec.structs.replace(plan, history=history)

    def _stored_history(
        self, last: int | None, changed: Mapping[int, UIMessage], added: Sequence[UIMessage]
    ) -> list[UIMessage]:
        """Return the messages of the path to a stored one, as the request changes them, and those that it adds."""
        return [*(changed.get(one.number, one.message) for one in self.tree.path_to(last)), *added]

    @property
    def _size(self) -> int:
        return 0 if self.chat is None else self.chat.size

    def _told(self) -> Iterator[UIMessage]:
        """Yield the client's messages, with the outcomes of calls that the client has not seen."""
        for message, match in zip(self.messages, self.matches, strict=True):
            known = None if match.is_equal else match.stored or match.known
            yield message if known is None or known.role != "assistant" else fill_outcomes(message, known.message)

    def _added(self) -> Iterator[UIMessage]:
        """Yield the messages that the request adds."""
        last = len(self.posted) - 1
        last_of_others = next((at for at in range(last, -1, -1) if self.posted[at]["role"] != "user"), -1)
        for at in range(self.first_new, len(self.posted)):
            message, known = self.messages[at], self.matches[at].known
            if known is not None and (known.id in self.tree.answer_ids or (at != last and not self.holds_history)):
                # A copy on another path. What our answers say is taken from the store.
                yield merge_client_answers(known.message, message, is_client_tool=self.is_client_tool)
            elif self.holds_history or at > last_of_others:
                yield message

    def _parent(self, added: Sequence[UIMessage]) -> int | None:
        """Return the number of the message after which the new ones come, or the answer."""
        before = self.matches[self.first_new - 1].stored if self.first_new else None
        if not added:
            return before and before.number
        known = self.matches[self.first_new].known
        if known is not None and self._comes_after(before, known):
            # Another version of a message stands beside it.
            return known.parent
        if before is None:
            return self._parent_without_history()
        if before.role == "user" and added[0]["role"] == "user":
            # The client never got the answer between them.
            answers = [one for one in self.tree.children(before.number) if one.role == "assistant"]
            return (self._best(answers) if answers else before).number
        return before.number

    def _comes_after(self, before: SavedMessage | None, known: SavedMessage) -> bool:
        """Return whether a stored message comes after another one. An answer between them the client may lack."""
        if before is None or known.parent == before.number:
            return True
        answer = None if known.parent is None else self.tree[known.parent]
        return before.role == "user" and answer is not None and answer.parent == before.number

    def _parent_without_history(self) -> int | None:
        """Return where messages go of which none is known."""
        if self.target is not None:
            return self.target.parent
        sends_only_last = len(self.posted) == 1 and not self.holds_history
        return self.shown[-1].number if sends_only_last and self.shown else None

    def _answered_target(self) -> int | None:
        """Return the number of the message that a regeneration without messages answers again."""
        if not self.is_regeneration:
            raise RequestError("is missing", path="messages")
        last = self.shown[-1] if self.shown else None
        target = last if self.request.message_id is None else self.target
        if target is None:
            raise RequestError("must be the id of a message of this chat", path="messageId", status=422)
        return target.parent if target.role == "assistant" else target.number

    def _merged(self, end: int) -> Iterator[tuple[int, UIMessage]]:
        """Yield the stored answers to which the client adds outputs or decisions: the number and the new content."""
        for message, match in zip(self.messages[:end], self.matches, strict=False):
            stored = match.stored
            if stored is None or match.is_equal or message["role"] != "assistant":
                continue
            merged = merge_client_answers(stored.message, message, is_client_tool=self.is_client_tool)
            if merged is not stored.message:
                yield stored.number, merged

    def _best(self, messages: Sequence[SavedMessage]) -> SavedMessage:
        """Return the one that is shown, or the latest."""
        numbers = {one.number for one in self.shown}
        return max(messages, key=lambda one: (one.number in numbers, one.number))


def _moved_on() -> ChatError:
    return ChatError("This chat has moved on. Load it again.", code="conflict")


def _with_id(message: UIMessage, new_id: Callable[[], str], known: SavedMessage | None) -> UIMessage:
    # Clients must not choose the error texts that the model gets.
    copy, _ = split_tool_errors(message)
    if message_id(copy) is not None:
        return copy
    return {"id": new_id() if known is None else known.id, **{k: v for k, v in copy.items() if k != "id"}}
