"""Messages to a chat that is being answered.

``reject``: it is refused, unless the answer ends within moments. ``enqueue``: it waits, and is answered after those
that came before it. ``interrupt``: the running answer is stopped and saved, then the message is answered; of several,
the last one stays. A message that waits is nowhere but in its request: nothing of it is saved, and a client that leaves
takes it along.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from usechat.chats.merge import ClientTools
from usechat.conversations.planning import PlannedTurn, RepeatedTurn
from usechat.conversations.routes.chat_ids import check_chat_id
from usechat.conversations.turn_ends import run_of
from usechat.errors import ChatError, RunError
from usechat.ids import generate_id
from usechat.messages import ui
from usechat.runs.line import PLACE_SECONDS, Line

if TYPE_CHECKING:
    from usechat.conversations.conversations import Conversations

__all__ = ["BusyChats", "IsLeft", "OnBusy"]

OnBusy: TypeAlias = Literal["reject", "interrupt", "enqueue"]
IsLeft: TypeAlias = Callable[[], Awaitable[bool]]
"""Tells whether the client of a request has gone."""

STOPPING_SECONDS: Final = 2.0
"""Seconds that a turn waits for the one before it, which may be ending: its tools have a second for that."""
MAX_WAITING: Final = 20
"""The most messages that wait for one chat."""
LOOK_SECONDS: Final = 0.1
"""Seconds between two looks at the line or at the turn before."""
LONGEST_LOOK_SECONDS: Final = 0.5
"""The same for one that has waited for long."""
HURRY_SECONDS: Final = 5.0
"""Seconds after which the turn before is looked into again: its process may have died, its readers may have left."""


class Place:
    """A message's place in the line of its chat."""

    def __init__(self, line: Line, chat_id: str, is_left: IsLeft | None) -> None:
        self.chat_id = chat_id
        self._line = line
        self._id = generate_id("place")
        self._is_left = is_left

    async def stand(self) -> int:
        """Keep the place. Return how many stand before it.

        Raises:
            ChatError: ``conflict``: the client has gone.
        """
        if self._is_left is not None and await self._is_left():
            raise ChatError("The client left before its message was answered.", code="conflict")
        return await self._line.stand(self.chat_id, self._id)

    async def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep the place for the time of some work.

        Raises:
            ChatError: ``conflict``: the client has gone.
        """
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({task}, timeout=PLACE_SECONDS / 10))[0]:
                await self.stand()
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def leave(self) -> None:
        """Let the next one go on."""
        # Otherwise the place is given up in some seconds.
        with suppress(RunError):
            await self._line.leave(self.chat_id, self._id)


class BusyChats:
    """Plan turns of chats that may be busy.

    Args:
        conversations: The saved chats.
        on_busy: What becomes of a message to a chat that is being answered.
    """

    def __init__(self, conversations: Conversations, on_busy: OnBusy) -> None:
        self.conversations = conversations
        self.on_busy: OnBusy = on_busy

    async def plan(
        self,
        owner: str,
        request: ui.ChatRequest,
        chat_id: str,
        is_client_tool: ClientTools | None = None,
        is_left: IsLeft | None = None,
    ) -> PlannedTurn | RepeatedTurn:
        """Plan a turn, as `Conversations.plan` does, once it is the turn of this message.

        Args:
            owner: The user who asks.
            request: The request.
            chat_id: Its chat.
            is_client_tool: As for `plan_turn`.
            is_left: Tells whether its client has gone.

        Raises:
            ChatError: As there; ``conflict``: too many wait, or the client has gone.
            RequestError: As there.
            RunError: ``unavailable``: the line cannot be reached, or this process shuts down.
        """
        if self.on_busy == "reject":
            return await self.conversations.plan(owner, request, chat_id, is_client_tool)
        check_chat_id(chat_id)
        place = Place(self.conversations.runs.log.line, chat_id, is_left)
        waiting = Waiting(self.conversations, owner, request, is_client_tool, place)
        try:
            turn = await waiting.plan(is_interrupting=self.on_busy == "interrupt")
        except BaseException:
            await place.leave()
            raise
        if isinstance(turn, RepeatedTurn):
            await place.leave()
            return turn
        return msgspec.structs.replace(turn, leave_line=place.leave)

    async def await_end(self, owner: str, chat_id: str, turn_id: str) -> None:
        """Wait for the turn before, if it is ending or its process has died.

        Raises:
            RunError: ``unavailable``: this process shuts down; another one can wait.
        """
        runs = self.conversations.runs
        until = time.monotonic() + STOPPING_SECONDS
        await runs.hurry(run_of(turn_id))
        taking_over = asyncio.create_task(runs.take_over(chat_id, owner))
        try:
            # Another process may end it, which sends no event here.
            while not await self.is_over(turn_id) and (time.monotonic() < until or not taking_over.done()):
                runs.check_open()
                await runs.stop_left(chat_id, owner)
                await asyncio.sleep(STOPPING_SECONDS / 20)
        finally:
            # Ends that have begun are finished.
            await asyncio.gather(taking_over, return_exceptions=True)

    async def is_over(self, turn_id: str) -> bool:
        """Return whether a turn has ended, and end it if nobody else is left to.

        Raises:
            ChatError: ``unavailable``.
            RunError: ``unavailable``.
        """
        turn = await self.conversations.store.find_turn(turn_id)
        return turn is None or await self.conversations.ends.end_orphan(turn)


class Waiting:
    """A message that waits for its chat.

    Args:
        conversations: The saved chats.
        owner: The user who asks.
        request: The request.
        is_client_tool: As for `plan_turn`.
        place: Its place.
    """

    def __init__(
        self,
        conversations: Conversations,
        owner: str,
        request: ui.ChatRequest,
        is_client_tool: ClientTools | None,
        place: Place,
    ) -> None:
        self.conversations = conversations
        self.owner = owner
        self.request = request
        self.is_client_tool = is_client_tool
        self.place = place
        self.chat_id = place.chat_id

    async def plan(self, *, is_interrupting: bool) -> PlannedTurn | RepeatedTurn:
        """Wait for those before it and for the running answer, which it may stop, and plan its turn."""
        before = await self.place.stand()
        if before >= MAX_WAITING:
            raise ChatError("Too many messages wait for this chat.", code="conflict")
        if before:
            # The running answer may be the one that this message asks for, again.
            repeated = await self._find_repeated()
            if repeated is not None:
                return repeated
            await self._wait_until_first()
        while (turn := await self.conversations.open_turn(self.owner, self.chat_id)) is not None:
            repeated = await self._find_repeated()
            if repeated is not None:
                return repeated
            await self._wait_until_over(turn.run_id, is_interrupting=is_interrupting)
        return await self.conversations.plan(self.owner, self.request, self.chat_id, self.is_client_tool)

    async def _find_repeated(self) -> RepeatedTurn | None:
        """Return the running answer if it is the one that this message asks for."""
        conversations = self.conversations
        saved = await conversations.store.maybe_load_chat(self.owner, self.chat_id)
        turn_id = None if saved is None else saved.chat.active_run_id
        if saved is None or turn_id is None:
            return None
        return await conversations.find_repeated(saved, self.request, turn_id, self.is_client_tool)

    async def _wait_until_first(self) -> None:
        pause = LOOK_SECONDS
        while await self.place.stand():
            self.conversations.runs.check_open()
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, LONGEST_LOOK_SECONDS)

    async def _wait_until_over(self, turn_id: str, *, is_interrupting: bool) -> None:
        conversations = self.conversations
        while True:
            if is_interrupting:
                await conversations.stop(self.owner, self.chat_id)
            await self.place.keep(conversations.busy.await_end(self.owner, self.chat_id, turn_id))
            pause, until = LOOK_SECONDS, time.monotonic() + HURRY_SECONDS
            while time.monotonic() < until:
                if await conversations.busy.is_over(turn_id):
                    return
                conversations.runs.check_open()
                await self.place.stand()
                await asyncio.sleep(pause)
                pause = min(1.2 * pause, LONGEST_LOOK_SECONDS)
