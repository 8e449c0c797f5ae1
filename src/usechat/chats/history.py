"""Plans the changes that a request makes to a chat. The mode says which side holds the history.

- ``client``, the AI SDK's way: the model sees the messages that the client sends. The store follows: new messages are
  added, the client's own messages are updated. An answer of ours stays as its run left it, except for the outputs and
  decisions that the client may add: a half copy, left by a cut connection, must not replace the whole answer.
- ``server``: the stored chat is the truth. Only this is taken from the request: the new user message, outputs of the
  client's tools, and answers to approvals of calls that are really open.

In both modes, an edit or a regeneration cuts the chat back to before the message. Nothing else removes stored messages:
a tab that knows less than the store adds to it. Only AI SDK 4, which posts no ids, cannot say that it edits: when its
messages differ from the stored ones, that is an edit. Pure: the caller gives the function that makes ids for messages
without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from usechat.chats.matching import Match, find_position, match_messages, message_id
from usechat.chats.merge import ClientTools, merge_client_answers
from usechat.chats.store import SavedChat, SavedMessage, TurnPlan, UIMessage
from usechat.chats.tool_errors import split_tool_errors, with_tool_errors
from usechat.errors import ChatError, RequestError
from usechat.ids import generate_id

__all__ = ["HistoryMode", "TurnRequest", "plan_turn"]

HistoryMode: TypeAlias = Literal["client", "server"]


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request of a client of any major version."""

    messages: Sequence[Mapping[str, Any]]
    """UI messages as posted, in the form of AI SDK 5 and later; at least one. Those of AI SDK 4 have no ids."""
    trigger: str | None = None
    """``submit-message`` or ``regenerate-message``; AI SDK 4 sends none."""
    message_id: str | None = None
    """The message that is edited, regenerated or continued."""


def plan_turn(
    saved: SavedChat | None,
    request: TurnRequest,
    *,
    mode: HistoryMode = "client",
    is_client_tool: ClientTools | None = None,
    new_id: Callable[[], str] = generate_id,
) -> TurnPlan:
    """Plan the changes that a request makes to a chat, and what the model gets.

    Args:
        saved: The stored chat; ``None`` when there is none yet.
        request: The request of the client.
        mode: The side that holds the history.
        is_client_tool: As for `usechat.chats.merge.merge_client_answers`.
        new_id: Makes ids for messages without one.

    Raises:
        ChatError: ``conflict``: the client goes on with an answer that is not the last one stored.
        RequestError: There is nothing to answer.
    """
    if not request.messages:
        raise RequestError("must not be empty", path="messages")
    stored = () if saved is None else saved.messages
    posted = _Posted(stored, request, is_client_tool, new_id)
    plan = posted.plan_for_server() if mode == "server" else posted.plan_for_client()
    revision = 0 if saved is None else saved.chat.revision
    errors = {one.id: one.tool_errors for one in stored if one.tool_errors}
    if errors:
        changed = {at: with_tool_errors(message, stored[at].tool_errors) for at, message in plan.changed.items()}
        history = [with_tool_errors(message, errors.get(message["id"])) for message in plan.history]
        plan = msgspec.structs.replace(plan, changed=changed, history=history)
    return msgspec.structs.replace(plan, revision=revision, removes=plan.keep < len(stored))


class _Posted:
    """A request matched with the stored messages."""

    def __init__(
        self,
        stored: Sequence[SavedMessage],
        request: TurnRequest,
        is_client_tool: ClientTools | None,
        new_id: Callable[[], str],
    ) -> None:
        self.stored = stored
        self.request = request
        self.is_client_tool = is_client_tool
        self.match: Match = match_messages(stored, request.messages)
        self.messages = [
            _with_id(message, new_id if at is None else lambda at=at: stored[at].id)
            for message, at in zip(request.messages, self.match.positions, strict=True)
        ]
        self.target = find_position(stored, request.message_id)

    @property
    def last(self) -> UIMessage:
        return self.messages[-1]

    @property
    def last_at(self) -> int | None:
        return self.match.positions[-1]

    @property
    def is_regeneration(self) -> bool:
        return self.request.trigger == "regenerate-message"

    @property
    def is_continuation(self) -> bool:
        return self.last["role"] == "assistant" and not self.is_regeneration

    def plan_for_client(self) -> TurnPlan:
        if self.is_continuation:
            keep, continues_at = len(self.stored), self.last_at
            continues = self.last["id"] if continues_at is None else self.stored[continues_at].id
        else:
            keep, continues = self.point(), None
        added = [message for message, at in self.pairs() if at is None or at >= keep]
        changed = dict(self.updates(keep))
        history = [*self.messages[:-1], {**self.last, "id": continues}] if continues else self.messages
        return TurnPlan(keep=keep, changed=changed, added=added, continues=continues, history=history)

    def plan_for_server(self) -> TurnPlan:
        if self.is_continuation:
            return self.continue_for_server()
        keep = self.point(is_only_message_new=True)
        added = self.new_user_messages(keep)
        if not added and self.last_at is None and not self.is_regeneration:
            raise RequestError("must be a user's message", path=f"messages[{len(self.messages) - 1}]", status=422)
        changed = dict(self.answers(keep))
        if self.last_at is not None and not self.is_regeneration and self.last != self.stored[self.last_at].message:
            changed[self.last_at] = self.last
        history = [*self.after(changed, keep), *added]
        if not history:
            raise RequestError("must hold a user's message", path="messages")
        return TurnPlan(keep=keep, changed=changed, added=added, history=history)

    def continue_for_server(self) -> TurnPlan:
        keep = len(self.stored)
        if self.last_at is None or self.last_at != keep - 1:
            raise ChatError("This chat has moved on. Load it again.", code="conflict")
        changed = dict(self.answers(keep))
        continues = self.stored[self.last_at].id
        return TurnPlan(keep=keep, changed=changed, continues=continues, history=self.after(changed, keep))

    def pairs(self) -> Iterator[tuple[UIMessage, int | None]]:
        return zip(self.messages, self.match.positions, strict=True)

    def point(self, *, is_only_message_new: bool = False) -> int:
        """Return how many stored messages stay before what the request adds or regenerates."""
        if self.target is not None and (self.is_regeneration or self.last_at is None):
            # A regenerated answer takes the old one's place, and so does a message that is edited under another id.
            is_answered_anew = self.is_regeneration and self.stored[self.target].role != "assistant"
            return self.target + is_answered_anew
        if self.last_at is not None:
            # Posted again: an edit, AI SDK 4's reload, or a second try.
            return self.last_at + 1
        diverges_at = self.match.diverges_at
        is_whole_history = len(self.messages) > 1 or not is_only_message_new
        return diverges_at if diverges_at is not None and is_whole_history else len(self.stored)

    def new_user_messages(self, keep: int) -> list[UIMessage]:
        """Return the user's messages at the end of the request that are not among those that stay."""
        new: list[UIMessage] = []
        for message, at in reversed([*self.pairs()]):
            if message["role"] != "user" or (at is not None and at < keep):
                break
            new.append(message)
        new.reverse()
        return new

    def after(self, changed: Mapping[int, UIMessage], keep: int) -> list[UIMessage]:
        return [changed.get(saved.position, saved.message) for saved in self.stored[:keep]]

    def answers(self, keep: int) -> Iterator[tuple[int, UIMessage]]:
        """Yield the answers to which the client adds outputs or decisions: the position and the new message."""
        for at, copy in self.copies(keep):
            if copy["role"] != "assistant":
                continue
            kept = self.stored[at].message
            merged = merge_client_answers(kept, copy, is_client_tool=self.is_client_tool)
            if merged is not kept:
                yield at, merged

    def copies(self, keep: int) -> Sequence[tuple[int, UIMessage]]:
        """Return the client's copies of the messages that stay: the position and the last copy of each."""
        return [*{at: copy for copy, at in self.pairs() if at is not None and at < keep}.items()]

    def updates(self, keep: int) -> Iterator[tuple[int, UIMessage]]:
        """Yield the messages that the request changes: answers with additions, and the client's own messages."""
        yield from self.answers(keep)
        for at, copy in self.copies(keep):
            if self.stored[at].run_id is None:
                own = {**copy, "id": self.stored[at].id}
                if own != self.stored[at].message:
                    yield at, own


def _with_id(message: Mapping[str, Any], new_id: Callable[[], str]) -> UIMessage:
    # Clients must not choose the error texts that the model gets.
    copy, _ = split_tool_errors(message)
    return copy if message_id(copy) is not None else {"id": new_id(), **{k: v for k, v in copy.items() if k != "id"}}
