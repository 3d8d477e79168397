"""What was seen on a host and belongs to no live launch; and whose turn it is on a launch."""

from __future__ import annotations

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the new table and columns; launches of before have nobody at work."""
    op.create_table(
        "sighting",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("identity", sa.String(255), primary_key=True),
        sa.Column("first_seen", sa.Float, nullable=False),
        sa.Column("last_seen", sa.Float, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
    )
    op.add_column("launch", sa.Column("step", sa.String(16)))
    op.add_column("launch", sa.Column("turn", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> NoReturn:
    """Refuse: an older vdbmon would go on with launches that reconcile has undone."""
    raise NotImplementedError("the ledger's schema doesn't go back; restore a copy made before the upgrade")
