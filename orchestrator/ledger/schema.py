"""Tables of the ledger. `migrations/versions` brings a database to `HEAD`; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)

HEAD = "0007"
_LIVE = text("state <> 'removed'")
_HELD = text("released_at IS NULL")

metadata = MetaData()

host = Table(
    "host",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("engine_fingerprint", String(255)),
)

source = Table(
    "source",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("generation", Integer, nullable=False),
)

pool = Table(
    "pool",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("generation", Integer, nullable=False),
)

launch = Table(
    "launch",
    metadata,
    Column("request_id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("host", String(255), ForeignKey("host.name"), nullable=False),
    Column("source", String(255), nullable=False),
    Column("job", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("spec_hash", String(64), nullable=False),
    Column("container_id", String(64)),
    Column("volume", String(255)),
    Column("outcome", JSON(none_as_null=True)),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("window_start", Float),
    Column("window_end", Float),
    Column("step", String(16)),
    Column("turn", Integer, nullable=False, server_default="0"),
    Index("launch_live_name", "name", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
    Index("launch_source", "source"),
)

is_live = launch.c.state != "removed"
"""A name is taken as long as its launch isn't removed."""

is_holding = is_live | launch.c.volume.is_not(None)
"""A removed launch holds disk space as long as its volume stays."""

allocation = Table(
    "allocation",
    metadata,
    Column("request_id", String(32), ForeignKey("launch.request_id"), nullable=False),
    Column("host", String(255), ForeignKey("host.name"), nullable=False),
    Column("resource_class", String(32), nullable=False),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("request_id", "resource_class"),
    Index("allocation_host", "host"),
)

address = Table(
    "address",
    metadata,
    Column("pool", String(255), primary_key=True),
    Column("ip", String(15), primary_key=True),
    Column("request_id", String(32), nullable=False),
    Column("host", String(255), nullable=False),
    Column("taken_at", Float, nullable=False),
    Column("released_at", Float),
    Index("address_request", "request_id", unique=True, sqlite_where=_HELD, postgresql_where=_HELD),
)
"""Addresses that were ever given away; outlives the launch, which the record may have forgotten."""

cordon = Table(
    "cordon",
    metadata,
    Column("scope", String(255), primary_key=True),
    Column("who", String(255), nullable=False),
    Column("why", String(1024), nullable=False),
    Column("until", Float),
    Column("since", Float, nullable=False),
)
FLEET = "*"
"""The scope of a freeze; no host can be called that."""

sighting = Table(
    "sighting",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("identity", String(255), primary_key=True),
    Column("first_seen", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("times", Integer, nullable=False),
)
"""What belongs to no live launch, as `vdbmon reconcile` saw it."""

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("request_id", String(32)),
    Column("name", String(255)),
    Column("host", String(255)),
    Column("who", String(255)),
    Column("detail", JSON(none_as_null=True)),
    Index("event_request_id", "request_id"),
    Index("event_name", "name"),
    Index("event_at", "at"),
)

lease = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("token", Integer, nullable=False),
    Column("renewals", Integer, nullable=False),
    Column("holder", String(255)),
    Column("seconds", Float, nullable=False),
    # Makes the token part of a key: PostgreSQL then lets renewals pass a transaction that holds the row FOR KEY SHARE,
    # and a takeover, which changes the token, not.
    UniqueConstraint("name", "token"),
)

backup = Table(
    "backup",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("source", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("made", String(32), nullable=False),
    Column("parent", String(255)),
    Column("reason", String(1024)),
    Column("damage", String(1024)),
    Column("host", String(255), nullable=False),
    Column("volume", String(255), nullable=False),
    Column("request_id", String(32)),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("bytes_raw", BigInteger, nullable=False),
    Column("bytes_stored", BigInteger, nullable=False),
    Column("lock_seconds", Float),
    Column("from_lsn", BigInteger),
    Column("to_lsn", BigInteger),
    Column("first_binlog_file", String(255)),
    Column("binlog_file", String(255)),
    Column("binlog_position", BigInteger),
    Column("gtid", String(1024)),
    Column("verified_at", Float),
    Column("verified_by", String(255)),
    Column("keep_why", String(1024)),
    Column("keep_until", Float),
    Column("condemned_at", Float),
    Column("removed_at", Float),
    Column("decided_at", Float),
    Column("noted_at", Float),
    Column("record", JSON, nullable=False),
    Index("backup_source", "source"),
    Index("backup_volume", "volume"),
)

schedule = Table(
    "schedule",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("since", Float, nullable=False),
    Column("settled_until", Float, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("last_placed", Float),
    Column("waiting_for", String(1024)),
    Column("trying", Float),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("retry_at", Float),
    Column("against", JSON(none_as_null=True)),
    Column("last_miss", JSON(none_as_null=True)),
)
