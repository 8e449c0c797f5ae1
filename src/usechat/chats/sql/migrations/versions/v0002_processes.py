"""Which process makes a turn's answer, and which processes live."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the process to turns. Turns that are open now have none: an older version began them."""
    op.add_column("usechat_turns", sa.Column("process_id", sa.Text))
    op.create_table(
        "usechat_processes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.Double, nullable=False),
    )
