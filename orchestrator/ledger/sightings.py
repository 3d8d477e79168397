"""What belongs to no live launch and was seen on a host: since when, and how often in a row."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.ledger import schema
from orchestrator.ledger.records import Sighting, columns_of

Seen = tuple[str, str]
"""Kind and identity."""


def sightings(connection: Connection) -> tuple[Sighting, ...]:
    """All of them."""
    rows = connection.execute(select(schema.sighting).order_by(*schema.sighting.primary_key.columns)).mappings()
    return tuple(Sighting(**row) for row in rows)


def see(connection: Connection, host: str, seen: Collection[Seen], *, at: float) -> tuple[Sighting, ...]:
    """See `Ledger.see`."""
    columns = schema.sighting.c
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    known = {(item.kind, item.identity): item for item in sightings(connection) if item.host == host}
    for kind, identity in sorted(known.keys() - set(seen)):
        connection.execute(
            delete(schema.sighting).where(columns.host == host, columns.kind == kind, columns.identity == identity)
        )
    now = []
    for kind, identity in sorted(set(seen)):
        before = known.get((kind, identity))
        if before is None:
            sighting = Sighting(host=host, kind=kind, identity=identity, first_seen=at, last_seen=at, times=1)
            # Of two that see it first at the same time the second waits for the first.
            connection.execute(insert(schema.sighting).values(columns_of(sighting)).on_conflict_do_nothing())
        else:
            sighting = Sighting(
                host=host,
                kind=kind,
                identity=identity,
                first_seen=before.first_seen,
                last_seen=at,
                times=before.times + 1,
            )
            connection.execute(
                update(schema.sighting)
                .where(columns.host == host, columns.kind == kind, columns.identity == identity)
                .values(last_seen=at, times=sighting.times)
            )
        now.append(sighting)
    return tuple(now)
