"""Runs several statements as one, where the database can: PostgreSQL, whose round trips are most of a turn's cost.

The statements are those that other databases run one after another. As parts of one (``WITH``), all of them see the
tables as they were before it, and all that they change is kept or nothing.

Source: PostgreSQL 15, 7.8.4 (data-modifying statements in WITH).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, cast

from sqlalchemy import (
    CTE,
    BindParameter,
    ClauseElement,
    Connection,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    exists,
    insert,
    select,
)
from sqlalchemy.sql.visitors import cloned_traverse, iterate

from usechat.chats.sql.prepared import Rows, run

__all__ = ["Change", "run_together"]

Change: TypeAlias = tuple[Insert | Update, Mapping[str, Any]]
"""A statement and its values."""

ChangeT = TypeVar("ChangeT", Insert, Update)
StatementT = TypeVar("StatementT", bound=ClauseElement)


def run_together(connection: Connection, first: Change, *others: Change) -> Rows:
    """Run a statement, and the others if it returns a row. Return its rows.

    No statement may depend on what an earlier one of them changes.

    Args:
        connection: In a transaction, unless the database is PostgreSQL.
        first: Returns one row or none.
        others: Return nothing that is wanted.

    Raises:
        DBAPIError: One of them failed; nothing is done if the database is PostgreSQL.
    """
    if connection.dialect.name != "postgresql":
        rows = run(connection, *first)
        if rows:
            for change in others:
                run(connection, *change)
        return rows
    changes = (first, *others)
    together = _join(tuple([(statement, *values) for statement, values in changes]))
    named = {f"{name}_{at}": value for at, (_, values) in enumerate(changes) for name, value in values.items()}
    return run(connection, together, named)


@lru_cache(maxsize=64)
def _join(shapes: Sequence[Sequence[Any]]) -> Select[*tuple[Any, ...]]:
    """Return one statement for several, each given with the names of its values. Its parameters are numbered."""
    (statement, *names), *others = shapes
    first = _number(_name_columns(statement, names), 0).cte("first")
    parts = [_part(one, names, at, first).cte(f"part_{at}") for at, (one, *names) in enumerate(others, 1)]
    return select(*first.c).add_cte(*parts)


def _part(statement: Insert | Update, names: Sequence[str], at: int, first: CTE) -> Insert | Update:
    """Return a statement that runs only if the first one has a row."""
    has_row = exists().select_from(first)
    if isinstance(statement, Update):
        return _number(_name_columns(statement, names), at).where(has_row)
    # ``VALUES`` takes no condition.
    row: Any = statement.select
    if row is None:
        row = select(*[bind.label(name) for name, bind in _columns(statement, names).items()])
    row = _number(row, at).where(has_row)
    return insert(_table(statement)).from_select([column.name for column in row.selected_columns], row)


def _name_columns(statement: ChangeT, names: Sequence[str]) -> ChangeT:
    """Return a statement whose parameters all have names, also those that values make of columns."""
    taken = {part.key for part in iterate(statement) if isinstance(part, BindParameter)}
    columns = {name: bind for name, bind in _columns(statement, names).items() if name not in taken}
    return statement.values(columns) if columns else statement


def _columns(statement: Insert | Update, names: Sequence[str]) -> Mapping[str, BindParameter[Any]]:
    columns = _table(statement).c
    return {name: bindparam(name, type_=columns[name].type) for name in names if name in columns}


def _table(statement: Insert | Update) -> Table:
    return cast("Table", statement.table)


def _number(statement: StatementT, at: int) -> StatementT:
    def rename(bind: BindParameter[Any]) -> None:
        bind.key = f"{bind.key}_{at}"

    return cloned_traverse(statement, {}, {"bindparam": rename})
