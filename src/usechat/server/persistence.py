"""Opens the stores of chats and runs that the settings name."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from usechat.conversations.chats import Chats, SettingNames
from usechat.conversations.storage import check_redis, check_redis_url, prepare_database
from usechat.conversations.turn_ends import run_of
from usechat.errors import ConfigurationError
from usechat.server.access.asking import DEFAULT_USER, Asking, asking
from usechat.server.settings import Settings

if TYPE_CHECKING:
    from usechat.chats.store import Turn
    from usechat.conversations.turn_ends import OnFinish
    from usechat.runs.redis.approvals import RedisUsedApprovals

__all__ = [
    "DEFAULT_DATABASE_URL",
    "OFF",
    "check_storage",
    "database_url",
    "open_chats",
    "open_used_approvals",
]

DATABASE: Final = "USECHAT_DATABASE_URL"
REDIS: Final = "USECHAT_REDIS_URL"
DEFAULT_DATABASE_URL: Final = "sqlite:///usechat.db"
OFF: Final = "off"

logger = logging.getLogger(__name__)


def database_url(settings: Settings, *, is_public: bool) -> str | None:
    """Return the URL of the chats' database; None when chats are not saved. A serverless function has no disk."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        return None if url == OFF else url
    return None if is_public else DEFAULT_DATABASE_URL


class ServerChats(Chats):
    """The chats of a server, whose addresses are settings."""

    names = SettingNames(DATABASE, REDIS)
    checks_users = False
    """`KeyGuard` has one owner for all."""
    tells_unsaved = False
    """The server's settings say it."""

    def name_asker(self) -> str:
        """Return the client's address, for which its answers count."""
        return asking.get().address

    def enter_lost(self, turn: Turn, asker: str | None) -> None:
        """Let limits and log lines know whose answer it is. No limit ends it: it was let in when it began."""
        user = None if turn.owner == DEFAULT_USER else turn.owner
        run = run_of(turn.run_id)
        asking.set(Asking(chat=turn.chat_id, run=run, user=user, address=asker or "-", goes_on=True))


def open_chats(
    settings: Settings, url: str | None, on_finish: OnFinish | None = None, *, is_public: bool = False
) -> Chats:
    """Return the server's chats, to be opened in its lifespan.

    Args:
        settings: The server's settings.
        url: The chats' database; None when chats are not saved.
        on_finish: Called for each answer's end.
        is_public: Whether this is a function of Vercel: a process that the platform ends or freezes with its last
            response.

    Raises:
        ConfigurationError: The database's or Redis' URL is wrong, or the settings ask for what takes one that is not
            set.
    """
    check_durable(settings, url)
    is_alone = settings.workers == 1 and not is_public
    if url is not None and settings.redis_url is None and not is_alone:
        warn_of_processes_apart(settings, is_public=is_public)
    return ServerChats(
        url,
        redis_url=None if settings.redis_url is None or url is None else settings.redis_url.get_secret_value(),
        history=settings.history,
        on_finish=on_finish,
        disconnect=settings.disconnect,
        grace=settings.grace_seconds,
        lease=settings.lease_seconds,
        keep=settings.keep_seconds,
        keep_bytes=settings.keep_bytes,
        is_strict=settings.durable == "strict" and url is not None,
        shutdown_timeout=settings.shutdown_seconds,
        sdk=settings.sdk,
        heartbeat=settings.heartbeat or None,
        tool_errors=settings.tool_errors,
        max_body_bytes=settings.max_body_bytes,
        limits=settings.body_limits,
        is_only_process=is_alone,
        is_lasting=not is_public,
        keep_alive=find_wait_until() if is_public and url is not None else None,
        has_one_owner=settings.keys_file is None and not settings.has_tokens,
        on_busy=settings.on_busy,
        on_lost=settings.on_lost,
        lost_attempts=settings.lost_attempts,
        lost_seconds=settings.lost_seconds,
    )


def warn_of_processes_apart(settings: Settings, *, is_public: bool) -> None:
    logger.warning(
        "USECHAT_REDIS_URL is not set, so each of the %s processes has running answers of its own: "
        "an answer can be resumed and stopped only by the process that makes it%s.",
        "platform's" if is_public else settings.workers,
        ", and a chat whose process dies stays busy for an hour" if is_public else "",
    )


def check_durable(settings: Settings, url: str | None) -> None:
    """See that nobody relies on a log that is not there.

    Raises:
        ConfigurationError: The settings promise readers that what they see is kept, and name no place to keep it.
    """
    if settings.durable == "strict" and (settings.redis_url is None or url is None):
        missing = "USECHAT_REDIS_URL is not set" if settings.redis_url is None else "USECHAT_DATABASE_URL is off"
        raise ConfigurationError(
            f"USECHAT_DURABLE=strict shows readers only what is kept, and {missing}: "
            "set it, or leave USECHAT_DURABLE out."
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


def open_used_approvals(settings: Settings) -> RedisUsedApprovals | None:
    """Return the shared memory of used approvals; None when each process remembers its own.

    Raises:
        ConfigurationError: Redis' URL is wrong.
    """
    if settings.redis_url is None:
        return None
    from usechat.runs.redis.approvals import RedisUsedApprovals

    url = settings.redis_url.get_secret_value()
    check_redis_url(url, REDIS)
    return RedisUsedApprovals(url)


async def check_storage(settings: Settings) -> None:
    """Check that the database and Redis can be used, before a server starts.

    Raises:
        ConfigurationError: One of them cannot be used, or is missing; the text says which, why and what to do.
    """
    url = database_url(settings, is_public=False)
    check_durable(settings, url)
    if url is not None:
        await prepare_database(url, DATABASE)
    if settings.redis_url is not None:
        await check_redis(settings.redis_url.get_secret_value(), REDIS)
