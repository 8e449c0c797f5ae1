"""Merge what a client posts into a chat's messages that an application keeps as a list.

The list is planned as a saved chat of `Chats` is (`usechat.chats.history`), so that both do the same with a request.
Knows no store and no run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from usechat.chats.history import Repeated
from usechat.chats.store import Chat, SavedChat
from usechat.chats.tree import MessageTree, SavedMessage
from usechat.conversations.planning import messages_for_model, plan_request
from usechat.errors import ChatError, RequestError
from usechat.ids import generate_id
from usechat.messages import ui

__all__ = ["merge_messages"]


def merge_messages(saved: Sequence[ui.UIMessage | Mapping[str, Any]], chat: ui.ChatRequest) -> list[ui.UIMessage]:
    """Return the messages to answer: the saved ones, with what the client posts at its place.

    It is for an application that keeps each chat as a list (`FinishEvent.messages`), whatever its clients post: all
    messages, the last one, or a trigger only.

        chat.messages = merge_messages(load(chat.id), chat)

    A new message comes after the saved ones. One whose id is saved takes that message's place, and those after it
    are left out: an edit, or a question that is asked again. ``regenerate-message`` leaves out the answer that is made
    anew and what comes after it. Of an assistant's message only this is taken: the decision on an approval and the
    output of a client's tool, for calls that are saved as open. A client that posts all messages is answered as it
    holds them.

    Args:
        saved: The chat's UI messages, oldest first, as objects or dicts; empty for a new chat. They are not changed.
        chat: The request.

    Raises:
        RequestError: The request does not fit the saved messages. 409: the chat went on after the message that the
            client continues, the call was answered already, or it is not saved. 422: a message has the id of one with
            another role, ``messageId`` is no message of the chat, or there is nothing to answer. A saved message is not
            valid (422).
    """
    try:
        plan = plan_request(as_saved_chat(chat.id or "", ui.read_ui_messages(list(saved))), chat, {"mode": "client"})
    except ChatError as error:
        raise RequestError(error.message, status=409) from None
    if isinstance(plan, Repeated):
        raise RequestError("This was answered already. Load the chat again.", status=409)
    return messages_for_model(chat, plan, "client")


def as_saved_chat(chat_id: str, messages: Sequence[ui.UIMessage]) -> SavedChat:
    """Return a list of messages as a chat with one path."""
    tree: list[SavedMessage] = []
    for number, message in enumerate(messages):
        tree.append(
            SavedMessage(
                message={**message.to_json(), "id": message.id or generate_id()},
                number=number,
                parent=number - 1 if number else None,
                role=message.role,
                created_at=0.0,
                # A list does not say whether an answer is whole, so a question that comes again is answered again.
                status="partial",
                run_id="saved" if message.role == "assistant" else None,
            )
        )
    size = len(tree)
    chat = Chat(id=chat_id, owner="", created_at=0.0, updated_at=0.0, size=size, leaf=size - 1 if size else None)
    return SavedChat(chat=chat, tree=MessageTree(tree))
