"""The messages of a chat as a tree: what was said, and what was said instead.

A message comes after its parent. Messages with the same parent are siblings: an edited message beside the one that it
was before, a second answer beside the first. A path goes from a first message to one of its descendants. Messages are
only added and hidden. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["EndStatus", "MessageStatus", "MessageTree", "SavedMessage", "UIMessage"]

UIMessage: TypeAlias = dict[str, Any]
"""``{id, role, parts, metadata?}`` and whatever else the client put into it, as JSON values."""

EndStatus: TypeAlias = Literal["whole", "partial", "aborted", "failed", "lost"]
"""How a turn ended.

``whole``: to its end. ``partial``: cut by a limit or a disconnect. ``aborted``: stopped by the user. ``failed``: by an
error. ``lost``: its process died.
"""

MessageStatus: TypeAlias = EndStatus | Literal["streaming"]


class SavedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message and how it was made."""

    message: UIMessage
    number: int
    """The message's number in its chat: from 0, in the order in which messages were saved. It never changes, while ids
    are the clients' and not unique: an edited message keeps its id."""
    parent: int | None = None
    """The number of the message before this one; ``None`` for the first one of a path."""
    role: str
    created_at: float
    """Seconds since the epoch."""
    status: MessageStatus = "whole"
    usage: Any = None
    """The usage of all runs that wrote the message, in the shape that the application gave it."""
    finish_reason: str | None = None
    run_id: str | None = None
    """The run that wrote it last; ``None`` for a message of the client."""
    tool_errors: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """The error texts that the model got, by tool call id, when the parts have another text. Clients never get them."""
    is_hidden: bool = False
    """Whether the user has deleted this message, or one before it."""

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message["id"]


class MessageTree:
    """The messages of one chat.

    Args:
        messages: All of them, by number.
    """

    def __init__(self, messages: Sequence[SavedMessage] = ()) -> None:
        self.messages = messages

    def __eq__(self, other: object) -> bool:
        """Return whether the other tree has equal messages."""
        return isinstance(other, MessageTree) and list(self.messages) == list(other.messages)

    def __hash__(self) -> int:
        """Return a hash, equal for equal trees."""
        return hash(len(self.messages))

    @cached_property
    def visible(self) -> Sequence[SavedMessage]:
        """The messages that are not hidden, by number."""
        return [message for message in self.messages if not message.is_hidden]

    @cached_property
    def answer_ids(self) -> frozenset[str]:
        """The ids of the messages that runs wrote. Clients may have brought copies of these to other paths."""
        return frozenset([message.id for message in self.messages if message.run_id is not None])

    @cached_property
    def _numbers(self) -> frozenset[int]:
        return frozenset([message.number for message in self.visible])

    @cached_property
    def _children(self) -> Mapping[int | None, Sequence[SavedMessage]]:
        children: defaultdict[int | None, list[SavedMessage]] = defaultdict(list)
        for message in self.visible:
            children[message.parent].append(message)
        return children

    def __getitem__(self, number: int) -> SavedMessage:
        """Return the message with a number."""
        return self.messages[number]

    def find(self, number: int) -> SavedMessage | None:
        """Return the message with a number; ``None`` if there is none, or it is not shown."""
        return self.messages[number] if number in self._numbers else None

    def children(self, parent: int | None) -> Sequence[SavedMessage]:
        """Return the messages that come directly after a message, by number; after ``None``, the first ones."""
        return self._children.get(parent, ())

    def siblings(self, message: SavedMessage) -> Sequence[SavedMessage]:
        """Return the messages with the same parent, the message itself included."""
        return self.children(message.parent)

    def path_to(self, leaf: int | None) -> Sequence[SavedMessage]:
        """Return the messages from a first one to ``leaf``."""
        path: list[SavedMessage] = []
        while leaf is not None:
            message = self.messages[leaf]
            path.append(message)
            leaf = message.parent
        path.reverse()
        return path

    def latest_leaf(self, number: int | None) -> int | None:
        """Return the latest message after a message; the message itself when none comes after it."""
        return max(self.branch(number), default=number)

    def branch(self, number: int | None) -> Sequence[int]:
        """Return the numbers of a message and of all that come after it; after ``None``, of all messages."""
        # A message has a higher number than its parent.
        found: list[int] = [] if number is None else [number]
        parents: set[int | None] = {number}
        for message in self.visible:
            if message.parent in parents:
                found.append(message.number)
                parents.add(message.number)
        return found

    def without(self, number: int) -> MessageTree:
        """Return the tree with a message and all that come after it hidden."""
        hidden = frozenset(self.branch(number))
        return MessageTree(
            [
                msgspec.structs.replace(message, is_hidden=True) if message.number in hidden else message
                for message in self.messages
            ]
        )
