"""Database work is tried again when its failure says nothing about it, and only then."""

from __future__ import annotations

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import pytest
from sqlalchemy.exc import DBAPIError

from usechat.chats.sql import retry
from usechat.chats.sql.postgres import told_while_connecting

pytestmark = pytest.mark.anyio


class Work:
    """Fails with each of some errors in turn, and then gives how often it ran."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = [*errors]
        self.runs = 0

    async def __call__(self) -> int:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.runs


def failed(error: Exception | None = None, *, is_cut: bool = False) -> DBAPIError:
    return DBAPIError("SELECT 1", {}, error or Exception("no"), connection_invalidated=is_cut)


@pytest.mark.parametrize(
    "error",
    [
        failed(is_cut=True),
        failed(asyncpg.CannotConnectNowError("the database system is starting up")),
        failed(asyncpg.AdminShutdownError("terminating connection")),
        failed(asyncpg.ConnectionDoesNotExistError("connection was closed")),
        failed(asyncpg.DeadlockDetectedError("deadlock detected")),
        ConnectionRefusedError(),
    ],
)
async def test_passing_failure_is_tried_again(error: Exception) -> None:
    assert await retry.retry_when_cut(Work(error, error)) == 3


@pytest.mark.parametrize("error", [asyncpg.InterfaceError("connection is closed"), asyncpg.AdminShutdownError("bye")])
async def test_connection_that_is_cut_while_it_is_set_up_is_tried_again(error: Exception) -> None:
    work = Work(error)

    async def attempt() -> int:
        with told_while_connecting():
            return await work()

    assert await retry.retry_when_cut(attempt) == 2


@pytest.mark.parametrize(
    "error", [failed(), failed(asyncpg.UndefinedTableError("no such table")), TimeoutError(), KeyError("no")]
)
async def test_other_failure_is_told_at_once(error: Exception) -> None:
    work = Work(error)
    with pytest.raises(type(error)):
        await retry.retry_when_cut(work)
    assert work.runs == 1


async def test_failure_that_stays_is_told_in_the_end() -> None:
    work = Work(*[ConnectionRefusedError()] * 3)
    with pytest.raises(ConnectionRefusedError):
        await retry.retry_when_cut(work, (0.0, 0.0))
    assert work.runs == 3
