"""Reads a run again: for ``useChat`` with ``resume``, a second tab, or a client that lost its connection.

runs = RunService(MemoryLog())                     # or RedisLog("redis://…"), for several processes

@app.post("/api/chat")
async def chat(chat: ChatRequest):
return stream_text(model, messages=chat.messages).response(chat, runs=runs)

@app.get("/api/chat/{id}/stream")
async def resume(id: str, request: Request):
return await replay(runs, id, request)

A run goes on for some seconds when its readers have left (`RunService`, ``disconnect`` and ``grace``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from usechat.http.response import HEARTBEAT_SECONDS, RunHead, StreamingAnswer
from usechat.protocol.sse import KEEP_ALIVE
from usechat.runs.cursor import Cursor
from usechat.runs.log import RunInfo
from usechat.runs.reader import LogReader
from usechat.runs.service import RunService

__all__ = ["KnownRun", "find_running", "nothing_to_replay", "replay"]

DATA_STREAM_HEADER: Final = "x-vercel-ai-data-stream"
NOTHING_FOR_V4: Final = {"content-type": "text/plain; charset=utf-8", DATA_STREAM_HEADER: "v1"}


class KnownRun:
    """A run that was begun before; a `usechat.http.response.RunSource`.

    Args:
        runs: The service that reads it.
        info: The run.
        cursor: The place to read from; None for the beginning. With a cursor, an id follows each piece, so that the
            reader can resume again.
        skipped: The number of entries to skip when there is no cursor.
    """

    def __init__(self, runs: RunService, info: RunInfo, cursor: Cursor | None = None, *, skipped: int = 0) -> None:
        self.runs = runs
        self.info = info
        self.after = skipped if cursor is None else cursor.after
        is_event_stream = info.headers.get("content-type", "").startswith("text/event-stream")
        is_data_stream = DATA_STREAM_HEADER in info.headers
        self.head = RunHead(
            headers=info.headers,
            heartbeat=KEEP_ALIVE if is_event_stream else b"\n" if is_data_stream else None,
            breaks_on_error=not (is_event_stream or is_data_stream),
            gives_cursors=cursor is not None and is_event_stream,
        )

    async def prepare(self, request: Headers) -> RunHead:
        """Return the headers and heartbeat of the run."""
        return self.head

    async def begin(self, headers: Mapping[str, str]) -> LogReader:
        """Return a reader of the run."""
        return LogReader(
            self.runs,
            self.info.id,
            self.after,
            comes_back=self.head.gives_cursors,
            breaks_on_error=self.head.breaks_on_error,
        )

    def abort(self, reason: str) -> None:
        """Do nothing: the run has begun long ago."""


async def find_running(runs: RunService, chat_id: str, *, owner: str | None = None) -> StreamingAnswer | None:
    """Return a response with the chat's running answer from its beginning; None when nothing runs.

    Args:
        runs: The service that has the run.
        chat_id: The chat.
        owner: Whose chat it must be; None for anybody's.

    Raises:
        RunError: The log cannot be reached, or the run is another owner's.
        ChatError: The chat is another owner's.
    """
    info = await runs.resume(chat_id, owner=owner)
    return None if info is None else StreamingAnswer(KnownRun(runs, info))


async def replay(
    runs: RunService,
    chat_id: str,
    request: Request,
    *,
    owner: str | None = None,
    is_v4: bool = False,
    heartbeat: float | None = HEARTBEAT_SECONDS,
) -> Response:
    """Return the response to a client that resumes its chat's stream: 204 when nothing runs.

    Args:
        runs: The service that has the run.
        chat_id: The chat.
        request: The request. ``?cursor=`` or ``Last-Event-ID`` give the reader's place.
        owner: Whose chat it must be; None for anybody's.
        is_v4: Whether AI SDK 4 asks, whose client cannot read a 204.
        heartbeat: Seconds of silence after which a heartbeat is sent.

    Raises:
        HTTPException: 400: the cursor is not valid.
        RunError: The log cannot be reached, or the run is another owner's.
        ChatError: The chat is another owner's.
    """
    cursor = read_cursor(request)
    info = await runs.resume(chat_id, cursor, owner=owner)
    if info is not None:
        return StreamingAnswer(KnownRun(runs, info, cursor), heartbeat=heartbeat)
    return nothing_to_replay(is_v4=is_v4)


def nothing_to_replay(*, is_v4: bool = False) -> Response:
    """Return the response to a client that resumes where nothing runs, or nothing is kept."""
    return Response(headers=NOTHING_FOR_V4) if is_v4 else Response(status_code=204)


def read_cursor(request: Request) -> Cursor | None:
    """Return the cursor in a request; None to read from the beginning.

    Raises:
        HTTPException: 400: the cursor is not valid.
    """
    given = request.query_params.get("cursor") or request.headers.get("last-event-id")
    if given is None:
        return None
    try:
        return Cursor.parse(given)
    except ValueError:
        raise HTTPException(400, "cursor: must be the id of an event, or 0") from None
