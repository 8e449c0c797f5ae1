"""Titles of new chats, made beside their first answers, whose ends do not wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from usechat.chats.store import Chat, ChatStore
from usechat.checks import named
from usechat.errors import ChatError, ConfigurationError
from usechat.guard import Contained, describe_outage

__all__ = ["MakeTitle", "Titles"]

logger = logging.getLogger(__name__)

MakeTitle: TypeAlias = Callable[[], Awaitable[Any]]
"""Makes a title: a text, or None for the title that the chat has."""

TITLE_SECONDS: Final = 60.0
"""Seconds that a title may take."""


class Titles:
    """Make and save titles.

    Args:
        store: The store of the chats.
    """

    def __init__(self, store: ChatStore) -> None:
        self.store = store
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, chat: Chat, make: MakeTitle) -> asyncio.Task[None]:
        """Begin to make the title of a chat that has just begun. Return the task."""
        task = asyncio.create_task(self._make(chat, make))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _make(self, chat: Chat, make: MakeTitle) -> None:
        try:
            async with asyncio.timeout(TITLE_SECONDS):
                with Contained():
                    title = checked(await make())
                if title:
                    # A title that the user gave meanwhile stays.
                    await self.store.update_chat(chat.owner, chat.id, title=title, if_title=chat.title)
        except ChatError as error:
            if error.code != "missing":
                logger.warning("the title of chat %s is not saved: %s", chat.id, describe_outage(error))
        except Exception:
            logger.exception("chat %s keeps the title that it has: another could not be made", chat.id)

    async def aclose(self) -> None:
        """Stop what is being made."""
        stopped = list(self.tasks)
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)


def checked(title: Any) -> str:
    if not isinstance(title, str | None):
        raise ConfigurationError(f"title must return a text or None, not {named(title)}")
    return (title or "").strip()
