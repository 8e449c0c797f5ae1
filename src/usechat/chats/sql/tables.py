"""The tables of saved chats. They are made and altered by `usechat.chats.sql.migrations`; a test compares the two.

Times are seconds since the epoch. A message's number in its chat is its key: ids come from clients, have any
length, and are not unique, as the versions of an edited message have the same one. The tables' names let them share a
database with an application's tables.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
)

from usechat.chats.sql.columns import JsonText, PlainText

__all__ = ["VERSION_TABLE", "chats", "messages", "metadata", "processes", "turns"]

metadata = MetaData()

VERSION_TABLE = "usechat_version"
"""The table in which alembic records the last migration."""

chats = Table(
    "usechat_chats",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("owner", PlainText, nullable=False),
    Column("title", PlainText),
    Column("folded_title", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("metadata", JsonText, nullable=False),
    Column("active_run_id", PlainText),
    Column("revision", BigInteger, nullable=False),
    # The number of messages that were ever saved, and the number of the last one that is shown.
    Column("size", Integer, nullable=False, server_default="0"),
    Column("leaf", Integer),
    # Pages of an owner's chats.
    Index("ix_usechat_chats_owner_updated_at_id", "owner", "updated_at", "id"),
)

messages = Table(
    "usechat_messages",
    metadata,
    Column("chat_id", PlainText, ForeignKey("usechat_chats.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # The number of the message before this one.
    Column("parent", Integer),
    Column("id", PlainText, nullable=False),
    Column("role", PlainText, nullable=False),
    Column("content", JsonText, nullable=False),
    Column("folded_text", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("status", Text, nullable=False),
    Column("usage", JsonText),
    Column("finish_reason", PlainText),
    Column("run_id", PlainText),
    Column("is_hidden", Boolean, nullable=False, server_default=false()),
)

turns = Table(
    "usechat_turns",
    metadata,
    Column("run_id", PlainText, primary_key=True),
    # No foreign key: a turn ends also when its chat was deleted meanwhile.
    Column("chat_id", PlainText, nullable=False),
    Column("owner", PlainText, nullable=False),
    # The numbers of the message that is answered, and of the one that the answer continues.
    Column("parent", Integer),
    Column("continues", Integer),
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("status", Text),
    # Tells the call that ended the turn that it was the one, when the answer to its commit got lost.
    Column("ended_by", Text),
    # Of the process in whose memory the run is, where no log that outlives it has the run.
    Column("process_id", Text),
    Index("ix_usechat_turns_chat_id", "chat_id"),
    Index("ix_usechat_turns_status_began_at", "status", "began_at"),
)

# Those that live, on a server; a file of SQLite has locks beside it instead (`usechat.chats.sql.presence.base`).
processes = Table(
    "usechat_processes",
    metadata,
    Column("id", Text, primary_key=True),
    # Grows while the process lives, several times in a lease: seconds, as that process is set up.
    Column("beats", BigInteger, nullable=False),
    Column("lease", Double, nullable=False),
)
