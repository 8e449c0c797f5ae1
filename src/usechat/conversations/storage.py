"""Checks that the database and Redis can be used, before an application says that it listens.

Every failure becomes one `ConfigurationError`: which setting, where it points (never with its password), what is wrong
and what to do. A service that is still starting is waited for, for some seconds.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from usechat.errors import ConfigurationError
from usechat.extras import needing

__all__ = ["check_database_url", "check_redis", "check_redis_url", "prepare_database"]

PAUSES: Final = (0.1, 0.4, 1.0, 1.5, 2.0)
"""Seconds before each further try to connect. Few, because somebody waits for the server to start."""
ANSWER_SECONDS: Final = 10.0
"""Seconds that one try may take: an unused address never answers."""

ResultT = TypeVar("ResultT")


def check_database_url(url: str, name: str) -> None:
    """Refuse a database's address that is wrong.

    Args:
        url: As for `usechat.chats.sql.engine.parse_url`.
        name: The setting with the URL, for errors.

    Raises:
        ConfigurationError: It is.
    """
    from usechat.chats.sql.engine import parse_url

    try:
        parse_url(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


async def prepare_database(url: str, name: str) -> None:
    """Create SQLite's tables, or check that PostgreSQL's are there.

    Args:
        url: As for `usechat.chats.sql.engine.parse_url`.
        name: The setting with the URL, for errors.

    Raises:
        ConfigurationError: The database cannot be used, or its tables are not of this version.
    """
    from usechat.chats.sql.engine import is_sqlite, parse_url
    from usechat.chats.sql.migrations.migrate import check_tables, migrate

    try:
        parsed = parse_url(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    if is_sqlite(parsed):
        place, advice = f"SQLite's file {parsed.database}", "name a file that this user may read and write"
        work: Callable[[], Awaitable[None]] = lambda: migrate(url)  # noqa: E731 - the other arm is one too
    else:
        place = f"PostgreSQL at {parsed.host or 'this machine'}:{parsed.port or 5432}, database {parsed.database}"
        advice = "start it, or correct the address, the user, the password or the name"
        work = lambda: check_tables(url, PAUSES)  # noqa: E731
    try:
        await work()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {place}: {error}") from error
    except Exception as error:
        reason = describe(error, parsed.password)
        raise ConfigurationError(f"{name}: {place} cannot be used ({reason}): {advice}.") from error


def check_redis_url(url: str, name: str) -> None:
    """Check that a URL names a Redis, without connecting.

    Args:
        url: The URL.
        name: The setting with it, for errors.

    Raises:
        ConfigurationError: It does not.
    """
    with needing("redis"):
        from redis import connection

    made: Any = connection
    try:
        made.parse_url(url)
    except ValueError as error:
        raise ConfigurationError(
            f"{name}: it must begin with redis://, rediss:// or unix://, and its port must be a number."
        ) from error


async def check_redis(url: str, name: str) -> None:
    """Check that Redis answers and accepts this server.

    Args:
        url: The URL.
        name: The setting with it, for errors.

    Raises:
        ConfigurationError: It does not.
    """
    check_redis_url(url, name)
    from redis import asyncio as redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, RedisError
    from redis.exceptions import ConnectionError as RedisConnectionError

    made: Any = redis
    client = made.Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0))

    def is_passing(error: Exception) -> bool:
        is_refusal = isinstance(error, AuthenticationError)
        return isinstance(error, RedisConnectionError | OSError) and not is_refusal

    try:
        await tried(client.ping, is_passing)
    except (RedisError, OSError) as error:
        split = urlsplit(url)
        place = split.path if split.scheme == "unix" else f"{split.hostname or 'localhost'}:{split.port or 6379}"
        reason = describe(error, unquote(split.password or ""))
        raise ConfigurationError(
            f"{name}: Redis at {place} cannot be used ({reason}): start it, or correct the address or the password."
        ) from error
    finally:
        await client.aclose()


async def tried(work: Callable[[], Awaitable[ResultT]], is_passing: Callable[[Exception], bool]) -> ResultT:
    for pause in PAUSES:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await work()
        except Exception as error:
            # A try that timed out would time out again.
            if isinstance(error, TimeoutError) or not is_passing(error):
                raise
        await asyncio.sleep(pause)
    async with asyncio.timeout(ANSWER_SECONDS):
        return await work()


def describe(error: Exception, password: str | None) -> str:
    """Return an error as one short line without the password."""
    own: object = getattr(error, "orig", None) or error
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and not isinstance(own, OSError):
        own = cause
    if isinstance(own, socket.gaierror):
        text = str(own.strerror)
    elif isinstance(own, TimeoutError):
        text = "no answer"
    elif isinstance(own, OSError) and own.errno is not None:
        # asyncio puts the address there, which the caller has named.
        text = os.strerror(own.errno)
    else:
        text = str(own) or type(own).__name__
    # Several addresses of one name fail with an error for each.
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    return text.replace(password, "***") if password else text
