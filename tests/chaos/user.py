"""A user of the failure test: asks, is cut off or leaves, comes back, stops, and asks again."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.chaos.upstream import CUT, HELD, WHOLE
from tests.chaos.wire import Reading, Wire

__all__ = ["Session", "Turn", "User"]

Json = Mapping[str, Any]

PAUSE = 0.5
"""Seconds before something that was refused is tried again."""
PATIENCE = 90.0
"""Seconds, once all is whole again, after which a turn that nobody answers counts as stuck."""
SILENCE = 40.0
"""Seconds without a byte after which a response counts as stuck: there is a sign of life every 15."""
PLACE = re.compile(rb"(?:^|\n)id: (\S+)\n\n")
TRANSPORT_ERRORS = (aiohttp.ClientError, ConnectionError)


@dataclass
class Session:
    """One response that a reader got, as far as it got."""

    how: str
    """``first`` reader, ``resume`` or ``second`` tab."""
    began: float = field(default_factory=time.monotonic)
    answered: float = math.inf
    """When it was answered with 200."""
    status: int = 0
    server: str = ""
    data: bytes = b""
    heard: float = field(default_factory=time.monotonic)
    """When its last byte came."""
    outcome: str = "stuck"
    """``over``, ``left``, ``cut``, ``nothing``, ``refused``, ``unreachable``; ``stuck`` unless it became another."""
    ended: float = 0.0
    reading: Reading = field(default_factory=lambda: Reading(""))


@dataclass
class Turn:
    """One question of a user's, and all that came of it."""

    question: str
    message_id: str
    sessions: list[Session] = field(default_factory=list[Session])
    posts: int = 0
    is_answered: bool = False
    stops: int = 0
    """Requests to stop that found something to stop."""


class User:
    """One conversation.

    Args:
        session: For its requests.
        chat_id: The conversation's.
        wire: What client it has.
        seed: Decides what it does.
    """

    def __init__(self, session: aiohttp.ClientSession, chat_id: str, wire: Wire, seed: str) -> None:
        self.session = session
        self.chat_id = chat_id
        self.wire = wire
        self.patience: float | None = None
        """Seconds for a turn; any number while things are broken."""
        self.limit: asyncio.Timeout | None = None
        self.turns: list[Turn] = []
        self.chance = random.Random(seed)
        self.resumes = self.chance.random() < 0.7
        """Whether its client comes back."""
        self.tasks: list[asyncio.Task[None]] = []

    async def talk(self, turns: int) -> None:
        """Have the conversation."""
        if self.resumes:
            await self.read(Turn("", ""), "mount")
        for number in range(turns):
            kind = self.chance.choices((WHOLE, HELD, CUT), (8, 2, 1))[0]
            turn = Turn(f"{self.chat_id}.{number} {kind}", f"{self.chat_id}-user-{number}")
            self.turns.append(turn)
            try:
                async with asyncio.timeout(self.patience) as self.limit:
                    await self.ask(turn)
                    await asyncio.gather(*self.tasks)
            except TimeoutError:
                # Its session, or the turn itself, stays as it is: the verdict finds it.
                break
            finally:
                self.limit = None

    def expect_answers(self) -> None:
        """Have patience for so long from now on: all is whole again."""
        self.patience = PATIENCE
        if self.limit is not None:
            self.limit.reschedule(asyncio.get_running_loop().time() + PATIENCE)

    # -- a turn -------------------------------------------------------------------------------------------------------

    async def ask(self, turn: Turn) -> None:
        """Ask until there is an answer, of whatever kind."""
        self.begin_to_meddle(turn)
        while not turn.is_answered:
            messages = await self.load(turn)
            if turn.is_answered:
                return
            turn.posts += 1
            outcome = await self.read(turn, "first", messages)
            while outcome in ("left", "cut", "unreachable"):
                await asyncio.sleep(self.chance.random())
                outcome = await self.read(turn, "resume")
            # Who has stopped an answer before its first word does not ask again.
            turn.is_answered = turn.stops > 0 and turn.sessions[-1].reading.end == "abort"
            await asyncio.sleep(PAUSE if outcome != "over" else 0)

    def begin_to_meddle(self, turn: Turn) -> None:
        asks_for_stop = turn.question.endswith(HELD) or self.chance.random() < 0.15
        if asks_for_stop:
            self.tasks.append(asyncio.create_task(self.stop(turn, 1 + self.chance.random() * 6)))
        if self.resumes and self.chance.random() < 0.3:
            self.tasks.append(asyncio.create_task(self.open_second_tab(turn, self.chance.random() * 5)))

    async def stop(self, turn: Turn, after: float) -> None:
        """Stop the answer, and the one that comes in its place when a failure has ended it."""
        await asyncio.sleep(after)
        while not turn.is_answered:
            async with self.response("POST", f"/api/chat/{self.chat_id}/stop") as response:
                told = await json_of(response)
            turn.stops += 0 if told is None else told["stopped"]
            await asyncio.sleep(PAUSE)

    async def open_second_tab(self, turn: Turn, after: float) -> None:
        """Read along for once."""
        await asyncio.sleep(after)
        await self.read(turn, "second")

    async def load(self, turn: Turn) -> Sequence[Json]:
        """The chat's messages with the turn's question at their end; notes it when there is an answer already."""
        while True:
            async with self.response("GET", f"/api/chats/{self.chat_id}") as response:
                is_new = response is not None and response.status == 404
                found = {"messages": ()} if is_new else await json_of(response)
            if found is not None:
                break
            await asyncio.sleep(PAUSE)
        messages: Sequence[Json] = found["messages"]
        texts = [as_text(message) for message in messages]
        if turn.question in texts:
            place = texts.index(turn.question)
            turn.is_answered = len(messages) > place + 1
            messages = messages[:place]
        return [*messages, {"id": turn.message_id, "role": "user", "parts": [{"type": "text", "text": turn.question}]}]

    # -- reading ------------------------------------------------------------------------------------------------------

    async def read(self, turn: Turn, how: str, messages: Sequence[Json] | None = None) -> str:
        """Read a response as far as it goes; how that ended."""
        session = Session(how)
        turn.sessions.append(session)
        before = resumable_data(turn) if self.wire.has_cursors and how == "resume" else b""
        async with self.asked(how, messages, before) as response:
            if response is None:
                session.outcome = "unreachable"
            else:
                await self.take(session, response, before)
        session.ended = time.monotonic()
        return session.outcome

    def asked(self, how: str, messages: Sequence[Json] | None, before: bytes) -> Any:
        if messages is not None:
            body = self.wire.body(self.chat_id, messages)
            return self.response("POST", "/api/chat", json=body, headers=self.wire.headers, params=self.wire.query)
        path = self.wire.resume_path(self.chat_id)
        cursor = last_cursor(before)
        if how != "resume" or not self.wire.has_cursors:
            return self.response("GET", path)
        if self.chance.random() < 0.5:
            return self.response("GET", path, params={"cursor": cursor})
        return self.response("GET", path, headers={"last-event-id": cursor})

    async def take(self, session: Session, response: aiohttp.ClientResponse, before: bytes) -> None:
        session.status = response.status
        session.server = response.headers.get("x-served-by", "").rpartition(" ")[2]
        if response.status != 200:
            session.outcome = "nothing" if response.status == 204 else "refused"
            return
        session.answered = time.monotonic()
        leaves_at = self.chance.randrange(200, 8000) if self.chance.random() < 0.35 else None
        session.data = before
        session.outcome = await self.take_data(session, response, leaves_at)
        is_over = session.outcome == "over"
        if is_over and not session.data:
            session.outcome = "nothing"
        session.reading = self.wire.read(session.data, is_over)

    async def take_data(self, session: Session, response: aiohttp.ClientResponse, leaves_at: int | None) -> str:
        try:
            async for piece in response.content.iter_any():
                session.data += piece
                session.heard = time.monotonic()
                if leaves_at is not None and len(session.data) > leaves_at:
                    return "left"
        except TRANSPORT_ERRORS:
            return "cut"
        return "over"

    @asynccontextmanager
    async def response(self, method: str, path: str, **options: Any) -> AsyncGenerator[aiohttp.ClientResponse | None]:
        """The response to a request; None where there is none."""
        try:
            response = await self.session.request(method, path, **options)
        except TRANSPORT_ERRORS:
            yield None
            return
        try:
            yield response
        finally:
            response.close()


async def json_of(response: aiohttp.ClientResponse | None) -> Json | None:
    """Return what a response says; None where it is none, a refusal, or one that was cut."""
    if response is None or response.status != 200:
        return None
    try:
        return await response.json()
    except TRANSPORT_ERRORS:
        return None


def as_text(message: Json) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def resumable_data(turn: Turn) -> bytes:
    """What a reader with cursors has of the running answer, up to the last place that has an id."""
    data = b""
    for session in turn.sessions[:-1]:
        if session.how == "first":
            data = b""
        elif session.how == "resume" and session.data:
            data = session.data
    places = [*PLACE.finditer(data)]
    return data[: places[-1].end()] if places else b""


def last_cursor(data: bytes) -> str:
    places = [*PLACE.finditer(data)]
    return places[-1][1].decode() if places else "0"
