"""The routes of saved chats: list, read, change, delete, export."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the functions below make.
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from msgspec import UNSET
from pydantic import AfterValidator, BaseModel, StringConstraints
from starlette.responses import Response

from usechat.apart import work_apart
from usechat.chats.export import export_chat, iso_time
from usechat.chats.places import show_place
from usechat.chats.store import Chat, SavedChat
from usechat.chats.tree import SavedMessage
from usechat.conversations.conversations import Conversations, can_have_run
from usechat.conversations.routes.chat_ids import ChatId
from usechat.conversations.routes.openapi import body_schema
from usechat.conversations.routes.parts import RouteParts
from usechat.http.negotiation import SDK_HEADER, negotiate
from usechat.http.request import body_reader
from usechat.json import encode_json
from usechat.messages import ui
from usechat.messages.to_legacy import to_legacy_message
from usechat.messages.ui import refuse_unsafe_value
from usechat.protocol.dialects import Dialect

__all__ = ["add_changes", "add_paths", "add_saved"]

MAX_PAGE: Final = 100


MAX_PATCH_BYTES: Final = 256 * 1024
"""The largest change in bytes: lists of chats hold titles and metadata."""


MAX_TITLE: Final = 1000
"""The longest title in characters: each page of the list holds a hundred."""


class ChatPatch(BaseModel):
    """The properties of a chat that a client can change."""

    title: Annotated[str, StringConstraints(max_length=MAX_TITLE)] | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(refuse_unsafe_value)] | None = None


class PathChoice(BaseModel):
    """The message through which the shown path is to go."""

    node: int
    """The number of the message: ``node`` in its place."""


async def as_json(show: Callable[[], Any]) -> Response:
    """Respond with the result of ``show``; for a long chat it runs in a thread."""
    return Response(await work_apart(lambda: encode_json(show())), media_type="application/json")


def add_paths(router: APIRouter, parts: RouteParts, opened: Callable[[], Conversations]) -> None:
    """Add the routes of the paths through a saved chat.

    They stand before the chat's own routes, whose ids may hold slashes.

    Args:
        router: Gets the routes.
        parts: What they are made of.
        opened: Returns the open chats.
    """
    owner_of = parts.owner
    max_bytes = min(parts.max_body_bytes, MAX_PATCH_BYTES)
    read_choice = body_reader(partial(ui.parse_body, PathChoice), max_bytes, parts.limits)

    @router.post("/chats/{chat_id:chat}/path", response_model=dict[str, Any], openapi_extra=body_schema(PathChoice))
    async def choose_path(
        chat_id: ChatId,
        request: Request,
        owner: Annotated[str, Depends(owner_of)],
        choice: Annotated[PathChoice, Depends(read_choice)],
    ) -> Response:
        """Show the path through a message, to the latest message after it; 409 while an answer is made."""
        dialect = negotiate(None, {**request.headers, **named_version(request)}, parts.sdk)
        return await as_json(
            partial(show_saved, await opened().store.choose_path(owner, chat_id, choice.node), dialect)
        )

    @router.delete("/chats/{chat_id:chat}/messages/{node:int}", response_model=dict[str, Any])
    async def hide_message(
        chat_id: ChatId, node: int, request: Request, owner: Annotated[str, Depends(owner_of)]
    ) -> Response:
        """Hide a message and all that come after it, and return the chat; 409 while an answer is made."""
        dialect = negotiate(None, {**request.headers, **named_version(request)}, parts.sdk)
        return await as_json(partial(show_saved, await opened().store.hide_message(owner, chat_id, node), dialect))


def add_saved(router: APIRouter, parts: RouteParts, opened: Callable[[], Conversations]) -> None:
    """Add the routes that read saved chats.

    Args:
        router: Gets the routes.
        parts: What they are made of.
        opened: Returns the open chats.
    """
    owner_of = parts.owner

    @router.get("/chats", response_model=dict[str, Any])
    async def list_chats(
        owner: Annotated[str, Depends(owner_of)], search: str = "", cursor: str | None = None, limit: int = 20
    ) -> Response:
        """List the chats, latest first; ``nextCursor`` asks for the next page."""
        page = await opened().store.list_chats(owner, search=search, cursor=cursor, limit=max(1, min(limit, MAX_PAGE)))
        return await as_json(
            lambda: {"chats": [show_chat(chat) for chat in page.chats], "nextCursor": page.next_cursor}
        )

    # Declared before the chat's own route, whose id may hold slashes.
    @router.get("/chats/{chat_id:chat}/export", response_model=dict[str, Any])
    async def export(chat_id: ChatId, owner: Annotated[str, Depends(owner_of)]) -> Response:
        """Return a chat as a file, with the origin of each message."""
        return await as_json(partial(export_chat, await opened().store.load_chat(owner, chat_id)))

    @router.get("/chats/{chat_id:chat}", response_model=dict[str, Any])
    async def get_chat(
        chat_id: ChatId, request: Request, owner: Annotated[str, Depends(owner_of)], *, tree: bool = False
    ) -> Response:
        """Return a chat and its messages, as ``useChat`` takes them; ``?sdk=4`` has them in the form of AI SDK 4.

        ``?tree=1`` adds the messages of all paths under ``tree``.
        """
        dialect = negotiate(None, {**request.headers, **named_version(request)}, parts.sdk)
        saved = await opened().store.load_chat(owner, chat_id)
        if saved.chat.active_run_id is not None and can_have_run(chat_id):
            await opened().runs.note_asked(chat_id)
        return await as_json(partial(show_saved, saved, dialect, has_tree=tree))


def add_changes(router: APIRouter, parts: RouteParts, opened: Callable[[], Conversations]) -> None:
    """Add the routes that change and remove saved chats.

    Args:
        router: Gets the routes.
        parts: What they are made of.
        opened: Returns the open chats.
    """
    owner_of = parts.owner
    max_bytes = min(parts.max_body_bytes, MAX_PATCH_BYTES)
    read_patch = body_reader(partial(ui.parse_body, ChatPatch), max_bytes, parts.limits)

    @router.patch("/chats/{chat_id:chat}", response_model=dict[str, Any], openapi_extra=body_schema(ChatPatch))
    async def update_chat(
        chat_id: ChatId,
        owner: Annotated[str, Depends(owner_of)],
        patch: Annotated[ChatPatch, Depends(read_patch)],
    ) -> Response:
        """Give the chat another title, or merge into its metadata."""
        given = patch.model_fields_set
        chat = await opened().store.update_chat(
            owner,
            chat_id,
            title=patch.title if "title" in given else UNSET,
            metadata=patch.metadata or {} if "metadata" in given else UNSET,
        )
        return await as_json(partial(show_chat, chat))

    @router.delete("/chats/{chat_id:chat}", status_code=204, response_class=Response)
    async def delete_chat(chat_id: ChatId, owner: Annotated[str, Depends(owner_of)]) -> None:
        """Stop the chat's answer, and remove the chat; 409 or 503 while another process answers that cannot be told."""
        await opened().delete(owner, chat_id)


def show_chat(chat: Chat) -> dict[str, Any]:
    return {
        "id": chat.id,
        "title": chat.title,
        "createdAt": iso_time(chat.created_at),
        "updatedAt": iso_time(chat.updated_at),
        "metadata": dict(chat.metadata),
        "isAnswering": chat.active_run_id is not None,
    }


def named_version(request: Request) -> dict[str, str]:
    """Return the client's version from the query as the header that names it."""
    named = request.query_params.get("sdk")
    return {} if named is None else {SDK_HEADER: named}


def show_saved(saved: SavedChat, dialect: Dialect, *, has_tree: bool = False) -> dict[str, Any]:
    """Return the chat with the messages of the path that is shown, and the place of each in the same order."""

    def show(message: SavedMessage) -> dict[str, Any]:
        return to_legacy_message(message.message) if dialect.shape == 4 else message.message

    shown = {
        **show_chat(saved.chat),
        "messages": [show(message) for message in saved.messages],
        "places": [show_place(saved.tree, message) for message in saved.messages],
    }
    if has_tree:
        tree = [{"message": show(message), "place": show_place(saved.tree, message)} for message in saved.tree.visible]
        shown["tree"] = tree
    return shown
