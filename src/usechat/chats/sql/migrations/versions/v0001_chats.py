"""Chats, their messages, and the turns that write them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "usechat_chats",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("folded_title", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("active_run_id", sa.Text),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_usechat_chats_owner_updated_at_id", "usechat_chats", ["owner", "updated_at", "id"])
    op.create_table(
        "usechat_messages",
        sa.Column("chat_id", sa.Text, sa.ForeignKey("usechat_chats.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("folded_text", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("usage", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("run_id", sa.Text),
    )
    op.create_table(
        "usechat_turns",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("chat_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("continues", sa.Text),
        sa.Column("began_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("status", sa.Text),
        sa.Column("ended_by", sa.Text),
    )
    op.create_index("ix_usechat_turns_chat_id", "usechat_turns", ["chat_id"])
    op.create_index("ix_usechat_turns_status_began_at", "usechat_turns", ["status", "began_at"])
