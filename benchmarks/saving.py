"""What keeping a chat costs in each turn, apart from the server around it: CPU time of the process that keeps it."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from benchmarks.bodies import earlier_messages
from benchmarks.machine import on_server_core
from benchmarks.measure import Figure
from tests.support.postgres import PostgresServer
from usechat.chats.history import TurnRequest, plan_turn
from usechat.chats.sql.migrations.migrate import migrate
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import SavedChat

__all__ = ["measure_saving"]

_HISTORY = 50
_TURNS = 40
"""Of one sample."""
_BRANCHES = 100
"""Answers to one question."""
_LOADS = 10
"""Of the chat with the branches."""
_OWNER = "bench"
_ANSWER = {
    "role": "assistant",
    "parts": [{"type": "step-start"}, {"type": "text", "text": "The tide is out. " * 60, "state": "done"}],
}
_USAGE = {"inputTokens": {"total": 2100, "noCache": 100, "cacheRead": 2000}, "outputTokens": {"total": 240}}

ResultT = TypeVar("ResultT")


def measure_saving(rounds: int, announce: Callable[[str], None]) -> tuple[dict[str, Figure], dict[str, str]]:
    """Turns of chats that have fifty messages already; returns figures, and what could not be measured."""
    figures: dict[str, Figure] = {}
    problems: dict[str, str] = {}
    with ExitStack() as stack:
        urls = {"SQLite": f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/chats.db"}
        try:
            urls["PostgreSQL"] = stack.enter_context(_postgres()).make_database()
        except (OSError, ValueError) as error:
            problems["PostgreSQL"] = f"there is none on this machine: {error}"
        for url in urls.values():
            asyncio.run(migrate(url))
        for number in range(rounds):
            for database, url in urls.items():
                announce(f"{database} (round {number + 1} of {rounds})")
                with on_server_core():
                    spent = asyncio.run(_measure(url, f"round-{number}"))
                for step, seconds in spent.items():
                    figure = figures.setdefault(f"{database}, {step}", Figure("µs/turn"))
                    figure.values.append(seconds * 1e6)
    return figures, problems


@contextmanager
def _postgres() -> Generator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


async def _measure(url: str, name: str) -> Mapping[str, float]:
    """CPU seconds of each step of a turn, of all steps, and to load a chat of many branches."""
    # As `usechat serve` does: a full collection in the middle would cost one step of one sample more than all turns.
    gc.collect()
    gc.freeze()
    store = SqlChatStore(url)
    spent = {"all": 0.0, "load": 0.0, "plan": 0.0, "begin": 0.0, "finish": 0.0}
    for number in range(_TURNS + 1):
        await _converse(store, f"{name}-{number}")
    # The first one connects, and has SQLAlchemy write its statements.
    await _take_turn(store, f"{name}-0", dict(spent))
    for number in range(1, _TURNS + 1):
        await _take_turn(store, f"{name}-{number}", spent)
    await _branch(store, f"{name}-branches")
    before = time.process_time()
    for _ in range(_LOADS):
        await store.load_chat(_OWNER, f"{name}-branches")
    branched = (time.process_time() - before) / _LOADS
    await store.aclose()
    turn = {step: seconds / _TURNS for step, seconds in {**spent, "all": sum(spent.values())}.items()}
    return {**turn, f"load of {_BRANCHES} answers to one question": branched}


async def _branch(store: SqlChatStore, chat_id: str) -> None:
    """A chat with one question, answered many times at length."""
    question = {"id": "question", "role": "user", "parts": [{"type": "text", "text": "And at noon?"}]}
    long = {**_ANSWER, "parts": [*_ANSWER["parts"]] * 10}
    plan: Any = plan_turn(None, TurnRequest(messages=[question]))
    for number in range(_BRANCHES):
        run_id = f"{chat_id}-{number}"
        await store.begin_turn(_OWNER, chat_id, run_id, plan)
        await store.finish_turn(run_id, status="whole", message={"id": run_id, **long}, usage=_USAGE)
        again = TurnRequest(messages=[question], trigger="regenerate-message", message_id=run_id)
        plan = plan_turn(await store.load_chat(_OWNER, chat_id), again)


async def _converse(store: SqlChatStore, chat_id: str) -> None:
    """A chat with its fifty messages."""
    plan: Any = plan_turn(None, TurnRequest(messages=earlier_messages(_HISTORY)))
    await store.begin_turn(_OWNER, chat_id, f"{chat_id}-first", plan)
    await store.finish_turn(f"{chat_id}-first", status="whole")


async def _take_turn(store: SqlChatStore, chat_id: str, spent: dict[str, float]) -> None:
    """One turn as the server takes it."""
    question = {"id": "last", "role": "user", "parts": [{"type": "text", "text": "And at noon?"}]}
    request = TurnRequest(messages=[*earlier_messages(_HISTORY), question], trigger="submit-message")

    async def timed(step: str, work: Awaitable[ResultT]) -> ResultT:
        before = time.process_time()
        result = await work
        spent[step] += time.process_time() - before
        return result

    saved: SavedChat = await timed("load", store.load_chat(_OWNER, chat_id))
    before = time.process_time()
    plan: Any = plan_turn(saved, request)
    spent["plan"] += time.process_time() - before
    await timed("begin", store.begin_turn(_OWNER, chat_id, f"{chat_id}-second", plan))
    message: dict[str, Any] = {"id": "answer", **_ANSWER}
    ended = store.finish_turn(f"{chat_id}-second", status="whole", message=message, usage=_USAGE, finish_reason="stop")
    await timed("finish", ended)
