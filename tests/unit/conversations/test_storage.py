"""What a start says of a database or a Redis that cannot be used."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.programs import REFUSING_PORT
from usechat.conversations import storage
from usechat.conversations.storage import describe, prepare_database
from usechat.errors import ConfigurationError
from usechat.server.persistence import check_storage
from usechat.server.settings import Settings

SECRET = "the-secret-word"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSES", (0.0,))


async def refusal_of(**settings: str) -> str:
    values = {"database_url": "off", **settings}
    with pytest.raises(ConfigurationError) as raised:
        await check_storage(Settings.model_validate(values))
    assert SECRET not in str(raised.value)
    return str(raised.value)


async def test_file_is_made_ready(tmp_path: Path) -> None:
    await prepare_database(f"sqlite:///{tmp_path}/new/chats.db", "the database")
    await prepare_database(f"sqlite:///{tmp_path}/new/chats.db", "the database")
    assert (tmp_path / "new" / "chats.db").is_file()


async def test_nothing_is_looked_for_where_nothing_is_kept() -> None:
    await check_storage(Settings.model_validate({"database_url": "off"}))


async def test_database_is_named_without_its_password(tmp_path: Path) -> None:
    said = await refusal_of(database_url=f"postgresql://u:{SECRET}@127.0.0.1:{REFUSING_PORT}/db")
    assert said.startswith(
        f"USECHAT_DATABASE_URL: PostgreSQL at 127.0.0.1:{REFUSING_PORT}, database db cannot be used (Conn"
    )
    assert "is not supported" in await refusal_of(database_url=f"mysql://u:{SECRET}@h/db")
    assert "unable to open database file" in await refusal_of(database_url=f"sqlite:///{tmp_path}")


async def test_redis_is_named_without_its_password() -> None:
    said = await refusal_of(redis_url=f"redis://u:{SECRET}@127.0.0.1:{REFUSING_PORT}/0")
    assert said.startswith(f"USECHAT_REDIS_URL: Redis at 127.0.0.1:{REFUSING_PORT} cannot be used (Connection refused)")
    assert "must begin with redis://" in await refusal_of(redis_url=f"http://:{SECRET}@h")
    assert "Redis at /nowhere/redis.sock" in await refusal_of(redis_url="unix:///nowhere/redis.sock")


async def test_redis_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = await refusal_of(redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
    assert "(no answer)" in said


def test_error_is_told_on_one_line_without_the_password() -> None:
    assert describe(ValueError(f"no\n  way: {SECRET}."), SECRET) == "no way: ***"
    assert describe(ValueError(), None) == "ValueError"
    assert describe(socket.gaierror(-2, "Name or service not known"), None) == "Name or service not known"
    assert describe(OSError("Multiple exceptions"), None) == "Multiple exceptions"
