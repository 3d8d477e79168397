"""How often a scheduled run was tried and what spoke against it; what was decided about a backup, and when."""

from __future__ import annotations

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the columns; what was decided before is written beside its backup as if it were decided now."""
    op.add_column("schedule", sa.Column("trying", sa.Float))
    op.add_column("schedule", sa.Column("tries", sa.Integer, nullable=False, server_default="0"))
    op.add_column("schedule", sa.Column("retry_at", sa.Float))
    op.add_column("schedule", sa.Column("against", sa.JSON(none_as_null=True)))
    op.add_column("schedule", sa.Column("last_miss", sa.JSON(none_as_null=True)))
    op.add_column("backup", sa.Column("decided_at", sa.Float))
    op.add_column("backup", sa.Column("noted_at", sa.Float))
    backup = sa.table(
        "backup",
        sa.column("decided_at", sa.Float),
        sa.column("finished_at", sa.Float),
        sa.column("verified_at", sa.Float),
        sa.column("verified_by", sa.String),
        sa.column("keep_why", sa.String),
    )
    decided = sa.or_(backup.c.verified_by.is_not(None), backup.c.keep_why.is_not(None))
    when = sa.func.coalesce(backup.c.verified_at, backup.c.finished_at)
    op.execute(backup.update().where(decided).values(decided_at=when))


def downgrade() -> NoReturn:
    """Refuse: an older vdbmon would place a run again that was tried under another request."""
    raise NotImplementedError("the ledger's schema doesn't go back; restore a copy made before the upgrade")
