"""A chat as JSON to download: its UI messages, and how each was made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from usechat.chats.places import show_place
from usechat.chats.store import SavedChat
from usechat.chats.tree import SavedMessage

__all__ = ["export_chat"]


def export_chat(saved: SavedChat) -> dict[str, Any]:
    """Return the chat as one JSON object.

    ``messages`` are what ``useChat`` takes as its initial messages and the AI SDK's ``validateUIMessages`` accepts;
    ``details`` say of each, in the same order, when and by which run it was made, with what usage, and how that ended.
    ``tree`` has the messages of all paths, each with its place and its details.
    """
    chat, tree = saved.chat, saved.tree
    return {
        "id": chat.id,
        "title": chat.title,
        "createdAt": iso_time(chat.created_at),
        "updatedAt": iso_time(chat.updated_at),
        "metadata": dict(chat.metadata),
        "messages": [message.message for message in saved.messages],
        "details": [_details(message) for message in saved.messages],
        "tree": [
            {"message": message.message, "place": show_place(tree, message), "details": _details(message)}
            for message in tree.visible
        ],
    }


def _details(saved: SavedMessage) -> dict[str, Any]:
    return {
        "messageId": saved.id,
        "createdAt": iso_time(saved.created_at),
        "status": saved.status,
        "finishReason": saved.finish_reason,
        "usage": saved.usage,
        "runId": saved.run_id,
    }


def iso_time(seconds: float) -> str:
    """Return seconds since the epoch as JavaScript's ``Date`` writes them: in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
