"""Generations of sources and pools, cordons, windows of launches; events that belong to no request.

An event gets the name and the host that it is about, so that a refused request can be explained by its name.
"""

from __future__ import annotations

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_EVENT = sa.table(
    "event",
    sa.column("id", sa.Integer),
    sa.column("kind", sa.String),
    sa.column("request_id", sa.String),
    sa.column("name", sa.String),
    sa.column("host", sa.String),
    sa.column("detail", sa.JSON),
)
_LAUNCH = sa.table(
    "launch", sa.column("request_id", sa.String), sa.column("name", sa.String), sa.column("host", sa.String)
)


def upgrade() -> None:
    """Make the new tables and columns, and fill them from what is there."""
    for table in ("source", "pool"):
        op.create_table(
            table,
            sa.Column("name", sa.String(255), primary_key=True),
            sa.Column("generation", sa.Integer, nullable=False),
        )
    op.create_table(
        "cordon",
        sa.Column("scope", sa.String(255), primary_key=True),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("why", sa.String(1024), nullable=False),
        sa.Column("until", sa.Float),
        sa.Column("since", sa.Float, nullable=False),
    )
    op.add_column("launch", sa.Column("window_start", sa.Float))
    op.add_column("launch", sa.Column("window_end", sa.Float))
    op.create_index("launch_source", "launch", ["source"])
    with op.batch_alter_table("event") as batch:  # SQLite can't drop NOT NULL in place
        batch.alter_column("request_id", existing_type=sa.String(32), nullable=True)
        batch.add_column(sa.Column("name", sa.String(255)))
        batch.add_column(sa.Column("host", sa.String(255)))
        batch.add_column(sa.Column("who", sa.String(255)))
    op.create_index("event_name", "event", ["name"])
    op.create_index("event_at", "event", ["at"])
    _fill_events()


def downgrade() -> NoReturn:
    """Refuse: an older vdbmon would place on cordoned hosts."""
    raise NotImplementedError("the ledger's schema doesn't go back; restore a copy made before the upgrade")


def _fill_events() -> None:
    connection = op.get_bind()
    for column in ("name", "host"):
        found = sa.select(_LAUNCH.c[column]).where(_LAUNCH.c.request_id == _EVENT.c.request_id).scalar_subquery()
        connection.execute(sa.update(_EVENT).values({column: found}))
    refused = sa.select(_EVENT.c.id, _EVENT.c.detail).where(_EVENT.c.kind == "decision", _EVENT.c.name.is_(None))
    for identity, detail in connection.execute(refused).all():
        if isinstance(detail, dict):
            connection.execute(sa.update(_EVENT).where(_EVENT.c.id == identity).values(name=detail.get("name")))
