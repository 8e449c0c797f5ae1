"""Saved chats, the turns that write to them, and the protocol of a chat store.

A chat belongs to one owner and holds UI messages exactly as the client has them: plain JSON, unknown keys and parts
included. The messages are a tree (`usechat.chats.tree`): an edit and a second answer are siblings of what was there, so
requests add messages and change none. One path through the tree, to the chat's leaf, is the conversation that is
shown. A turn is one answer being written to a chat. Its id (``run_id``) is its maker's: the server makes the id of the
run of it (`usechat.conversations.turn_ends.run_of`).

Rule 1: a chat has at most one open turn. Beginning a second one is a conflict, whose error names the first.
Rule 2: a turn is planned on a state of the chat and begins only if the chat is still in that state (`Chat.revision`).
Rule 3: a turn ends once. When several callers end it, in any process, exactly one is told that it ended the turn.
Rule 4: a message is ``whole`` only if the run that wrote it came to its end. While a run continues an older message,
that message is ``streaming``.
Rule 5: only the run that owns a message changes it. No other message that was saved is changed.

Knows no storage, no frames and no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from usechat.chats.tree import EndStatus, MessageTree, SavedMessage, UIMessage

__all__ = [
    "Chat",
    "ChatPage",
    "ChatStore",
    "SavedChat",
    "Turn",
    "TurnPlan",
]


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat without its messages."""

    id: str
    owner: str
    title: str | None = None
    created_at: float
    """Seconds since the epoch, as all times here."""
    updated_at: float
    """When a turn last began or ended. A new title does not count."""
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """The application's own data."""
    active_run_id: str | None = None
    """The run that is writing to the chat."""
    revision: int = 0
    """Grows with every change of the messages."""
    size: int = 0
    """The number of messages that were ever saved; the next message gets it as its number."""
    leaf: int | None = None
    """The last message of the path that is shown; ``None``: the path is empty."""


class SavedChat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat with its messages."""

    chat: Chat
    tree: MessageTree
    """All messages."""

    @property
    def messages(self) -> Sequence[SavedMessage]:
        """The messages of the path that is shown, oldest first."""
        return self.tree.path_to(self.chat.leaf)


class ChatPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an owner's chats, latest first."""

    chats: Sequence[Chat]
    next_cursor: str | None = None
    """The cursor of the next page; ``None`` on the last page."""


class TurnPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a request to a chat, planned by `usechat.chats.history.plan_turn` for `ChatStore.begin_turn`."""

    revision: int = 0
    """The revision of the chat that the plan was made for; 0 when there was no chat yet."""
    size: int = 0
    """The size of that chat: the number of the first message that is added."""
    parent: int | None = None
    """The number of the message that comes before those that are added, or before the answer."""
    added: Sequence[UIMessage] = ()
    """New messages, each the parent of the next one."""
    continues: int | None = None
    """The number of the assistant's message that the answer continues: a stored one, or the last one that is added."""
    changed: Mapping[int, UIMessage] = msgspec.field(default_factory=dict[int, UIMessage])
    """Answers to which the client adds the outputs and decisions that they wait for: the new contents, by number."""
    history: Sequence[UIMessage] = ()
    """The messages that the model gets, with `usechat.chats.tool_errors`. The store ignores them."""

    @property
    def leaf(self) -> int | None:
        """The number of the last message before the answer; of the continued message in a continuation."""
        if self.continues is not None:
            return self.continues
        return self.size + len(self.added) - 1 if self.added else self.parent


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One answer being written to a chat, or written."""

    run_id: str
    chat_id: str
    owner: str
    began_at: float
    parent: int | None = None
    """The number of the message that is answered."""
    continues: int | None = None
    """The number of the assistant's message that the answer continues; ``None`` for an answer of its own."""
    status: EndStatus | None = None
    """How the turn ended; ``None`` while it is open."""
    ended_at: float | None = None
    """When it ended: exactly the chat's ``updated_at`` until the chat's next turn begins; ``None`` while it is open."""
    process_id: str | None = None
    """The process that holds the run in its memory; ``None`` when the run is in a shared log, or the process has not
    joined (`ChatStore.join`)."""

    @property
    def is_open(self) -> bool:
        """Whether the turn is still open."""
        return self.status is None


class ChatStore(Protocol):
    """A store of chats. Any number of tasks and processes may use it at once.

    Every method that takes an owner raises `ChatError` with code ``missing`` when there is no such chat, and with
    ``forbidden`` when the chat is another owner's. Every method raises it with ``unavailable`` when the storage cannot
    be used.

    A task that is cancelled while it waits leaves the chat as it was before the call or as it is after it.

    Texts are any that JSON can hold, NUL and lone surrogates included. An id of a chat has at most 1000 bytes.

    A store that can take a living process for dead may have a method more, ``async def confirm()``. It is awaited after
    the process stood still, before its answers go on. It gives a sign of life and returns when that is known to the
    others; if they took the process for dead meanwhile, it calls ``on_lost`` of `join` before it returns.

    `usechat.testing.stores.ChatStoreSuite` checks an implementation. Implemented by:
    `usechat.chats.sql.store.SqlChatStore`.
    """

    async def create_chat(
        self, owner: str, chat_id: str, *, title: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Chat:
        """Create an empty chat and return it. Return the existing chat, unchanged, if the owner has it already.

        Raises:
            RequestError: The id is empty or too long.
        """
        ...

    async def get_chat(self, owner: str, chat_id: str) -> Chat:
        """Return the chat without its messages."""
        ...

    async def load_chat(self, owner: str, chat_id: str) -> SavedChat:
        """Return the chat with its messages, those of other paths included."""
        ...

    async def maybe_load_chat(self, owner: str, chat_id: str) -> SavedChat | None:
        """Return the chat with its messages, or None when it does not exist."""
        ...

    async def list_chats(self, owner: str, *, search: str = "", cursor: str | None = None, limit: int = 20) -> ChatPage:
        """Return the owner's chats, the one with the latest turn first.

        Args:
            owner: The owner of the chats.
            search: Words, of which a chat must have each in its title or in the text of a message; case is ignored.
            cursor: `ChatPage.next_cursor` of the page before.
            limit: The number of chats at most, from 1 to 100.

        Raises:
            RequestError: The cursor is not one of ours.
        """
        ...

    async def update_chat(
        self,
        owner: str,
        chat_id: str,
        *,
        title: str | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | UnsetType = UNSET,
        if_title: str | UnsetType | None = UNSET,
    ) -> Chat:
        """Change the title, and merge ``metadata`` into the chat's as a JSON Merge Patch (RFC 7396). Return the chat.

        With ``if_title``, change nothing when the chat has another title than that one.
        """
        ...

    async def delete_chat(self, owner: str, chat_id: str) -> Chat:
        """Remove the chat and its messages, and return the chat. An open turn stays open until `finish_turn`."""
        ...

    async def choose_path(self, owner: str, chat_id: str, number: int) -> SavedChat:
        """Show the path through a message, to the latest of the messages after it. Return the chat.

        Raises:
            ChatError: ``missing``: there is no such message, or it is hidden. ``conflict``: a turn is open.
        """
        ...

    async def hide_message(self, owner: str, chat_id: str, number: int) -> SavedChat:
        """Hide a message and all messages after it. Return the chat.

        If the shown path went through it, the path to its latest sibling is shown, or else the path to its parent.

        Raises:
            ChatError: ``missing``: there is no such message. ``conflict``: a turn is open.
        """
        ...

    async def begin_turn(
        self, owner: str, chat_id: str, run_id: str, plan: TurnPlan, *, title: str | None = None
    ) -> Chat:
        """Carry out a plan and hold the chat for a run, all at once or not at all.

        Create the chat when the plan expects none; its title is ``title`` or the beginning of the first text. A second
        call for the same run changes nothing.

        Raises:
            ChatError: ``conflict``: another turn is open (the error names its run), or the chat is not as planned on.
            RequestError: The chat's id is empty or too long.
        """
        ...

    async def finish_turn(
        self,
        run_id: str,
        *,
        status: EndStatus,
        message: UIMessage | None = None,
        usage: Any = None,
        finish_reason: str | None = None,
        attempt: str | None = None,
    ) -> bool:
        """End a turn, save its message and release the chat. Return whether this call ended the turn.

        A call that failed may still have ended the turn. Pass the same ``attempt``, an id of the caller's making, when
        calling again: then the second call returns the right answer.

        The message replaces the one that the turn continued, or is added after the one that it answers; then the path
        to it is shown. Without a message, the one that the turn continued keeps its content and takes the status. When
        the chat was deleted meanwhile, the turn ends and nothing is saved. The usage is added to that of the continued
        message (`usechat.chats.merge.add_usage`).

        A message here and in `TurnPlan.changed` may carry texts for the model. `usechat.chats.tool_errors` takes them
        off: a `SavedMessage` has them beside the message.
        """
        ...

    async def find_turn(self, run_id: str) -> Turn | None:
        """Return the turn of a run."""
        ...

    async def open_turns(self, *, before: float | None = None) -> Sequence[Turn]:
        """Return the open turns of all owners, oldest first; with ``before``, those that began before that time."""
        ...

    @property
    def process_id(self) -> str | None:
        """The id of this process among those that share the store; ``None`` before it has joined."""
        ...

    async def join(self, lease: float, on_lost: Callable[[], None]) -> None:
        """Name this process in the turns that begin here, and show the other processes that it is alive.

        Args:
            lease: Seconds of silence after which a process counts as dead, where a database has no better sign.
            on_lost: Called when other processes took this one for dead and ended its turns, as after a long pause.
        """
        ...

    async def is_dead(self, process_id: str) -> bool:
        """Return whether a process is known to have ended, so that another one must end its turns."""
        ...

    async def aclose(self) -> None:
        """Close all connections. Leave, if this process has joined."""
        ...
