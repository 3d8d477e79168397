"""The catalogue of backups, and how far the schedules are."""

from __future__ import annotations

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables; `vdbmon backup scan` fills the catalogue from what is in the volumes."""
    op.create_table(
        "backup",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("made", sa.String(32), nullable=False),
        sa.Column("parent", sa.String(255)),
        sa.Column("reason", sa.String(1024)),
        sa.Column("damage", sa.String(1024)),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("volume", sa.String(255), nullable=False),
        sa.Column("request_id", sa.String(32)),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("bytes_raw", sa.BigInteger, nullable=False),
        sa.Column("bytes_stored", sa.BigInteger, nullable=False),
        sa.Column("lock_seconds", sa.Float),
        sa.Column("from_lsn", sa.BigInteger),
        sa.Column("to_lsn", sa.BigInteger),
        sa.Column("first_binlog_file", sa.String(255)),
        sa.Column("binlog_file", sa.String(255)),
        sa.Column("binlog_position", sa.BigInteger),
        sa.Column("gtid", sa.String(1024)),
        sa.Column("verified_at", sa.Float),
        sa.Column("verified_by", sa.String(255)),
        sa.Column("keep_why", sa.String(1024)),
        sa.Column("keep_until", sa.Float),
        sa.Column("condemned_at", sa.Float),
        sa.Column("removed_at", sa.Float),
        sa.Column("record", sa.JSON, nullable=False),
    )
    op.create_index("backup_source", "backup", ["source"])
    op.create_index("backup_volume", "backup", ["volume"])
    op.create_table(
        "schedule",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("settled_until", sa.Float, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("last_placed", sa.Float),
        sa.Column("waiting_for", sa.String(1024)),
    )


def downgrade() -> NoReturn:
    """Refuse: an older vdbmon would not know which backups somebody keeps."""
    raise NotImplementedError("the ledger's schema doesn't go back; restore a copy made before the upgrade")
