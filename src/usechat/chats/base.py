"""A saved chat, the turns that write it, and what a store of chats can do.

A chat belongs to one owner and holds UI messages exactly as the client has them: plain JSON, unknown keys and parts
included. A turn is one answer being written to a chat; it has the id of the run that makes it.

Rule 1: a chat has at most one open turn. Who begins a second one gets a conflict that names the first.
Rule 2: a turn is planned on a state of the chat, and begins only if the chat is still in that state (`Chat.revision`).
Rule 3: a turn ends once. Of all who try, in whatever process, one is told that it was the one.
Rule 4: a message is ``whole`` only if the run that wrote it came to its end. While a run goes on with an older
message, that message is ``streaming``.

Nothing here knows how chats are stored, what a run's frames are, or HTTP.
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
"""How a turn ended: as it should, cut short (by a limit or a disconnect), stopped by the user, by an error, or with
its producer."""

MessageStatus: TypeAlias = EndStatus | Literal["streaming"]


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a chat beside its messages."""

    id: str
    owner: str
    title: str | None = None
    created_at: float
    """Seconds since the epoch, as all times here."""
    updated_at: float
    """When a turn last began or ended; a new title is no such change."""
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """The application's own."""
    active_run_id: str | None = None
    """The run that is writing to the chat."""
    revision: int = 0
    """Grows with each change of the messages."""


class SavedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message and how it came about."""

    message: UIMessage
    position: int
    """From 0, without gaps."""
    role: str
    created_at: float
    status: MessageStatus = "whole"
    usage: Any = None
    """Of all runs that wrote the message, in the shape that the application gave it."""
    finish_reason: str | None = None
    run_id: str | None = None
    """The run that wrote it last; ``None`` for what came from the client."""
    tool_errors: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """What the model was told of failed tools whose parts have another text, by call. For no client."""

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message["id"]


class SavedChat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat with its messages, oldest first."""

    chat: Chat
    messages: Sequence[SavedMessage] = ()


class ChatPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of an owner's chats, latest first."""

    chats: Sequence[Chat]
    next_cursor: str | None = None
    """What to ask the next page with; ``None`` on the last."""


class TurnPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a request does to a chat: made by `usechat.chats.history.plan_turn`, for `ChatStore.begin_turn` to do."""

    revision: int = 0
    """The revision of the chat that it was made on; 0 where there was no chat yet."""
    keep: int
    """How many of the stored messages stay; the others are removed."""
    removes: bool = True
    """Whether there are others; where it is not said, they are looked for."""
    changed: Mapping[int, UIMessage] = msgspec.field(default_factory=dict[int, UIMessage])
    """New contents of messages that stay, by position."""
    added: Sequence[UIMessage] = ()
    """Messages that come after those that stay."""
    continues: str | None = None
    """The id of the assistant's message that the answer goes on with."""
    history: Sequence[UIMessage] = ()
    """What the model sees, with `usechat.chats.tool_errors`; not for the store."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One answer being written to a chat, or written."""

    run_id: str
    chat_id: str
    owner: str
    began_at: float
    continues: str | None = None
    """The id of the assistant's message that the answer goes on with."""
    status: EndStatus | None = None
    """How it ended; ``None`` while it is open."""
    process_id: str | None = None
    """The process in whose memory its run is; ``None`` where the run is in a log that all share, or the process has
    not joined (`ChatStore.join`)."""

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.status is None


class ChatStore(Protocol):
    """Where chats are kept. Safe to use from any number of tasks and processes at once.

    Every method that takes an owner raises `ChatError` ``missing`` where there is no such chat and ``forbidden`` where
    it is another owner's; and all raise it as ``unavailable`` where chats can be neither read nor saved now.

    A task that is cancelled while it waits for one of these leaves the chat as it was before or as it is after, never
    in between.
    """

    async def create_chat(
        self, owner: str, chat_id: str, *, title: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Chat:
        """An empty chat; the one that is there, unchanged, where the owner has it already.

        Raises:
            RequestError: The id is empty or too long.
        """
        ...

    async def get_chat(self, owner: str, chat_id: str) -> Chat:
        """The chat without its messages."""
        ...

    async def load_chat(self, owner: str, chat_id: str) -> SavedChat:
        """The chat with its messages."""
        ...

    async def maybe_load_chat(self, owner: str, chat_id: str) -> SavedChat | None:
        """As `load_chat`; None where there is no such chat."""
        ...

    async def list_chats(self, owner: str, *, search: str = "", cursor: str | None = None, limit: int = 20) -> ChatPage:
        """The owner's chats, the one with the latest turn first.

        Args:
            owner: Whose.
            search: Only chats that have each of these words in their title or the text of a message; upper and lower
                case are the same.
            cursor: `ChatPage.next_cursor` of the page before.
            limit: How many at most, from 1 to 100.

        Raises:
            RequestError: The cursor is none of ours.
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
        """Give the chat another title, and merge ``metadata`` into its own as a JSON Merge Patch (RFC 7396)."""
        ...

    async def delete_chat(self, owner: str, chat_id: str) -> Chat:
        """Remove the chat and its messages; what it was. A turn that is open stays so, for `finish_turn`."""
        ...

    async def begin_turn(
        self, owner: str, chat_id: str, run_id: str, plan: TurnPlan, *, title: str | None = None
    ) -> Chat:
        """Carry out a plan and hold the chat for a run, all at once or not at all.

        A chat that is not there yet is made, when the plan expects none; its title is ``title`` or the beginning of
        the first text. Called again for the same run, it changes nothing.

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
        """End a turn, save its message and let go of the chat; whether it was this call that did.

        A call that failed may have ended it nevertheless. Who calls again gives the same ``attempt``, an id of its own
        making, as the first time, and is told so.

        The message is put in the place of the one that has its id, or comes last. Without one, the message that the
        turn went on with, if any, keeps its content and takes the status. Where the chat was deleted meanwhile, the
        turn ends and nothing is saved.
        """
        ...

    async def find_turn(self, run_id: str) -> Turn | None:
        """The turn of a run."""
        ...

    async def open_turns(self, *, before: float | None = None) -> Sequence[Turn]:
        """Turns that have not ended, oldest first, of every owner: those that began before a time, if one is given."""
        ...

    @property
    def process_id(self) -> str | None:
        """The name of this process among those that share the store; None where it has not joined."""
        ...

    async def join(self, lease: float, on_lost: Callable[[], None]) -> None:
        """Have the turns that begin here name this process, and the others see that it lives.

        Args:
            lease: Seconds without a sign of life after which a process counts as dead, where there is no better way.
            on_lost: Called when that happened to this one, which was paused: its turns were ended by others.
        """
        ...

    async def is_dead(self, process_id: str) -> bool:
        """Return whether a process is known to have ended, so that nobody will end its turns."""
        ...

    async def aclose(self) -> None:
        """Let go of all connections; leave, where this process has joined."""
        ...
