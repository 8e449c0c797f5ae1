"""The answer to a saved chat on its way to its first reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from usechat.errors import ChatError
from usechat.fastapi import known_ids
from usechat.generate.answer import Answer
from usechat.resumable import ResumableAnswer
from usechat.runs.service import Make, RunHandle
from usechat.server.conversations import Conversations, PlannedTurn

__all__ = ["SavedAnswer", "chat_error_response"]

CHAT_STATUS: Final = {"missing": 404, "conflict": 409, "forbidden": 403, "unavailable": 503}


def chat_error_response(error: ChatError) -> JSONResponse:
    """A refusal by the store of chats, as the client can show it."""
    status = CHAT_STATUS[error.code]
    headers = {"retry-after": "1"} if status == 503 else None
    return JSONResponse({"detail": error.message}, status_code=status, headers=headers)


class SavedAnswer(ResumableAnswer):
    """A resumable answer that is a turn of a saved chat.

    Args:
        answer: Not begun.
        turn: What is answered.
        conversations: What holds the chat meanwhile.
        options: As for `usechat.fastapi.StreamingAnswer`.
    """

    def __init__(self, answer: Answer, turn: PlannedTurn, conversations: Conversations, **options: Any) -> None:
        super().__init__(answer, turn.request, runs=conversations.runs, chat_id=turn.chat_id, **options)
        self.turn = turn
        self.conversations = conversations
        answer.keeps_tool_errors = True
        self.continued = turn.continued
        known = known_ids(turn.continued) or known_ids({})
        self.encoder_options = msgspec.structs.replace(self.encoder_options, **known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin the turn and read the run to its end, or until the reader leaves."""
        try:
            await super().__call__(scope, receive, send)
        except ChatError as error:
            await chat_error_response(error)(scope, receive, send)

    async def begin_run(self, make: Make, headers: Mapping[str, str]) -> RunHandle:
        """Hold the chat, and have the run made.

        Raises:
            ChatError: Another answer to the chat is in the making.
            RunError: The log cannot be reached.
        """
        return await self.conversations.begin(
            self.turn,
            self.answer,
            make,
            dialect=self.dialect,
            wire_format=self.wire_format,
            headers=headers,
            message_id=self.answer.message_id,
            preamble=self.preamble,
        )
