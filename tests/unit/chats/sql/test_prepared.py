"""Statements that go past SQLAlchemy give what they give through it, and are told of to whoever listens."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, NullPool, bindparam, create_engine, delete, event, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from usechat.chats.sql.prepared import run, use_driver
from usechat.chats.sql.sqlite import SqliteDriver
from usechat.chats.sql.tables import messages, metadata

_ROW = {
    "chat_id": "c",
    "number": 0,
    "id": "m",
    "role": "user",
    "folded_text": "",
    "created_at": 1.5,
    "status": "whole",
}
_ADD = insert(messages)
_CHANGE = update(messages).where(messages.c.number == bindparam("by_number")).returning(messages.c.number + 40)
_READ = select(messages).where(messages.c.chat_id == bindparam("by_chat_id")).order_by(messages.c.number)
_CUT = delete(messages).where(messages.c.chat_id == bindparam("by_chat_id"))


@pytest.fixture(params=["driver", "sqlalchemy"])
def connection(tmp_path: Path, request: pytest.FixtureRequest) -> Generator[Connection]:
    engine = create_engine(
        f"sqlite:///{tmp_path / 'x.db'}", poolclass=NullPool, isolation_level="AUTOCOMMIT", paramstyle="named"
    )
    metadata.create_all(engine)
    with engine.connect() as connection:
        if request.param == "driver":
            use_driver(connection, SqliteDriver(cast("sqlite3.Connection", connection.connection.driver_connection)))
        yield connection
    engine.dispose()


def test_values_are_stored_as_their_columns_types_make_them(connection: Connection) -> None:
    content = {"text": "nul \x00, half \ud800, back\\slash"}
    assert run(connection, _ADD, {**_ROW, "id": "nul \x00 back\\slash", "content": content}) == []
    (row,) = connection.exec_driver_sql("select id, content, usage, created_at from usechat_messages").all()
    assert row == ("nul \\u0000 back\\u005cslash", '{"text":"nul \\u0000, half \\ud800, back\\\\slash"}', None, 1.5)


def test_several_sets_of_values_are_several_runs(connection: Connection) -> None:
    rows = [{**_ROW, "number": position, "content": position} for position in range(3)]
    assert run(connection, _ADD, rows) == []
    assert len(run(connection, _READ, {"by_chat_id": "c"})) == 3
    assert run(connection, _CUT, {"by_chat_id": "c"}) == []
    assert run(connection, _READ, {"by_chat_id": "c"}) == []


def test_which_columns_are_written_is_said_by_the_values(connection: Connection) -> None:
    run(connection, _ADD, {**_ROW, "content": "old"})
    assert [tuple(row) for row in run(connection, _CHANGE, {"by_number": 0, "status": "lost"})] == [(40,)]
    run(connection, _CHANGE, {"by_number": 0, "content": "new"})
    assert run(connection, _CHANGE, {"by_number": 7, "content": "none"}) == []
    stored = connection.exec_driver_sql("select status, content from usechat_messages").all()
    assert stored == [("lost", '"new"')]


def test_what_fails_is_told_as_sqlalchemy_tells_it(connection: Connection) -> None:
    run(connection, _ADD, {**_ROW, "content": "old"})
    with pytest.raises(IntegrityError) as caught:
        run(connection, _ADD, {**_ROW, "content": "a secret"})
    assert isinstance(caught.value.orig, sqlite3.IntegrityError)
    connection.exec_driver_sql("drop table usechat_messages")
    with pytest.raises(OperationalError, match="no such table"):
        run(connection, _READ, {"by_chat_id": "c"})


def test_whoever_listens_to_sqlalchemy_hears_of_each_statement(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        heard.append(statement)

    event.listen(connection.engine, "before_cursor_execute", note)
    run(connection, _READ, {"by_chat_id": "c"})
    event.remove(connection.engine, "before_cursor_execute", note)
    assert len(heard) == 1
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"), connection.engine.connect() as another:
        run(another, _READ, {"by_chat_id": "c"})
        assert any("usechat_messages" in line for line in caplog.messages)
