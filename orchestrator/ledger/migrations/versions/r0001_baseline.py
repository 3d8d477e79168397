"""Baseline: hosts, launches, allocations, events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_LIVE = sa.text("state <> 'removed'")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "host",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("engine_fingerprint", sa.String(255)),
    )
    op.create_table(
        "launch",
        sa.Column("request_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), sa.ForeignKey("host.name"), nullable=False),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("spec_hash", sa.String(64), nullable=False),
        sa.Column("container_id", sa.String(64)),
        sa.Column("volume", sa.String(255)),
        sa.Column("outcome", sa.JSON),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
    op.create_index("launch_live_name", "launch", ["name"], unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)
    op.create_table(
        "allocation",
        sa.Column("request_id", sa.String(32), sa.ForeignKey("launch.request_id"), nullable=False),
        sa.Column("host", sa.String(255), sa.ForeignKey("host.name"), nullable=False),
        sa.Column("resource_class", sa.String(32), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "resource_class"),
    )
    op.create_index("allocation_host", "allocation", ["host"])
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("detail", sa.JSON),
    )
    op.create_index("event_request_id", "event", ["request_id"])
