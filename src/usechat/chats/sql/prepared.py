"""Runs the statements that never change. SQLAlchemy takes far longer for them than the databases do.

A statement is defined once, with SQLAlchemy (`usechat.chats.sql.statements`), which also runs it. Only when the
database's driver can be called directly, its text is written one time and then given to the driver, with values that
the columns' types have encoded. Rows come as they are stored; `usechat.chats.sql.rows` decodes them.

Upstream: SQLAlchemy 2.0 and 2.1 (``Compiled.binds``, ``TypeEngine.bind_processor``, ``DBAPIError.instance``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias, cast

import msgspec
from sqlalchemy import Connection, Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.types import TypeEngine

from usechat.chats.sql.columns import JsonText, PlainText

__all__ = ["Driver", "DriverStatements", "Rows", "run", "use_driver"]

Rows: TypeAlias = Sequence[Sequence[Any]]
Values: TypeAlias = Mapping[str, Any]

_DRIVER: Final = "usechat.driver"
_LOG: Final = logging.getLogger("sqlalchemy.engine")


class Driver(Protocol):
    """The driver's connection, as far as it runs statements.

    Its values are a mapping, or a tuple where the dialect numbers the parameters.
    """

    def execute(self, text: str, values: Any) -> Rows:
        """Run a statement and return its rows.

        Raises:
            DBAPIError: It failed.
        """
        ...

    def execute_many(self, text: str, values: Sequence[Any]) -> Rows:
        """Run a statement once for each of several sets of values. Return no rows.

        Raises:
            DBAPIError: It failed.
        """
        ...


def run(connection: Connection, statement: Executable, values: Values | Sequence[Values]) -> Rows:
    """Run a statement and return its rows, if it has any.

    Args:
        connection: In a transaction.
        statement: One that outlives its use.
        values: Its parameters. With several sets of the same parameters, the statement runs once for each.

    Raises:
        DBAPIError: It failed.
    """
    driver: DriverStatements | None = connection.info.get(_DRIVER)
    if driver is not None and not driver.is_watched:
        return driver.run(statement, values)
    result = connection.execute(statement, values)
    return result.all() if result.returns_rows else []


def use_driver(connection: Connection, driver: Driver) -> None:
    """Make `run` call the driver directly on this connection, without SQLAlchemy, for as long as it is open.

    Args:
        connection: SQLAlchemy's connection.
        driver: The driver's connection, which runs the statements.
    """
    connection.info[_DRIVER] = DriverStatements(connection, driver)


class _Written(msgspec.Struct, frozen=True):
    """A statement as the driver takes it."""

    text: str
    constants: Values
    """The values that the statement fixes itself."""
    encoders: Sequence[tuple[str, Callable[[Any], Any]]]
    """By parameter name, the function that encodes a value for the driver. Null stays null."""
    order: Sequence[str] | None
    """The parameters' names, where the dialect numbers them."""

    def encode(self, values: Values) -> Values | Sequence[Any]:
        encoded = {**self.constants, **values}
        for name, encode in self.encoders:
            if encoded[name] is not None:
                encoded[name] = encode(encoded[name])
        return encoded if self.order is None else [encoded[name] for name in self.order]


class DriverStatements:
    """Runs statements on one connection.

    Args:
        connection: The connection; its dialect writes them.
        driver: Runs them.
    """

    def __init__(self, connection: Connection, driver: Driver) -> None:
        self._dialect = connection.dialect
        self._dispatch = connection.engine.dispatch
        self._driver = driver

    @property
    def is_watched(self) -> bool:
        """Whether a listener or a log wants SQLAlchemy to report each statement."""
        return bool(self._dispatch.before_cursor_execute) or _LOG.isEnabledFor(logging.INFO)

    def run(self, statement: Executable, values: Values | Sequence[Values]) -> Rows:
        """See `run`."""
        if isinstance(values, Mapping):
            written = _write(statement, tuple(values), self._dialect)
            return self._driver.execute(written.text, written.encode(values))
        written = _write(statement, tuple(values[0]), self._dialect)
        return self._driver.execute_many(written.text, [written.encode(one) for one in values])


# For all connections: to write one takes longer than to run it.
@lru_cache(maxsize=256)
def _write(statement: Executable, names: Sequence[str], dialect: Dialect) -> _Written:
    """Return a statement's text. Which columns it writes depends on which values there are, so it gets their names."""
    compiled = cast("ClauseElement", statement).compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    binds = compiled.binds
    processors = ((name, _encoder_of(bind.type, dialect)) for name, bind in binds.items())
    return _Written(
        text=compiled.string,
        constants={name: bind.value for name, bind in binds.items() if name not in names},
        encoders=[(name, encode) for name, encode in processors if encode is not None],
        order=compiled.positiontup,
    )


def _encoder_of(type_: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    # SQLAlchemy's own calls three functions for each value before it calls ours.
    return type_.encode if isinstance(type_, JsonText | PlainText) else type_.bind_processor(dialect)
