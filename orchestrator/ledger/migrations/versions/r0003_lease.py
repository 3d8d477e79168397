"""The lease of `vdbmon serve`: one row, free at first."""

from __future__ import annotations

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table and its one row."""
    lease = op.create_table(
        "lease",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("renewals", sa.Integer, nullable=False),
        sa.Column("holder", sa.String(255)),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.UniqueConstraint("name", "token"),
    )
    op.bulk_insert(lease, [{"name": "serve", "token": 0, "renewals": 0, "holder": None, "seconds": 0.0}])


def downgrade() -> NoReturn:
    """Refuse: two of an older vdbmon would both act."""
    raise NotImplementedError("the ledger's schema doesn't go back; restore a copy made before the upgrade")
