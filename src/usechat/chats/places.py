"""Shows clients where a message stands in the tree of its chat, and how it ended."""

from __future__ import annotations

from typing import Any

from usechat.chats.tree import MessageTree, SavedMessage

__all__ = ["show_place"]


def show_place(tree: MessageTree, message: SavedMessage) -> dict[str, Any]:
    """Return the place of a message, as JSON.

    ``id`` is the message's id and ``node`` its number in the chat, which no other message has; ``parent`` is the number
    of the message before it. ``siblings`` are the numbers of the versions to choose from, itself included, and
    ``index`` says which of them it is, from 0. ``status`` and ``finishReason`` tell a page that was reloaded how an
    answer ended.
    """
    siblings = [sibling.number for sibling in tree.siblings(message)]
    return {
        "id": message.id,
        "node": message.number,
        "parent": message.parent,
        "siblings": siblings,
        "index": siblings.index(message.number),
        "status": message.status,
        "finishReason": message.finish_reason,
    }
