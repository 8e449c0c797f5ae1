"""``usechat migrate`` says which database it migrates, and makes none that nobody named. ``chats.migrate()`` too."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.integration.running_server import run
from tests.support.postgres import PostgresServer
from usechat import Chats
from usechat.errors import ConfigurationError

pytestmark = pytest.mark.anyio

DATABASE = "USECHAT_DATABASE_URL"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_database_that_nobody_named_is_not_made(tmp_path: Path) -> None:
    ended = run(tmp_path, ["migrate"], DATABASE_URL="postgresql://app@db.example/app")
    assert (ended.returncode, ended.stdout) == (2, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith("usechat: USECHAT_DATABASE_URL is not set")
    assert list(tmp_path.iterdir()) == []


def test_file_that_a_server_made_is_migrated_without_a_setting(tmp_path: Path) -> None:
    (tmp_path / "usechat.db").touch()
    ended = run(tmp_path, ["migrate"])
    assert (ended.returncode, ended.stdout) == (0, "The tables of sqlite:///usechat.db are up to date.\n"), ended


def test_database_is_named_without_its_password(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.make_database().replace("postgres@", "postgres:a-secret@")
    ended = run(tmp_path, ["migrate"], **{DATABASE: url})
    assert ended.stdout == f"The tables of {url.replace('a-secret', '********')} are up to date.\n", ended
    away = run(tmp_path, ["migrate"], **{DATABASE: "postgresql://ada:a-secret@127.0.0.1:1/chats"})
    assert (away.returncode, "a-secret" in away.stderr) == (2, False)
    assert "postgresql://ada:********@127.0.0.1:1/chats" in away.stderr


async def test_application_makes_its_tables_itself(postgres_server: PostgresServer) -> None:
    chats = Chats(postgres_server.make_database())
    with pytest.raises(ConfigurationError, match=r"USECHAT_DATABASE_URL .*usechat\[server\].*await chats\.migrate\(\)"):
        await chats.__aenter__()
    await chats.migrate()
    async with chats:
        assert chats.is_saved
    await Chats(None).migrate()


@pytest.mark.parametrize(
    ("options", "count"), [({}, 1), ({"is_only_process": False}, 0)], ids=["unaware", "aware of others"]
)
async def test_second_process_on_a_file_of_sqlite_is_told_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, bool], count: int
) -> None:
    caplog.set_level(logging.WARNING)
    url = f"sqlite:///{tmp_path}/chats.db"
    async with Chats(url):
        assert caplog.messages == []
        async with Chats(url, is_only_process=options.get("is_only_process", True)):
            told = [line for line in caplog.messages if "resumed and stopped only by the process" in line]
    assert len(told) == count
    async with Chats(url):
        assert len(caplog.messages) == count
