"""The routes of running answers: resume and stop."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the functions below make.
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from usechat.conversations.conversations import Conversations, can_have_run
from usechat.conversations.routes.chat_ids import ChatId
from usechat.conversations.routes.parts import RouteParts
from usechat.http.resume import nothing_to_replay, replay

__all__ = ["add_running"]


def add_running(router: APIRouter, parts: RouteParts) -> None:
    """Add the routes of running answers. When chats are not saved, no answer outlives its reader.

    Args:
        router: Gets the routes.
        parts: What they are made of.
    """
    owner_of = parts.owner

    async def read_again(owner: str, chat_id: str, request: Request, *, is_v4: bool) -> Response:
        if parts.opened is None:
            return nothing_to_replay(is_v4=is_v4)
        conversations: Conversations = parts.opened()
        if not can_have_run(chat_id):
            await conversations.check_owner(owner, chat_id)
            return nothing_to_replay(is_v4=is_v4)
        return await replay(conversations.runs, chat_id, request, owner=owner, is_v4=is_v4, heartbeat=parts.heartbeat)

    @router.get("/chat/{chat_id:chat}/stream")
    async def resume(chat_id: ChatId, request: Request, owner: Annotated[str, Depends(owner_of)]) -> Response:
        """Read the chat's running answer again, from its beginning or from ``?cursor=``; 204 when there is none."""
        return await read_again(owner, chat_id, request, is_v4=False)

    @router.get("/chat")
    async def resume_v4(
        chat_id: Annotated[str, Query(alias="chatId")], request: Request, owner: Annotated[str, Depends(owner_of)]
    ) -> Response:
        """Read the chat's running answer again, for AI SDK 4, whose client cannot read a 204."""
        return await read_again(owner, chat_id, request, is_v4=True)

    @router.delete("/chat/{chat_id:chat}/stream")
    @router.post("/chat/{chat_id:chat}/stop")
    async def stop(chat_id: ChatId, owner: Annotated[str, Depends(owner_of)]) -> dict[str, bool]:
        """Stop the chat's answer, in any process; 409 when that cannot be reached. A second request does no harm."""
        return {"stopped": parts.opened is not None and await parts.opened().stop(owner, chat_id)}
