"""Database URLs as people have them, and the drivers behind them."""

from __future__ import annotations

import pytest

from usechat.chats.sql.engine import parse_url
from usechat.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "driven"),
    [
        ("sqlite:///chats.db", "sqlite+pysqlite:///chats.db"),
        ("sqlite+aiosqlite:////var/chats.db", "sqlite+pysqlite:////var/chats.db"),
        ("postgres://a:b@host/db", "postgresql+asyncpg://a:b@host/db"),
        (
            "postgresql://a:b@host/db?sslmode=require&channel_binding=require",
            "postgresql+asyncpg://a:b@host/db?sslmode=require",
        ),
        (
            "postgresql+asyncpg://a@host:6543/db?ssl=verify-full&application_name=x&pgbouncer=true",
            "postgresql+asyncpg://a@host:6543/db?application_name=x&pgbouncer=true&sslmode=verify-full",
        ),
    ],
)
def test_url_gets_its_driver(url: str, driven: str) -> None:
    assert parse_url(url).render_as_string(hide_password=False) == driven


@pytest.mark.parametrize(
    "url",
    [
        "",
        "chats.db",
        "mysql://root:secret@host/db",
        "postgresql://root:secret@host:port/db",
        "postgresql://root:secret@host/db?pgbouncer=1",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:chats?mode=memory",
    ],
)
def test_other_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_url(url)
    assert "secret" not in str(raised.value)
