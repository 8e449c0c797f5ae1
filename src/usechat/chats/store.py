"""Saved chats, the turns that write to them, and the protocol of a chat store.

A chat belongs to one owner and holds UI messages exactly as the client has them: plain JSON, unknown keys and parts
included. A turn is one answer being written to a chat; it has the id of the run that makes it.

Rule 1: a chat has at most one open turn. Beginning a second one is a conflict, whose error names the first.
Rule 2: a turn is planned on a state of the chat and begins only if the chat is still in that state (`Chat.revision`).
Rule 3: a turn ends once. When several callers end it, in any process, exactly one is told that it ended the turn.
Rule 4: a message is ``whole`` only if the run that wrote it came to its end. While a run continues an older message,
that message is ``streaming``.

Knows no storage, no frames and no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

__all__ = [
    "Chat",
    "ChatPage",
    "ChatStore",
    "EndStatus",
    "MessageStatus",
    "SavedChat",
    "SavedMessage",
    "Turn",
    "TurnPlan",
    "UIMessage",
]

UIMessage: TypeAlias = dict[str, Any]
"""``{id, role, parts, metadata?}`` and whatever else the client put into it, as JSON values."""

EndStatus: TypeAlias = Literal["whole", "partial", "aborted", "failed", "lost"]
"""How a turn ended.

``whole``: to its end. ``partial``: cut by a limit or a disconnect. ``aborted``: stopped by the user. ``failed``: by an
error. ``lost``: its process died.
"""

MessageStatus: TypeAlias = EndStatus | Literal["streaming"]


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


class SavedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message and how it was made."""

    message: UIMessage
    position: int
    """From 0, without gaps."""
    role: str
    created_at: float
    status: MessageStatus = "whole"
    usage: Any = None
    """The usage of all runs that wrote the message, in the shape that the application gave it."""
    finish_reason: str | None = None
    run_id: str | None = None
    """The run that wrote it last; ``None`` for a message of the client."""
    tool_errors: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """The error texts that the model got, by tool call id, when the parts have another text. Clients never get them."""

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message["id"]


class SavedChat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat with its messages, oldest first."""

    chat: Chat
    messages: Sequence[SavedMessage] = ()


class ChatPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an owner's chats, latest first."""

    chats: Sequence[Chat]
    next_cursor: str | None = None
    """The cursor of the next page; ``None`` on the last page."""


class TurnPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a request to a chat, planned by `usechat.chats.history.plan_turn` for `ChatStore.begin_turn`."""

    revision: int = 0
    """The revision of the chat that the plan was made for; 0 when there was no chat yet."""
    keep: int
    """The number of stored messages that stay. Later ones are removed."""
    removes: bool = True
    """False when the planner knows that no stored message is removed."""
    changed: Mapping[int, UIMessage] = msgspec.field(default_factory=dict[int, UIMessage])
    """New contents of messages that stay, by position."""
    added: Sequence[UIMessage] = ()
    """Messages that come after those that stay."""
    continues: str | None = None
    """The id of the assistant's message that the answer continues."""
    history: Sequence[UIMessage] = ()
    """The messages that the model gets, with `usechat.chats.tool_errors`. The store ignores them."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One answer being written to a chat, or written."""

    run_id: str
    chat_id: str
    owner: str
    began_at: float
    continues: str | None = None
    """The id of the assistant's message that the answer continues."""
    status: EndStatus | None = None
    """How the turn ended; ``None`` while it is open."""
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

    Implemented by: `usechat.chats.sql.store.SqlChatStore`.
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
        """Return the chat with its messages."""
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
    ) -> Chat:
        """Change the title, and merge ``metadata`` into the chat's as a JSON Merge Patch (RFC 7396)."""
        ...

    async def delete_chat(self, owner: str, chat_id: str) -> Chat:
        """Remove the chat and its messages, and return the chat. An open turn stays open until `finish_turn`."""
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

        The message replaces the stored one that has its id, or is appended. Without a message, the one that the turn
        continued keeps its content and takes the status. When the chat was deleted meanwhile, the turn ends and nothing
        is saved.
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
