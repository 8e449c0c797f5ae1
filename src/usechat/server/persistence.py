"""Opens the stores of chats and runs that the settings name."""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from usechat.runs.log import Limits
from usechat.runs.memory import MemoryLog
from usechat.runs.readers import ASKING_SECONDS
from usechat.runs.service import RunService
from usechat.server.settings import Settings
from usechat.server.storage import check_redis, check_redis_url, prepare_database

if TYPE_CHECKING:
    from usechat.chats.merge import ClientTools
    from usechat.runs.log import RunLog
    from usechat.runs.redis.approvals import RedisUsedApprovals
    from usechat.server.answering.conversations import Conversations
    from usechat.server.answering.turn_ends import OnFinish

__all__ = [
    "DEFAULT_DATABASE_URL",
    "OFF",
    "check_storage",
    "database_url",
    "open_conversations",
    "open_used_approvals",
    "running",
]

DEFAULT_DATABASE_URL: Final = "sqlite:///usechat.db"
OFF: Final = "off"

logger = logging.getLogger(__name__)


def database_url(settings: Settings, *, is_public: bool) -> str | None:
    """Return the URL of the chats' database; None when chats are not saved. A serverless function has no disk."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        return None if url == OFF else url
    return None if is_public else DEFAULT_DATABASE_URL


def open_conversations(
    settings: Settings,
    url: str | None,
    on_finish: OnFinish | None = None,
    *,
    is_public: bool = False,
    is_client_tool: ClientTools | None = None,
) -> Conversations | None:
    """Return the saved conversations; None when chats are not saved.

    Args:
        settings: The server's settings.
        url: The chats' database.
        on_finish: Called for each answer's end.
        is_public: Whether this is a function of Vercel: a process that the platform ends or freezes with its last
            response.
        is_client_tool: Tells which tools the client runs; none without it.

    Raises:
        ConfigurationError: The database's URL is wrong.
    """
    if url is None:
        return None
    is_alone = settings.workers == 1 and not is_public
    if settings.redis_url is None and not is_alone:
        logger.warning(
            "USECHAT_REDIS_URL is not set, so each of the %s processes has running answers of its own: "
            "an answer can be resumed and stopped only by the process that makes it%s.",
            "platform's" if is_public else settings.workers,
            ", and a chat whose process dies stays busy for an hour" if is_public else "",
        )
    # Imported only when chats are saved: SQLAlchemy is the server's heaviest package.
    from usechat.chats.sql.store import SqlChatStore
    from usechat.server.answering.conversations import Conversations

    runs = RunService(
        make_log(settings),
        disconnect=settings.disconnect,
        grace=settings.grace_seconds,
        # Where another process may be asked, which cannot tell this one, waiting for that helps nobody.
        asking=0.0 if settings.redis_url is None and not is_alone else ASKING_SECONDS,
        shutdown_timeout=settings.shutdown_seconds,
        keep_alive=find_wait_until() if is_public else None,
    )
    store = SqlChatStore(url)
    return Conversations(
        store,
        runs,
        settings.history,
        on_finish=on_finish,
        is_lasting=not is_public,
        max_messages=settings.body_limits.messages,
        is_client_tool=is_client_tool,
    )


def find_wait_until() -> Callable[[Awaitable[object]], None] | None:
    """Return Vercel's function for work beyond a response; None, with a warning, when it is not installed.

    Upstream: ``vercel.functions.wait_until`` (vercel 0.12). It does nothing outside of a request.
    """
    try:
        return importlib.import_module("vercel.functions").wait_until
    except ImportError:
        logger.warning(
            "The package vercel is not installed, so the platform may end an answer with the response that it began in."
        )
        return None


def make_log(settings: Settings) -> RunLog:
    limits = Limits(lease=settings.lease_seconds)
    if settings.redis_url is None:
        return MemoryLog(limits)
    from usechat.runs.redis.log import RedisLog

    url = settings.redis_url.get_secret_value()
    check_redis_url(url)
    return RedisLog(url, limits)


def open_used_approvals(settings: Settings) -> RedisUsedApprovals | None:
    """Return the shared memory of used approvals; None when each process remembers its own.

    Raises:
        ConfigurationError: Redis' URL is wrong.
    """
    if settings.redis_url is None:
        return None
    from usechat.runs.redis.approvals import RedisUsedApprovals

    url = settings.redis_url.get_secret_value()
    check_redis_url(url)
    return RedisUsedApprovals(url)


async def check_storage(settings: Settings) -> None:
    """Check that the database and Redis can be used, before a server starts.

    Raises:
        ConfigurationError: One of them cannot be used; the text says which, why and what to do.
    """
    url = database_url(settings, is_public=False)
    if url is not None:
        await prepare_database(url)
    if settings.redis_url is not None:
        await check_redis(settings.redis_url.get_secret_value())


@asynccontextmanager
async def running(conversations: Conversations | None, url: str | None) -> AsyncGenerator[None]:
    """Keep conversations open: create the tables before, end the runs after.

    Raises:
        ConfigurationError: The database cannot be used, or its tables are not of this version.
    """
    if conversations is None or url is None:
        yield
        return
    await prepare_database(url)
    async with conversations:
        yield
