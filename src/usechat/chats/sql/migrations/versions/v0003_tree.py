"""The messages of a chat become a tree: each knows the one before it, and the chat the last one that is shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Number the messages and name their parents. Turns that are open now answer the last message of their chat."""
    op.add_column("usechat_chats", sa.Column("size", sa.Integer, nullable=False, server_default="0"))
    op.add_column("usechat_chats", sa.Column("leaf", sa.Integer))
    op.add_column("usechat_messages", sa.Column("parent", sa.Integer))
    op.add_column("usechat_messages", sa.Column("is_hidden", sa.Boolean, nullable=False, server_default=sa.false()))
    # A chat was a list without gaps, so the place of a message becomes its number.
    op.execute("ALTER TABLE usechat_messages RENAME COLUMN position TO number")
    op.execute("UPDATE usechat_messages SET parent = number - 1 WHERE number > 0")
    op.execute("""
        UPDATE usechat_chats SET
            size = (SELECT COUNT(*) FROM usechat_messages WHERE chat_id = usechat_chats.id),
            leaf = (SELECT MAX(number) FROM usechat_messages WHERE chat_id = usechat_chats.id)
    """)
    op.execute("ALTER TABLE usechat_turns RENAME COLUMN continues TO continued_id")
    op.add_column("usechat_turns", sa.Column("parent", sa.Integer))
    op.add_column("usechat_turns", sa.Column("continues", sa.Integer))
    op.execute("""
        UPDATE usechat_turns SET
            parent = (SELECT leaf FROM usechat_chats WHERE id = usechat_turns.chat_id),
            continues = (
                SELECT MAX(number) FROM usechat_messages
                WHERE chat_id = usechat_turns.chat_id AND id = usechat_turns.continued_id
            )
        WHERE status IS NULL
    """)
    op.drop_column("usechat_turns", "continued_id")
