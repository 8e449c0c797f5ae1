"""Run by alembic: makes the changes that are due, on the connection and in the transaction of `migrate`."""

from __future__ import annotations

from alembic import context

from usechat.chats.sql.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite alters a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
