"""The routes of saved chats: resume, stop, list, read, change, delete, export."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the functions below make.
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from msgspec import UNSET
from pydantic import AfterValidator, BaseModel
from starlette.responses import Response

from usechat.apart import work_apart
from usechat.chats.export import export_chat, iso_time
from usechat.chats.places import show_place
from usechat.chats.store import Chat, SavedChat
from usechat.chats.tree import SavedMessage
from usechat.conversations.conversations import OWNER, Conversations, can_have_run
from usechat.conversations.routes.chat_ids import ChatId
from usechat.conversations.routes.openapi import body_schema
from usechat.http.negotiation import SDK_HEADER, negotiate
from usechat.http.request import body_reader
from usechat.http.resume import nothing_to_replay, replay
from usechat.json import encode_json
from usechat.messages import ui
from usechat.messages.to_legacy import to_legacy_message
from usechat.messages.ui import refuse_unsafe_value
from usechat.protocol.dialects import Dialect
from usechat.server.access.keys import KeyGuard
from usechat.server.settings import Settings

__all__ = ["make_paths_router", "make_running_router", "make_saved_router"]

MAX_PAGE: Final = 100


MAX_PATCH_BYTES: Final = 256 * 1024
"""The largest change in bytes: lists of chats hold titles and metadata."""


class ChatPatch(BaseModel):
    """The properties of a chat that a client can change."""

    title: str | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(refuse_unsafe_value)] | None = None


class PathChoice(BaseModel):
    """The message through which the shown path is to go."""

    node: int
    """The number of the message: ``node`` in its place."""


async def as_json(show: Callable[[], Any]) -> Response:
    """Respond with the result of ``show``; for a long chat it runs in a thread."""
    return Response(await work_apart(lambda: encode_json(show())), media_type="application/json")


def make_running_router(conversations: Conversations | None, guard: KeyGuard, heartbeat: float | None) -> APIRouter:
    """Return the routes of running answers.

    Args:
        conversations: The saved chats; None when chats are not saved, so that no answer outlives its reader.
        guard: Checks keys.
        heartbeat: Seconds of silence after which a heartbeat is sent.
    """
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)])

    @router.get("/chat/{chat_id:chat}/stream")
    async def resume(chat_id: ChatId, request: Request) -> Response:
        """Read the chat's running answer again, from its beginning or from ``?cursor=``; 204 when there is none."""
        if conversations is None or not can_have_run(chat_id):
            return nothing_to_replay()
        return await replay(conversations.runs, chat_id, request, heartbeat=heartbeat)

    @router.get("/chat")
    async def resume_v4(chat_id: Annotated[str, Query(alias="chatId")], request: Request) -> Response:
        """Read the chat's running answer again, for AI SDK 4, whose client cannot read a 204."""
        if conversations is None:
            return nothing_to_replay(is_v4=True)
        return await replay(conversations.runs, chat_id, request, is_v4=True, heartbeat=heartbeat)

    @router.delete("/chat/{chat_id:chat}/stream")
    @router.post("/chat/{chat_id:chat}/stop")
    async def stop(chat_id: ChatId) -> dict[str, bool]:
        """Stop the chat's answer, in any process; 409 when that cannot be reached. A second request does no harm."""
        return {"stopped": conversations is not None and await conversations.stop(chat_id)}

    return router


def make_paths_router(conversations: Conversations, guard: KeyGuard, settings: Settings) -> APIRouter:
    """Return the routes of the paths through a saved chat.

    They stand before the chat's own routes, whose ids may hold slashes.

    Args:
        conversations: The saved chats.
        guard: Checks keys.
        settings: As for `make_saved_router`.
    """
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)])
    store = conversations.store
    max_bytes = min(settings.max_body_bytes, MAX_PATCH_BYTES)
    read_choice = body_reader(partial(ui.parse_body, PathChoice), max_bytes, settings.body_limits)

    @router.post("/chats/{chat_id:chat}/path", response_model=dict[str, Any], openapi_extra=body_schema(PathChoice))
    async def choose_path(
        chat_id: ChatId, request: Request, choice: Annotated[PathChoice, Depends(read_choice)]
    ) -> Response:
        """Show the path through a message, to the latest message after it; 409 while an answer is made."""
        dialect = negotiate(None, {**request.headers, **named_version(request)}, settings.sdk)
        return await as_json(partial(show_saved, await store.choose_path(OWNER, chat_id, choice.node), dialect))

    @router.delete("/chats/{chat_id:chat}/messages/{node:int}", response_model=dict[str, Any])
    async def hide_message(chat_id: ChatId, node: int, request: Request) -> Response:
        """Hide a message and all that come after it, and return the chat; 409 while an answer is made."""
        dialect = negotiate(None, {**request.headers, **named_version(request)}, settings.sdk)
        return await as_json(partial(show_saved, await store.hide_message(OWNER, chat_id, node), dialect))

    return router


def make_saved_router(conversations: Conversations, guard: KeyGuard, settings: Settings) -> APIRouter:
    """Return the routes of saved chats.

    Args:
        conversations: The saved chats.
        guard: Checks keys.
        settings: Limits of a change, and the AI SDK version of clients that do not name theirs.
    """
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)])
    store = conversations.store
    max_bytes = min(settings.max_body_bytes, MAX_PATCH_BYTES)
    read_patch = body_reader(partial(ui.parse_body, ChatPatch), max_bytes, settings.body_limits)

    @router.get("/chats", response_model=dict[str, Any])
    async def list_chats(search: str = "", cursor: str | None = None, limit: int = 20) -> Response:
        """List the chats, latest first; ``nextCursor`` asks for the next page."""
        page = await store.list_chats(OWNER, search=search, cursor=cursor, limit=max(1, min(limit, MAX_PAGE)))
        return await as_json(
            lambda: {"chats": [show_chat(chat) for chat in page.chats], "nextCursor": page.next_cursor}
        )

    # Declared before the chat's own route, whose id may hold slashes.
    @router.get("/chats/{chat_id:chat}/export", response_model=dict[str, Any])
    async def export(chat_id: ChatId) -> Response:
        """Return a chat as a file, with the origin of each message."""
        return await as_json(partial(export_chat, await store.load_chat(OWNER, chat_id)))

    @router.get("/chats/{chat_id:chat}", response_model=dict[str, Any])
    async def get_chat(chat_id: ChatId, request: Request, *, tree: bool = False) -> Response:
        """Return a chat and its messages, as ``useChat`` takes them; ``?sdk=4`` has them in the form of AI SDK 4.

        ``?tree=1`` adds the messages of all paths under ``tree``.
        """
        dialect = negotiate(None, {**request.headers, **named_version(request)}, settings.sdk)
        saved = await store.load_chat(OWNER, chat_id)
        if saved.chat.active_run_id is not None and can_have_run(chat_id):
            await conversations.runs.note_asked(chat_id)
        return await as_json(partial(show_saved, saved, dialect, has_tree=tree))

    @router.patch("/chats/{chat_id:chat}", response_model=dict[str, Any], openapi_extra=body_schema(ChatPatch))
    async def update_chat(chat_id: ChatId, patch: Annotated[ChatPatch, Depends(read_patch)]) -> Response:
        """Give the chat another title, or merge into its metadata."""
        given = patch.model_fields_set
        chat = await store.update_chat(
            OWNER,
            chat_id,
            title=patch.title if "title" in given else UNSET,
            metadata=patch.metadata or {} if "metadata" in given else UNSET,
        )
        return await as_json(partial(show_chat, chat))

    @router.delete("/chats/{chat_id:chat}", status_code=204, response_class=Response)
    async def delete_chat(chat_id: ChatId) -> None:
        """Stop the chat's answer, and remove the chat; 409 or 503 while another process answers that cannot be told."""
        await conversations.delete(chat_id)

    return router


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
