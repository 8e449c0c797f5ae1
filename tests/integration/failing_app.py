"""An application whose every function can be told to fail, in every way, on each of the roads to a reader.

A request names the road, the case and what is raised: ``POST /runs/tool-async/SystemExit``. `PLACES` in
`failing_code` are the places where an application's code is called, `VALUES` in `failing_values` those where it gives
a wrong value.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI, Request, WebSocket
from starlette.responses import Response

from tests.integration.failing_code import ERRORS, Failing, Heard, say
from tests.integration.failing_values import CASES
from usechat import ChatRequest, ui_message_stream
from usechat.answers.answer import Answer
from usechat.chats.sql.migrations.migrate import migrate
from usechat.chats.sql.store import SqlChatStore
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import PlannedTurn
from usechat.conversations.turn_ends import TurnEnd
from usechat.errors import ChatError
from usechat.http.websocket import ChatSocket
from usechat.messages import ui
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.server.access.asking import DEFAULT_USER

heard: defaultdict[str, Heard] = defaultdict(Heard)
told: list[TurnEnd] = []
"""The ends of saved turns."""
runs = RunService(MemoryLog(), disconnect="cancel", shutdown_timeout=0.5)
conversations: list[Conversations] = []
"""The first is that of all roads but the failing stores'."""
database: list[str] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'chats.db'}"
        await migrate(url)
        kept = Conversations(
            SqlChatStore(url),
            RunService(MemoryLog(), disconnect="cancel", shutdown_timeout=0.5),
            "client",
            on_finish=note_end,
        )
        conversations.append(kept)
        database.append(url)
        async with kept, runs:
            yield
            for others in conversations[1:]:
                await others.store.aclose()


def note_end(end: TurnEnd) -> None:
    told.append(end)


def make_answer(road: str, case: str, error: str) -> Answer:
    failing = Failing(ERRORS.get(error, RuntimeError), heard[f"{road}/{case}/{error}"])
    return CASES[case][1](failing)


app = FastAPI(lifespan=lifespan)


class FailingStore(SqlChatStore):
    """A store of which one function fails at its first call."""

    def __init__(self, url: str, method: str, error: Callable[[], BaseException]) -> None:
        super().__init__(url)
        works = getattr(self, method)

        async def fail(*_: Any, **__: Any) -> Any:
            setattr(self, method, works)
            raise error()

        setattr(self, method, fail)


async def save(kept: Conversations, chat: ui.ChatRequest, answer: Answer, **options: Any) -> Response:
    turn = await kept.plan(DEFAULT_USER, chat, chat.id or "")
    assert isinstance(turn, PlannedTurn)
    return kept.respond(turn, answer, **options)


@app.post("/stores/{method}/{error}")
async def failing_store(method: str, error: str, chat: ChatRequest) -> Response:
    kept = Conversations(FailingStore(database[0], method, ERRORS[error]), RunService(MemoryLog()), "client")
    conversations.append(kept)
    heard_here = heard[f"stores/{method}/{error}"]
    answer = ui_message_stream(say("Hel", "lo"), **heard_here.options())
    return await save(kept, chat, answer, sdk="7.0.173")


@app.post("/{road}/{case}/{error}")
async def chat(road: str, case: str, error: str, chat: ChatRequest) -> Response:
    answer = make_answer(road, case, error)
    options: dict[str, Any] = {"sdk": "7.0.173", "wire_format": "ui-message-stream"}
    match road:
        case "runs":
            return answer.response(chat, runs=runs, **options)
        case "saved":
            return await save(conversations[0], chat, answer, **options)
        case "library":
            return answer.response(chat, **options)
        case _:
            return answer.response(chat, wire_format=cast("Any", road), sdk="4.3.19")


@app.websocket("/socket/{case}/{error}")
async def socket(websocket: WebSocket, case: str, error: str) -> None:
    await ChatSocket(websocket, lambda chat: make_answer("socket", case, error), sdk="7.0.173").serve()


@app.websocket("/handler/{error}")
async def failing_handler(websocket: WebSocket, error: str) -> None:
    await ChatSocket(websocket, Failing(ERRORS[error], Heard()).fail_later).serve()


@app.get("/heard/{road}/{case}/{error}")
async def what_was_heard(road: str, case: str, error: str) -> dict[str, Any]:
    one = heard[f"{road}/{case}/{error}"]
    event: Any = one.ends[0] if one.ends else None
    return {
        "ends": len(one.ends),
        "error": None if event is None or event.error is None else type(event.error).__name__,
        "errors": one.errors,
    }


@app.get("/saved/{chat_id:path}")
async def saved(chat_id: str) -> dict[str, Any]:
    try:
        chat = await conversations[0].store.load_chat(DEFAULT_USER, chat_id)
    except ChatError as error:
        return {"missing": error.code}
    return {
        "is_answering": chat.chat.active_run_id is not None,
        "messages": [one.message for one in chat.messages],
        "ends": sum(end.chat_id == chat_id for end in told),
    }


@app.get("/tasks")
async def tasks() -> list[str]:
    """What of this package runs."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    ours = ("Answer.", "Callbacks.", "WriterTurn.", "UIMessageStreamWriter.", "ToolRunner.", "Sender.")
    return [name for name in names if name.startswith((*ours, "RunService._produce", "NewRun."))]


@app.post("/held")
async def held(request: Request, chat: ChatRequest) -> Response:
    """Some text, what brings nothing, and then silence."""

    async def stay_silent() -> AsyncIterator[Any]:
        for item in (None, "Hel", "lo", None):
            yield item
        await asyncio.Event().wait()

    async def never_return(*_: Any) -> None:
        await asyncio.Event().wait()

    options: dict[str, Any] = {"on_finish": never_return} if request.query_params.get("callback") else {}
    road = request.query_params.get("road")
    answer = ui_message_stream(say("Hello") if options else stay_silent(), **options)
    if road == "saved":
        return await save(conversations[0], chat, answer)
    return answer.response(chat, runs=runs if road == "runs" else None)
