"""Addresses of pools: who has which, and since when one rests."""

from __future__ import annotations

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_HELD = sa.text("released_at IS NULL")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "address",
        sa.Column("pool", sa.String(255), primary_key=True),
        sa.Column("ip", sa.String(15), primary_key=True),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("taken_at", sa.Float, nullable=False),
        sa.Column("released_at", sa.Float),
    )
    op.create_index(
        "address_request", "address", ["request_id"], unique=True, sqlite_where=_HELD, postgresql_where=_HELD
    )


def downgrade() -> NoReturn:
    """Refuse: an older vdbmon would give back no addresses."""
    raise NotImplementedError("the ledger's schema doesn't go back; restore a copy made before the upgrade")
